#include "faults/story_promises.h"

#include <algorithm>
#include <utility>

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

std::string Annotation(const json& object, std::string_view name) {
  return object["metadata"]
      .value("annotations", json::object())
      .value(std::string(name), std::string());
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
}

void StoryPromises::CheckWorld() {
  CheckRuns();
  CheckVersions();
  CheckRoutes();
  CheckOthers();
  for (const std::string& model : world_.models()) {
    CheckChampion(model);
    CheckVerdicts(model);
  }
}

void StoryPromises::CheckRuns() {
  std::map<std::string, int> jobs_of;
  for (const kube::Resource& resource : {api::kJobs, kTrainJobs}) {
    for (const json& job : world_.Listed(resource)) {
      if (LabelOf(job, api::kLabelRun).empty()) continue;  // a rollout's probe
      ++jobs_of["trigger " + Annotation(job, "perennial.dev/trigger") + " of " +
                LabelOf(job, api::kLabelPolicy)];
      ++jobs_of["run " + NameOf(job)];
      for (const std::string& member :
           retrain::ParseMembers(Annotation(job, api::kAnnotationMembers))) {
        ++jobs_of["run " + member];
      }
    }
  }
  for (const auto& [what, count] : jobs_of) {
    if (count > 1) Violated("1: " + std::to_string(count) + " Jobs for the " + what);
  }
}

void StoryPromises::CheckVersions() {
  std::set<std::string> runs;
  for (const json& version : world_.Listed(api::kModelVersions)) {
    const std::string run = version["spec"].value("origin", json::object()).value("run", "");
    if (!run.empty() && !runs.insert(run).second) Violated("1: two versions of run " + run);
    const std::string promoted = Annotation(version, api::kAnnotationPromoted);
    const std::string before = std::exchange(promoted_at_[NameOf(version)], promoted);
    if (!before.empty() && before != promoted) Violated("3: promoted again: " + NameOf(version));
    if (world_.Phase(NameOf(version)) == "Rejected") withdrawn_.insert(NameOf(version));
  }
}

void StoryPromises::CheckChampion(const std::string& model) {
  const json deployment = world_.Object(api::kModelDeployments, model);
  if (deployment.empty()) return;
  const std::string champion = StatusOf(deployment).value("champion", "");
  std::vector<std::string>& before = champions_[model];
  if (!before.empty() && before.back() == champion) return;
  if (std::count(before.begin(), before.end(), champion) > 0) {
    Violated("3: " + champion + " became champion twice");
  }
  before.push_back(champion);
}

void StoryPromises::CheckRoutes() {
  std::map<std::string, int> weights;
  // Scaled to zero, the champion keeps its place in the route, and has it when its pods come back.
  const json deployment = world_.Object(api::kModelDeployments, "departures");
  if (!deployment.empty() && deployment["spec"].value("replicas", 1) == 0) scaled_to_zero_ = true;
  for (const json& route : world_.Listed(api::kHttpRoutes)) {
    for (const json& rule : route["spec"]["rules"]) {
      int sum = 0;
      for (const json& backend : rule.value("backendRefs", json::array())) {
        const int weight = backend.value("weight", 1);
        sum += weight;
        if (weight == 0) continue;
        const json child = world_.Object(api::kDeployments, backend["name"]);
        const std::string version = child.empty() ? "" : LabelOf(child, api::kLabelVersion);
        const std::string alias = world_.Alias(version);
        // Who served before an approval was asked for keeps what it has or once had, and gets no
        // more.
        if (world_.Phase(version) != "Approved" && weight > weights_[version]) {
          Violated("8: traffic for " + alias + ", which is " + world_.Phase(version));
        }
        weights[version] = std::max({weights[version], weights_[version], weight});
        const bool ready = !child.empty() && StatusOf(child).value("readyReplicas", 0) > 0;
        if (ready) scaled_to_zero_ = false;
        if (!ready && !scaled_to_zero_) {
          Violated("2: traffic for " + alias + " without ready pods");
        }
        if (withdrawn_.contains(version)) Violated("4: traffic for a withdrawn version");
      }
      if (sum != 100) Violated("2: weights add up to " + std::to_string(sum));
    }
  }
  if (!weights.empty()) weights_ = std::move(weights);
}

void StoryPromises::Guard() {
  for (const kube::Resource& resource :
       {api::kDeployments, api::kServices, api::kHttpRoutes, api::kJobs}) {
    bystanders_[resource.plural] = world_.Object(resource, "foreign").dump();
  }
}

void StoryPromises::CheckOthers() {
  for (const kube::Resource& resource :
       {api::kDeployments, api::kServices, api::kHttpRoutes, api::kJobs}) {
    if (world_.Object(resource, "foreign").dump() != bystanders_[resource.plural]) {
      Violated("5: somebody else's object was touched: " + resource.plural);
    }
  }
  for (const json& child : world_.Listed(api::kDeployments)) {
    const std::string uid = child["metadata"]["uid"];
    if (Annotation(child, "example.org/note") == "theirs") {
      annotated_.insert(uid);
    } else if (annotated_.contains(uid)) {
      Violated("10: somebody else's annotation was removed from " + NameOf(child));
    }
  }
}

// A verdict that is on record stays there while a new process collects samples; none is reached.
void StoryPromises::CheckVerdicts(const std::string& model) {
  const json monitor = world_.Object(api::kDriftMonitors, model);
  if (monitor.empty()) return;
  const int least = monitor["spec"].value("minSamples", 0);
  for (const json& signal : StatusOf(monitor).value("signals", json::array())) {
    const std::string state = signal.value("state", "NoData");
    const std::string before = std::exchange(
        verdicts_[model + " " + signal.value("name", "") + " of " + signal.value("variant", "")],
        state);
    if (state == before || state == "NoData" || state == "Error") continue;
    if (signal.value("samples", 0) < least) {
      Violated("6: " + state + " on " + std::to_string(signal.value("samples", 0)) + " samples");
    }
  }
}

}  // namespace perennial::testing
