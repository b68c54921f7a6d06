#include "deployment/scaling.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/names.h"
#include "base/check.h"
#include "deployment/fleet.h"

namespace perennial::deployment {

using nlohmann::json;

std::optional<std::string> ScalingProblem(const api::ModelDeployment& deployment) {
  const std::string& text = deployment.spec.disruption_budget.text;
  if (text.empty()) return std::nullopt;
  const json budget = json::parse(text, nullptr, false);
  if (budget.contains("selector")) {
    return "spec.disruptionBudget.selector is set by the controller, to the pods of one version: "
           "remove it";
  }
  if (budget.contains("minAvailable") == budget.contains("maxUnavailable")) {
    return "spec.disruptionBudget takes either minAvailable or maxUnavailable, and needs one of "
           "them";
  }
  return std::nullopt;
}

Rendered RenderAutoscaler(const api::ModelDeployment& deployment, const WantedVariant& variant) {
  PERENNIAL_CHECK(deployment.spec.autoscaling.has_value());
  const api::Autoscaling& wanted = *deployment.spec.autoscaling;
  const std::string name = ChildName(deployment, variant.version);
  json spec = {{"scaleTargetRef",
                {{"apiVersion", api::kDeployments.ApiVersion()},
                 {"kind", api::kDeployments.kind},
                 {"name", name}}},
               {"minReplicas", std::clamp(variant.replicas, 1, wanted.max_replicas)},
               {"maxReplicas", wanted.max_replicas}};
  for (const api::RawJson& metric : wanted.metrics) {
    spec["metrics"].push_back(json::parse(metric.empty() ? "{}" : metric.text, nullptr, false));
  }
  if (!wanted.behavior.empty()) {
    spec["behavior"] = json::parse(wanted.behavior.text, nullptr, false);
  }
  return Seal(deployment, api::kAutoscalers, name, variant.version, std::move(spec));
}

Rendered RenderBudget(const api::ModelDeployment& deployment, const std::string& version) {
  json spec = json::parse(deployment.spec.disruption_budget.text, nullptr, false);
  PERENNIAL_CHECK(spec.is_object());
  spec["selector"] = {{"matchLabels", PodSelector(deployment, version)}};
  return Seal(deployment, api::kDisruptionBudgets, ChildName(deployment, version), version,
              std::move(spec));
}

}  // namespace perennial::deployment
