#include "retrain/render.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>
#include <vector>

#include "api/names.h"
#include "base/hash.h"
#include "retrain/group.h"
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

json ModelToTrain(const api::RetrainPolicy& policy, const api::Run& run,
                  const api::ModelVersion* parent) {
  // That of the run: another policy's may be edited before it is known to be trained.
  const std::string& model =
      run.model_deployment.empty() ? policy.spec.model_deployment : run.model_deployment;
  return {{"modelDeployment", model},
          {"run", run.name},
          {"trigger", {{"type", run.trigger_type}, {"identity", run.trigger}}},
          {"dataStart", run.data_since ? FormatTime(run.data_since->value) : ""},
          {"parentVersion", run.parent},
          {"parentUri", parent != nullptr ? parent->spec.model.uri : ""},
          {"parentDigest", parent != nullptr ? parent->spec.model.digest : ""}};
}

// All that the Job trains, this run's first.
json ModelsToTrain(const Observed& seen, const api::Run& run, const api::ModelVersion* parent) {
  json models = json::array({ModelToTrain(*seen.policy, run, parent)});
  for (const Peer* peer : MembersOf(seen, run)) {
    models.push_back(
        ModelToTrain(*peer->policy, *UnfinishedRun(*peer->policy), peer->parent.get()));
  }
  return models;
}

// What the training is told, by name.
std::vector<std::pair<std::string, std::string>> Variables(const Observed& seen,
                                                           const api::Run& run) {
  const api::ModelVersion* parent = FindVersion(seen, run.parent);
  json trigger = {{"type", run.trigger_type}, {"identity", run.trigger}};
  trigger["evidence"] = json::parse(run.evidence, nullptr, false);
  if (trigger["evidence"].is_discarded()) trigger["evidence"] = json::object();
  return {
      {"PERENNIAL_RUN", run.name},
      {"PERENNIAL_JOB", JobName(run)},
      {"PERENNIAL_ATTEMPT", std::to_string(run.attempt)},
      {"PERENNIAL_TRIGGER", trigger.dump()},
      {"PERENNIAL_EVIDENCE", trigger["evidence"].dump()},
      {"PERENNIAL_MODEL_DEPLOYMENT", seen.policy->spec.model_deployment},
      {"PERENNIAL_MODEL_DEPLOYMENTS", ModelsToTrain(seen, run, parent).dump()},
      {"PERENNIAL_PARENT_VERSION", run.parent},
      {"PERENNIAL_PARENT_URI", parent ? parent->spec.model.uri : ""},
      {"PERENNIAL_PARENT_DIGEST", parent ? parent->spec.model.digest : ""},
      {"PERENNIAL_DATA_START", run.data_since ? FormatTime(run.data_since->value) : ""},
      {"PERENNIAL_DATA_END", FormatTime(run.started.value)},
      {"PERENNIAL_SEED", SeedOf(run)},
      // The container that writes it must be told its name; it has the rights of its own account.
      {"PERENNIAL_RESULT_CONFIGMAP",
       seen.policy->spec.result.from == api::ResultFrom::kConfigMap ? JobName(run) : ""},
  };
}

json Environment(const Observed& seen, const api::Run& run) {
  json env = json::array();
  for (const auto& [name, value] : Variables(seen, run)) {
    env.push_back({{"name", name}, {"value", value}});
  }
  return env;
}

// Replaces $(NAME) of our variables; others are left for Kubernetes or the workload's own engine.
std::string Expand(const std::string& text,
                   const std::vector<std::pair<std::string, std::string>>& variables) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t open = text.find("$(PERENNIAL_", at);
    const size_t close = open == std::string::npos ? open : text.find(')', open);
    if (close == std::string::npos) return out + text.substr(at);
    const std::string name = text.substr(open + 2, close - open - 2);
    const auto it = std::find_if(variables.begin(), variables.end(),
                                 [&](const auto& variable) { return variable.first == name; });
    out += text.substr(at, open - at);
    out += it == variables.end() ? text.substr(open, close + 1 - open) : it->second;
    at = close + 1;
  }
  return out;
}

// In values only: what a trigger says can become a text, never a field.
void ExpandAll(json& value, const std::vector<std::pair<std::string, std::string>>& variables) {
  if (value.is_string()) {
    value = Expand(value.get<std::string>(), variables);
  } else if (value.is_structured()) {
    for (json& item : value) ExpandAll(item, variables);
  }
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
  if (!seen.policy->spec.job) return {};
  const json job = json::parse(seen.policy->spec.job->job_template.text, nullptr, false);
  const json::json_pointer path("/spec/template/spec/containers/0/image");
  return job.is_object() && job.contains(path) && job[path].is_string()
             ? job[path].get<std::string>()
             : std::string();
}

