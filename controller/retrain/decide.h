#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/children.h"
#include "api/drift_monitor.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "api/retrain_policy.h"
#include "kube/plan.h"

namespace perennial::retrain {

// What a RetrainPolicy's next move depends on.
struct Observed {
  std::shared_ptr<const api::RetrainPolicy> policy;
  std::shared_ptr<const api::ModelDeployment> deployment;  // spec.modelDeployment, if it exists
  std::vector<std::shared_ptr<const api::DriftMonitor>> monitors;  // that the triggers name
  std::vector<std::shared_ptr<const api::ModelVersion>> versions;  // of the deployment
  std::vector<std::shared_ptr<const api::JobView>> jobs;           // controlled by the policy
  std::vector<std::shared_ptr<const api::PodView>> pods;           // of those jobs
  std::string
      last_error;  // of the last attempt to carry a plan out, if it can't be retried at once
};

// The next step of the policy's runs. Pure. A new run's identity is written to status by one plan;
// its Job is made only by a later one, after the store has seen that status.
kube::Plan Decide(const Observed& seen, WallTime now);

}  // namespace perennial::retrain
