// The whole controller at a real API server trains with objects of other projects' kinds, whose
// status the test drives as their own controllers would.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "api/names.h"
#include "base/text.h"
#include "support/cluster_access.h"
#include "support/manifest.h"
#include "support/running_controller.h"
#include "support/spec_cases.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

const kube::Resource kTrainJobs{"trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob"};
const kube::Resource kWorkflows{"argoproj.io", "v1alpha1", "workflows", "Workflow"};
const kube::Resource kPipelineRuns{"tekton.dev", "v1", "pipelineruns", "PipelineRun"};
const kube::Resource kRayJobs{"ray.io", "v1", "rayjobs", "RayJob"};
// Allowed, and nowhere installed.
const kube::Resource kAbsent{"absent.example.org", "v1", "trainings", "Training"};
const kube::Resource kCrds{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                           "CustomResourceDefinition"};

// The projects' own definitions, whose schemas refuse what their controllers could not run.
void InstallKinds() {
  const char* paths = std::getenv("PERENNIAL_WORKLOAD_CRDS");
  ASSERT_NE(paths, nullptr) << "tests/e2e/cluster api exec says where they lie";
  std::istringstream list(paths);
  for (std::string path; std::getline(list, path, ':');) {
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(text.empty()) << path << ": hack/tools/build fetches it";
    const std::vector<json> documents = ParseManifests(text);
    ASSERT_EQ(documents.size(), 1u) << path;
    const Answer created =
        Admin().Create({kCrds, {"", documents[0]["metadata"]["name"]}}, documents[0]);
    ASSERT_TRUE(created.ok() || created.status == 409) << created.message();
  }
  for (const kube::Resource& kind : {kTrainJobs, kWorkflows, kPipelineRuns, kRayJobs}) {
    ASSERT_TRUE(Eventually([&] { return Admin().List(kind, "default", "limit=1").ok(); }))
        << kind.plural;
  }
}

json TrainJob() {
  return {{"runtimeRef", {{"name", "torch-distributed"}}},
          {"trainer", {{"image", "example.org/train:1"}, {"args", {"--run", "$(PERENNIAL_RUN)"}}}}};
}

std::string Result() {
  return json{{"schemaVersion", 1},
              {"artifact", {{"uri", "s3://m/1"}, {"digest", "sha256:" + std::string(64, 'a')}}},
              {"metrics", {{{"name", "mae"}, {"value", 3}}}}}
      .dump();
}

json Condition(const char* type, const char* status) {
  return {{"type", type},
          {"status", status},
          {"reason", "Test"},
          {"message", ""},
          {"lastTransitionTime", "2026-01-01T00:00:00Z"}};
}

class WorkloadStory : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { InstallKinds(); }

  void SetUp() override {
    json deployment = ObjectOf("ModelDeployment", "departures", ValidSpec("ModelDeployment"));
    deployment["spec"]["replicas"] = 0;
    Put(deployment);
    running_ = std::make_unique<RunningController>(
        ns_.name(), std::vector{kTrainJobs, kWorkflows, kPipelineRuns, kRayJobs, kAbsent});
  }

  void Put(json object) {
    object["metadata"] = {{"name", object["metadata"]["name"]},
                          {"namespace", ns_.name()},
                          {"annotations", object["metadata"].value("annotations", json::object())}};
    const Answer created = Admin().Create(RefOf(object), object);
    ASSERT_TRUE(created.ok()) << created.message();
  }

  void Train(const std::string& name, const kube::Resource& resource, const char* success,
             const char* failure, json result, json spec) {
    json policy = ObjectOf("RetrainPolicy", name, json::object());
    policy["metadata"]["annotations"] = {{"perennial.dev/retrain", "now"}};
    policy["spec"] = {{"modelDeployment", "departures"},
                      {"retries", 0},
                      {"workload",
                       {{"apiVersion", resource.ApiVersion()},
                        {"kind", resource.kind},
                        {"success", success},
                        {"failure", failure},
                        {"template",
                         {{"metadata", {{"labels", {{"kueue.x-k8s.io/queue-name", "gpu"}}}}},
                          {"spec", std::move(spec)}}}}},
                      {"result", std::move(result)}};
    Put(policy);
  }

  // The one object that the policy made, once there is one.
  json Made(const kube::Resource& resource) {
    json items;
    Eventually([&] {
      items = Admin().List(resource, ns_.name(), "limit=10").body.value("items", json::array());
      return !items.empty();
    });
    EXPECT_EQ(items.size(), 1u);
    return items.empty() ? json::object() : items[0];
  }

  // Where the training leaves it: a ConfigMap of its object's name.
  void LeaveResult(const std::string& name, const std::string& run) {
    const json map = {
        {"apiVersion", "v1"},
        {"kind", "ConfigMap"},
        {"metadata",
         {{"name", name}, {"namespace", ns_.name()}, {"labels", {{"perennial.dev/run", run}}}}},
        {"data", {{"result.json", Result()}}}};
    ASSERT_TRUE(Admin().Create({api::kConfigMaps, {ns_.name(), name}}, map).ok());
  }

  json RunOf(const std::string& policy) {
    const Answer answer = Admin().Get({api::kRetrainPolicies, {ns_.name(), policy}});
    const json runs = answer.body.value("status", json::object()).value("runs", json::array());
    return runs.empty() ? json::object() : runs[0];
  }

  std::string Ready(const std::string& policy) {
    const Answer answer = Admin().Get({api::kRetrainPolicies, {ns_.name(), policy}});
    for (const json& condition :
         answer.body.value("status", json::object()).value("conditions", json::array())) {
      if (condition["type"] == "Ready") {
        return condition["reason"].get<std::string>() + ": " +
               condition["message"].get<std::string>();
      }
    }
    return "";
  }

  void ExpectVersion(const std::string& policy, const json& object) {
    EXPECT_TRUE(Eventually([&] { return RunOf(policy).value("phase", "") == "Succeeded"; }))
        << RunOf(policy).dump();
    const Answer version =
        Admin().Get({api::kModelVersions, {ns_.name(), RunOf(policy).value("modelVersion", "?")}});
    ASSERT_TRUE(version.ok()) << version.message();
    EXPECT_EQ(version.body["spec"]["origin"]["jobUID"], object["metadata"]["uid"]);
  }

  TestNamespace ns_;
  std::unique_ptr<RunningController> running_;
};

