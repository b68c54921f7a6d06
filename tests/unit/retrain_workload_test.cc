// Runs whose training is an object of any kind: rendered from a template, judged by expressions,
// its result read from where the policy says.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "api/codec.h"
#include "api/names.h"
#include "api/object_expression.h"
#include "kube/informer_set.h"
#include "retrain/decide.h"
#include "retrain/observe.h"
#include "retrain/render.h"
#include "retrain/run.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;

const WallTime kStart{std::chrono::hours(500'000)};
const kube::Resource kTrainJobs{"trainer.kubeflow.org", "v1alpha1", "trainjobs", "TrainJob"};

std::string Result() {
  return json{{"schemaVersion", 1},
              {"artifact", {{"uri", "s3://m/1"}, {"digest", "sha256:" + std::string(64, 'a')}}},
              {"metrics", {{{"name", "mae"}, {"value", 3}}}},
              {"image", "train@sha256:" + std::string(64, 'b')},
              {"explanation", "https://reports.example.org/shap/1"},
              {"confusionMatrix", {{{"actual", "late"}, {"predicted", "late"}, {"count", 7}}}}}
      .dump();
}

// A policy with a TrainJob, and what an API server shows of it.
class WorkloadTest : public ::testing::Test {
 protected:
  WorkloadTest() {
    policy_.meta.key = {"transit", "departures"};
    policy_.meta.uid = "policy-uid";
    policy_.meta.created = kStart;
    policy_.meta.resource_version = "1";
    policy_.spec.model_deployment = "departures";
    policy_.spec.deadline.value = std::chrono::hours(1);
    policy_.spec.retries = 1;
    api::Workload& workload = policy_.spec.workload.emplace();
    workload.api_version = "trainer.kubeflow.org/v1alpha1";
    workload.kind = "TrainJob";
    workload.object_template.text = R"json({
      "metadata": {"labels": {"kueue.x-k8s.io/queue-name": "gpu"}, "generateName": "x-"},
      "spec": {"suspend": true, "trainer": {"args": ["--run=$(PERENNIAL_RUN)", "$(HOME)",
        "$(PERENNIAL_TRIGGER)", "$(PERENNIAL_NOTHING)", "$(PERENNIAL_RUN"]}}})json";
    workload.success = "status.conditions.exists(c, c.type == 'Complete' && c.status == 'True')";
    workload.failure = "status.conditions.exists(c, c.type == 'Failed' && c.status == 'True')";
    run_.name = "departures-run";
    run_.trigger_type = "Drift";
    run_.trigger = "drift/e1";
    run_.evidence = R"({"monitor":"m\",\"x"})";
    run_.started = api::Time{kStart};
    run_.phase = api::RunPhase::kRunning;
    seen_.policy = std::shared_ptr<const api::RetrainPolicy>(&policy_, [](const auto*) {});
    AddIndexes(policies_, versions_, jobs_, pods_, objects_);
  }

  void Watch() {
    objects_.Move({}, NeedsOf(policy_, kinds_));
    for (const auto& [resource, informer] : objects_.All()) informer->store().FinishList({});
  }

  // Suspended by its template, and resumed by the queue unless told otherwise.
  void Show(json status, const char* name = "departures-run", bool suspend = false) {
    json object = json::parse(*RenderWorkload(seen_, run_));
    object["spec"]["suspend"] = suspend;
    object["metadata"]["name"] = name;
    object["metadata"]["uid"] = "uid-of-" + std::string(name);
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    object["metadata"]["creationTimestamp"] = FormatTime(kStart);
    if (!annotation_.empty()) object["metadata"]["annotations"]["example.org/result"] = annotation_;
    object["status"] = std::move(status);
    objects_.Find(kTrainJobs)
        ->store()
        .Upsert(std::make_shared<api::RunObjectView>(*api::DecodeRunObjectView(object)));
  }

  void ShowPod(const std::string& message, WallTime created = kStart) {
    auto pod = std::make_shared<api::PodView>();
    pod->meta.key = {"transit", "some-pod-" + std::to_string(version_)};
    pod->meta.uid = pod->meta.key.name;
    pod->meta.resource_version = std::to_string(++version_);
    pod->meta.created = created;
    pod->meta.labels[std::string(api::kLabelRun)] = run_.name;
    pod->terminated = true;
    pod->termination_message = message;
    pod->finished = created;
    pods_.Upsert(pod);
  }

  void ShowConfigMap(const std::string& name, const std::string& text) {
    const json object = {{"kind", "ConfigMap"},
                         {"metadata",
                          {{"name", name},
                           {"namespace", "transit"},
                           {"uid", "map"},
                           {"resourceVersion", std::to_string(++version_)}}},
                         {"data", {{"result.json", text}}}};
    objects_.Find(api::kConfigMaps)
        ->store()
        .Upsert(std::make_shared<api::RunObjectView>(*api::DecodeRunObjectView(object)));
  }

  Observed See() {
    policy_.status.runs = {run_};
    policy_.meta.resource_version = std::to_string(++version_);
    policies_.Upsert(std::make_shared<api::RetrainPolicy>(policy_));
    RetrainReconciler reconciler(
        {policies_, deployments_, monitors_, versions_, jobs_, pods_, objects_, kinds_});
    return *reconciler.Observe({"transit", "departures"}, {WallTime{}, ""});
  }

  RunStep Advance(Millis after) {
    RunStep step = AdvanceRun(See(), run_, kStart + after);
    run_ = step.run;
    return step;
  }

  template <class Action>
  static const Action* Find(const RunStep& step) {
    for (const kube::Action& action : step.actions) {
      if (const auto* found = std::get_if<Action>(&action)) return found;
    }
    return nullptr;
  }

  const json kDone = {{"conditions", {{{"type", "Complete"}, {"status", "True"}}}}};
  const json kBroken = {{"conditions", {{{"type", "Failed"}, {"status", "True"}}}}};
  std::vector<kube::Resource> kinds_{kTrainJobs};
  api::RetrainPolicy policy_;
  api::Run run_;
  Observed seen_;
  std::string annotation_;
  int version_ = 1;
  ::perennial::testing::FakeApiServer api_{::perennial::testing::InProcess()};
  kube::Store<api::RetrainPolicy> policies_;
  kube::Store<api::ModelDeployment> deployments_;
  kube::Store<api::DriftMonitor> monitors_;
  kube::Store<api::ModelVersion> versions_;
  kube::Store<api::JobView> jobs_;
  kube::Store<api::PodView> pods_;
  kube::InformerSet<api::RunObjectView> objects_{
      api_.transport(), SystemClock(), {}, api::DecodeRunObjectView};
};

