#include "faults/story_promises.h"

#include <algorithm>
#include <utility>

#include "api/codec.h"
#include "api/names.h"
#include "faults/story_world.h"
#include "retrain/group.h"
#include "support/api_world.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

// What the controller has a reason to touch; the last two only where the story has them.
const std::set<std::string>& OurResources() {
  static const std::set<std::string> kOurs = {"modeldeployments",
                                              "driftmonitors",
                                              "retrainpolicies",
                                              "modelversions",
                                              "modelapprovals",
                                              "deployments",
                                              "services",
                                              "httproutes",
                                              "jobs",
                                              "trainjobs",
                                              "configmaps",
                                              "grpcroutes",
                                              "cronjobs",
                                              "horizontalpodautoscalers",
                                              "poddisruptionbudgets"};
  return kOurs;
}

// All traffic, in percent.
constexpr int kAll = 100;

// A ModelVersion gets a status, whoever made it.
std::string WithoutStatus(json object) {
  if (object.empty()) return "gone";
  object.erase("status");
  object["metadata"].erase("resourceVersion");
  return object.dump();
}

json StatusOf(const json& object) {
  return object.value("status", json::object());
}

}  // namespace

void StoryPromises::Violated(const std::string& what) {
  violations_.push_back("after write " + std::to_string(world_.writes()) + ": " + what);
}

void StoryPromises::CheckRequest(const kube::Request& request) {
  const auto path = ApiPath::Parse(request.path);
  if (!path) {
    Violated("9: a request for " + request.path);
    return;
  }
  if (!OurResources().contains(path->resource.plural)) Violated("9: touches " + request.path);
  if (path->key.ns != kStoryNamespace) Violated("9: leaves the namespace: " + request.path);
  if (request.method != "GET" && path->resource.plural == "configmaps") {
    Violated("9: writes " + request.path);
  }
  CheckAim(request, *path);
}

// Names are taken again, labels are anybody's: only its UID says that an object is the one that was
// seen, and only its version that nobody has changed it since. What is created overwrites nothing,
// nor does what is applied without force.
void StoryPromises::CheckAim(const kube::Request& request, const ApiPath& path) {
  if (request.method == "GET" || request.method == "POST") return;
  const json body = json::parse(request.body, nullptr, false);
  if (!body.is_object()) return Violated("13: no JSON to " + request.path);
  if (request.method == "DELETE") {
    return CheckDeletion(path, body.value("preconditions", json::object()));
  }
  const bool apply = request.content_type == "application/apply-patch+yaml";
  if (apply && path.Query("force") != "true") return;
  const json metadata = body.value("metadata", json::object());
  if (metadata.value("uid", "").empty() || metadata.value("resourceVersion", "").empty()) {
    Violated("13: overwrites whatever has the name: " + request.path);
  }
}

void StoryPromises::CheckDeletion(const ApiPath& path, const json& named) {
  const std::string what = path.resource.plural + " " + path.key.name;
  const std::string uid = named.value("uid", "");
  if (uid.empty()) return Violated("13: deletes whatever has the name: " + what);
  const json object = world_.Object(path.resource, path.key.name);
  // What is gone, or another one by now, the API server leaves alone.
  if (object.empty() || object["metadata"]["uid"] != uid) return;
  const auto meta = kube::ParseMeta(object);
  const kube::OwnerReference* controller = meta.ok() ? kube::ControllerOf(*meta) : nullptr;
  if (controller == nullptr || !IsOurUid(controller->uid)) {
    return Violated("13: deletes what is not ours: " + what);
  }
  // A policy ends Jobs when their time is over, whatever has become of them.
  if (controller->kind == "ModelDeployment" && named.value("resourceVersion", "").empty()) {
    Violated("13: deletes what may have changed: " + what);
  }
}

bool StoryPromises::IsOurUid(const std::string& uid) const {
  for (const kube::Resource& kind : {api::kModelDeployments, api::kRetrainPolicies}) {
    for (const json& object : world_.Listed(kind)) {
      if (object["metadata"]["uid"] == uid) return true;
    }
  }
  return false;
}

