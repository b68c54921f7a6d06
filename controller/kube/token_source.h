#pragma once

#include <mutex>
#include <string>

#include "base/clock.h"
#include "kube/kubeconfig.h"

namespace perennial::kube {

// The bearer token of now. A token file is read again from time to time, since the kubelet rotates
// service account tokens; while it can't be read the old token is kept. Thread-safe.
class TokenSource {
 public:
  TokenSource(const ConnectionConfig& config, const Clock& clock, Millis refresh);

  // Empty where there is none.
  std::string Current();
  // After `refused` was: reads the file at once. True if there is another token now.
  bool Replace(const std::string& refused);

 private:
  void Read();

  const std::string file_;
  const Clock& clock_;
  const Millis refresh_;
  std::mutex mutex_;
  std::string token_;
  Millis read_at_{0};
};

}  // namespace perennial::kube
