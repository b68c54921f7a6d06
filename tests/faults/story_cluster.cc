// What the rest of the cluster does in a story: kubelet, the controllers of other APIs, people.
#include <algorithm>
#include <set>
#include <utility>

#include "api/names.h"
#include "base/hash.h"
#include "faults/story_world.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

// How long pods, routes, Jobs and people take.
constexpr Millis kReaction{1'500};

std::string ToLower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

json Condition(const char* type, const std::string& at, std::int64_t generation) {
  return {{"type", type},  {"status", "True"},         {"reason", "Fine"},
          {"message", ""}, {"lastTransitionTime", at}, {"observedGeneration", generation}};
}

// The models that the training is to make, as its Job or TrainJob tells it.
std::set<std::string> ToldOf(const json& job) {
  json list = json::array();
  const json::json_pointer args("/spec/trainer/args/1");
  const json::json_pointer env("/spec/template/spec/containers/0/env");
  if (job.contains(args)) list = json::parse(job[args].get<std::string>());
  for (const json& entry : job.contains(env) ? job[env] : json::array()) {
    if (entry["name"] == "PERENNIAL_MODEL_DEPLOYMENTS") {
      list = json::parse(entry["value"].get<std::string>());
    }
  }
  std::set<std::string> out;
  for (const json& model : list) out.insert(model["modelDeployment"].get<std::string>());
  return out;
}

}  // namespace

void StoryWorld::React() {
  if (reacted_ == api_.resource_version()) return;
  if (!react_at_) react_at_ = clock_.Steady() + kReaction;
  if (clock_.Steady() < *react_at_) return;
  react_at_.reset();
  ReactToAutoscalers();
  ReactToDeployments();
  ReactToServices();
  ReactToRoutes();
  ReactToJobs();
  ReactToWorkloads();
  if (approve) ApproveVersions();
  promises_.CheckWorld();
  reacted_ = api_.resource_version();
}

// Each keeps its Deployment within its bounds; there is no load.
void StoryWorld::ReactToAutoscalers() {
  for (const json& scaler : Listed(api::kAutoscalers)) {
    auto deployment = api_.Get({api::kDeployments, {kStoryNamespace, NameOf(scaler)}});
    if (!deployment) continue;
    const int replicas = (*deployment)["spec"].value("replicas", 1);
    const int least = scaler["spec"]["minReplicas"];
    if (replicas >= least) continue;
    (*deployment)["spec"]["replicas"] = least;
    api_.Put(api::kDeployments, *deployment);
  }
}

void StoryWorld::ReactToDeployments() {
  for (json object : Listed(api::kDeployments)) {
    // Somebody else's fields in our objects, which must stay: a note, and a finalizer.
    json noted = object;
    noted["metadata"]["annotations"]["example.org/note"] = "theirs";
    if (!finalizer.empty() && !object["metadata"].contains("deletionTimestamp")) {
      noted["metadata"]["finalizers"] = {finalizer};
    }
    if (noted != object) object = api_.Put(api::kDeployments, noted);
    const int replicas = object["spec"].value("replicas", 1);
    const std::string alias = Alias(LabelOf(object, api::kLabelVersion));
    const bool fails = std::any_of(broken.begin(), broken.end(),
                                   [&](int n) { return alias == "V" + std::to_string(n); });
    const int ready = fails ? 0 : replicas;
    api_.PutStatus({api::kDeployments, {kStoryNamespace, NameOf(object)}},
                   {{"observedGeneration", object["metadata"]["generation"]},
                    {"replicas", replicas},
                    {"updatedReplicas", replicas},
                    {"readyReplicas", ready},
                    {"availableReplicas", ready}});
  }
}

// A Service of a version has the pods of the Deployment of the same name.
void StoryWorld::ReactToServices() {
  for (const json& service : Listed(api::kServices)) {
    const std::string name = NameOf(service);
    const auto deployment = api_.Get({api::kDeployments, {kStoryNamespace, name}});
    const int ready =
        deployment ? deployment->value("status", json::object()).value("readyReplicas", 0) : 0;
    json slice = MakeObject({api::kEndpointSlices, {kStoryNamespace, name + "-slice"}});
    slice["metadata"]["labels"] = service["metadata"].value("labels", json::object());
    slice["metadata"]["labels"]["kubernetes.io/service-name"] = name;
    slice["metadata"]["ownerReferences"] = json::array({{{"apiVersion", "v1"},
                                                         {"kind", "Service"},
                                                         {"name", name},
                                                         {"uid", service["metadata"]["uid"]},
                                                         {"controller", true}}});
    slice["ports"] = json::array({{{"name", "http"}, {"port", 8080}}});
    slice["endpoints"] = json::array();
    for (int i = 0; i < ready; ++i) {
      const std::string uid =
          deployment->at("metadata")["uid"].get<std::string>() + "-" + std::to_string(i);
      slice["endpoints"].push_back({{"addresses", {"10.0.0." + std::to_string(i + 1)}},
                                    {"conditions", {{"ready", true}}},
                                    {"targetRef", {{"kind", "Pod"}, {"name", uid}, {"uid", uid}}}});
    }
    api_.Put(api::kEndpointSlices, slice);
  }
}

