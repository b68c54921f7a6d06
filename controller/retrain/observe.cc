#include "retrain/observe.h"

#include <set>

#include "api/names.h"

namespace perennial::retrain {

std::vector<std::string> DeploymentOf(const api::ModelVersion& version) {
  return {version.meta.key.ns + "/" + version.spec.model_deployment};
}

std::vector<std::string> PolicyOf(const api::JobView& job) {
  const kube::OwnerReference* owner = kube::ControllerOf(job.meta);
  if (owner == nullptr || owner->kind != api::kRetrainPolicies.kind) return {};
  return {owner->uid};
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
  if (seen.policy == nullptr || seen.policy->meta.deleting) return std::nullopt;
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
  seen.versions = stores_.versions.ByIndex(kVersionsByDeployment, kube::ToString(deployment));
  seen.jobs = stores_.jobs.ByIndex(kJobsByPolicy, seen.policy->meta.uid);
  for (const auto& job : seen.jobs) {
    auto pods = stores_.pods.ByIndex(kPodsByJob, job->meta.uid);
    seen.pods.insert(seen.pods.end(), pods.begin(), pods.end());
  }
  seen.last_error = attempt.last_error;
  return seen;
}

}  // namespace perennial::retrain
