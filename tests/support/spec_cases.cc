#include "support/spec_cases.h"

#include "api/codec.h"
#include "support/spec_cases_by_kind.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

template <class Kind>
std::vector<std::string> ProblemsOf(const Result<Kind>& decoded) {
  if (!decoded.ok()) return {decoded.error().message};
  return api::Validate(decoded->spec);
}

}  // namespace

SpecCase Patched(std::string name, std::string kind, const char* patch, std::string field,
                 std::string message) {
  json spec = ValidSpec(kind);
  spec.merge_patch(json::parse(patch));
  return {std::move(name), std::move(kind), std::move(spec), std::move(field), std::move(message)};
}

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
  for (const auto& part : {DeploymentCases(), MonitorCases(), SignalCases(), PolicyCases(),
                           RecordCases(), ReferenceCases()}) {
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
