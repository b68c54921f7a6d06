#include "retrain/render.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "api/names.h"
#include "base/hash.h"
#include "retrain/run.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;

const api::ModelVersion* FindVersion(const Observed& seen, const std::string& name) {
  for (const auto& version : seen.versions) {
    if (version->meta.key.name == name) return version.get();
  }
  return nullptr;
}

// 32 bits that every attempt of a run shares, so that a retried training repeats itself.
std::string SeedOf(const api::Run& run) {
  return std::to_string(std::stoul(Sha256Hex(run.name).substr(0, 8), nullptr, 16));
}

json Environment(const Observed& seen, const api::Run& run) {
  const api::ModelVersion* parent = FindVersion(seen, run.parent);
  json trigger = {{"type", run.trigger_type}, {"identity", run.trigger}};
  trigger["evidence"] = json::parse(run.evidence, nullptr, false);
  if (trigger["evidence"].is_discarded()) trigger["evidence"] = json::object();
  json env = json::array();
  const auto add = [&](const char* name, const std::string& value) {
    env.push_back({{"name", name}, {"value", value}});
  };
  add("PERENNIAL_RUN", run.name);
  add("PERENNIAL_TRIGGER", trigger.dump());
  add("PERENNIAL_MODEL_DEPLOYMENT", seen.policy->spec.model_deployment);
  add("PERENNIAL_PARENT_VERSION", run.parent);
  add("PERENNIAL_PARENT_URI", parent ? parent->spec.model.uri : "");
  add("PERENNIAL_PARENT_DIGEST", parent ? parent->spec.model.digest : "");
  add("PERENNIAL_SEED", SeedOf(run));
  return env;
}

json Labels(const Observed& seen, const api::Run& run) {
  return {{std::string(api::kLabelManagedBy), api::kManagedBy},
          {std::string(api::kLabelDeployment), seen.policy->spec.model_deployment},
          {std::string(api::kLabelPolicy), seen.policy->meta.key.name},
          {std::string(api::kLabelRun), run.name}};
}

json Owner(const api::RetrainPolicy& policy) {
  return {{"apiVersion", api::kRetrainPolicies.ApiVersion()},
          {"kind", api::kRetrainPolicies.kind},
          {"name", policy.meta.key.name},
          {"uid", policy.meta.uid},
          {"controller", true},
          {"blockOwnerDeletion", true}};
}

// A version belongs to its ModelDeployment: it outlives the policy that made it, as the history of
// what served, and goes with the deployment.
json VersionOwners(const Observed& seen) {
  if (seen.deployment == nullptr) return json::array();
  json owner = {{"apiVersion", api::kModelDeployments.ApiVersion()},
                {"kind", api::kModelDeployments.kind},
                {"name", seen.deployment->meta.key.name},
                {"uid", seen.deployment->meta.uid}};
  return json::array({std::move(owner)});
}

// Ours first, so that a template's own env of the same name still wins for other names only: a
// training container must be able to trust what PERENNIAL_* says.
void SetEnvironment(json& containers, const json& ours) {
  for (json& container : containers) {
    json merged = ours;
    for (const json& entry : container.value("env", json::array())) {
      const auto name = entry.at("name").get<std::string>();
      const bool taken = std::any_of(ours.begin(), ours.end(),
                                     [&](const json& our) { return our["name"] == name; });
      if (!taken) merged.push_back(entry);
    }
    container["env"] = std::move(merged);
  }
}

std::int64_t NextRevision(const Observed& seen) {
  std::int64_t highest = 0;
  for (const auto& version : seen.versions) {
    highest = std::max(highest, version->spec.revision);
  }
  return highest + 1;
}

std::string TrainingImage(const Observed& seen) {
  const json job = json::parse(seen.policy->spec.job.job_template.text, nullptr, false);
  const json::json_pointer path("/spec/template/spec/containers/0/image");
  return job.is_object() && job.contains(path) && job[path].is_string()
             ? job[path].get<std::string>()
             : std::string();
}