TEST_F(WorkloadTest, RendersTheTemplateWithWhatTheRunIs) {
  const json object = json::parse(*RenderWorkload(seen_, run_));
  EXPECT_EQ(object["apiVersion"], "trainer.kubeflow.org/v1alpha1");
  EXPECT_EQ(object["kind"], "TrainJob");
  const json& metadata = object["metadata"];
  EXPECT_EQ(metadata["name"], "departures-run");
  EXPECT_FALSE(metadata.contains("generateName"));
  EXPECT_EQ(metadata["labels"]["kueue.x-k8s.io/queue-name"], "gpu");
  EXPECT_EQ(metadata["labels"][std::string(api::kLabelRun)], "departures-run");
  EXPECT_EQ(metadata["ownerReferences"][0]["uid"], "policy-uid");
  EXPECT_EQ(object["spec"]["suspend"], true);
  const json& args = object["spec"]["trainer"]["args"];
  EXPECT_EQ(args[0], "--run=departures-run");
  EXPECT_EQ(args[1], "$(HOME)");
  // Whatever a trigger says stays inside its text.
  EXPECT_EQ(json::parse(args[2].get<std::string>())["evidence"]["monitor"], "m\",\"x");
  EXPECT_EQ(args[3], "$(PERENNIAL_NOTHING)");
  EXPECT_EQ(args[4], "$(PERENNIAL_RUN");
}

