#include "kube/tls_material.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <utility>
#include <vector>

namespace perennial::kube {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};
using Certificate = std::unique_ptr<X509, FreeX509>;

std::unique_ptr<BIO, FreeBio> Reader(const std::string& text) {
  return std::unique_ptr<BIO, FreeBio>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::vector<Certificate> ReadCertificates(const std::string& pem) {
  std::vector<Certificate> out;
  const auto bio = Reader(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    out.emplace_back(certificate);
  }
  ERR_clear_error();  // the end of the text is one
  return out;
}

// An encrypted key would make OpenSSL ask on the terminal.
int NoPassword(char*, int, int, void*) {
  return -1;
}

}  // namespace

struct TlsMaterial::Parts {
  std::unique_ptr<X509_STORE, FreeStore> anchors;
  std::vector<Certificate> chain;  // the client's own certificate first
  std::unique_ptr<EVP_PKEY, FreeKey> key;
  std::string name;
};

bool IsIpAddress(const std::string& text) {
  in6_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

TlsMaterial::TlsMaterial(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
TlsMaterial::~TlsMaterial() = default;

Result<std::shared_ptr<const TlsMaterial>> TlsMaterial::Make(const ConnectionConfig& config,
                                                             const std::string& name) {
  auto parts = std::make_unique<Parts>();
  parts->name = name;
  parts->anchors.reset(X509_STORE_new());
  const auto anchors = ReadCertificates(config.ca_pem);
  if (anchors.empty()) {
    return Error{Errc::kInvalid, "the cluster's CA is missing or holds no PEM certificate"};
  }
  for (const Certificate& anchor : anchors) X509_STORE_add_cert(parts->anchors.get(), anchor.get());
  if (!config.client_certificate_pem.empty()) {
    parts->chain = ReadCertificates(config.client_certificate_pem);
    const auto bio = Reader(config.client_key_pem);
    parts->key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
    ERR_clear_error();
    if (parts->chain.empty()) {
      return Error{Errc::kInvalid, "the client certificate is not PEM"};
    }
    if (parts->key == nullptr) {
      return Error{Errc::kInvalid, "the client key is not PEM, or is encrypted"};
    }
    if (X509_check_private_key(parts->chain.front().get(), parts->key.get()) != 1) {
      ERR_clear_error();
      return Error{Errc::kInvalid, "the client key does not belong to the client certificate"};
    }
  }
  return std::shared_ptr<const TlsMaterial>(new TlsMaterial(std::move(parts)));
}

bool TlsMaterial::ApplyTo(ssl_ctx_st* context) const {
  X509_STORE_up_ref(parts_->anchors.get());
  SSL_CTX_set_cert_store(context, parts_->anchors.get());  // frees the system's anchors
  bool good = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
  // OpenSSL's own check of the name, beside the library's: no names from the subject, no partial
  // wildcards.
  X509_VERIFY_PARAM* verify = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(
      verify, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  good &= IsIpAddress(parts_->name)
              ? X509_VERIFY_PARAM_set1_ip_asc(verify, parts_->name.c_str()) == 1
              : X509_VERIFY_PARAM_set1_host(verify, parts_->name.data(), parts_->name.size()) == 1;
  if (parts_->key != nullptr) {
    good &= SSL_CTX_use_certificate(context, parts_->chain.front().get()) == 1;
    for (size_t i = 1; i < parts_->chain.size(); ++i) {
      good &= SSL_CTX_add1_chain_cert(context, parts_->chain[i].get()) == 1;
    }
    good &= SSL_CTX_use_PrivateKey(context, parts_->key.get()) == 1;
  }
  return good;
}

}  // namespace perennial::kube
