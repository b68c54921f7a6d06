#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kube/meta.h"

// From where metrics are read, and with which credentials: parts of several kinds.
namespace perennial::api {

// One entry of a Secret in the object's own namespace. The Secret must carry the label kLabelUse:
// kUseMetrics where it is sent to servers, kUseEvents where senders of events must know it. Whoever
// owns it thereby agrees that others in the namespace have it used so.
struct SecretKey {
  std::string name;
  std::string key;
  bool operator==(const SecretKey&) const = default;
};

// A Secret with the entries username and password (kubernetes.io/basic-auth).
struct BasicAuthSecret {
  std::string name;
  bool operator==(const BasicAuthSecret&) const = default;
};

struct TlsTrust {
  std::optional<SecretKey> ca;  // absent: the authorities that the controller's image trusts
  std::string server_name;      // to verify instead of the host or address
  bool operator==(const TlsTrust&) const = default;
};

struct LabelMatch {
  std::string label;
  std::string value;
  bool operator==(const LabelMatch&) const = default;
};

enum class Scheme { kHttp, kHttps };

// Where pods serve metrics.
struct MetricsEndpoint {
  std::string port = "http";  // name of a container port
  std::string path = "/metrics";
  Scheme scheme = Scheme::kHttp;
  std::optional<TlsTrust> tls{};
  std::optional<SecretKey> bearer_token{};
  bool operator==(const MetricsEndpoint&) const = default;
};

// The pods themselves: how is told by the ModelDeployment's spec.metrics, or by the target Service.
struct ScrapeSource {
  bool operator==(const ScrapeSource&) const = default;
};

// Where a Prometheus answers, and who asks it.
struct PrometheusServer {
  std::string url;
  std::optional<SecretKey> bearer_token{};
  std::optional<BasicAuthSecret> basic_auth{};
  std::optional<TlsTrust> tls{};
  bool operator==(const PrometheusServer&) const = default;
};

struct PrometheusSource {
  PrometheusServer server;
  std::string namespace_label = "namespace";
  std::string pod_label = "pod";
  std::string version_label;
  std::vector<LabelMatch> matchers;
  bool operator==(const PrometheusSource&) const = default;
};

struct Source {
  std::optional<ScrapeSource> scrape;
  std::optional<PrometheusSource> prometheus;
  bool operator==(const Source&) const = default;
};

// Reads one entry of a Secret; the app gives one that asks the API server (app/secret_reader.h).
using SecretLookup =
    std::function<Result<std::string>(const kube::Key& secret, const std::string& key)>;

}  // namespace perennial::api
