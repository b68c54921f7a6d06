#pragma once

#include <string>

#include "api/source.h"
#include "base/result.h"
#include "scrape/sample_store.h"

// What an object says of where its metrics are read, as the scrape layer wants it.
namespace perennial::source {

// With what their references to Secrets in namespace `ns` stand for. An error names the Secret.
Result<scrape::Access> AccessTo(const api::MetricsEndpoint& endpoint, const std::string& ns,
                                const api::SecretLookup& lookup);
Result<scrape::Access> AccessTo(const api::PrometheusServer& server, const std::string& ns,
                                const api::SecretLookup& lookup);

// The Prometheus, asked for pods in `ns`; of which variants is the caller's to add.
scrape::PromqlSource QueriesOf(const api::PrometheusSource& source, const std::string& ns);

}  // namespace perennial::source
