// What people have put into the cluster when a story begins.
#include <string>

#include "api/names.h"
#include "faults/story_world.h"

namespace perennial::testing {
namespace {

using nlohmann::json;
using Trigger = StoryOptions::Trigger;

constexpr const char* kDeployment = R"({
  "replicas": 2,
  "template": {"spec": {"containers": [
    {"name": "model", "image": "server:1", "ports": [{"name": "http", "containerPort": 8080}]}]}},
  "metrics": {"port": "http", "path": "/metrics"},
  "traffic": {"gateway": {"parentRefs": [{"name": "edge"}], "hostnames": ["m.example.org"]}},
  "rollout": {"progressDeadline": "5m",
              "steps": [{"weight": 10, "hold": "1m"}, {"weight": 50, "hold": "2m"}]}})";

constexpr const char* kMonitor = R"({
  "target": {"modelDeployment": "departures"},
  "interval": "15s", "window": "3m", "minSamples": 300, "for": 2, "of": 3,
  "baseline": {"from": "ModelVersion"},
  "signals": [{"name": "distance", "type": "DataDrift", "metric": "x",
               "tests": [{"measure": "population_stability_index", "threshold": "0.25"}]}]})";

constexpr const char* kPolicy = R"({
  "modelDeployment": "departures",
  "triggers": [{"drift": {"monitor": "departures", "signals": ["distance"]}}],
  "cooldown": "30s", "deadline": "30m", "retries": 1,
  "job": {"template": {"spec": {"template": {"spec": {"containers": [
    {"name": "train", "image": "train:1"}]}}}}},
  "gates": [{"metric": "mae", "max": "4.0"}],
  "approval": {"required": true, "approvers": 1}})";

constexpr const char* kTraining = R"json({
  "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
  "template": {"spec": {"trainer": {"args": ["$(PERENNIAL_TRIGGER)",
    "$(PERENNIAL_MODEL_DEPLOYMENTS)"]}}},
  "success": "status.conditions.exists(c, c.type == 'Complete' && c.status == 'True')",
  "failure": "status.conditions.exists(c, c.type == 'Failed' && c.status == 'True')"})json";

constexpr const char* kNewData =
    R"({"newData": {"expression": "rows", "threshold": "1000", "window": "1m", "interval": "15s"}})";

constexpr const char* kEvent = R"({"event": {"type": "rows.loaded",
  "bearerTokenSecretRef": {"name": "warehouse", "key": "token"}}})";

// Fires at one minute of the year.
json ScheduleAt(WallTime at) {
  const std::string text = FormatTime(at);  // 2026-01-02T03:04:05Z
  const auto field = [&](std::size_t from) {
    return std::to_string(std::stoi(text.substr(from, 2)));
  };
  return {{"schedule",
           {{"cron", field(14) + " " + field(11) + " " + field(8) + " " + field(5) + " *"}}}};
}

json Whole(const kube::Resource& resource, const std::string& name, const json& spec) {
  json object = MakeObject({resource, {kStoryNamespace, name}});
  object["spec"] = spec;
  return object;
}

json PolicySpec(const StoryOptions& options, const std::string& model, WallTime begin) {
  json spec = json::parse(kPolicy);
  spec["modelDeployment"] = model;
  switch (options.trigger) {
    case Trigger::kDrift:
      spec["triggers"][0]["drift"]["monitor"] = model;
      break;
    case Trigger::kSchedule:
      spec["triggers"] = json::array({ScheduleAt(begin + StoryWorld::kScheduled)});
      break;
    case Trigger::kNewData:
      spec["triggers"] = json::array({json::parse(kNewData)});
      break;
    case Trigger::kEvent:
      spec["triggers"] = json::array({json::parse(kEvent)});
      break;
  }
  if (options.training == StoryOptions::Training::kWorkload) {
    spec.erase("job");
    spec["workload"] = json::parse(kTraining);
    spec["result"] = {{"from", "ConfigMap"}};
  }
  if (!options.others.empty()) spec["group"] = {{"name", "all"}, {"window", "1m"}};
  return spec;
}

}  // namespace

void StoryWorld::AddModel(const std::string& model) {
  json deployment = options_.spec.is_null() ? json::parse(kDeployment) : options_.spec;
  deployment.merge_patch(options_.deployment.is_null() ? json::object() : options_.deployment);
  api_.Put(api::kModelDeployments, Whole(api::kModelDeployments, model, deployment));
  if (!options_.retraining) return;
  json monitor = Whole(api::kDriftMonitors, model, json::parse(kMonitor));
  monitor["spec"]["target"]["modelDeployment"] = model;
  api_.Put(api::kDriftMonitors, monitor);
  json policy = Whole(api::kRetrainPolicies, model, PolicySpec(options_, model, clock_.Wall()));
  policy["metadata"]["annotations"] = {{std::string(api::kAnnotationRetrain), "first"}};
  api_.Put(api::kRetrainPolicies, policy);
}

// They carry our labels and lie in our namespace, but nobody of ours controls them.
void StoryWorld::AddBystanders() {
  for (const kube::Resource& resource : StoryPromises::KindsOfBystanders()) {
    json spec = json::object();
    if (resource == api::kModelVersions) {
      spec = {{"modelDeployment", "elsewhere"},
              {"revision", 1},
              {"model", {{"uri", "s3://models/elsewhere"}}}};
    }
    json object = Whole(resource, "foreign", spec);
    object["metadata"]["labels"] = {
        {std::string(api::kLabelManagedBy), std::string(api::kManagedBy)},
        {std::string(api::kLabelDeployment), "departures"},
        {std::string(api::kLabelPolicy), "departures"}};
    api_.Put(resource, object);
  }
  promises_.Guard();
}

}  // namespace perennial::testing
