#include "source/access.h"

#include <optional>

namespace perennial::source {
namespace {

Result<std::string> Read(const std::string& ns, const std::string& name, const std::string& key,
                         const api::SecretLookup& lookup) {
  if (!lookup) return Error{Errc::kForbidden, "Secrets are not read here"};
  PERENNIAL_TRY(std::string text, lookup({ns, name}, key));
  // Files, which Secrets are often made from, end in a line feed.
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (text.empty()) {
    return Error{Errc::kInvalid, "Secret " + ns + "/" + name + ": entry " + key + " is empty"};
  }
  return text;
}

// What endpoints and Prometheus servers have in common.
template <class From>
Result<scrape::Access> TrustAndToken(const From& from, const std::string& ns,
                                     const api::SecretLookup& lookup) {
  scrape::Access access;
  if (from.tls) {
    access.server_name = from.tls->server_name;
    if (const auto& ca = from.tls->ca) {
      PERENNIAL_TRY(access.ca_pem, Read(ns, ca->name, ca->key, lookup));
    }
  }
  if (const auto& token = from.bearer_token) {
    PERENNIAL_TRY(access.bearer_token, Read(ns, token->name, token->key, lookup));
  }
  return access;
}

}  // namespace

Result<scrape::Access> AccessTo(const api::MetricsEndpoint& endpoint, const std::string& ns,
                                const api::SecretLookup& lookup) {
  PERENNIAL_TRY(scrape::Access access, TrustAndToken(endpoint, ns, lookup));
  access.tls = endpoint.scheme == api::Scheme::kHttps;
  return access;
}

Result<scrape::Access> AccessTo(const api::PrometheusServer& server, const std::string& ns,
                                const api::SecretLookup& lookup) {
  PERENNIAL_TRY(scrape::Access access, TrustAndToken(server, ns, lookup));
  if (const auto& user = server.basic_auth) {
    PERENNIAL_TRY(access.username, Read(ns, user->name, "username", lookup));
    PERENNIAL_TRY(access.password, Read(ns, user->name, "password", lookup));
  }
  return access;
}

scrape::PromqlSource QueriesOf(const api::PrometheusSource& source, const std::string& ns) {
  scrape::PromqlSource promql;
  promql.url = source.server.url;
  promql.ns = ns;
  promql.namespace_label = source.namespace_label;
  promql.pod_label = source.pod_label;
  promql.version_label = source.version_label;
  for (const api::LabelMatch& match : source.matchers) {
    promql.matchers.emplace_back(match.label, match.value);
  }
  return promql;
}

}  // namespace perennial::source