void StoryPromises::CheckWorld(bool late) {
  CheckRuns();
  for (const std::string& model : world_.models()) CheckChampion(model);
  CheckVersions();
  CheckTraffic();
  CheckOthers();
  CheckStatuses();
  for (const std::string& model : world_.models()) {
    CheckRollout(model);
    CheckVerdicts(model, late);
  }
}

// Whoever has ended and is gone counts too: a run that is repeated then is a second one.
void StoryPromises::CheckRuns() {
  for (const kube::Resource& resource : {api::kJobs, kTrainJobs}) {
    for (const json& job : world_.Listed(resource)) {
      const std::string run = LabelOf(job, api::kLabelRun);
      if (run.empty()) continue;  // a rollout's probe
      NoteRun("trigger " + AnnotationOf(job, "perennial.dev/trigger") + " of " +
                  LabelOf(job, api::kLabelPolicy),
              "run " + run);
      NoteRun("attempt " + NameOf(job), "Job " + job["metadata"]["uid"].get<std::string>());
      NoteRun("run " + run, "run " + run);
      for (const std::string& member :
           retrain::ParseMembers(AnnotationOf(job, api::kAnnotationMembers))) {
        NoteRun("run " + member, "run " + run);
      }
    }
  }
}

void StoryPromises::NoteRun(const std::string& what, const std::string& whose) {
  std::set<std::string>& all = runs_[what];
  if (!all.insert(whose).second || all.size() == 1) return;
  Violated("1: " + std::to_string(all.size()) + " trainings for the " + what);
}

void StoryPromises::CheckVersions() {
  for (const json& version : world_.Listed(api::kModelVersions)) {
    const std::string name = NameOf(version);
    const json origin = version["spec"].value("origin", json::object());
    const std::string run = origin.value("run", "");
    // Who asks for another try gets another version of what the run made.
    if (!run.empty() && !origin.contains("copyOf")) {
      NoteRun("version of run " + run, version["metadata"]["uid"]);
    }
    const std::string promoted = AnnotationOf(version, api::kAnnotationPromoted);
    const std::string before = std::exchange(promoted_at_[name], promoted);
    if (!before.empty() && before != promoted && restored_.erase(name) == 0) {
      Violated("3: promoted again: " + name);
    }
    if (world_.Phase(name) != "Rejected" || withdrawn_.contains(name)) continue;
    // The controller rejects whom it has taken all traffic from, unless somebody undoes a
    // promotion: then the champion keeps it until the one before has pods.
    withdrawn_[name] = IsRolledBack(name) && !IsChampion(name) ? 0 : kAll;
  }
}

bool StoryPromises::IsChampion(const std::string& version) const {
  const auto& models = world_.models();
  return std::any_of(models.begin(), models.end(), [&](const std::string& model) {
    return StatusOf(world_.Object(api::kModelDeployments, model)).value("champion", "") == version;
  });
}

bool StoryPromises::IsRolledBack(const std::string& version) const {
  const std::vector<json> approvals = world_.Listed(api::kModelApprovals);
  return std::any_of(approvals.begin(), approvals.end(), [&](const json& approval) {
    return approval["spec"]["modelVersion"] == version &&
           approval["spec"]["decision"] == "Reject" &&
           LabelOf(approval, api::kLabelManagedBy) == api::kManagedBy;
  });
}

void StoryPromises::CheckChampion(const std::string& model) {
  const json deployment = world_.Object(api::kModelDeployments, model);
  if (deployment.empty()) return;
  const std::string champion = StatusOf(deployment).value("champion", "");
  std::vector<std::string>& before = champions_[model];
  if (!before.empty() && before.back() == champion) return;
  if (std::count(before.begin(), before.end(), champion) > 0 &&
      !withdrawn_.contains(before.back())) {  // whom a rejection brings back
    Violated("3: " + champion + " became champion twice");
  }
  if (const auto known = promoted_at_.find(champion); known != promoted_at_.end()) {
    if (!known->second.empty()) restored_.insert(champion);
  }
  before.push_back(champion);
}