void StoryWorld::ReactToRoutes() {
  for (const kube::Resource& kind : {api::kHttpRoutes, api::kGrpcRoutes}) {
    for (const json& route : Listed(kind)) {
      const std::int64_t generation = route["metadata"]["generation"];
      const json before = route.value("status", json::object());
      if (before.value("generation", 0) == generation) continue;
      const std::string now = FormatTime(clock_.Wall());
      api_.PutStatus(
          {kind, {kStoryNamespace, NameOf(route)}},
          {{"generation", generation},  // for the line above
           {"parents",
            json::array(
                {{{"parentRef", route["spec"]["parentRefs"][0]},
                  {"controllerName", "example.org/gateway"},
                  {"conditions", json::array({Condition("Accepted", now, generation),
                                              Condition("ResolvedRefs", now, generation)})}}})}});
    }
  }
}

json StoryWorld::ModelResultOf(const std::string& job, const std::string& model) const {
  const auto error = errors.find(model);
  const double mae = error == errors.end() ? 3.0 : error->second;
  const std::string of = job + "/" + model;
  return {{"artifact", {{"uri", "s3://models/" + of}, {"digest", "sha256:" + Sha256Hex(of)}}},
          {"metrics", json::array({{{"name", "mae"}, {"value", mae}, {"samples", 1000}}})},
          {"profile",
           {{"rows", 1000},
            {"metrics", json::array({{{"metric", "x"},
                                      {"type", "Numeric"},
                                      {"bounds", {1, 2, 3}},
                                      {"counts", PodCounts()}}})}}}};
}

// One result for the model that the Job was made for, or one for each that it was told of.
json StoryWorld::ResultOf(const json& job) const {
  json out = ModelResultOf(NameOf(job), LabelOf(job, api::kLabelDeployment));
  out["schemaVersion"] = 1;
  const std::set<std::string> told = ToldOf(job);
  if (told.size() < 2) return out;
  out = {{"schemaVersion", 1}, {"results", json::object()}};
  for (const std::string& model : told) out["results"][model] = ModelResultOf(NameOf(job), model);
  return out;
}

// A TrainJob succeeds at once, and leaves its result in a ConfigMap a little earlier.
void StoryWorld::ReactToWorkloads() {
  for (const json& job : Listed(kTrainJobs)) {
    if (job.contains("status")) continue;
    json map = MakeObject({api::kConfigMaps, {kStoryNamespace, NameOf(job)}});
    map["metadata"]["labels"] = {{std::string(api::kLabelRun), LabelOf(job, api::kLabelRun)}};
    map["data"] = {{"result.json", ResultOf(job).dump()}};
    api_.Put(api::kConfigMaps, map);
    api_.PutStatus(
        {kTrainJobs, {kStoryNamespace, NameOf(job)}},
        {{"conditions", json::array({Condition("Complete", FormatTime(clock_.Wall()), 1)})}});
  }
}

// Every Job's training succeeds, on the data of its time.
void StoryWorld::ReactToJobs() {
  for (const json& job : Listed(api::kJobs)) {
    if (job.contains("status")) continue;
    const std::string now = FormatTime(clock_.Wall());
    const json result = ResultOf(job);
    json pod = MakeObject({api::kPods, {kStoryNamespace, NameOf(job) + "-pod"}});
    pod["metadata"]["labels"] = job["metadata"]["labels"];
    pod["metadata"]["ownerReferences"] = json::array({{{"apiVersion", "batch/v1"},
                                                       {"kind", "Job"},
                                                       {"name", NameOf(job)},
                                                       {"uid", job["metadata"]["uid"]},
                                                       {"controller", true}}});
    pod["spec"] = {{"containers", json::array({{{"name", "train"}}})}};
    pod["status"] = {{"phase", "Succeeded"},
                     {"containerStatuses", json::array({{{"name", "train"},
                                                         {"state",
                                                          {{"terminated",
                                                            {{"exitCode", 0},
                                                             {"reason", "Completed"},
                                                             {"finishedAt", now},
                                                             {"message", result.dump()}}}}}}})}};
    api_.Put(api::kPods, pod);
    api_.PutStatus(
        {api::kJobs, {kStoryNamespace, NameOf(job)}},
        {{"succeeded", 1}, {"conditions", json::array({Condition("Complete", now, 1)})}});
  }
}

void StoryWorld::ApproveVersions() {
  for (const json& version : Listed(api::kModelVersions)) {
    if (Phase(NameOf(version)) == "AwaitingApproval") Decide(NameOf(version), "Approve");
  }
}

void StoryWorld::Decide(const std::string& version, const std::string& decision) {
  const json object = Object(api::kModelVersions, version);
  json approval =
      MakeObject({api::kModelApprovals, {kStoryNamespace, version + "-" + ToLower(decision)}});
  approval["spec"] = {{"modelVersion", version},
                      {"digest", object["spec"]["model"].value("digest", "")},
                      {"decision", decision},
                      {"approver", "dispatcher"},
                      {"reason", "looks like it"}};
  if (Object(api::kModelApprovals, NameOf(approval)).empty()) {
    api_.Put(api::kModelApprovals, approval);
    promises_.CheckWorld();
  }
}

}  // namespace perennial::testing