json IdentityLabels(const Observed& seen, const api::Run& run) {
  json labels = Labels(seen, run);
  labels[std::string(api::kLabelIdentity)] = ShortHash(seen.policy->meta.uid + JobName(run), 16);
  return labels;
}

std::string MembersText(const Observed& seen, const api::Run& run) {
  std::string out;
  for (const Peer* peer : MembersOf(seen, run)) {
    out += (out.empty() ? "" : ",") + JobName(*UnfinishedRun(*peer->policy));
  }
  return out;
}

// The template's own metadata with ours; a queue's label, say, passes through.
json MetadataOf(const json& from, const Observed& seen, const api::Run& run) {
  json metadata =
      from.contains("metadata") && from["metadata"].is_object() ? from["metadata"] : json::object();
  metadata["name"] = JobName(run);
  metadata["namespace"] = seen.policy->meta.key.ns;
  metadata.erase("generateName");
  metadata["labels"].update(IdentityLabels(seen, run));
  metadata["annotations"][std::string(kTriggerAnnotation)] = run.trigger;
  metadata["annotations"][std::string(api::kAnnotationDataEnd)] = FormatTime(run.started.value);
  const std::string members = MembersText(seen, run);
  metadata["annotations"].erase(std::string(api::kAnnotationMembers));
  if (!members.empty()) metadata["annotations"][std::string(api::kAnnotationMembers)] = members;
  metadata["ownerReferences"] = json::array({Owner(*seen.policy)});
  return metadata;
}

// Throws where a part of the template has another type than a JobTemplateSpec's.
json JobOf(const Observed& seen, const api::Run& run, WallTime now) {
  json job = json::parse(seen.policy->spec.job.value().job_template.text, nullptr, false);
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
  // A Job that went by itself before its end is on record would be made a second time: we delete
  // finished ones ourselves.
  spec.erase("ttlSecondsAfterFinished");
  // A pod that is evicted or preempted is made again by the Job and counts as no failure.
  if (!spec.contains("podFailurePolicy") && pod.value("restartPolicy", "") == "Never") {
    spec["podFailurePolicy"] = {
        {"rules",
         {{{"action", "Ignore"},
           {"onPodConditions", {{{"type", "DisruptionTarget"}, {"status", "True"}}}}}}}};
  }
  if (!spec.contains("activeDeadlineSeconds")) {
    const Millis left = run.started.value + seen.policy->spec.deadline.value - now;
    spec["activeDeadlineSeconds"] =
        std::max<std::int64_t>(1, std::chrono::ceil<Seconds>(left).count());
  }
  json metadata = MetadataOf(job, seen, run);
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

Result<std::string> RenderWorkload(const Observed& seen, const api::Run& run) {
  try {
    const api::Workload& workload = seen.policy->spec.workload.value();
    json object = json::parse(workload.object_template.text, nullptr, false);
    ExpandAll(object, Variables(seen, run));
    object["metadata"] = MetadataOf(object, seen, run);
    object["apiVersion"] = workload.api_version;
    object["kind"] = workload.kind;
    object.erase("status");
    return object.dump();
  } catch (const std::exception&) {
    return Error{Errc::kInvalid,
                 "spec.workload.template must be an object whose metadata has labels and "
                 "annotations as maps, if it has them"};
  }
}

const kube::Resource& RunResource(const Observed& seen) {
  return seen.workload ? *seen.workload : api::kJobs;
}

std::string RenderLabels(const Observed& seen, const api::Run& run) {
  return IdentityLabels(seen, run).dump();
}

namespace {

// Who asked for a run by hand, as its trigger recorded it, or for one that waited to go at once;
// nobody asks for the others.
std::string AuthorOf(const api::Run& run) {
  if (!ByHand(run)) return "";
  const std::string& request = run.trigger_type == "Manual" ? run.evidence : run.by_hand;
  const json evidence = json::parse(request, nullptr, false);
  const auto author = evidence.is_object() ? evidence.find("author") : evidence.end();
  return author != evidence.end() && author->is_string() ? author->get<std::string>() : "";
}

}  // namespace

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
  spec.origin.shared_job = run.follows;
  spec.origin.trigger_type = run.trigger_type;
  spec.origin.trigger = run.trigger;
  spec.origin.evidence = run.evidence;
  spec.origin.author = AuthorOf(run);
  spec.parent = run.parent;
  spec.trained_from = result.trained_from;
  spec.metrics = result.metrics;
  spec.evaluation_data = result.evaluation_data;
  spec.data = result.data;
  spec.code = result.code;
  spec.image = result.image.empty() ? TrainingImage(seen) : result.image;
  spec.parameters = result.parameters;
  spec.report = result.report;
  spec.explanation = result.explanation;
  spec.confusion_matrix = result.confusion_matrix;
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