void StoryPromises::CheckRollout(const std::string& model) {
  const json text = world_.Object(api::kModelDeployments, model);
  if (text.empty()) return;
  const std::string version = text["metadata"]["resourceVersion"];
  if (std::exchange(rollout_versions_[model], version) == version) return;
  // What can't be read nobody writes a status of.
  const auto object = api::DecodeModelDeployment(text);
  if (!object.ok()) return;
  const auto may_serve = [&](const std::string& version) {
    return !world_.Object(api::kModelVersions, version).empty() &&
           world_.Phase(version) != "Rejected";
  };
  for (const std::string& wrong : rollouts_.Check(*object, world_.Now(), may_serve)) {
    Violated("12: " + wrong);
  }
}

void StoryPromises::CheckTraffic() {
  Weights weights;
  for (const json& deployment : world_.Listed(api::kModelDeployments)) {
    const json& spec = deployment["spec"];
    // Scaled to zero, the champion keeps its place in the route, and has it when its pods come
    // back.
    if (spec.value("replicas", 1) == 0) scaled_to_zero_ = true;
    if (!spec.value("traffic", json::object()).value("rules", json::array()).empty()) {
      has_rules_ = true;
    }
  }
  for (const kube::Resource& kind : {api::kHttpRoutes, api::kGrpcRoutes}) {
    for (const json& route : world_.Listed(kind)) {
      for (const json& rule : route["spec"]["rules"]) CheckRule(rule, weights);
    }
  }
  for (const json& service : world_.Listed(api::kServices)) {
    // One of a single version has what a route sends it.
    if (LabelOf(service, api::kLabelVersion).empty()) CheckService(service, weights);
  }
  for (auto& [version, most] : withdrawn_) {
    const auto has = weights.find(version);
    const int weight = has == weights.end() ? 0 : has->second;
    if (weight > most) Violated("4: traffic for the withdrawn version " + version);
    most = std::min(most, weight);
  }
  if (weights.empty()) return;
  for (auto& [version, weight] : weights) weight = std::max(weight, weights_[version]);
  weights_ = std::move(weights);
}

void StoryPromises::CheckRule(const json& rule, Weights& weights) {
  const json backends = rule.value("backendRefs", json::array());
  int sum = 0;
  for (const json& backend : backends) {
    const int weight = backend.value("weight", 1);
    sum += weight;
    if (weight > 0) CheckBackend(backend, weight, weights);
  }
  // One variant answers those that a rule of the spec's matches, alone and with the weight 1.
  const json matches = rule.value("matches", json::array());
  const bool alone =
      has_rules_ && backends.size() == 1 && !matches.empty() && matches[0].contains("headers");
  if (sum != kAll && !(alone && sum == 1)) {
    Violated("2: weights add up to " + std::to_string(sum));
  }
  for (const json& filter : rule.value("filters", json::array())) {
    if (!filter.contains("requestMirror")) continue;
    CheckBackend(filter["requestMirror"]["backendRef"], 1, weights);
  }
}

void StoryPromises::CheckBackend(const json& backend, int weight, Weights& weights) {
  const json child = world_.Object(api::kDeployments, backend["name"]);
  const std::string version = child.empty() ? "" : LabelOf(child, api::kLabelVersion);
  CheckWeight(version, weight, weights);
  const bool ready = HasReadyPods(backend["name"]);
  if (ready) scaled_to_zero_ = false;
  if (!ready && !scaled_to_zero_) {
    Violated("2: traffic for " + world_.Alias(version) + " without ready pods");
  }
}

// Without a gateway the model's own Service has the pods of all that have a share.
void StoryPromises::CheckService(const json& service, Weights& weights) {
  const json selector = service["spec"].value("selector", json::object());
  if (selector.empty()) return;
  for (const json& child : world_.Listed(api::kDeployments)) {
    const json labels =
        child.value(json::json_pointer("/spec/template/metadata/labels"), json::object());
    json with = labels;
    with.update(selector);
    if (with == labels) CheckWeight(LabelOf(child, api::kLabelVersion), 1, weights);
  }
}

