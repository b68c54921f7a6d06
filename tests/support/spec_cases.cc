#include "support/spec_cases.h"

#include "api/codec.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

template <class Kind>
std::vector<std::string> ProblemsOf(const Result<Kind>& decoded) {
  if (!decoded.ok()) return {decoded.error().message};
  return api::Validate(decoded->spec);
}

// `patch` is a JSON merge patch of the kind's valid spec: null removes a field.
SpecCase Patched(std::string name, std::string kind, const char* patch, std::string field = "",
                 std::string message = "") {
  json spec = ValidSpec(kind);
  spec.merge_patch(json::parse(patch));
  return {std::move(name), std::move(kind), std::move(spec), std::move(field), std::move(message)};
}

constexpr const char* kMd = "ModelDeployment";
constexpr const char* kDm = "DriftMonitor";
constexpr const char* kRp = "RetrainPolicy";
constexpr const char* kMv = "ModelVersion";
constexpr const char* kMa = "ModelApproval";

std::vector<SpecCase> DeploymentCases() {
  const auto variants = [](const char* list) {
    return std::string(R"({"model": null, "variants": )") + list + "}";
  };
  const auto rollout = [](const std::string& text) { return R"({"rollout": )" + text + "}"; };
  const auto primary = [&](const char* quantity) {
    return rollout(R"({"experiment": {"primary": )" + std::string(quantity) + "}}");
  };
  const auto check = [&](const std::string& rest) {
    return rollout(R"({"analysis": {"checks": [{"name": "c", "kind": "Mean", "metric": "m")" +
                   rest + "}]}}");
  };
  return {
      Patched("smallest", kMd, "{}"),
      Patched("no model at all", kMd, R"({"model": null})"),
      Patched("no template", kMd, R"({"template": null})", "spec.template"),
      Patched("model without uri", kMd, R"({"model": {"uri": null}})", "spec.model.uri"),
      Patched("uri that is none", kMd, R"({"model": {"uri": "departures"}})", "spec.model.uri"),
      Patched("short digest", kMd, R"({"model": {"digest": "sha256:00"}})", "spec.model.digest"),
      Patched("text for a number", kMd, R"({"replicas": "3"})", "spec.replicas"),
      Patched("replicas too high", kMd, R"({"replicas": 10001})", "spec.replicas"),
      Patched("replicas beyond an int", kMd, R"({"replicas": 4294967297})", "spec.replicas"),
      Patched("no replicas", kMd, R"({"replicas": 0})"),
      Patched("autoscaling", kMd,
              R"({"autoscaling": {"minReplicas": 2, "maxReplicas": 5,
                  "metrics": [{"type": "Resource", "resource": {"name": "cpu"}}],
                  "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
                  "disruptionBudget": {"maxUnavailable": "25%"}})"),
      Patched("autoscaling without most", kMd, R"({"autoscaling": {"minReplicas": 2}})",
              "spec.autoscaling.maxReplicas"),
      Patched("autoscaling upside down", kMd,
              R"({"autoscaling": {"minReplicas": 3, "maxReplicas": 2}})",
              "spec.autoscaling.minReplicas", "must not be above maxReplicas"),
      Patched("two who set the number of pods", kMd,
              R"({"replicas": 2, "autoscaling": {"maxReplicas": 2}})", "spec.replicas",
              "remove replicas, or autoscaling"),
      Patched("autoscaling of a split by pods", kMd,
              R"({"autoscaling": {"maxReplicas": 2}, "rollout": {"steps": [{"weight": 10}]}})",
              "spec.autoscaling", "set traffic.gateway"),
      Patched("autoscaling behind a gateway", kMd,
              R"({"autoscaling": {"maxReplicas": 2}, "rollout": {"steps": [{"weight": 10}]},
                  "traffic": {"gateway": {"parentRefs": [{"name": "edge"}]}}})"),
      Patched("autoscaling of blue and green", kMd,
              R"({"autoscaling": {"maxReplicas": 2}, "rollout": {"steps": [{"weight": 100}]}})"),
      Patched("weights that move", kMd,
              variants(R"([{"name": "a", "weight": 50, "model": {"uri": "oci://a:1"}},
                           {"name": "b", "weight": 50, "model": {"uri": "oci://b:1"}}],
                          "traffic": {"gateway": {"parentRefs": [{"name": "edge"}]}},
                          "rollout": {"experiment": {"weights": "Thompson", "floor": 10,
                            "primary": {"name": "p", "kind": "Mean", "goal": "Increase",
                                        "metric": "m"}}})")
                  .c_str()),
      Patched("weights that move in steps", kMd,
              rollout(R"({"experiment": {"weights": "Thompson", "primary": {
                        "name": "p", "kind": "Mean", "goal": "Increase", "metric": "m"}}})")
                  .c_str(),
              "spec.rollout", "moves the weights of variants"),
      Patched("no cluster addresses", kMd, R"({"traffic": {"headless": true}})"),
      Patched("gRPC", kMd,
              R"({"traffic": {"protocol": "GRPC", "gateway": {"parentRefs": [{"name": "edge"}]},
                  "rules": [{"header": {"name": "t", "value": "1"}, "variant": "champion"}]}})"),
      Patched("gRPC with cookies", kMd,
              R"({"traffic": {"protocol": "GRPC", "gateway": {"parentRefs": [{"name": "edge"}]},
                  "sticky": {}}})",
              "spec.traffic.protocol", "gRPC clients keep no cookies"),
      Patched("gRPC with timeouts", kMd,
              R"({"traffic": {"protocol": "GRPC", "gateway": {"parentRefs": [{"name": "edge"}]},
                  "timeouts": {"request": "5s"}}})",
              "spec.traffic.protocol", "remove timeouts"),
      Patched("HTTP probes of gRPC", kMd,
              R"({"protocol": "OpenInference", "traffic": {"protocol": "GRPC"}})", "spec.protocol",
              "grpc probes"),
      Patched("checks with rules of their own", kMd,
              check(R"(, "success": "challenger < 4", "failure": "challenger > 5", "count": 3,
                       "interval": "1m", "failureLimit": 2, "inconclusiveLimit": 1, "step": 1)")
                  .c_str()),
      Patched("a bound and an expression", kMd,
              check(R"(, "max": "1", "success": "challenger < 4")").c_str(),
              "spec.rollout.analysis.checks[0]", "exactly one bound"),
      Patched("probes", kMd,
              R"({"rollout": {"analysis": {"probes": [
                  {"name": "drift", "driftMonitor": {"name": "watch", "signals": ["d"]}},
                  {"name": "smoke", "job": {"template": {"spec": {}}}, "dryRun": true}]}}})"),
      Patched("a probe of nothing", kMd,
              R"({"rollout": {"analysis": {"probes": [{"name": "drift"}]}}})",
              "spec.rollout.analysis.probes[0]", "set one of them"),
      Patched("a job that is counted", kMd,
              R"({"rollout": {"analysis": {"probes": [
                  {"name": "smoke", "job": {"template": {"spec": {}}}, "count": 2}]}}})",
              "spec.rollout.analysis.probes[0].job", "set backoffLimit"),
      Patched("an analysis of nothing", kMd, R"({"rollout": {"analysis": {}}})",
              "spec.rollout.analysis.checks", "set checks or probes"),
      Patched("two verdicts of one name", kMd,
              R"({"rollout": {"analysis": {
                  "checks": [{"name": "c", "kind": "Mean", "metric": "m", "max": "1"}],
                  "probes": [{"name": "c", "driftMonitor": {"name": "watch"}}]}}})",
              "spec.rollout.analysis.probes", "its own name"),
      Patched("checks of a Prometheus", kMd,
              R"({"rollout": {"source": {"prometheus": {"url": "http://prometheus:9090"}}}})"),
      Patched("a budget that is none", kMd, R"({"disruptionBudget": 1})", "spec.disruptionBudget"),
      Patched("metrics over TLS", kMd,
              R"({"metrics": {"scheme": "HTTPS", "tls": {"serverName": "model"},
                  "bearerTokenSecretRef": {"name": "m", "key": "token"}}})"),
      Patched("metrics token in the clear", kMd,
              R"({"metrics": {"bearerTokenSecretRef": {"name": "m", "key": "token"}}})",
              "spec.metrics.scheme", "set scheme: HTTPS"),
      Patched("unknown updates", kMd, R"({"updates": "Sometimes"})", "spec.updates"),
      Patched("pinned to nothing", kMd, R"({"model": null, "updates": "Manual"})", "spec.updates",
              "updates: Manual pins to spec.model: set spec.model, or updates: Automatic"),
      Patched("model and variants", kMd,
              R"({"variants": [{"name": "a", "weight": 100, "model": {"uri": "oci://m:1"}}]})",
              "spec.variants", "remove spec.model or spec.variants"),
      Patched("two variants", kMd,
              variants(R"([{"name": "a", "weight": 30, "model": {"uri": "oci://m:1"}},
                           {"name": "b", "weight": 70, "model": {"uri": "oci://m:2"}}])")
                  .c_str()),
      Patched("weights of 90 in all", kMd,
              variants(R"([{"name": "a", "weight": 30, "model": {"uri": "oci://m:1"}},
                           {"name": "b", "weight": 60, "model": {"uri": "oci://m:2"}}])")
                  .c_str(),
              "spec.variants", "must sum to 100"),
      Patched("variants of one name", kMd,
              variants(R"([{"name": "a", "weight": 30, "model": {"uri": "oci://m:1"}},
                           {"name": "a", "weight": 70, "model": {"uri": "oci://m:2"}}])")
                  .c_str(),
              "spec.variants[1]"),
      Patched("steps that ascend", kMd,
              rollout(R"({"steps": [{"weight": 5}, {"weight": 50, "hold": "1h30m"},
                                    {"weight": 100, "pause": true}]})")
                  .c_str()),
      Patched("steps that fall", kMd,
              rollout(R"({"steps": [{"weight": 50}, {"weight": 25}]})").c_str(),
              "spec.rollout.steps", "sort the steps and give each its own weight"),
      Patched("steps of one weight", kMd,
              rollout(R"({"steps": [{"weight": 50}, {"weight": 50}]})").c_str(),
              "spec.rollout.steps", "sort the steps and give each its own weight"),
      Patched("step to nothing", kMd, rollout(R"({"steps": [{"weight": 0}]})").c_str(),
              "spec.rollout.steps[0].weight"),
      Patched("a download", kMd,
              R"({"storage": {"image": "fetch:1", "credentialsSecretRef": "store"}})"),
      Patched("a download by nothing", kMd, R"({"storage": {}})", "spec.storage.image",
              "Download needs an image"),
      Patched("an image volume", kMd, R"({"storage": {"type": "ImageVolume", "path": "/m"}})"),
      Patched("an image volume with an image", kMd,
              R"({"storage": {"type": "ImageVolume", "image": "fetch:1"}})", "spec.storage.image",
              "takes neither image"),
      Patched("a protocol", kMd, R"({"protocol": "OpenInference"})"),
      Patched("a shadow step, then one with weight", kMd,
              R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}]}}, "rollout": {"steps": [
                  {"weight": 0, "mirror": 10}, {"weight": 0, "mirror": 50}, {"weight": 5}]}})"),
      Patched("a preview, then all at once, by pods alone", kMd,
              R"({"traffic": {"gateway": null}, "rollout": {"steps": [
                  {"weight": 0, "hold": "5s"}, {"weight": 0, "pause": true}, {"weight": 100}]}})"),
      Patched("a step that is nothing", kMd, rollout(R"({"steps": [{"weight": 0}]})").c_str(),
              "spec.rollout.steps[0].weight", "for copies, testers and probes"),
      Patched("a step that is nothing for no time", kMd,
              rollout(R"({"steps": [{"weight": 0, "hold": "0s", "pause": false}]})").c_str(),
              "spec.rollout.steps[0].weight", "for copies, testers and probes"),
      Patched("a shadow after weight", kMd,
              rollout(R"({"steps": [{"weight": 5}, {"weight": 0, "mirror": 10}]})").c_str(),
              "spec.rollout.steps", "sort the steps"),
      Patched(
          "a shadow without a gateway", kMd,
          R"({"traffic": {"gateway": null}, "rollout": {"steps": [{"weight": 0, "mirror": 9}]}})",
          "spec.rollout", "set spec.traffic.gateway, or remove mirror"),
      Patched("sticky without a gateway", kMd, R"({"traffic": {"gateway": null, "sticky": {}}})",
              "spec.traffic.gateway", "set traffic.gateway, or remove"),
      Patched(
          "traffic with all there is", kMd,
          R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}]}, "sticky": {"ttl": "30m"},
                  "timeouts": {"request": "10s", "backendRequest": "5s"},
                  "rules": [{"cookie": {"name": "beta", "value": "yes"}, "variant": "challenger"}]}})"),
      Patched("a rule of header and cookie", kMd,
              R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}]}, "rules": [
                  {"header": {"name": "a", "value": "b"}, "cookie": {"name": "a", "value": "b"},
                   "variant": "challenger"}]}})",
              "spec.traffic.rules[0].header", "set one of them"),
      Patched("an attempt longer than the request", kMd,
              R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}]},
                  "timeouts": {"request": "1s", "backendRequest": "2s"}}})",
              "spec.traffic.timeouts.backendRequest", "must not be longer"),
      Patched("step that is text", kMd, rollout(R"({"steps": [{"weight": "x"}]})").c_str(),
              "spec.rollout.steps[0].weight"),
      Patched("hold without unit", kMd,
              rollout(R"({"steps": [{"weight": 5, "hold": "10"}]})").c_str(),
              "spec.rollout.steps[0].hold"),
      Patched("no deadline", kMd, rollout(R"({"progressDeadline": "0s"})").c_str(),
              "spec.rollout.progressDeadline", "must be at least 1s"),
      Patched("mean without metric", kMd,
              primary(R"({"name": "p", "kind": "Mean", "goal": "Decrease"})").c_str(),
              "spec.rollout.experiment.primary.metric", "set metric"),
      Patched("proportion without denominator", kMd,
              primary(R"({"name": "p", "kind": "Proportion", "goal": "Decrease",
                          "numerator": "n"})")
                  .c_str(),
              "spec.rollout.experiment.primary.numerator", "set numerator and denominator"),
      Patched("proportion of a metric", kMd,
              primary(R"({"name": "p", "kind": "Proportion", "goal": "Decrease", "numerator": "n",
                          "denominator": "d", "metric": "m"})")
                  .c_str(),
              "spec.rollout.experiment.primary.kind", "remove what doesn't belong to the kind"),
      Patched("squares of a gauge", kMd,
              primary(R"({"name": "p", "kind": "Value", "goal": "Decrease", "metric": "m",
                          "squares": "s"})")
                  .c_str(),
              "spec.rollout.experiment.primary.squares", "squares goes with kind Mean"),
      Patched("no goal", kMd, primary(R"({"name": "p", "kind": "Mean", "metric": "m"})").c_str(),
              "spec.rollout.experiment.primary.goal"),
      Patched("alpha of one", kMd,
              rollout(R"({"experiment": {"alpha": "1", "primary": {"name": "p", "kind": "Mean",
                          "goal": "Decrease", "metric": "m"}}})")
                  .c_str(),
              "spec.rollout.experiment.alpha", "alpha must be above 0 and at most 0.5"),
      Patched("alpha of nothing", kMd,
              rollout(R"({"experiment": {"alpha": "0", "primary": {"name": "p", "kind": "Mean",
                          "goal": "Decrease", "metric": "m"}}})")
                  .c_str(),
              "spec.rollout.experiment.alpha", "alpha must be above 0 and at most 0.5"),
      Patched("alpha as a number", kMd,
              rollout(R"({"experiment": {"alpha": 0.05, "primary": {"name": "p", "kind": "Mean",
                          "goal": "Decrease", "metric": "m"}}})")
                  .c_str(),
              "spec.rollout.experiment.alpha"),
      Patched("too few samples", kMd,
              rollout(R"({"experiment": {"minSamples": 99, "primary": {"name": "p",
                          "kind": "Mean", "goal": "Decrease", "metric": "m"}}})")
                  .c_str(),
              "spec.rollout.experiment.minSamples"),
      Patched("negative guardrail", kMd,
              rollout(R"({"experiment": {"primary": {"name": "p", "kind": "Mean",
                          "goal": "Decrease", "metric": "m"}, "guardrails": [{"name": "g",
                          "kind": "Mean", "metric": "m", "maxIncrease": "-0.1"}]}})")
                  .c_str(),
              "spec.rollout.experiment.guardrails[0].maxIncrease", "must not be negative"),
      Patched("check with a bound", kMd, check(R"(, "max": "3")").c_str()),
      Patched("check without bound", kMd, check("").c_str(), "spec.rollout.analysis.checks[0]",
              "set one of max, min, maxIncrease, maxDecrease"),
      Patched("check with two bounds", kMd, check(R"(, "max": "3", "maxIncrease": "1")").c_str(),
              "spec.rollout.analysis.checks[0]", "set one of max, min, maxIncrease, maxDecrease"),
      Patched("no checks", kMd, rollout(R"({"analysis": {"checks": []}})").c_str(),
              "spec.rollout.analysis.checks"),
      Patched("window shorter than interval", kMd,
              rollout(R"({"analysis": {"interval": "10m", "checks": [{"name": "c",
                          "kind": "Mean", "metric": "m", "max": "1"}]}})")
                  .c_str(),
              "spec.rollout.analysis.window", "raise window or lower interval"),
      Patched("gateway without parents", kMd, R"({"traffic": {"gateway": {"parentRefs": []}}})",
              "spec.traffic.gateway.parentRefs"),
      Patched(
          "host name with a space", kMd,
          R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}], "hostnames": ["a b"]}}})",
          "spec.traffic.gateway.hostnames[0]"),
      Patched("no approver", kMd, R"({"approval": {"required": true, "approvers": 0}})",
              "spec.approval.approvers"),
      Patched("path without slash", kMd, R"({"metrics": {"path": "metrics"}})",
              "spec.metrics.path"),
  };
}

