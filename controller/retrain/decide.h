#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/children.h"
#include "api/drift_monitor.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "api/retrain_policy.h"
#include "kube/plan.h"
#include "retrain/new_data.h"
#include "retrain/queue.h"

namespace perennial::retrain {

// Another policy of the group.
struct Peer {
  std::shared_ptr<const api::RetrainPolicy> policy;
  std::shared_ptr<const api::ModelVersion> parent;  // of its unfinished run, if that has one
};

// What an unfinished run made, where the spec has another kind by now.
struct FormerObject {
  kube::Resource resource;
  std::string uid;  // empty: not seen
};

// What a RetrainPolicy's next move depends on.
struct Observed {
  std::shared_ptr<const api::RetrainPolicy> policy;
  std::shared_ptr<const api::ModelDeployment> deployment;  // spec.modelDeployment, if it exists
  std::vector<std::shared_ptr<const api::DriftMonitor>> monitors;  // that the triggers name
  std::vector<std::shared_ptr<const api::ModelVersion>> versions;  // of the deployment
  // Controlled by the policy; workloads are judged by the policy's expressions and stand here too.
  std::vector<std::shared_ptr<const api::JobView>> jobs;
  std::vector<Peer> group;  // ordered by name
  // Made by other policies of the group, for the unfinished run of this one too.
  std::vector<std::shared_ptr<const api::JobView>> shared_jobs;
  std::set<std::string> followed;  // own Jobs by whose results others still go
  std::vector<std::shared_ptr<const api::PodView>> pods;  // of all those jobs
  std::optional<kube::Resource> workload;                 // of spec.workload, where it is allowed
  std::optional<FormerObject> former;  // none either where its kind is not allowed any more
  std::string workload_problem;        // why no workload can be made or seen, and what to change
  // What is listed for the first time: until that is over, nothing that is made can be seen.
  std::string workload_pending;
  // Where the spec has results in ConfigMaps or in the workload: by the name of the Job.
  std::map<std::string, std::shared_ptr<const api::RunObjectView>> results;
  std::vector<DataReading> readings;  // of the newData triggers
  // How storm control stands towards the policy. Without it, every run has a place.
  RunQueue::View queue{.granted = true, .room = true};
  std::string
      last_error;  // of the last attempt to carry a plan out, if it can't be retried at once
};

// The next step of the policy's runs. Pure. A new run's identity is written to status by one plan;
// its Job is made only by a later one, after the store has seen that status.
kube::Plan Decide(const Observed& seen, WallTime now);

}  // namespace perennial::retrain
