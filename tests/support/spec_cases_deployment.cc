#include <nlohmann/json.hpp>

#include "support/spec_cases_by_kind.h"

namespace perennial::testing {

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
  const auto ratio = [](const char* patch) {
    nlohmann::json quantity = {
        {"name", "p"},        {"kind", "Ratio"}, {"goal", "Decrease"}, {"numerator", "x"},
        {"denominator", "y"}, {"units", "u"},    {"squares", "xx"},    {"denominatorSquares", "yy"},
        {"products", "xy"}};
    quantity.merge_patch(nlohmann::json::parse("{" + std::string(patch) + "}"));
    return quantity.dump();
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
      Patched("a query", kMd,
              R"({"rollout": {"analysis": {"probes": [{"name": "errors", "success": "result < 1",
                  "prometheus": {"url": "https://p", "query": "x", "tls": {"serverName": "p"},
                                 "bearerTokenSecretRef": {"name": "p", "key": "token"}}}]}}})"),
      Patched("a query without a rule", kMd,
              R"({"rollout": {"analysis": {"probes": [
                  {"name": "errors", "prometheus": {"url": "https://p", "query": "x"}}]}}})",
              "spec.rollout.analysis.probes[0].success", "set success or failure"),
      Patched("a query and a job", kMd,
              R"({"rollout": {"analysis": {"probes": [{"name": "errors", "success": "result < 1",
                  "prometheus": {"url": "https://p", "query": "x"},
                  "job": {"template": {"spec": {}}}}]}}})",
              "spec.rollout.analysis.probes[0]", "set one of them"),
      Patched("a query with a token in the clear", kMd,
              R"({"rollout": {"analysis": {"probes": [{"name": "errors", "success": "result < 1",
                  "prometheus": {"url": "http://p", "query": "x",
                                 "basicAuthSecretRef": {"name": "p"}}}]}}})",
              "spec.rollout.analysis.probes[0].prometheus.url", "go with https only"),
      Patched("a query of nothing", kMd,
              R"({"rollout": {"analysis": {"probes": [
                  {"name": "errors", "success": "result < 1", "prometheus": {"url": "https://p"}}]}}})",
              "spec.rollout.analysis.probes[0].prometheus.query"),
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
              "spec.rollout.experiment.primary.squares", "squares goes with kind Mean or Ratio"),
      Patched("ratio", kMd, primary(ratio("").c_str()).c_str()),
      Patched("ratio as a guardrail", kMd,
              rollout(R"({"experiment": {"primary": )" + ratio("") + R"(, "guardrails": [)" +
                      ratio(R"("goal": null, "maxIncrease": "0.1")") + "]}}")
                  .c_str()),
      Patched("ratio of a check without variance", kMd,
              rollout(R"({"analysis": {"checks": [{"name": "c", "kind": "Ratio", "numerator": "n",
                          "denominator": "d", "units": "u", "max": "1"}]}})")
                  .c_str()),
      Patched("ratio without denominator", kMd,
              primary(ratio(R"("denominator": null)").c_str()).c_str(),
              "spec.rollout.experiment.primary.numerator", "set numerator and denominator"),
      Patched("ratio without units", kMd, primary(ratio(R"("units": null)").c_str()).c_str(),
              "spec.rollout.experiment.primary.units", "set units to a counter"),
      Patched("ratio of a metric", kMd, primary(ratio(R"("metric": "m")").c_str()).c_str(),
              "spec.rollout.experiment.primary.kind", "remove what doesn't belong to the kind"),
      Patched("ratio without products", kMd, primary(ratio(R"("products": null)").c_str()).c_str(),
              "spec.rollout.experiment.primary.kind",
              "set squares, denominatorSquares and products"),
      Patched("ratio as a guardrail without variance", kMd,
              rollout(R"({"experiment": {"primary": )" + ratio("") + R"(, "guardrails": [)" +
                      ratio(R"("goal": null, "squares": null, "maxIncrease": "0.1")") + "]}}")
                  .c_str(),
              "spec.rollout.experiment.guardrails[0].kind",
              "set squares, denominatorSquares and products"),
      Patched("products of a mean", kMd,
              primary(R"({"name": "p", "kind": "Mean", "goal": "Decrease", "metric": "m",
                          "products": "xy"})")
                  .c_str(),
              "spec.rollout.experiment.primary.kind", "go with kind Ratio: remove them"),
      Patched("win before the end", kMd,
              rollout(R"({"experiment": {"minDuration": "24h", "maxDuration": "48h",
                          "primary": )" +
                      ratio("") + "}}")
                  .c_str()),
      Patched("no win before the end", kMd,
              rollout(R"({"experiment": {"minDuration": "73h", "primary": )" + ratio("") + "}}")
                  .c_str(),
              "spec.rollout.experiment.minDuration", "lower minDuration or raise maxDuration"),
      Patched(
          "looks of its own", kMd,
          rollout(R"({"experiment": {"interval": "5s", "primary": )" + ratio("") + "}}").c_str()),
      Patched(
          "looks without a pause", kMd,
          rollout(R"({"experiment": {"interval": "100ms", "primary": )" + ratio("") + "}}").c_str(),
          "spec.rollout.experiment.interval", "at least 1s"),
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

}  // namespace perennial::testing
