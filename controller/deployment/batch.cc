#include "deployment/batch.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/names.h"
#include "base/check.h"
#include "deployment/delivery.h"
#include "deployment/fleet.h"
#include "deployment/render.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;

const json::json_pointer kPod("/jobTemplate/spec/template");

bool IsPodTemplate(const json& value) {
  const json::json_pointer containers("/spec/containers");
  if (!value.is_object() || !value.contains(containers)) return false;
  const json metadata = value.value("metadata", json::object());
  if (!metadata.is_object() || !metadata.value("labels", json::object()).is_object()) return false;
  const auto good = [](const json& one) {
    return one.is_object() && one.value("env", json::array()).is_array();
  };
  const json& pod = value["spec"];
  for (const char* list : {"initContainers", "containers"}) {
    const json all = pod.value(list, json::array());
    if (!all.is_array() || !std::all_of(all.begin(), all.end(), good)) return false;
  }
  return !pod["containers"].empty();
}

}  // namespace

std::optional<std::string> BatchProblem(const api::ModelDeployment& deployment) {
  if (deployment.spec.batch.empty()) return std::nullopt;
  const json spec = json::parse(deployment.spec.batch.text, nullptr, false);
  if (spec.contains(kPod) && IsPodTemplate(spec[kPod]) &&
      spec.value("schedule", json()).is_string()) {
    return std::nullopt;
  }
  return "spec.batch must be a batch/v1 CronJobSpec with schedule and "
         "jobTemplate.spec.template.spec.containers";
}

Rendered RenderBatch(const api::ModelDeployment& deployment, const WantedVariant& variant,
                     bool ending) {
  json spec = json::parse(deployment.spec.batch.text, nullptr, false);
  PERENNIAL_CHECK(spec.contains(kPod));
  json& pod = spec[kPod];
  SetModelEnvironment(pod, variant);
  DeliverModel(pod, deployment.spec, variant.model);
  if (!pod["spec"].contains("restartPolicy")) pod["spec"]["restartPolicy"] = "Never";
  // Not the label by which pods serve: no Service may select these.
  json labels = LabelsOf(deployment, variant.version);
  labels.erase(std::string(kLabelComponent));
  pod["metadata"]["labels"].update(labels);
  if (ending) spec["suspend"] = true;
  return Seal(deployment, api::kCronJobs, ChildName(deployment, variant.version), variant.version,
              std::move(spec));
}

}  // namespace perennial::deployment