std::vector<SpecCase> MonitorCases() {
  const auto signal = [](const char* text) {
    return R"({"signals": [)" + std::string(text) + "]}";
  };
  return {
      Patched("smallest", kDm, "{}"),
      Patched("no target", kDm, R"({"target": {"modelDeployment": null}})",
              "spec.target.modelDeployment"),
      Patched("a Service as target", kDm,
              R"({"target": {"modelDeployment": null, "service": {"name": "eta", "metrics":
                   {"port": "stats", "path": "/stats"}}},
                  "baseline": {"from": "ConfigMap", "configMap": {"name": "p"}}, "signals": [
                   {"name": "a", "type": "DataDrift", "metric": "m", "preset": "azure"}]})"),
      Patched("a Service whose signals need no baseline", kDm,
              R"({"target": {"modelDeployment": null, "service": {"name": "eta"}}, "signals": [
                   {"name": "a", "type": "ModelPerformance", "metric": "m", "max": "1"}]})"),
      Patched("two targets", kDm, R"({"target": {"service": {"name": "eta"}}, "signals": [
                   {"name": "a", "type": "ModelPerformance", "metric": "m", "max": "1"}]})",
              "spec.target.modelDeployment", "set either modelDeployment or service"),
      Patched("a Service without a name", kDm,
              R"({"target": {"modelDeployment": null, "service": {}}, "signals": [
                   {"name": "a", "type": "ModelPerformance", "metric": "m", "max": "1"}]})",
              "spec.target.service.name"),
      Patched("a Service behind a Prometheus", kDm,
              R"({"target": {"modelDeployment": null, "service": {"name": "eta"}},
                  "source": {"prometheus": {"url": "http://p"}}, "signals": [
                   {"name": "a", "type": "ModelPerformance", "metric": "m", "max": "1"}]})",
              "spec.source", "remove source.prometheus"),
      Patched("a Service and the training that nobody knows", kDm,
              R"({"target": {"modelDeployment": null, "service": {"name": "eta"}}, "signals": [
                   {"name": "a", "type": "DataDrift", "metric": "m", "preset": "azure"}]})",
              "spec.baseline", "set baseline.from to ConfigMap, Inline or Window"),
      Patched("a Service and an evaluation that nobody knows", kDm,
              R"({"target": {"modelDeployment": null, "service": {"name": "eta"}}, "signals": [
                   {"name": "a", "type": "ModelPerformance", "metric": "m",
                    "versusBaseline": {"metric": "mae", "maxIncrease": "1"}}]})",
              "spec.signals", "set max or min instead of versusBaseline"),
      Patched("no signals", kDm, R"({"signals": []})", "spec.signals"),
      Patched("two signals of one name", kDm,
              signal(R"({"name": "a", "type": "Custom", "metric": "m", "max": "1"},
                        {"name": "a", "type": "Custom", "metric": "m", "max": "1"})")
                  .c_str(),
              "spec.signals[1]"),
      Patched("unknown measure", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m",
                         "tests": [{"measure": "psi", "threshold": "0.1"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].measure"),
      Patched("test without threshold", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m",
                         "tests": [{"measure": "mean_shift"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].threshold"),
      Patched("one measure twice", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m",
                         "tests": [{"measure": "mean_shift", "threshold": "1"},
                                   {"measure": "mean_shift", "threshold": "2"}]})")
                  .c_str(),
              "spec.signals[0].tests[1]"),
      Patched("threshold that is no number", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m",
                         "tests": [{"measure": "mean_shift", "threshold": "low"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].threshold"),
      Patched("scrape by name", kDm, R"({"source": {"scrape": {}}})"),
      Patched("prometheus", kDm,
              R"({"source": {"prometheus": {"url": "https://prometheus.monitoring.svc:9090/x",
                  "bearerTokenSecretRef": {"name": "p", "key": "token"},
                  "tls": {"caSecretRef": {"name": "p", "key": "ca.crt"}, "serverName": "p.x"},
                  "matchers": [{"label": "job", "value": "pods"}]}}})"),
      Patched("two sources", kDm,
              R"({"source": {"scrape": {}, "prometheus": {"url": "http://p"}}})",
              "spec.source.prometheus", "set either scrape or prometheus"),
      Patched("prometheus without url", kDm, R"({"source": {"prometheus": {}}})",
              "spec.source.prometheus.url"),
      Patched("prometheus url of a file", kDm,
              R"({"source": {"prometheus": {"url": "file:///etc/passwd"}}})",
              "spec.source.prometheus.url"),
      Patched("prometheus url with a password", kDm,
              R"({"source": {"prometheus": {"url": "https://u:p@prometheus"}}})",
              "spec.source.prometheus.url"),
      Patched("prometheus with a token in the clear", kDm,
              R"({"source": {"prometheus": {"url": "http://p",
                  "bearerTokenSecretRef": {"name": "p", "key": "token"}}}})",
              "spec.source.prometheus.url", "go with https only"),
      Patched("prometheus with both credentials", kDm,
              R"({"source": {"prometheus": {"url": "https://p", "basicAuthSecretRef": {"name": "p"},
                  "bearerTokenSecretRef": {"name": "p", "key": "token"}}}})",
              "spec.source.prometheus.basicAuthSecretRef", "set either"),
      Patched("one matcher twice", kDm,
              R"({"source": {"prometheus": {"url": "https://p", "matchers": [
                  {"label": "job", "value": "a"}, {"label": "job", "value": "b"}]}}})",
              "spec.source.prometheus.matchers[1]"),
      Patched("baseline in a ConfigMap", kDm,
              R"({"baseline": {"from": "ConfigMap", "configMap": {"name": "p"}}})"),
      Patched("ConfigMap without a name", kDm,
              R"({"baseline": {"from": "ConfigMap", "configMap": {}}})",
              "spec.baseline.configMap.name"),
      Patched("ConfigMap that is not told", kDm, R"({"baseline": {"from": "ConfigMap"}})",
              "spec.baseline.configMap", "from: ConfigMap needs configMap"),
      Patched("ConfigMap of another source", kDm,
              R"({"baseline": {"from": "ModelVersion", "configMap": {"name": "p"}}})",
              "spec.baseline.configMap", "configMap needs from: ConfigMap"),
      Patched("key that is none", kDm,
              R"({"baseline": {"from": "ConfigMap", "configMap": {"name": "p", "key": "a/b"}}})",
              "spec.baseline.configMap.key"),
      Patched("champion as baseline", kDm, R"({"baseline": {"from": "Champion"}})"),
      Patched("earlier window", kDm,
              R"({"baseline": {"from": "Window", "window": {"offset": "24h", "length": "2h"}}})"),
      Patched("earlier window just before", kDm,
              R"({"window": "30m", "baseline": {"from": "Window", "window": {"offset": "30m"}}})"),
      Patched("earlier window that overlaps", kDm,
              R"({"window": "30m", "baseline": {"from": "Window", "window": {"offset": "29m"}}})",
              "spec.baseline", "raise baseline.window.offset"),
      Patched("earlier window that overlaps a signal's own", kDm,
              R"({"window": "30m", "signals": [{"name": "a", "type": "DataDrift", "metric": "m",
                  "window": "2h", "tests": [{"measure": "mean_shift", "threshold": "1"}]}],
                  "baseline": {"from": "Window", "window": {"offset": "1h"}}})",
              "spec.baseline", "to at least the signals' windows"),
      Patched("earlier window far back", kDm,
              R"({"window": "10m", "baseline": {"from": "Window", "window": {"offset": "16h"}}})",
              "spec.baseline", "reaches back more than 100 times window"),
      Patched("earlier window of no length", kDm,
              R"({"baseline": {"from": "Window", "window": {"offset": "2h", "length": "0s"}}})",
              "spec.baseline.window.length", "at least 1s"),
      Patched("earlier window that is not told", kDm, R"({"baseline": {"from": "Window"}})",
              "spec.baseline.window", "from: Window needs window"),
      Patched("drift without tests", kDm,
              signal(R"({"name": "a", "type": "PredictionDrift", "metric": "m"})").c_str(),
              "spec.signals", "set tests"),
      Patched("drift without metric", kDm,
              signal(R"({"name": "a", "type": "DataDrift",
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].metric", "set metric"),
      Patched("drift with a preset", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "preset": "azure"})")
                  .c_str()),
      Patched("drift and quality of a monitor with a preset", kDm,
              R"({"preset": "azure", "signals": [
                   {"name": "a", "type": "PredictionDrift", "metric": "m", "weight": "0",
                    "severity": "Critical"},
                   {"name": "b", "type": "DataQuality", "metric": "m"}]})"),
      Patched("performance with a preset", kDm,
              R"({"preset": "azure", "signals": [
                   {"name": "a", "type": "ModelPerformance", "metric": "m"}]})",
              "spec.signals", "no preset has a default"),
      Patched("attribution", kDm,
              R"({"preset": "azure", "signals": [
                   {"name": "a", "type": "AttributionDrift", "metric": "m"},
                   {"name": "b", "type": "DataQuality", "metric": "m"}]})"),
      Patched("attribution with its own bound and label", kDm,
              signal(R"({"name": "a", "type": "AttributionDrift", "metric": "m", "label": "column",
                         "min": "0.8"})")
                  .c_str()),
      Patched("attribution without a bound", kDm,
              signal(R"({"name": "a", "type": "AttributionDrift", "metric": "m"})").c_str(),
              "spec.signals", "a signal has no threshold"),
      Patched("attribution with a greatest value", kDm,
              signal(R"({"name": "a", "type": "AttributionDrift", "metric": "m", "min": "0.9",
                         "max": "1"})")
                  .c_str(),
              "spec.signals[0].metric", "set metric and min, remove max"),
      Patched("attribution twice", kDm,
              R"({"preset": "azure", "signals": [
                   {"name": "a", "type": "AttributionDrift", "metric": "m"},
                   {"name": "b", "type": "AttributionDrift", "metric": "n"}]})",
              "spec.signals", "keep one signal of type AttributionDrift"),
      Patched("importances in a baseline", kDm,
              R"({"baseline": {"from": "Inline", "profile": {"featureAttribution": [
                   {"feature": "a", "importance": -0.25}, {"feature": "b", "importance": 1}]}}})"),
      Patched("importances of one feature twice", kDm,
              R"({"baseline": {"from": "Inline", "profile": {"featureAttribution": [
                   {"feature": "a", "importance": 0.25}, {"feature": "a", "importance": 1}]}}})",
              "spec.baseline.profile.featureAttribution[1]"),
      Patched("effect of a distance", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "mean_shift", "threshold": "1", "minEffect": "0.1"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].minEffect", "goes with a measure that is a p-value"),
      Patched("effect and critical p-value", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "pearsons_chi_squared_test", "threshold": "0.05", "minEffect": "0.1",
                          "critical": "0.0001"}]})")
                  .c_str()),
      Patched("negative effect", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "pearsons_chi_squared_test", "threshold": "0.05", "minEffect": "-1"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].minEffect", "can't be negative"),
      Patched("critical before threshold", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "mean_shift", "threshold": "1", "critical": "0.5"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].critical", "calm side of threshold"),
      Patched("negative weight", kDm,
              signal(R"({"name": "a", "type": "Custom", "metric": "m", "max": "1",
                         "weight": "-1"})")
                  .c_str(),
              "spec.signals[0].weight", "can't be negative"),
      Patched("share of the signals", kDm, R"({"policy": {"mode": "Share", "atLeast": "0.5"}})"),
      Patched("share of nothing", kDm, R"({"policy": {"mode": "Share"}})", "spec.policy.atLeast",
              "need atLeast"),
      Patched("any of a share", kDm, R"({"policy": {"atLeast": "0.5"}})", "spec.policy.atLeast",
              "mode Any has none"),
      Patched("share above all", kDm, R"({"policy": {"mode": "Share", "atLeast": "1.5"}})",
              "spec.policy.atLeast", "at most 1"),
      Patched("score of nothing", kDm, R"({"policy": {"mode": "Score", "atLeast": "0"}})",
              "spec.policy.atLeast", "must be above 0"),
      Patched("score", kDm, R"({"policy": {"mode": "Score", "atLeast": "2.5"}})"),
      Patched("false discoveries", kDm, R"({"falseDiscoveryRate": "0.05"})"),
      Patched("nothing but false discoveries", kDm, R"({"falseDiscoveryRate": "1"})",
              "spec.falseDiscoveryRate", "above 0 and below 1"),
      Patched("drift with a bound", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "max": "1",
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].type", "is judged by tests"),
      Patched("quality without bound", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "metric": "m"})").c_str(),
              "spec.signals", "max or min"),
      Patched("quality with tests", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "metric": "m", "max": "1",
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].tests", "remove them, or change type"),
      Patched("ratio", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "numerator": "n",
                         "denominator": "d", "max": "0.01"})")
                  .c_str()),
      Patched(
          "half a ratio", kDm,
          signal(R"({"name": "a", "type": "DataQuality", "numerator": "n", "max": "1"})").c_str(),
          "spec.signals[0].metric", "set one of them"),
      Patched("ratio and metric", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "numerator": "n", "metric": "m",
                         "denominator": "d", "max": "0.01"})")
                  .c_str(),
              "spec.signals[0].metric", "set one of them"),
      Patched("expression", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "max": "4.5", "window": "24h",
                         "expression": "rate(e_sum[1h]) / rate(e_count) ", "offset": "24h"})")
                  .c_str()),
      Patched("fairness", kDm,
              signal(R"({"name": "a", "type": "Fairness", "max": "0.1", "fairness": {
                         "metric": "p_total", "measure": "equalized_odds_difference"}})")
                  .c_str()),
      Patched("fairness by an unknown measure", kDm,
              signal(R"({"name": "a", "type": "Fairness", "max": "0.1", "fairness": {
                         "metric": "p_total", "measure": "parity"}})")
                  .c_str(),
              "spec.signals[0].fairness.measure"),
      Patched("fairness and metric", kDm,
              signal(R"({"name": "a", "type": "Fairness", "max": "0.1", "metric": "m", "fairness": {
                         "metric": "p_total", "measure": "equalized_odds_difference"}})")
                  .c_str(),
              "spec.signals[0].metric", "set one of them"),
      Patched("quality of three kinds", kDm, R"({"signals": [
          {"name": "a", "type": "DataQuality", "max": "0", "quality": {
           "measure": "out_of_bounds_rate", "metric": "m"}},
          {"name": "b", "type": "DataQuality", "max": "0.1", "quality": {
           "measure": "null_value_rate", "metric": "m", "counter": "m_nulls_total"}},
          {"name": "c", "type": "DataQuality", "max": "0.1", "quality": {
           "measure": "data_type_error_rate", "counter": "n_total", "rows": "rows_total"}}]})"),
      Patched("bounds and a counter", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "max": "0", "quality": {
                         "measure": "out_of_bounds_rate", "metric": "m", "counter": "n"}})")
                  .c_str(),
              "spec.signals[0].quality.metric", "set metric alone"),
      Patched("nulls without a counter", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "max": "0", "quality": {
                         "measure": "null_value_rate", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].quality.counter", "set counter"),
      Patched("nulls of both", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "max": "0", "quality": {
                         "measure": "null_value_rate", "metric": "m", "counter": "n", "rows": "r"}})")
                  .c_str(),
              "spec.signals[0].quality.counter", "either metric or rows"),
      Patched("quality and performance", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "max": "0", "quality": {
                         "measure": "out_of_bounds_rate", "metric": "m"}, "performance": {
                         "measure": "accuracy", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].metric", "set one of them"),
      Patched("performance", kDm, R"({"signals": [
          {"name": "a", "type": "ModelPerformance", "min": "0.8", "performance": {
           "measure": "recall", "metric": "outcomes_total", "positive": "late"}},
          {"name": "b", "type": "ModelPerformance", "max": "6", "performance": {
           "measure": "root_mean_squared_error", "metric": "e", "squares": "e_squares_total"}}]})"),
      Patched("performance by an unknown measure", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "min": "0", "performance": {
                         "measure": "auc", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].performance.measure"),
      Patched("performance without squares", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "max": "6", "performance": {
                         "measure": "root_mean_squared_error", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].performance.squares", "needs squares"),
      Patched("drift by quality", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "population_stability_index", "threshold": "0.2"}],
                         "quality": {"measure": "out_of_bounds_rate", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].type", "choose another type"),
      Patched("versus baseline", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "metric": "m",
                         "versusBaseline": {"metric": "mae", "maxRelativeIncrease": "0.1"}})")
                  .c_str()),
      Patched("versus baseline without a distance", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "metric": "m",
                         "versusBaseline": {"metric": "mae"}})")
                  .c_str(),
              "spec.signals[0].versusBaseline.maxIncrease", "say how far"),
      Patched("drift versus baseline", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m",
                         "versusBaseline": {"metric": "mae", "maxIncrease": "1"},
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].versusBaseline", "by tests: remove"),
      Patched("expression and metric", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "max": "4.5", "metric": "m",
                         "expression": "m"})")
                  .c_str(),
              "spec.signals[0].metric", "set one of them"),
      Patched("drift by expression", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "expression": "m",
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].type", "is judged by tests"),
      Patched("window of a moment", kDm,
              signal(R"({"name": "a", "type": "Custom", "metric": "m", "max": "1",
                         "window": "10ms"})")
                  .c_str(),
              "spec.signals[0].window", "at least 1s"),
      Patched("min above max", kDm,
              signal(R"({"name": "a", "type": "Custom", "metric": "m", "max": "1", "min": "2"})")
                  .c_str(),
              "spec.signals[0].min", "min is above max"),
      Patched(
          "metric with a dash", kDm,
          signal(R"({"name": "a", "type": "Custom", "metric": "my-metric", "max": "1"})").c_str(),
          "spec.signals[0].metric"),
      Patched("three of two", kDm, R"({"for": 3, "of": 2})", "spec.for", "lower for or raise of"),
      Patched("five of the default four", kDm, R"({"for": 5})", "spec.for",
              "lower for or raise of"),
      Patched("the default three of two", kDm, R"({"of": 2})", "spec.for", "lower for or raise of"),
      Patched("window shorter than interval", kDm, R"({"interval": "2h"})", "spec.window",
              "raise window or lower interval"),
      Patched("interval of nothing", kDm, R"({"interval": "0s"})", "spec.interval",
              "must be at least 1s"),
      Patched("inline baseline without profile", kDm, R"({"baseline": {"from": "Inline"}})",
              "spec.baseline.profile", "from: Inline needs profile"),
      Patched("profile without inline", kDm, R"({"baseline": {"profile": {"rows": 1}}})",
              "spec.baseline.profile", "profile needs from: Inline"),
      Patched("inline baseline", kDm,
              R"({"baseline": {"from": "Inline", "profile": {"rows": 6, "metrics": [
                   {"metric": "m", "type": "Numeric", "bounds": [0.5, 2], "counts": [1, 2, 3]}]}}})"),
      Patched("profile with a count too few", kDm,
              R"({"baseline": {"from": "Inline", "profile": {"metrics": [
                   {"metric": "m", "type": "Numeric", "bounds": [0.5, 2], "counts": [1, 2]}]}}})",
              "spec.baseline.profile.metrics[0].counts", "one element more than bounds"),
      Patched("profile with unsorted bounds", kDm,
              R"({"baseline": {"from": "Inline", "profile": {"metrics": [
                   {"metric": "m", "type": "Numeric", "bounds": [2, 0.5], "counts": [1, 2, 3]}]}}})",
              "spec.baseline.profile.metrics[0].bounds", "bounds must ascend"),
      Patched("categories without label", kDm,
              R"({"baseline": {"from": "Inline", "profile": {"metrics": [
                   {"metric": "m", "type": "Categorical", "categories": [
                     {"name": "rain", "count": 3}]}]}}})",
              "spec.baseline.profile.metrics[0].categories", "needs label and categories"),
  };
}