TEST_F(WorkloadTest, MakesOneOfTheKind) {
  Watch();
  run_.phase = api::RunPhase::kPending;
  const RunStep step = Advance(Millis(0));
  const auto* create = Find<kube::CreateObject>(step);
  ASSERT_NE(create, nullptr);
  EXPECT_EQ(create->target.resource, kTrainJobs);
  EXPECT_EQ(create->target.key.name, "departures-run");
}

TEST_F(WorkloadTest, FollowsItsExpressionsAndTakesTheResultOfAPodWithTheRunsLabel) {
  Watch();
  Show(json::object());
  Advance(Millis(1000));
  EXPECT_EQ(run_.message, "TrainJob departures-run is running");
  Show(kDone);
  Advance(Millis(2000));
  EXPECT_EQ(run_.message, "TrainJob departures-run succeeded; waiting for its result");
  ShowPod("");  // of another step, which says nothing
  ShowPod(Result());
  const RunStep step = Advance(Millis(3000));
  const auto* create = Find<kube::CreateObject>(step);
  ASSERT_NE(create, nullptr) << run_.message;
  const json spec = json::parse(create->body)["spec"];
  EXPECT_EQ(spec["image"], "train@sha256:" + std::string(64, 'b'));
  EXPECT_EQ(spec["explanation"], "https://reports.example.org/shap/1");
  EXPECT_EQ(spec["confusionMatrix"][0]["count"], 7);
  EXPECT_EQ(spec["origin"]["jobUID"], "uid-of-departures-run");
}

TEST_F(WorkloadTest, SaysThatItsQueueKeepsIt) {
  Watch();
  Show(json::object(), "departures-run", /*suspend=*/true);
  RunStep step = Advance(Millis(1000));
  EXPECT_EQ(
      run_.message,
      "TrainJob departures-run is suspended until its queue, or whoever suspended it, lets it "
      "start");
  EXPECT_FALSE(step.hindered);
  EXPECT_EQ(Find<kube::EmitEvent>(step), nullptr) << "nobody is warned";
  Show({{"conditions", {{{"type", "Suspended"}, {"status", "False"}, {"reason", "Resumed"}}}}});
  Advance(Millis(2000));
  EXPECT_EQ(run_.message, "TrainJob departures-run is running");
}

TEST_F(WorkloadTest, IgnoresThePodsOfAnEarlierAttempt) {
  Watch();
  Show(kDone);
  ShowPod(Result(), kStart - Millis(5000));
  EXPECT_EQ(Find<kube::CreateObject>(Advance(Millis(3000))), nullptr);
}

TEST_F(WorkloadTest, TakesTheResultOutOfTheObject) {
  policy_.spec.result = {api::ResultFrom::kObject, "metadata.annotations['example.org/result']"};
  Watch();
  Show(kDone);
  EXPECT_EQ(Find<kube::CreateObject>(Advance(Millis(1000))), nullptr);
  annotation_ = Result();
  Show(kDone);
  EXPECT_NE(Find<kube::CreateObject>(Advance(Millis(2000))), nullptr) << run_.message;
}

TEST_F(WorkloadTest, TakesTheResultOutOfAConfigMapOfItsName) {
  policy_.spec.result.from = api::ResultFrom::kConfigMap;
  Watch();
  Show(kDone);
  ShowConfigMap("departures-run-1", Result());
  EXPECT_EQ(Find<kube::CreateObject>(Advance(Millis(1000))), nullptr);
  ShowConfigMap("departures-run", Result());
  EXPECT_NE(Find<kube::CreateObject>(Advance(Millis(2000))), nullptr) << run_.message;
}

