#include "api/source.h"

#include <utility>

#include "api/model_deployment.h"

namespace perennial::api {
namespace {

Result<std::string> Read(const std::string& ns, const std::string& name, const std::string& key,
                         const SecretLookup& lookup) {
  if (!lookup) return Error{Errc::kForbidden, "Secrets are not read here"};
  PERENNIAL_TRY(std::string text, lookup({ns, name}, key));
  // Files, which Secrets are often made from, end in a line feed.
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (text.empty()) {
    return Error{Errc::kInvalid, "Secret " + ns + "/" + name + ": entry " + key + " is empty"};
  }
  return text;
}

Status Add(const std::optional<TlsTrust>& tls, const std::string& ns, const SecretLookup& lookup,
           Credentials& out) {
  if (!tls) return Ok();
  out.server_name = tls->server_name;
  if (!tls->ca) return Ok();
  PERENNIAL_TRY(out.ca_pem, Read(ns, tls->ca->name, tls->ca->key, lookup));
  return Ok();
}

}  // namespace

Result<Credentials> CredentialsOf(const PrometheusSource& source, const std::string& ns,
                                  const SecretLookup& lookup) {
  Credentials out;
  PERENNIAL_TRY_STATUS(Add(source.tls, ns, lookup, out));
  if (source.bearer_token) {
    PERENNIAL_TRY(out.bearer_token,
                  Read(ns, source.bearer_token->name, source.bearer_token->key, lookup));
  }
  if (source.basic_auth) {
    PERENNIAL_TRY(out.username, Read(ns, source.basic_auth->name, "username", lookup));
    PERENNIAL_TRY(out.password, Read(ns, source.basic_auth->name, "password", lookup));
  }
  return out;
}

Result<Credentials> CredentialsOf(const MetricsEndpoint& endpoint, const std::string& ns,
                                  const SecretLookup& lookup) {
  Credentials out;
  PERENNIAL_TRY_STATUS(Add(endpoint.tls, ns, lookup, out));
  if (endpoint.bearer_token) {
    PERENNIAL_TRY(out.bearer_token,
                  Read(ns, endpoint.bearer_token->name, endpoint.bearer_token->key, lookup));
  }
  return out;
}

}  // namespace perennial::api
