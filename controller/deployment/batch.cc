#include "deployment/batch.h"

#include <nlohmann/json.hpp>

#include "api/names.h"
#include "base/check.h"
#include "deployment/delivery.h"
#include "deployment/fleet.h"
#include "deployment/pod_template.h"
#include "deployment/render.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;

const json::json_pointer kPod("/jobTemplate/spec/template");

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
  MakeJobPods(pod, deployment, variant.version);
  if (ending) spec["suspend"] = true;
  return Seal(deployment, api::kCronJobs, ChildName(deployment, variant.version), variant.version,
              std::move(spec));
}

}  // namespace perennial::deployment