TEST_F(WorkloadStory, ATrainJobLeavesItsResultInAConfigMap) {
  Train("trainjob", kTrainJobs,
        "status.conditions.exists(c, c.type == 'Complete' && c.status == 'True')",
        "status.conditions.exists(c, c.type == 'Failed' && c.status == 'True')",
        {{"from", "ConfigMap"}}, TrainJob());
  const json object = Made(kTrainJobs);
  ASSERT_FALSE(object.empty()) << Ready("trainjob");
  const std::string name = object["metadata"]["name"];
  EXPECT_EQ(object["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "gpu");
  const std::string run = object["metadata"]["labels"]["perennial.dev/run"];
  EXPECT_EQ(object["spec"]["trainer"]["args"][1], run);
  LeaveResult(name, run);
  ASSERT_TRUE(Admin()
                  .MergePatch({kTrainJobs, {ns_.name(), name}},
                              {{"status", {{"conditions", {Condition("Complete", "True")}}}}},
                              "status")
                  .ok());
  ExpectVersion("trainjob", object);
}

// The vendor's schema decides whether what we make is a RayJob, and whether what its operator
// reports can be read as the expressions say.
TEST_F(WorkloadStory, ARayJobAsKubeRayDefinesItTrains) {
  const json pod = {
      {"spec", {{"containers", json::array({{{"name", "ray"}, {"image", "rayproject/ray:2"}}})}}}};
  const json spec = {
      {"entrypoint", "python train.py --run $(PERENNIAL_RUN)"},
      {"shutdownAfterJobFinishes", true},
      {"rayClusterSpec",
       {{"headGroupSpec", {{"rayStartParams", json::object()}, {"template", pod}}}}}};
  Train("ray", kRayJobs, "status.jobStatus == 'SUCCEEDED'",
        "status.jobStatus in ['FAILED', 'STOPPED']", {{"from", "ConfigMap"}}, spec);
  const json object = Made(kRayJobs);
  ASSERT_FALSE(object.empty()) << Ready("ray");
  const std::string name = object["metadata"]["name"];
  const std::string run = object["metadata"]["labels"]["perennial.dev/run"];
  EXPECT_EQ(object["spec"]["entrypoint"], "python train.py --run " + run);
  LeaveResult(name, run);
  ASSERT_TRUE(
      Admin()
          .MergePatch({kRayJobs, {ns_.name(), name}},
                      {{"status", {{"jobStatus", "RUNNING"}, {"jobDeploymentStatus", "Running"}}}},
                      "status")
          .ok());
  EXPECT_TRUE(Eventually([&] { return RunOf("ray").value("phase", "") == "Running"; }));
  ASSERT_TRUE(Admin()
                  .MergePatch({kRayJobs, {ns_.name(), name}},
                              {{"status",
                                {{"jobStatus", "SUCCEEDED"}, {"jobDeploymentStatus", "Complete"}}}},
                              "status")
                  .ok());
  ExpectVersion("ray", object);
}

TEST_F(WorkloadStory, TellsWhatTheKindsOwnSchemaRefuses) {
  Train("ray", kRayJobs, "status.jobStatus == 'SUCCEEDED'", "status.jobStatus == 'FAILED'",
        json::object(), {{"entrypoint", "python train.py"}, {"rayClusterSpec", json::object()}});
  EXPECT_TRUE(Eventually([&] {
    return (Ready("ray") + RunOf("ray").value("message", "")).find("headGroupSpec") !=
           std::string::npos;
  })) << Ready("ray")
      << RunOf("ray").dump();
}

TEST_F(WorkloadStory, AWorkflowAndAPipelineRunCarryTheirResults) {
  Train("workflow", kWorkflows, "status.phase == 'Succeeded'",
        "status.phase in ['Failed', 'Error']",
        {{"from", "Object"},
         {"path", "status.outputs.parameters.filter(p, p.name == 'result')[0].value"}},
        {{"entrypoint", "train"},
         {"templates",
          {{{"name", "train"},
            {"container",
             {{"image", "example.org/train:1"}, {"args", {"--run", "$(PERENNIAL_RUN)"}}}}}}}});
  const json workflow = Made(kWorkflows);
  ASSERT_FALSE(workflow.empty()) << Ready("workflow");
  ASSERT_TRUE(
      Admin()
          .MergePatch(
              {kWorkflows, {ns_.name(), workflow["metadata"]["name"]}},
              {{"status",
                {{"phase", "Succeeded"},
                 {"outputs", {{"parameters", {{{"name", "result"}, {"value", Result()}}}}}}}}})
          .ok());
  ExpectVersion("workflow", workflow);

  Train("pipelinerun", kPipelineRuns,
        "status.conditions.exists(c, c.type == 'Succeeded' && c.status == 'True')",
        "status.conditions.exists(c, c.type == 'Succeeded' && c.status == 'False')",
        {{"from", "Object"}, {"path", "status.results.filter(r, r.name == 'model')[0].value"}},
        {{"pipelineSpec",
          {{"tasks",
            {{{"name", "train"},
              {"taskSpec",
               {{"steps",
                 {{{"name", "train"},
                   {"image", "example.org/train:1"},
                   {"script", "python train.py --run $(PERENNIAL_RUN)"}}}}}}}}}}}});
  const json pipeline = Made(kPipelineRuns);
  ASSERT_FALSE(pipeline.empty()) << Ready("pipelinerun");
  ASSERT_TRUE(Admin()
                  .MergePatch({kPipelineRuns, {ns_.name(), pipeline["metadata"]["name"]}},
                              {{"status", {{"conditions", {Condition("Succeeded", "False")}}}}},
                              "status")
                  .ok());
  EXPECT_TRUE(Eventually([&] { return RunOf("pipelinerun").value("phase", "") == "Failed"; }))
      << RunOf("pipelinerun").dump();
}

TEST_F(WorkloadStory, GivesALabelBackThatSomebodyTookAway) {
  Train("trainjob", kTrainJobs, "status.phase == 'never'", "status.phase == 'never'",
        json::object(), TrainJob());
  const json object = Made(kTrainJobs);
  ASSERT_FALSE(object.empty()) << Ready("trainjob");
  const kube::Ref ref{kTrainJobs, {ns_.name(), object["metadata"]["name"]}};
  ASSERT_TRUE(Eventually([&] { return RunOf("trainjob").value("phase", "") == "Running"; }));
  ASSERT_TRUE(
      Admin().MergePatch(ref, {{"metadata", {{"labels", {{"perennial.dev/run", nullptr}}}}}}).ok());
  EXPECT_TRUE(Eventually([&] {
    const json labels = Admin().Get(ref).body["metadata"]["labels"];
    return labels.contains("perennial.dev/run") && !RunOf("trainjob").contains("missingSince");
  })) << RunOf("trainjob").dump();
  EXPECT_EQ(RunOf("trainjob").value("phase", ""), "Running");
}

TEST_F(WorkloadStory, SaysWhatIsMissing) {
  Train("absent", kAbsent, "status.done == true", "status.done == false", json::object(),
        json::object());
  EXPECT_TRUE(Eventually([&] {
    return Ready("absent") ==
           "WorkloadRefused: the API server does not serve trainings.absent.example.org/v1: "
           "install "
           "its CRD";
  })) << Ready("absent");
  Train("other", {"kubeflow.org", "v1", "pytorchjobs", "PyTorchJob"}, "a", "b", json::object(),
        json::object());
  EXPECT_TRUE(Eventually([&] {
    return Ready("other").find(
               "{group: kubeflow.org, version: v1, kind: PyTorchJob} to "
               "workloads.kinds") != std::string::npos;
  })) << Ready("other");
}

}  // namespace
}  // namespace perennial::testing
