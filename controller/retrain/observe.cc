#include "retrain/observe.h"

#include <nlohmann/json.hpp>
#include <set>

#include "api/names.h"
#include "api/object_expression.h"
#include "api/store_index.h"
#include "retrain/group.h"
#include "retrain/render.h"
#include "retrain/run.h"

namespace perennial::retrain {

namespace {

std::vector<std::string> PolicyOf(const kube::Meta& meta) {
  const kube::OwnerReference* owner = kube::ControllerOf(meta);
  if (owner == nullptr || owner->kind != api::kRetrainPolicies.kind) return {};
  return {owner->uid};
}

bool Over(const api::Run& run) {
  return run.phase == api::RunPhase::kSucceeded || run.phase == api::RunPhase::kFailed;
}

std::string NotAllowed(const api::Workload& workload) {
  const size_t slash = workload.api_version.find('/');
  return "workloads of the kind " + workload.kind + " (" + workload.api_version +
         ") are not allowed: the administrator adds {group: " +
         workload.api_version.substr(0, slash) +
         ", version: " + workload.api_version.substr(slash + 1) + ", kind: " + workload.kind +
         "} to workloads.kinds in the chart's values";
}

// Whether the informer has seen the resource, and what keeps it from that.
void SeeWhether(const kube::Informer<api::RunObjectView>& informer, const kube::Resource& resource,
                const char* remedy, Observed& seen) {
  const std::string name = resource.group.empty()
                               ? resource.plural
                               : resource.plural + "." + resource.group + "/" + resource.version;
  switch (kube::SightOf(informer)) {
    case kube::Sight::kWhole:
      break;
    case kube::Sight::kAwaited:
      seen.workload_pending = "waiting for the first list of " + name;
      break;
    case kube::Sight::kAbsent:
      seen.workload_problem = "the API server does not serve " + name + ": install its CRD";
      break;
    case kube::Sight::kRefused:
      seen.workload_problem = name + " cannot be listed: " + remedy;
      break;
  }
}

// As what Jobs of the policy's group list its run, if it has one.
std::optional<std::string> MemberOf(const api::RetrainPolicy& policy) {
  const api::Run* run = UnfinishedRun(policy);
  if (run == nullptr || (!policy.spec.group && run->follows.empty())) return std::nullopt;
  return policy.meta.key.ns + "/" + JobName(*run);
}

// The object as its kind's own state, judged by the policy's expressions. Failure wins.
api::JobView Judge(const api::RunObjectView& object, const api::Workload& workload) {
  api::JobView view;
  view.meta = object.meta;
  view.suspended = object.suspended;
  const auto success = api::ObjectExpression::Parse(workload.success);
  const auto failure = api::ObjectExpression::Parse(workload.failure);
  const nlohmann::json json = nlohmann::json::parse(object.text, nullptr, false);
  if (!success.ok() || !failure.ok() || !json.is_object()) return view;
  if (failure->Holds(json)) {
    view.state = api::JobState::kFailed;
    view.reason = "spec.workload.failure holds";
  } else if (success->Holds(json)) {
    view.state = api::JobState::kSucceeded;
  }
  // The trigger that garbage collection asks for; projections carry no annotations.
  const nlohmann::json::json_pointer trigger("/metadata/annotations/perennial.dev~1trigger");
  if (json.contains(trigger) && json[trigger].is_string()) {
    view.meta.annotations[std::string(kTriggerAnnotation)] = json[trigger].get<std::string>();
  }
  return view;
}

}  // namespace

std::vector<std::string> PolicyOf(const api::JobView& job) {
  return PolicyOf(job.meta);
}

std::vector<std::string> PolicyOf(const api::RunObjectView& object) {
  return PolicyOf(object.meta);
}

std::vector<std::string> RunOf(const api::PodView& pod) {
  const std::string* run = kube::Find(pod.meta.labels, api::kLabelRun);
  if (run == nullptr) return {};
  return {pod.meta.key.ns + "/" + *run};
}

std::vector<std::string> RunsOf(const api::RetrainPolicy& policy) {
  std::vector<std::string> out;
  for (const api::Run& run : policy.status.runs) {
    if (!Over(run)) out.push_back(policy.meta.key.ns + "/" + run.name);
  }
  return out;
}

std::vector<std::string> GroupOf(const api::RetrainPolicy& policy) {
  if (!policy.spec.group) return {};
  return {policy.meta.key.ns + "/" + policy.spec.group->name};
}

std::vector<std::string> FollowedBy(const api::RetrainPolicy& policy) {
  const api::Run* run = UnfinishedRun(policy);
  if (run == nullptr || run->follows.empty()) return {};
  return {policy.meta.key.ns + "/" + run->follows};
}

std::vector<std::string> ListedBy(const kube::Meta& job) {
  const std::string* members = kube::Find(job.annotations, api::kAnnotationMembers);
  if (members == nullptr) return {};
  std::vector<std::string> out;
  for (const std::string& name : ParseMembers(*members)) out.push_back(job.key.ns + "/" + name);
  return out;
}

void AddIndexes(kube::Store<api::RetrainPolicy>& policies, kube::Store<api::ModelVersion>& versions,
                kube::Store<api::JobView>& jobs, kube::Store<api::PodView>& pods,
                kube::InformerSet<api::RunObjectView>& run_objects) {
  policies.AddIndex(kPoliciesByGroup, GroupOf);
  policies.AddIndex(kFollowers, FollowedBy);
  versions.AddIndex(api::kVersionsByDeployment, api::DeploymentOf);
  jobs.AddIndex(kJobsByPolicy, [](const api::JobView& job) { return PolicyOf(job); });
  jobs.AddIndex(kJobsByMember, [](const api::JobView& job) { return ListedBy(job.meta); });
  run_objects.AddIndex(kJobsByPolicy,
                       [](const api::RunObjectView& object) { return PolicyOf(object); });
  run_objects.AddIndex(kJobsByMember,
                       [](const api::RunObjectView& object) { return ListedBy(object.meta); });
  pods.AddIndex(kPodsByJob, JobOf);
  pods.AddIndex(kPodsByRun, RunOf);
}

std::optional<kube::Resource> ResourceOf(const std::string& api_version, const std::string& kind,
                                         const std::vector<kube::Resource>& allowed) {
  for (const kube::Resource& resource : allowed) {
    if (resource.ApiVersion() == api_version && resource.kind == kind) return resource;
  }
  return std::nullopt;
}

std::set<kube::Resource> NeedsOf(const api::RetrainPolicy& policy,
                                 const std::vector<kube::Resource>& allowed) {
  std::set<kube::Resource> out;
  if (policy.spec.workload) {
    const api::Workload& workload = *policy.spec.workload;
    const auto resource = ResourceOf(workload.api_version, workload.kind, allowed);
    if (resource) out.insert(*resource);
  }
  // What an edit of the spec leaves behind is to be found and ended.
  const api::Run* run = UnfinishedRun(policy);
  if (run != nullptr && IsOfOtherKind(policy.spec, *run)) {
    const auto resource = ResourceOf(run->job_api_version, run->job_kind, allowed);
    if (resource) out.insert(*resource);
  }
  if (policy.spec.result.from == api::ResultFrom::kConfigMap) out.insert(api::kConfigMaps);
  return out;
}

std::vector<std::string> JobOf(const api::PodView& pod) {
  if (pod.job_uid.empty()) return {};
  return {pod.job_uid};
}

std::vector<std::string> DeploymentOf(const api::RetrainPolicy& policy) {
  return {policy.meta.key.ns + "/" + policy.spec.model_deployment};
}

std::vector<std::string> MonitorsOf(const api::RetrainPolicy& policy) {
  std::set<std::string> names;
  for (const api::Trigger& trigger : policy.spec.triggers) {
    if (trigger.drift) names.insert(policy.meta.key.ns + "/" + trigger.drift->monitor);
  }
  return {names.begin(), names.end()};
}

std::optional<Observed> RetrainReconciler::Observe(const kube::Key& key,
                                                   const kube::Attempt& attempt) const {
  Observed seen;
  seen.policy = stores_.policies.Get(key);
  if (seen.policy == nullptr || seen.policy->meta.deleting) {
    if (data_ != nullptr) data_->Forget(key);
    return std::nullopt;
  }
  const api::RetrainPolicySpec& spec = seen.policy->spec;
  const kube::Key deployment{key.ns, spec.model_deployment};
  seen.deployment = stores_.deployments.Get(deployment);
  std::set<std::string> names;
  for (const api::Trigger& trigger : spec.triggers) {
    if (!trigger.drift || !names.insert(trigger.drift->monitor).second) continue;
    if (auto monitor = stores_.monitors.Get({key.ns, trigger.drift->monitor})) {
      seen.monitors.push_back(std::move(monitor));
    }
  }
  seen.versions = stores_.versions.ByIndex(api::kVersionsByDeployment, kube::ToString(deployment));
  ObserveGroup(seen);
  if (spec.workload) {
    ObserveWorkloads(seen);
  } else {
    ObserveJobs(seen);
  }
  ObserveFormer(seen);
  ObserveFollowers(seen);
  if (spec.result.from == api::ResultFrom::kConfigMap) ObserveResults(seen);
  if (data_ != nullptr) seen.readings = data_->Read(*seen.policy, seen.deployment.get());
  if (budget_ != nullptr) seen.queue = budget_->Ask(key);
  seen.last_error = attempt.last_error;
  return seen;
}

void RetrainReconciler::ObserveGroup(Observed& seen) const {
  for (const std::string& group : GroupOf(*seen.policy)) {
    for (auto& policy : stores_.policies.ByIndex(kPoliciesByGroup, group)) {
      if (policy->meta.uid == seen.policy->meta.uid) continue;
      Peer peer{policy, nullptr};
      const api::Run* run = UnfinishedRun(*policy);
      if (run != nullptr && !run->parent.empty()) {
        peer.parent = stores_.versions.Get({policy->meta.key.ns, run->parent});
      }
      seen.group.push_back(std::move(peer));
    }
  }
}

void RetrainReconciler::ObserveFollowers(Observed& seen) const {
  std::set<std::string> own;
  for (const auto& job : seen.jobs) own.insert(job->meta.key.name);
  // Also while it can't be seen.
  if (const api::Run* run = UnfinishedRun(*seen.policy)) own.insert(JobName(*run));
  for (const std::string& name : own) {
    const kube::Key job{seen.policy->meta.key.ns, name};
    if (!stores_.policies.ByIndex(kFollowers, kube::ToString(job)).empty()) {
      seen.followed.insert(name);
    }
  }
}

// Annotations are anybody's: it must be the Job of a policy of the same group, or the one that this
// run's status named before it was made.
bool RetrainReconciler::MayShare(const Observed& seen, const kube::Meta& job) const {
  const kube::OwnerReference* owner = kube::ControllerOf(job);
  if (owner == nullptr || owner->kind != api::kRetrainPolicies.kind) return false;
  const auto policy = stores_.policies.Get({job.key.ns, owner->name});
  if (policy == nullptr || policy->meta.uid != owner->uid) return false;
  if (policy->meta.uid == seen.policy->meta.uid) return false;
  const api::Run* run = UnfinishedRun(*seen.policy);
  const bool followed = run != nullptr && run->follows == job.key.name;
  return followed || (seen.policy->spec.group && policy->spec.group &&
                      policy->spec.group->name == seen.policy->spec.group->name);
}

void RetrainReconciler::ObserveJobs(Observed& seen) const {
  seen.jobs = stores_.jobs.ByIndex(kJobsByPolicy, seen.policy->meta.uid);
  if (const auto name = MemberOf(*seen.policy)) {
    for (auto& job : stores_.jobs.ByIndex(kJobsByMember, *name)) {
      if (MayShare(seen, job->meta)) seen.shared_jobs.push_back(std::move(job));
    }
  }
  for (const auto* jobs : {&seen.jobs, &seen.shared_jobs}) {
    for (const auto& job : *jobs) {
      auto pods = stores_.pods.ByIndex(kPodsByJob, job->meta.uid);
      seen.pods.insert(seen.pods.end(), pods.begin(), pods.end());
    }
  }
}

void RetrainReconciler::ObserveWorkloads(Observed& seen) const {
  const api::Workload& workload = *seen.policy->spec.workload;
  seen.workload = ResourceOf(workload.api_version, workload.kind, stores_.workload_kinds);
  const auto informer = seen.workload ? stores_.run_objects.Find(*seen.workload) : nullptr;
  if (informer == nullptr) {
    if (seen.workload) {
      seen.workload_pending = "the workload's kind is not watched yet";
    } else {
      seen.workload_problem = NotAllowed(workload);
    }
    return;
  }
  SeeWhether(*informer, *seen.workload,
             "the controller needs rights on it, as the chart's value workloads.kinds gives them",
             seen);
  for (const auto& object : informer->store().ByIndex(kJobsByPolicy, seen.policy->meta.uid)) {
    seen.jobs.push_back(std::make_shared<const api::JobView>(Judge(*object, workload)));
    if (seen.policy->spec.result.from == api::ResultFrom::kObject) {
      seen.results[object->meta.key.name] = object;
    }
  }
  std::vector<std::string> runs = RunsOf(*seen.policy);
  if (const auto name = MemberOf(*seen.policy)) {
    for (const auto& object : informer->store().ByIndex(kJobsByMember, *name)) {
      if (!MayShare(seen, object->meta)) continue;
      seen.shared_jobs.push_back(std::make_shared<const api::JobView>(Judge(*object, workload)));
      if (seen.policy->spec.result.from == api::ResultFrom::kObject) {
        seen.results[object->meta.key.name] = object;
      }
      const std::string* run = kube::Find(object->meta.labels, api::kLabelRun);
      if (run != nullptr) runs.push_back(object->meta.key.ns + "/" + *run);
    }
  }
  for (const std::string& run : runs) {
    auto pods = stores_.pods.ByIndex(kPodsByRun, run);
    seen.pods.insert(seen.pods.end(), pods.begin(), pods.end());
  }
}

void RetrainReconciler::ObserveFormer(Observed& seen) const {
  const api::Run* run = UnfinishedRun(*seen.policy);
  if (run == nullptr || !run->follows.empty() || !IsOfOtherKind(seen.policy->spec, *run)) return;
  const kube::Key key{seen.policy->meta.key.ns, JobName(*run)};
  FormerObject former{api::kJobs, run->job_uid};
  const auto take = [&](const auto& object) {
    const bool ours =
        object != nullptr && PolicyOf(object->meta) == std::vector{seen.policy->meta.uid};
    if (ours && former.uid.empty()) former.uid = object->meta.uid;
  };
  if (run->job_kind == api::kJobs.kind && run->job_api_version == api::kJobs.ApiVersion()) {
    take(stores_.jobs.Get(key));
  } else {
    const auto resource = ResourceOf(run->job_api_version, run->job_kind, stores_.workload_kinds);
    if (!resource) return;
    former.resource = *resource;
    const auto informer = stores_.run_objects.Find(*resource);
    if (informer != nullptr) take(informer->store().Get(key));
  }
  seen.former = std::move(former);
}

void RetrainReconciler::ObserveResults(Observed& seen) const {
  const auto informer = stores_.run_objects.Find(api::kConfigMaps);
  if (informer == nullptr) return;
  SeeWhether(*informer, api::kConfigMaps,
             "results in ConfigMaps need the chart's value workloads.configMapResults", seen);
  for (const auto* jobs : {&seen.jobs, &seen.shared_jobs}) {
    for (const auto& job : *jobs) {
      if (auto map = informer->store().Get(job->meta.key)) {
        seen.results[job->meta.key.name] = std::move(map);
      }
    }
  }
}

}  // namespace perennial::retrain
