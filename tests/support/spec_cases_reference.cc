#include "support/spec_cases_by_kind.h"

namespace perennial::testing {

// A reference is a name, and what it names is in the object's own namespace: no way to write it
// leads into another one.
std::vector<SpecCase> ReferenceCases() {
  return {
      Patched("Gateway elsewhere", kMd,
              R"({"traffic": {"gateway": {"parentRefs": [{"name": "other/edge"}]}}})",
              "spec.traffic.gateway.parentRefs[0].name"),
      Patched("Gateway with a domain's name", kMd,
              R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge.example.org"}]}}})"),
      Patched("token of the model elsewhere", kMd,
              R"({"metrics": {"scheme": "HTTPS",
                  "bearerTokenSecretRef": {"name": "other/m", "key": "token"}}})",
              "spec.metrics.bearerTokenSecretRef.name"),
      Patched("authority of the model elsewhere", kMd,
              R"({"metrics": {"scheme": "HTTPS",
                  "tls": {"caSecretRef": {"name": "other/m", "key": "ca.crt"}}}})",
              "spec.metrics.tls.caSecretRef.name"),
      Patched("credentials of a download elsewhere", kMd,
              R"({"storage": {"image": "fetch:1", "credentialsSecretRef": "other/store"}})",
              "spec.storage.credentialsSecretRef"),
      Patched("model elsewhere", kDm, R"({"target": {"modelDeployment": "other/departures"}})",
              "spec.target.modelDeployment"),
      Patched("Service elsewhere", kDm,
              R"({"target": {"modelDeployment": null, "service": {"name": "other/eta"}}})",
              "spec.target.service.name"),
      Patched("token of a Prometheus elsewhere", kDm,
              R"({"source": {"prometheus": {"url": "https://p",
                  "bearerTokenSecretRef": {"name": "other/p", "key": "token"}}}})",
              "spec.source.prometheus.bearerTokenSecretRef.name"),
      Patched("password of a Prometheus elsewhere", kDm,
              R"({"source": {"prometheus": {"url": "https://p",
                  "basicAuthSecretRef": {"name": "other/p"}}}})",
              "spec.source.prometheus.basicAuthSecretRef.name"),
      Patched("profile elsewhere", kDm,
              R"({"baseline": {"from": "ConfigMap",
                  "configMap": {"name": "other/profile", "key": "profile.json"}}})",
              "spec.baseline.configMap.name"),
      Patched("model to retrain elsewhere", kRp, R"({"modelDeployment": "other/departures"})",
              "spec.modelDeployment"),
      Patched("monitor elsewhere", kRp,
              R"({"triggers": [{"drift": {"monitor": "other/departures"}}]})",
              "spec.triggers[0].drift.monitor"),
      Patched("key of events elsewhere", kRp,
              R"({"triggers": [{"event": {"type": "t",
                  "signatureSecretRef": {"name": "other/lake", "key": "key"}}}]})",
              "spec.triggers[0].event.signatureSecretRef.name"),
      Patched("model of a version elsewhere", kMv, R"({"modelDeployment": "other/departures"})",
              "spec.modelDeployment"),
      Patched("parent elsewhere", kMv, R"({"parent": "other/departures-1"})", "spec.parent"),
      Patched("version elsewhere", kMa, R"({"modelVersion": "other/departures-1"})",
              "spec.modelVersion"),
  };
}

}  // namespace perennial::testing