void StoryPromises::CheckWeight(const std::string& version, int weight, Weights& weights) {
  // Who served before an approval was asked for keeps what it has or once had, and gets no more.
  const std::string phase = world_.Phase(version);
  if (phase != "Approved" && weight > weights_[version]) {
    Violated("8: traffic for " + world_.Alias(version) + ", which is " + phase);
  }
  weights[version] = std::max(weights[version], weight);
}

// By the Deployment and by what the gateway goes by.
bool StoryPromises::HasReadyPods(const std::string& service) const {
  if (StatusOf(world_.Object(api::kDeployments, service)).value("readyReplicas", 0) == 0) {
    return false;
  }
  for (const json& slice : world_.Listed(api::kEndpointSlices)) {
    if (LabelOf(slice, "kubernetes.io/service-name") != service) continue;
    for (const json& endpoint : slice.value("endpoints", json::array())) {
      if (endpoint.value("conditions", json::object()).value("ready", true)) return true;
    }
  }
  return false;
}

void StoryPromises::CheckStatuses() {
  for (const kube::Resource& kind :
       {api::kModelDeployments, api::kDriftMonitors, api::kRetrainPolicies, api::kModelVersions}) {
    for (const json& object : world_.Listed(kind)) {
      for (const std::string& wrong : statuses_.Check(object)) {
        Violated("11: " + kind.kind + " " + NameOf(object) + ": " + wrong);
      }
    }
  }
}

const std::vector<kube::Resource>& StoryPromises::KindsOfBystanders() {
  static const std::vector<kube::Resource> kKinds = {
      api::kDeployments, api::kServices,          api::kHttpRoutes, api::kGrpcRoutes,   api::kJobs,
      api::kAutoscalers, api::kDisruptionBudgets, api::kCronJobs,   api::kModelVersions};
  return kKinds;
}

void StoryPromises::Guard() {
  for (const kube::Resource& kind : KindsOfBystanders()) {
    bystanders_[kind.plural] = WithoutStatus(world_.Object(kind, "foreign"));
  }
}

void StoryPromises::CheckOthers() {
  for (const kube::Resource& kind : KindsOfBystanders()) {
    if (WithoutStatus(world_.Object(kind, "foreign")) != bystanders_[kind.plural]) {
      Violated("5: somebody else's object was touched: " + kind.plural);
    }
  }
  for (const json& child : world_.Listed(api::kDeployments)) {
    const std::string uid = child["metadata"]["uid"];
    if (AnnotationOf(child, "example.org/note") == "theirs") {
      annotated_.insert(uid);
    } else if (annotated_.contains(uid)) {
      Violated("10: somebody else's annotation was removed from " + NameOf(child));
    }
  }
}

// A verdict that is on record stays there while a new process collects samples; none is reached.
// What the monitor says of its samples is not believed: what the pods counted is. What a dead
// process had counted nobody knows; that verdict is on record from then on.
void StoryPromises::CheckVerdicts(const std::string& model, bool late) {
  const json monitor = world_.Object(api::kDriftMonitors, model);
  if (monitor.empty()) return;
  const int least = monitor["spec"].value("minSamples", 0);
  const auto window = ParseDuration(monitor["spec"].value("window", "1h"));
  for (const json& signal : StatusOf(monitor).value("signals", json::array())) {
    const std::string version = signal.value("variant", "");
    const std::string state = signal.value("state", "NoData");
    const std::string before =
        std::exchange(verdicts_[model + " " + signal.value("name", "") + " of " + version], state);
    if (late || state == before || state == "NoData" || state == "Error") continue;
    // Windows consist of slots, so that they reach back a little further.
    const Millis reach = window ? *window + *window / 4 : Millis{0};
    const auto counted = static_cast<int>(world_.Counted(version, reach));
    const int told = signal.value("samples", 0);
    if (std::min(told, counted) < least) {
      Violated("6: " + state + " on " + std::to_string(told) + " samples of " +
               std::to_string(counted));
    }
  }
}

}  // namespace perennial::testing