constexpr const char* kWorkload = R"json({"workload": {
  "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "template": {"spec": {}},
  "success": "status.conditions.exists(c, c.type == 'Complete' && c.status == 'True')",
  "failure": "status.conditions.exists(c, c.type == 'Failed' && c.status == 'True')"}})json";

std::vector<SpecCase> PolicyCases() {
  const auto gate = [](const char* text) {
    return R"({"gates": [{"metric": "mae")" + std::string(text) + "}]}";
  };
  return {
      Patched("smallest", kRp, "{}"),
      Patched("no job", kRp, R"({"job": null})", "spec.job", "set either job or workload"),
      Patched("job and workload", kRp, kWorkload, "spec.job", "set either job or workload"),
      Patched("workload", kRp, (R"({"job": null, )" + std::string(kWorkload).substr(1)).c_str()),
      Patched("workload of the core group", kRp,
              R"({"job": null, "workload": {"apiVersion": "v1", "kind": "Pod", "template": {},
                 "success": "a", "failure": "b"}})",
              "spec.workload.apiVersion"),
      Patched("workload without failure", kRp,
              R"({"job": null, "workload": {"apiVersion": "ray.io/v1", "kind": "RayJob",
                 "template": {}, "success": "a"}})",
              "spec.workload.failure"),
      Patched("result in a ConfigMap", kRp, R"({"result": {"from": "ConfigMap"}})"),
      Patched("path of a ConfigMap", kRp, R"({"result": {"from": "ConfigMap", "path": "a"}})",
              "spec.result.path", "path goes with from: Object"),
      Patched("result in a Job", kRp, R"({"result": {"from": "Object", "path": "a"}})",
              "spec.result.from", "from: Object goes with workload"),
      Patched("run controls", kRp,
              R"({"maxPerDay": 2, "jobHistoryLimit": 0, "backoff": {"initial": "1s",
                  "badResults": 1, "imagePull": "5m"},
                  "maintenanceWindows": [{"cron": "0 22 * * *", "duration": "6h"}]})"),
      Patched("priority", kRp, R"({"priority": -3})"),
      Patched("priority over all", kRp, R"({"priority": 101})", "spec.priority"),
      Patched("window of a second", kRp,
              R"({"maintenanceWindows": [{"cron": "0 22 * * *", "duration": "1s"}]})",
              "spec.maintenanceWindows[0].duration", "duration must be at least 1m"),
      Patched("window without end", kRp, R"({"maintenanceWindows": [{"cron": "0 22 * * *"}]})",
              "spec.maintenanceWindows[0].duration"),
      Patched("no template", kRp, R"({"job": {"template": null}})", "spec.job.template"),
      Patched("a group", kRp, R"({"group": {"name": "stops", "window": "30s"}})"),
      Patched("a group without a name", kRp, R"({"group": {"window": "30s"}})", "spec.group.name"),
      Patched("a group that waits for days", kRp,
              R"({"group": {"name": "stops", "window": "48h"}})", "spec.group.window",
              "window must be from 1s to 24h"),
      Patched("trigger of nothing", kRp, R"({"triggers": [{}]})", "spec.triggers[0]",
              "set drift, schedule, newData or event"),
      Patched("trigger of both", kRp,
              R"({"triggers": [{"drift": {"monitor": "m"}, "schedule": {"cron": "0 3 * * 1"}}]})",
              "spec.triggers[0]", "set drift, schedule, newData or event"),
      Patched("event", kRp,
              R"({"triggers": [{"event": {"type": "org.example.rows.loaded", "source": "/warehouse",
                  "bearerTokenSecretRef": {"name": "warehouse", "key": "token"}}}]})"),
      Patched("event from anybody", kRp,
              R"({"triggers": [{"event": {"type": "org.example.rows.loaded"}}]})",
              "spec.triggers[0].event", "a sender must show who it is"),
      Patched("new data", kRp,
              R"json({"triggers": [{"newData": {"expression": "sum(increase(rows_total[1d]))",
                  "threshold": "10000", "window": "2h", "interval": "5m", "source": {
                  "prometheus": {"url": "https://prometheus.monitoring.svc:9090"}}}}]})json"),
      Patched("new data without threshold", kRp,
              R"({"triggers": [{"newData": {"expression": "rows"}}]})",
              "spec.triggers[0].newData.threshold"),
      Patched("new data at every moment", kRp,
              R"({"triggers": [{"newData": {"expression": "rows", "threshold": "1",
                  "interval": "0s"}}]})",
              "spec.triggers[0].newData.interval", "interval must be at least 1s"),
      Patched("severity of drift", kRp,
              R"({"triggers": [{"drift": {"monitor": "m", "minSeverity": "Critical"}}]})"),
      Patched("unknown severity", kRp,
              R"({"triggers": [{"drift": {"monitor": "m", "minSeverity": "Bad"}}]})",
              "spec.triggers[0].drift.minSeverity"),
      Patched("drift and schedule", kRp,
              R"({"triggers": [{"drift": {"monitor": "m"}},
                               {"schedule": {"cron": "*/5 0-3 1,15 JAN mon",
                                             "timeZone": "Europe/Berlin"}},
                               {"schedule": {"cron": "@daily"}}]})"),
      Patched("cron of four fields", kRp, R"({"triggers": [{"schedule": {"cron": "0 3 * *"}}]})",
              "spec.triggers[0].schedule.cron"),
      Patched("zone that is none", kRp,
              R"({"triggers": [{"schedule": {"cron": "@daily", "timeZone": "CET +1"}}]})",
              "spec.triggers[0].schedule.timeZone"),
      Patched("gate with max", kRp, gate(R"(, "max": "4")").c_str()),
      Patched("gate without bound", kRp, gate("").c_str(), "spec.gates[0]",
              "set one of max, min, maxIncrease, maxDecrease"),
      Patched("gate with two bounds", kRp, gate(R"(, "max": "4", "min": "1")").c_str(),
              "spec.gates[0]", "set one of max, min, maxIncrease, maxDecrease"),
      Patched("gate against the champion", kRp,
              gate(R"(, "versus": "Champion", "maxIncrease": "0")").c_str()),
      Patched("absolute gate of an increase", kRp, gate(R"(, "maxIncrease": "0")").c_str(),
              "spec.gates[0].versus", "Champion or Parent goes with maxIncrease or maxDecrease"),
      Patched("gate against the parent", kRp,
              gate(R"(, "versus": "Parent", "maxDecrease": "0", "onOtherData": "Fail")").c_str()),
      Patched("gate of the worst group", kRp,
              gate(R"(, "across": "WorstGroup", "groups": ["a", "b"], "minGroupSamples": 100,
                      "positive": "yes", "max": "4")")
                  .c_str()),
      Patched("group and groups", kRp,
              gate(R"(, "group": "a", "across": "WorstGroup", "max": "4")").c_str(),
              "spec.gates[0].across", "set one of them"),
      Patched("group twice", kRp,
              gate(R"(, "across": "WorstGroup", "groups": ["a", "a"], "max": "4")").c_str(),
              "spec.gates[0].groups"),
      Patched("champion's gate with max", kRp,
              gate(R"(, "versus": "Champion", "max": "0")").c_str(), "spec.gates[0].versus",
              "Champion or Parent goes with maxIncrease or maxDecrease"),
      Patched("approval that expires", kRp,
              R"({"approval": {"required": true, "approvers": 2, "expiresAfter": "72h",
                               "separationOfDuties": true}})"),
      Patched("approval of a moment", kRp,
              R"({"approval": {"required": true, "expiresAfter": "1s"}})",
              "spec.approval.expiresAfter", "expiresAfter must be at least 1m"),
      Patched("too many retries", kRp, R"({"retries": 11})", "spec.retries"),
      Patched("no deadline", kRp, R"({"deadline": "0s"})", "spec.deadline", "must be at least 1s"),
      Patched("cooldown in words", kRp, R"({"cooldown": "a day"})", "spec.cooldown"),
  };
}