// Throws where a part of the template has another type than a JobTemplateSpec's.
json JobOf(const Observed& seen, const api::Run& run, WallTime now) {
  json job = json::parse(seen.policy->spec.job.job_template.text, nullptr, false);
  const json::json_pointer pod_path("/spec/template/spec");
  json& pod = job.at(pod_path);
  json& containers = pod.at("containers");
  if (!containers.is_array() || containers.empty()) throw std::invalid_argument("no containers");
  SetEnvironment(containers, Environment(seen, run));
  if (!pod.contains("restartPolicy")) pod["restartPolicy"] = "Never";
  json& pod_meta = job["spec"]["template"]["metadata"];
  if (!pod_meta.is_object()) pod_meta = json::object();
  pod_meta["labels"].update(Labels(seen, run));
  json& spec = job["spec"];
  if (!spec.contains("backoffLimit")) spec["backoffLimit"] = 0;
  if (!spec.contains("ttlSecondsAfterFinished")) spec["ttlSecondsAfterFinished"] = 86'400;
  if (!spec.contains("activeDeadlineSeconds")) {
    const Millis left = run.started.value + seen.policy->spec.deadline.value - now;
    spec["activeDeadlineSeconds"] =
        std::max<std::int64_t>(1, std::chrono::ceil<Seconds>(left).count());
  }
  json labels = Labels(seen, run);
  labels[std::string(api::kLabelIdentity)] = ShortHash(seen.policy->meta.uid + JobName(run), 16);
  json metadata =
      job.contains("metadata") && job["metadata"].is_object() ? job["metadata"] : json::object();
  metadata["name"] = JobName(run);
  metadata["namespace"] = seen.policy->meta.key.ns;
  metadata["labels"].update(labels);
  metadata["annotations"]["perennial.dev/trigger"] = run.trigger;
  metadata["ownerReferences"] = json::array({Owner(*seen.policy)});
  return json{{"apiVersion", "batch/v1"},
              {"kind", "Job"},
              {"metadata", std::move(metadata)},
              {"spec", std::move(spec)}};
}

}  // namespace

Result<std::string> RenderJob(const Observed& seen, const api::Run& run, WallTime now) {
  try {
    return JobOf(seen, run, now).dump();
  } catch (const std::exception&) {
    // The CRD takes any object: whether it is a Job's template shows here.
    return Error{Errc::kInvalid,
                 "spec.job.template must be a batch/v1 JobTemplateSpec with "
                 "spec.template.spec.containers"};
  }
}

std::string VersionName(const api::RetrainPolicy& policy, const api::Run& run) {
  return BoundedName(policy.spec.model_deployment, "r" + ShortHash(policy.meta.uid + run.name), 52);
}

std::string RenderVersion(const Observed& seen, const api::Run& run,
                          const api::TrainingResult& result) {
  const api::RetrainPolicy& policy = *seen.policy;
  api::ModelVersionSpec spec;
  spec.model_deployment = policy.spec.model_deployment;
  spec.revision = NextRevision(seen);
  spec.model = result.artifact;
  spec.origin.type = api::OriginType::kRun;
  spec.origin.policy = policy.meta.key.name;
  spec.origin.run = run.name;
  spec.origin.job_uid = run.job_uid;
  spec.origin.trigger_type = run.trigger_type;
  spec.origin.trigger = run.trigger;
  spec.origin.evidence = run.evidence;
  spec.parent = run.parent;
  spec.metrics = result.metrics;
  spec.data = result.data;
  spec.code = result.code;
  spec.image = TrainingImage(seen);
  spec.parameters = result.parameters;
  spec.report = result.report;
  spec.profile = result.profile;
  spec.requirements = {policy.spec.gates, policy.spec.mode, policy.spec.approval};
  const std::string name = VersionName(policy, run);
  json labels = Labels(seen, run);
  labels[std::string(api::kLabelIdentity)] = ShortHash(policy.meta.uid + name, 16);
  json metadata = {
      {"name", name}, {"namespace", policy.meta.key.ns}, {"labels", std::move(labels)}};
  if (json owners = VersionOwners(seen); !owners.empty()) {
    metadata["ownerReferences"] = std::move(owners);
  }
  return json{{"apiVersion", api::kModelVersions.ApiVersion()},
              {"kind", api::kModelVersions.kind},
              {"metadata", std::move(metadata)},
              {"spec", json::parse(api::EncodeSpec(spec))}}
      .dump();
}

}  // namespace perennial::retrain