TEST_F(WorkloadTest, SaysWhereABadResultIsAndWhatIsWrongWithIt) {
  policy_.spec.result.from = api::ResultFrom::kConfigMap;
  Watch();
  Show(kDone);
  ShowConfigMap("departures-run", R"({"schemaVersion": 1, "artifact": {"uri": "s3://m"}})");
  Advance(Millis(1000));
  EXPECT_EQ(run_.phase, api::RunPhase::kFailed);
  EXPECT_NE(run_.message.find("result of ConfigMap departures-run, entry result.json is unusable: "
                              "metrics: required. "),
            std::string::npos)
      << run_.message;
  run_.phase = api::RunPhase::kRunning;
  ShowConfigMap("departures-run", std::string(api::kLongestRunObject + 1, ' '));
  Advance(Millis(1000));
  EXPECT_NE(run_.message.find("longer than 262144 bytes"), std::string::npos) << run_.message;
}

TEST_F(WorkloadTest, TriesAgainAfterABadResultWhereThePolicySaysSo) {
  policy_.spec.result.from = api::ResultFrom::kConfigMap;
  policy_.spec.backoff.bad_results = 1;
  policy_.spec.retries = 0;
  Watch();
  Show(kDone);
  ShowConfigMap("departures-run", "garbage");
  Advance(Millis(1000));
  EXPECT_EQ(run_.attempt, 0);
  EXPECT_NE(run_.message.find("next attempt at"), std::string::npos) << run_.message;
  Advance(Millis(12'000));
  EXPECT_EQ(run_.attempt, 1);
  EXPECT_EQ(run_.bad_results, 1);
  EXPECT_EQ(run_.phase, api::RunPhase::kPending);
  Show(kDone, "departures-run-1");
  ShowConfigMap("departures-run-1", "garbage");
  Advance(Millis(13'000));
  EXPECT_EQ(run_.phase, api::RunPhase::kFailed);
}

TEST_F(WorkloadTest, WaitsBetweenAttemptsThoughTheObjectSaysNoTime) {
  Watch();
  Show(kBroken);
  Advance(Millis(600'000));
  EXPECT_EQ(run_.attempt, 0);
  Advance(Millis(609'999));
  EXPECT_EQ(run_.attempt, 0);
  Advance(Millis(610'000));
  EXPECT_EQ(run_.attempt, 1);
  Show(kBroken, "departures-run-1");
  Advance(Millis(611'000));
  EXPECT_EQ(run_.phase, api::RunPhase::kFailed);
  EXPECT_NE(run_.message.find("attempts: 2"), std::string::npos) << run_.message;
}

TEST_F(WorkloadTest, RefusesAKindThatTheAdministratorDoesNotAllow) {
  kinds_.clear();
  Watch();
  run_.phase = api::RunPhase::kFailed;
  policy_.meta.annotations[std::string(api::kAnnotationRetrain)] = "now";
  const kube::Plan plan = Decide(See(), kStart + Millis(1000));
  const json status = json::parse(*plan.status);
  EXPECT_EQ(status["runs"].size(), 1u) << "a run was begun";
  const std::string text = status["conditions"].dump();
  EXPECT_NE(text.find("WorkloadRefused"), std::string::npos) << text;
  EXPECT_NE(text.find("{group: trainer.kubeflow.org, version: v1alpha1, kind: TrainJob} to "
                      "workloads.kinds"),
            std::string::npos)
      << text;
}

TEST_F(WorkloadTest, GivesNoResultUpThatCannotBeSeen) {
  policy_.spec.result.from = api::ResultFrom::kConfigMap;
  Watch();
  Show(kDone);
  // The controller comes up long after the end, and its first list of ConfigMaps fails.
  objects_.Move({api::kConfigMaps}, {});
  objects_.Move({}, {api::kConfigMaps});
  Advance(Millis(600'000));
  EXPECT_EQ(run_.phase, api::RunPhase::kRunning);
  EXPECT_EQ(run_.bad_results, 0);
  ShowConfigMap("departures-run", Result());
  objects_.Find(api::kConfigMaps)->store().FinishList({{"transit", "departures-run"}});
  const RunStep step = Advance(Millis(601'000));
  EXPECT_NE(Find<kube::CreateObject>(step), nullptr) << run_.message;
}

TEST_F(WorkloadTest, NeitherMakesAgainNorGivesUpWhatCannotBeSeen) {
  objects_.Move({}, NeedsOf(policy_, kinds_));  // its first list is still to come
  const RunStep step = Advance(Millis(1000));
  EXPECT_TRUE(step.actions.empty());
  EXPECT_EQ(run_.phase, api::RunPhase::kRunning);
  EXPECT_EQ(step.wake_at, kStart + Millis(1000) + kLookSoon);
  EXPECT_EQ(See().workload_pending,
            "waiting for the first list of trainjobs.trainer.kubeflow.org/v1alpha1");
  run_.phase = api::RunPhase::kPending;
  EXPECT_TRUE(Advance(Millis(1000)).actions.empty());
}

TEST_F(WorkloadTest, GivesLabelsBackBeforeItTakesAnObjectForDeleted) {
  Watch();
  run_.job = "departures-run";
  run_.job_uid = "u";
  const RunStep step = Advance(Millis(1000));
  const auto* relabel = Find<kube::RelabelObject>(step);
  ASSERT_NE(relabel, nullptr);
  EXPECT_EQ(relabel->uid, "u");
  EXPECT_EQ(json::parse(relabel->labels)[std::string(api::kLabelManagedBy)], "perennial");
  EXPECT_EQ(run_.phase, api::RunPhase::kRunning);
  EXPECT_TRUE(Advance(Millis(2000)).actions.empty());
  Show(json::object());
  Advance(Millis(3000));
  EXPECT_FALSE(run_.missing_since.has_value());
  objects_.Find(kTrainJobs)->store().Remove({"transit", "departures-run"});
  Advance(Millis(4000));
  Advance(Millis(33'999));
  EXPECT_EQ(run_.phase, api::RunPhase::kRunning);
  Advance(Millis(34'000));
  EXPECT_EQ(run_.phase, api::RunPhase::kFailed);
}

TEST_F(WorkloadTest, WatchesAKindAsLongAsSomebodyNeedsIt) {
  objects_.Move({}, {kTrainJobs});
  objects_.Move({}, {kTrainJobs, api::kConfigMaps});
  objects_.Move({kTrainJobs}, {});
  EXPECT_NE(objects_.Find(kTrainJobs), nullptr);
  objects_.Move({kTrainJobs, api::kConfigMaps}, {api::kConfigMaps});
  EXPECT_EQ(objects_.Find(kTrainJobs), nullptr);
  EXPECT_NE(objects_.Find(api::kConfigMaps), nullptr);
}

TEST_F(WorkloadTest, EndsTheJobThatItMadeWhenThePolicyTrainsWithAnotherKind) {
  Watch();
  api::JobView job;
  job.meta.key = {"transit", "departures-run"};
  job.meta.uid = "job-uid";
  job.meta.resource_version = "1";
  job.meta.owners.push_back(
      {"perennial.dev/v1alpha1", "RetrainPolicy", "departures", "policy-uid", true});
  jobs_.Upsert(std::make_shared<api::JobView>(job));
  const auto workload = std::exchange(policy_.spec.workload, std::nullopt);
  policy_.spec.job.emplace().job_template.text = "{}";
  RecordKind(policy_.spec, run_);
  Advance(Millis(1000));
  ASSERT_EQ(run_.job_uid, "job-uid");
  policy_.spec.workload = workload;
  policy_.spec.job.reset();
  const RunStep step = Advance(Millis(2000));
  const auto* remove = Find<kube::DeleteObject>(step);
  ASSERT_NE(remove, nullptr) << run_.message;
  EXPECT_EQ(remove->target.resource, api::kJobs);
  EXPECT_EQ(remove->uid, "job-uid");
  EXPECT_EQ(run_.phase, api::RunPhase::kFailed);
  EXPECT_EQ(run_.message,
            "the spec was changed to train with a TrainJob (trainer.kubeflow.org/v1alpha1) while "
            "this run trained with a Job (batch/v1): start another");
}

TEST_F(WorkloadTest, EndsWhatItMadeWhenThePolicyTrainsWithJobs) {
  Watch();
  run_.phase = api::RunPhase::kPending;
  RecordKind(policy_.spec, run_);
  Show(json::object());
  policy_.spec.workload.reset();
  policy_.spec.job.emplace().job_template.text = "{}";
  policy_.status.runs = {run_};
  EXPECT_EQ(NeedsOf(policy_, kinds_), std::set<kube::Resource>{kTrainJobs});
  const api::Run before = run_;
  RunStep step = Advance(Millis(1000));
  const auto* remove = Find<kube::DeleteObject>(step);
  ASSERT_NE(remove, nullptr) << run_.message;
  EXPECT_EQ(remove->target.resource, kTrainJobs);
  EXPECT_EQ(remove->uid, "uid-of-departures-run") << "though status did not know it yet";
  EXPECT_EQ(run_.phase, api::RunPhase::kFailed);
  // The watch is behind: it is waited for.
  run_ = before;
  objects_.Find(kTrainJobs)->store().Remove({"transit", "departures-run"});
  step = Advance(Millis(1000));
  EXPECT_TRUE(step.actions.empty());
  EXPECT_EQ(run_.phase, api::RunPhase::kPending);
  EXPECT_EQ(step.wake_at, kStart + Millis(1000) + kMissingGrace);
  Advance(Millis(1000) + kMissingGrace);
  EXPECT_EQ(run_.phase, api::RunPhase::kFailed);
  // Where the controller has no right on it any more, people are told to.
  run_ = before;
  kinds_.clear();
  step = Advance(Millis(1000));
  EXPECT_EQ(Find<kube::DeleteObject>(step), nullptr);
  EXPECT_NE(run_.message.find("TrainJob departures-run is left"), std::string::npos)
      << run_.message;
}

TEST_F(WorkloadTest, DeletesFinishedObjectsBeyondTheLimit) {
  policy_.spec.job_history_limit = 0;
  policy_.status.handled_triggers = {"drift/e1"};
  run_.phase = api::RunPhase::kFailed;
  Watch();
  Show(kBroken);
  const auto deletes = [](const kube::Plan& plan) {
    int count = 0;
    for (const kube::Action& action : plan.actions) {
      count += std::holds_alternative<kube::DeleteObject>(action);
    }
    return count;
  };
  EXPECT_EQ(deletes(Decide(See(), kStart)), 1);
  // Where status was lost, it is what keeps its trigger from training again.
  policy_.status.handled_triggers.clear();
  EXPECT_EQ(deletes(Decide(See(), kStart)), 0);
  policy_.status.handled_triggers = {"drift/e1"};
  run_.phase = api::RunPhase::kRunning;
  policy_.spec.retries = 5;
  EXPECT_EQ(deletes(Decide(See(), kStart)), 0) << "its run is not over";
  Show(json::object());
  run_.phase = api::RunPhase::kFailed;
  EXPECT_EQ(deletes(Decide(See(), kStart)), 0) << "it is running";
}

TEST_F(WorkloadTest, TellsABadExpressionWithItsColumn) {
  policy_.spec.workload->success = "status.phase = 'Done'";
  Watch();
  run_.phase = api::RunPhase::kFailed;
  const kube::Plan plan = Decide(See(), kStart);
  EXPECT_NE(plan.status->find("spec.workload.success: column 14: expected '==' to compare"),
            std::string::npos)
      << *plan.status;
}

}  // namespace
}  // namespace perennial::retrain