std::vector<SpecCase> RecordCases() {
  return {
      Patched("smallest", kMv, "{}"),
      Patched("no model", kMv, R"({"model": null})", "spec.model"),
      Patched("negative revision", kMv, R"({"revision": -1})", "spec.revision"),
      Patched("metric without value", kMv, R"({"metrics": [{"name": "mae"}]})",
              "spec.metrics[0].value"),
      Patched("metric in quotes", kMv, R"({"metrics": [{"name": "mae", "value": "3"}]})",
              "spec.metrics[0].value"),
      Patched("evaluated and continued", kMv,
              R"({"trainedFrom": "departures-1", "evaluationData": {"uri": "s3://holdout"}})"),
      Patched("evaluation data without place", kMv, R"({"evaluationData": {"rows": 3}})",
              "spec.evaluationData.uri"),
      Patched("parameter that is a number", kMv, R"({"parameters": {"l2": 1}})",
              "spec.parameters.l2"),
      Patched("smallest", kMa, "{}"),
      Patched("undecided", kMa, R"({"decision": "Maybe"})", "spec.decision"),
      Patched("no decision", kMa, R"({"decision": null})", "spec.decision"),
      Patched("nobody", kMa, R"({"approver": ""})", "spec.approver"),
      Patched("no version", kMa, R"({"modelVersion": null})", "spec.modelVersion"),
      Patched("digest of nothing", kMa, R"({"digest": "md5:00"})", "spec.digest"),
  };
}

}  // namespace

