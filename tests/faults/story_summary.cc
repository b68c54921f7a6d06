// What came of a story, in words that don't depend on names, UIDs and times.
#include <algorithm>

#include "api/names.h"
#include "faults/story_world.h"
#include "support/tallies.h"

namespace perennial::testing {

using nlohmann::json;

std::string StoryWorld::SummaryOf(const std::string& model) const {
  std::string out = models_.size() > 1 ? model + ":\n" : "";
  const auto& promoted = promises_.promoted_at();
  const auto line = [&](const std::string& text) { out += text + "\n"; };
  for (const json& version : VersionsByRevision(model)) {
    const json origin = version["spec"].value("origin", json::object());
    const std::string name = NameOf(version);
    line(Alias(name) + " by " + origin.value("triggerType", "") + ": " + Phase(name) +
         (promoted.contains(name) && !promoted.at(name).empty() ? ", promoted" : ""));
  }
  const auto status_of = [&](const kube::Resource& resource) {
    return Object(resource, model).value("status", json::object());
  };
  const json status = status_of(api::kModelDeployments);
  line("champion " + Alias(status.value("champion", "")) + ", challenger " +
       Alias(status.value("challenger", "")));
  for (const json& condition : status.value("conditions", json::array())) {
    line("  " + condition.value("type", "") + "=" + condition.value("status", "") + " " +
         condition.value("reason", ""));
  }
  for (const json& entry : status.value("history", json::array())) {
    line("  " + entry.value("outcome", "") + " " + Alias(entry.value("version", "")));
  }
  for (const json& run : status_of(api::kRetrainPolicies).value("runs", json::array())) {
    line("run by " + run.value("triggerType", "") + ": " + run.value("phase", "") + ", made " +
         Alias(run.value("modelVersion", "")) +
         (run.value("phase", "") == "Failed" ? ": " + run.value("message", "") : ""));
  }
  for (const json& condition : status_of(api::kDriftMonitors).value("conditions", json::array())) {
    line("monitor " + condition.value("type", "") + "=" + condition.value("status", ""));
  }
  return out;
}

std::string StoryWorld::Summary() const {
  std::string out;
  const auto line = [&](const std::string& text) { out += text + "\n"; };
  for (const std::string& model : models_) out += SummaryOf(model);
  std::vector<std::string> children;
  for (const json& child : Listed(api::kDeployments)) {
    children.push_back("pods of " + Alias(LabelOf(child, api::kLabelVersion)) + ": " +
                       std::to_string(child["spec"].value("replicas", 1)));
  }
  for (const kube::Resource& kind : {api::kHttpRoutes, api::kGrpcRoutes}) {
    for (const json& route : Listed(kind)) {
      for (const json& backend : route["spec"]["rules"][0]["backendRefs"]) {
        const json child = Object(api::kDeployments, backend["name"]);
        children.push_back("weight of " +
                           (child.empty() ? "nobody" : Alias(LabelOf(child, api::kLabelVersion))) +
                           ": " + std::to_string(backend.value("weight", 1)));
      }
    }
  }
  std::sort(children.begin(), children.end());
  for (const std::string& child : children) line(child);
  line("services: " + std::to_string(Listed(api::kServices).size()));
  line("jobs: " + std::to_string(Listed(api::kJobs).size() + Listed(kTrainJobs).size()));
  line("approvals: " + std::to_string(Listed(api::kModelApprovals).size()));
  return out;
}

std::string StoryWorld::Tally() const {
  // What the controller makes and removes; the rest is the story's own.
  const std::set<std::string> ours = {"deployments",
                                      "services",
                                      "httproutes",
                                      "grpcroutes",
                                      "jobs",
                                      "trainjobs",
                                      "cronjobs",
                                      "horizontalpodautoscalers",
                                      "modelversions",
                                      "modelapprovals",
                                      "poddisruptionbudgets"};
  return TallyText(api_, [&](const kube::Ref& ref) {
    return ours.contains(ref.resource.plural) && ref.key.name != "foreign";
  });
}

}  // namespace perennial::testing
