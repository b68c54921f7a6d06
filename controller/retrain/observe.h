#pragma once

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
#include "kube/informer_set.h"
#include "kube/runner.h"
#include "kube/store.h"
#include "retrain/budget.h"
#include "retrain/data_watch.h"
#include "retrain/decide.h"

namespace perennial::retrain {

// Indexes that the stores must have before their informers start, and what they answer to, beside
// those of api/store_index.h.
// Jobs by the UID of the RetrainPolicy that controls them.
inline constexpr std::string_view kJobsByPolicy = "policy-uid";
std::vector<std::string> PolicyOf(const api::JobView& job);
// The same for workloads; other objects of runs have no policy.
std::vector<std::string> PolicyOf(const api::RunObjectView& object);
// Pods by the UID of their Job.
inline constexpr std::string_view kPodsByJob = "job-uid";
std::vector<std::string> JobOf(const api::PodView& pod);
// Pods by the run that they are labelled with, "namespace/run", and RetrainPolicies by their runs
// that are not over.
inline constexpr std::string_view kPodsByRun = "run";
std::vector<std::string> RunOf(const api::PodView& pod);
inline constexpr std::string_view kPoliciesByRun = "run";
std::vector<std::string> RunsOf(const api::RetrainPolicy& policy);
// RetrainPolicies by the ModelDeployment that they retrain, and by each DriftMonitor that a trigger
// names, "namespace/name": whom a change there wakes.
inline constexpr std::string_view kPoliciesByDeployment = "deployment";
std::vector<std::string> DeploymentOf(const api::RetrainPolicy& policy);
inline constexpr std::string_view kPoliciesByMonitor = "monitor";
std::vector<std::string> MonitorsOf(const api::RetrainPolicy& policy);

// RetrainPolicies by their group, and by the Job that their unfinished run follows; Jobs and
// workloads by those that they stand for, all "namespace/name".
inline constexpr std::string_view kPoliciesByGroup = "group";
std::vector<std::string> GroupOf(const api::RetrainPolicy& policy);
inline constexpr std::string_view kFollowers = "follows";
std::vector<std::string> FollowedBy(const api::RetrainPolicy& policy);
inline constexpr std::string_view kJobsByMember = "member";
std::vector<std::string> ListedBy(const kube::Meta& job);

// The indexes by which RetrainReconciler finds what belongs to a policy; before anything is stored.
void AddIndexes(kube::Store<api::RetrainPolicy>& policies, kube::Store<api::ModelVersion>& versions,
                kube::Store<api::JobView>& jobs, kube::Store<api::PodView>& pods,
                kube::InformerSet<api::RunObjectView>& run_objects);

// The resource of a workload's kind, if the administrator allows it.
std::optional<kube::Resource> ResourceOf(const std::string& api_version, const std::string& kind,
                                         const std::vector<kube::Resource>& allowed);
// What must be watched for this policy's runs, beside Jobs and pods.
std::set<kube::Resource> NeedsOf(const api::RetrainPolicy& policy,
                                 const std::vector<kube::Resource>& allowed);

// Reconciler of RetrainPolicies over the stores (kube/runner.h).
class RetrainReconciler {
 public:
  static constexpr std::string_view kName = "retrainpolicy";
  using Observed = retrain::Observed;

  struct Stores {
    const kube::Store<api::RetrainPolicy>& policies;
    const kube::Store<api::ModelDeployment>& deployments;
    const kube::Store<api::DriftMonitor>& monitors;
    const kube::Store<api::ModelVersion>& versions;
    const kube::Store<api::JobView>& jobs;
    const kube::Store<api::PodView>& pods;
    const kube::InformerSet<api::RunObjectView>& run_objects;
    const std::vector<kube::Resource>& workload_kinds;  // that the administrator allows
  };

  // Without a budget every run has a place; without a watch newData triggers see nothing.
  explicit RetrainReconciler(Stores stores, RunBudget* budget = nullptr, DataWatch* data = nullptr)
      : stores_(stores), budget_(budget), data_(data) {}

  std::optional<Observed> Observe(const kube::Key& key, const kube::Attempt& attempt) const;
  static kube::Plan Decide(const Observed& seen, WallTime now) {
    return retrain::Decide(seen, now);
  }

 private:
  void ObserveGroup(Observed& seen) const;
  void ObserveJobs(Observed& seen) const;
  void ObserveWorkloads(Observed& seen) const;
  void ObserveFormer(Observed& seen) const;
  void ObserveFollowers(Observed& seen) const;
  // Whether the Job of another policy may count for this one.
  bool MayShare(const Observed& seen, const kube::Meta& job) const;
  void ObserveResults(Observed& seen) const;

  Stores stores_;
  RunBudget* budget_;
  DataWatch* data_;
};

}  // namespace perennial::retrain