json ValidSpec(const std::string& kind) {
  if (kind == kMd) {
    return json::parse(R"({"model": {"uri": "oci://models/departures:3"},
      "template": {"spec": {"containers": [{"name": "model", "image": "i"}]}}})");
  }
  if (kind == kDm) {
    return json::parse(R"({"target": {"modelDeployment": "departures"},
      "signals": [{"name": "distance", "type": "DataDrift", "metric": "distance_km",
        "tests": [{"measure": "population_stability_index", "threshold": "0.25"}]}]})");
  }
  if (kind == kRp) {
    return json::parse(R"({"modelDeployment": "departures",
      "job": {"template": {"spec": {"template": {"spec": {"containers": []}}}}}})");
  }
  if (kind == kMv) {
    return json::parse(R"({"modelDeployment": "departures", "revision": 1,
      "model": {"uri": "oci://models/departures:3"}})");
  }
  return json::parse(R"({"modelVersion": "departures-1", "decision": "Approve",
    "approver": "admin"})");
}

std::vector<SpecCase> SpecCases() {
  std::vector<SpecCase> all;
  for (const auto& part : {DeploymentCases(), MonitorCases(), PolicyCases(), RecordCases()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

json ObjectOf(const std::string& kind, const std::string& name, const json& spec) {
  return {{"apiVersion", "perennial.dev/v1alpha1"},
          {"kind", kind},
          {"metadata", {{"name", name}, {"namespace", "default"}, {"uid", "u"}}},
          {"spec", spec}};
}

std::vector<std::string> Problems(const std::string& kind, const json& spec) {
  const json object = ObjectOf(kind, "x", spec);
  if (kind == kMd) return ProblemsOf(api::DecodeModelDeployment(object));
  if (kind == kDm) return ProblemsOf(api::DecodeDriftMonitor(object));
  if (kind == kRp) return ProblemsOf(api::DecodeRetrainPolicy(object));
  if (kind == kMv) return ProblemsOf(api::DecodeModelVersion(object));
  return ProblemsOf(api::DecodeModelApproval(object));
}

}  // namespace perennial::testing
