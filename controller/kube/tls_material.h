#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "kube/kubeconfig.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace perennial::kube {

// Trust anchors, client identity and the name to verify, parsed once, for any number of
// connections. Thread-safe.
class TlsMaterial {
 public:
  // `name` is the DNS name or IP address that the server's certificate must carry. kInvalid names
  // the PEM text that is wrong; a CA is required.
  static Result<std::shared_ptr<const TlsMaterial>> Make(const ConnectionConfig& config,
                                                         const std::string& name);
  ~TlsMaterial();
  TlsMaterial(const TlsMaterial&) = delete;
  TlsMaterial& operator=(const TlsMaterial&) = delete;

  // Makes `context` trust the cluster's CA and nothing else, speak TLS 1.2 or newer, and show the
  // client's certificate. False if OpenSSL refuses; such a context must not be used.
  bool ApplyTo(ssl_ctx_st* context) const;

 private:
  struct Parts;
  explicit TlsMaterial(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// True for "10.0.0.1" and "fd00::1".
bool IsIpAddress(const std::string& text);

}  // namespace perennial::kube
