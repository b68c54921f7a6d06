// What keeps a run from getting on becomes a message, a condition and one event.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/names.h"
#include "retrain/decide.h"
#include "retrain/render.h"
#include "retrain/run.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;
using ::perennial::testing::StatusOf;
using ::perennial::testing::TrainingPolicy;

const WallTime kStart{std::chrono::hours(500'000)};

api::RetrainPolicy Policy() {
  api::RetrainPolicy policy = TrainingPolicy({"transit", "departures"}, "departures");
  policy.meta.created = kStart;
  policy.spec.deadline.value = std::chrono::hours(1);
  policy.spec.retries = 1;
  return policy;
}

api::Run Running() {
  api::Run run;
  run.name = "departures-run";
  run.trigger_type = "Drift";
  run.trigger = "drift/e1";
  run.evidence = "{}";
  run.started = api::Time{kStart};
  run.phase = api::RunPhase::kRunning;
  return run;
}

class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    job_.meta.key = {"transit", "departures-run"};
    job_.meta.uid = "job-uid";
    job_.meta.created = kStart;
    pod_.meta.key = {"transit", "departures-run-x"};
    pod_.meta.created = kStart;
    pod_.job_uid = "job-uid";
    pod_.phase = "Pending";
  }

  RunStep Advance(WallTime now, bool with_job = true, bool with_pod = true) {
    Observed seen;
    seen.policy = std::make_shared<api::RetrainPolicy>(Policy());
    seen.last_error = last_error_;
    if (with_job) seen.jobs = {std::make_shared<api::JobView>(job_)};
    if (with_pod) seen.pods = {std::make_shared<api::PodView>(pod_)};
    RunStep step = AdvanceRun(seen, run_, now);
    run_ = step.run;
    return step;
  }

  static std::string WarningOf(const RunStep& step) {
    for (const kube::Action& action : step.actions) {
      const auto* event = std::get_if<kube::EmitEvent>(&action);
      if (event != nullptr && event->type == kube::EmitEvent::Type::kWarning) return event->reason;
    }
    return "";
  }
  static bool Creates(const RunStep& step) {
    return std::any_of(step.actions.begin(), step.actions.end(), [](const kube::Action& action) {
      return std::holds_alternative<kube::CreateObject>(action);
    });
  }

  api::Run run_ = Running();
  api::JobView job_;
  api::PodView pod_;
  std::string last_error_;
};

TEST_F(RunTest, TellsAnImageThatCannotBePulledOnce) {
  pod_.waiting_reason = "ErrImagePull";
  pod_.waiting_message = "no such image trainer:1";
  RunStep step = Advance(kStart + Seconds(5));
  EXPECT_TRUE(step.hindered);
  EXPECT_EQ(WarningOf(step), "RunHindered");
  EXPECT_NE(step.run.message.find("no such image"), std::string::npos);
  const std::string told = step.run.message;
  // The kubelet alternates between two reasons; status must not.
  pod_.waiting_reason = "ImagePullBackOff";
  pod_.waiting_message = "Back-off pulling image";
  step = Advance(kStart + Seconds(20));
  EXPECT_TRUE(step.hindered);
  EXPECT_EQ(step.run.message, told);
  EXPECT_EQ(WarningOf(step), "");
}

TEST_F(RunTest, TellsAPodThatDoesNotStartAfterAWhile) {
  pod_.waiting_reason = "ContainerCreating";  // as long as a Secret of its volumes is missing
  RunStep step = Advance(kStart + Seconds(30));
  EXPECT_FALSE(step.hindered);
  EXPECT_EQ(step.wake_at, kStart + kStartGrace);
  step = Advance(kStart + kStartGrace);
  EXPECT_TRUE(step.hindered);
  EXPECT_EQ(WarningOf(step), "RunHindered");
  EXPECT_NE(step.run.message.find("Secret"), std::string::npos);
}

TEST_F(RunTest, TellsAJobWithoutAPodAfterAWhile) {
  EXPECT_FALSE(Advance(kStart + Seconds(30), true, false).hindered);
  const RunStep step = Advance(kStart + kStartGrace, true, false);
  EXPECT_TRUE(step.hindered);
  EXPECT_EQ(WarningOf(step), "RunHindered");
  EXPECT_NE(step.run.message.find("quota"), std::string::npos);
}

TEST_F(RunTest, AJobThatAQueueKeepsIsNoHindrance) {
  job_.suspended = true;
  const WallTime admitted = kStart + std::chrono::minutes(30);
  RunStep step = Advance(admitted, true, false);
  EXPECT_FALSE(step.hindered);
  EXPECT_TRUE(step.actions.empty());
  EXPECT_NE(step.run.message.find("is suspended until its queue"), std::string::npos);
  // Its pods are to come from then on, and not since it was made.
  job_.suspended = false;
  job_.started = admitted;
  step = Advance(admitted + Seconds(1), true, false);
  EXPECT_FALSE(step.hindered);
  EXPECT_NE(step.run.message.find("is running"), std::string::npos);
  EXPECT_EQ(step.wake_at, admitted + kStartGrace);
  EXPECT_TRUE(Advance(admitted + kStartGrace, true, false).hindered);
}

TEST_F(RunTest, SaysNothingOfAPodThatRuns) {
  pod_.phase = "Running";
  const RunStep step = Advance(kStart + std::chrono::minutes(30));
  EXPECT_FALSE(step.hindered);
  EXPECT_TRUE(step.actions.empty());
}

TEST_F(RunTest, TellsARefusedJobInAPlanOfItsOwnAndThenTriesAgain) {
  run_.phase = api::RunPhase::kPending;
  EXPECT_TRUE(Creates(Advance(kStart, false, false)));
  last_error_ = "exceeded quota";
  RunStep step = Advance(kStart + Seconds(1), false, false);
  EXPECT_FALSE(Creates(step)) << "the plan would end there and never tell";
  EXPECT_EQ(WarningOf(step), "CreateRefused");
  EXPECT_NE(step.run.message.find("exceeded quota"), std::string::npos);
  step = Advance(kStart + Seconds(2), false, false);
  EXPECT_TRUE(Creates(step));
  EXPECT_NE(step.run.message.find("exceeded quota"), std::string::npos);
}

TEST_F(RunTest, MakesAJobAgainOnlyIfItIsNotSeenForAWhile) {
  run_.phase = api::RunPhase::kPending;
  RunStep step = Advance(kStart + Seconds(1), false, false);
  ASSERT_TRUE(Creates(step));
  const api::Run made = step.run;
  // The watch of policies is ahead of that of Jobs: nothing to do, and nothing to write.
  step = Advance(kStart + Seconds(2), false, false);
  EXPECT_FALSE(Creates(step));
  EXPECT_EQ(step.run, made);
  EXPECT_EQ(step.wake_at, kStart + kShowGrace);
  EXPECT_EQ(Advance(kStart + Seconds(3)).run.phase, api::RunPhase::kRunning);
  run_ = made;
  EXPECT_TRUE(Creates(Advance(kStart + kShowGrace, false, false))) << "somebody deleted it at once";
}

TEST_F(RunTest, GivesUpOnAVersionThatIsRefusedWhenTheDeadlineIsOver) {
  job_.state = api::JobState::kSucceeded;
  job_.finished = kStart + Seconds(10);
  pod_.terminated = true;
  pod_.termination_message =
      R"({"schemaVersion":1,"artifact":{"uri":"http://store/m","digest":"sha256:)"
      R"(0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},"metrics":[{"name":"mae","value":3.1,"samples":100}]})";
  last_error_ = "metadata.labels: invalid";
  RunStep step = Advance(kStart + Seconds(20));
  EXPECT_EQ(step.run.phase, api::RunPhase::kRunning);
  EXPECT_EQ(WarningOf(step), "CreateRefused");
  step = Advance(kStart + std::chrono::hours(1));
  EXPECT_EQ(step.run.phase, api::RunPhase::kFailed);
  EXPECT_NE(step.run.message.find("metadata.labels: invalid"), std::string::npos);
}

TEST_F(RunTest, WaitsFromTheEndOfAFailedJobEvenIfItsPodIsGone) {
  job_.state = api::JobState::kFailed;
  job_.finished = kStart + Seconds(60);
  const RunStep waiting = Advance(kStart + Seconds(65), true, false);
  EXPECT_EQ(waiting.wake_at, kStart + Seconds(70));
  EXPECT_EQ(Advance(kStart + Seconds(70), true, false).run.attempt, 1);
}

TEST_F(RunTest, GivesUpOnAnImageThatCannotBePulled) {
  pod_.waiting_reason = "ImagePullBackOff";
  const Millis patience = Policy().spec.backoff.image_pull.value;
  EXPECT_EQ(Advance(kStart).wake_at, kStart + patience);
  const RunStep waiting = Advance(kStart + patience - Millis(1));
  EXPECT_EQ(waiting.run.phase, api::RunPhase::kRunning);
  EXPECT_EQ(waiting.wake_at, kStart + patience);
  const RunStep step = Advance(kStart + patience);
  EXPECT_EQ(step.run.phase, api::RunPhase::kFailed);
  ASSERT_FALSE(step.actions.empty());
  EXPECT_TRUE(std::holds_alternative<kube::DeleteObject>(step.actions.front()));
}

// The autoscaler takes its time to bring a node; a sidecar's image is pulled again after hours.
TEST_F(RunTest, CountsOnlyTheTimeInWhichThePullFails) {
  const std::chrono::minutes late{20};
  const Millis patience = Policy().spec.backoff.image_pull.value;
  EXPECT_TRUE(Advance(kStart + late - Seconds(1)).hindered);
  pod_.waiting_reason = "ErrImagePull";
  RunStep step = Advance(kStart + late);
  EXPECT_EQ(step.run.phase, api::RunPhase::kRunning) << step.run.message;
  EXPECT_EQ(WarningOf(step), "RunHindered");
  EXPECT_EQ(step.actions.size(), 1u) << "nothing is deleted";
  EXPECT_EQ(step.wake_at, kStart + late + patience);
  // The kubelet's next try is no other failure, and nothing to write.
  const api::Run told = step.run;
  pod_.waiting_reason = "ImagePullBackOff";
  EXPECT_EQ(Advance(kStart + late + Seconds(10)).run, told);
  // It got the image once, so the wait begins anew.
  pod_.waiting_reason = "";
  pod_.phase = "Running";
  Advance(kStart + late + Seconds(20));
  pod_.waiting_reason = "ErrImagePull";
  step = Advance(kStart + late + Seconds(30));
  EXPECT_EQ(step.wake_at, kStart + late + Seconds(30) + patience);
  EXPECT_EQ(Advance(kStart + late + Seconds(30) + patience).run.phase, api::RunPhase::kFailed);
}

json RenderedSpec(const std::string& job_template) {
  api::RetrainPolicy policy = Policy();
  policy.spec.job->job_template.text = job_template;
  Observed seen;
  seen.policy = std::make_shared<api::RetrainPolicy>(policy);
  return json::parse(*RenderJob(seen, Running(), kStart))["spec"];
}

// What counts as a failure is for us to tell, and what ended must not go before that is recorded.
TEST(RunJob, OutlivesItsEndAndIgnoresEvictions) {
  json spec = RenderedSpec(R"({"spec":{"ttlSecondsAfterFinished":1,
    "template":{"spec":{"containers":[{"name":"train","image":"t"}]}}}})");
  EXPECT_FALSE(spec.contains("ttlSecondsAfterFinished"));
  const json& rule = spec["podFailurePolicy"]["rules"][0];
  EXPECT_EQ(rule["action"], "Ignore");
  EXPECT_EQ(rule["onPodConditions"][0]["type"], "DisruptionTarget");
  // The API server takes such a policy with restartPolicy Never only.
  spec = RenderedSpec(R"({"spec":{"template":{"spec":{"restartPolicy":"OnFailure",
    "containers":[{"name":"train","image":"t"}]}}}})");
  EXPECT_FALSE(spec.contains("podFailurePolicy"));
}

TEST(RunVersion, BelongsToTheDeploymentAndNotToThePolicy) {
  Observed seen;
  seen.policy = std::make_shared<api::RetrainPolicy>(Policy());
  api::ModelDeployment deployment;
  deployment.meta.key = {"transit", "departures"};
  deployment.meta.uid = "deployment-uid";
  seen.deployment = std::make_shared<api::ModelDeployment>(deployment);
  const json version = json::parse(RenderVersion(seen, Running(), {}));
  const json& owners = version["metadata"]["ownerReferences"];
  ASSERT_EQ(owners.size(), 1u);
  EXPECT_EQ(owners[0]["kind"], "ModelDeployment");
  EXPECT_EQ(owners[0]["uid"], "deployment-uid");
  seen.deployment = nullptr;
  const json orphan = json::parse(RenderVersion(seen, Running(), {}));
  EXPECT_FALSE(orphan["metadata"].contains("ownerReferences"));
}

api::RetrainPolicyStatus StatusAfter(const api::RetrainPolicy& policy, WallTime now) {
  Observed seen;
  seen.policy = std::make_shared<api::RetrainPolicy>(policy);
  seen.deployment = std::make_shared<api::ModelDeployment>();
  const kube::Plan plan = Decide(seen, now);
  return plan.status ? StatusOf(*plan.status) : policy.status;
}

// The annotation of a run by hand stays on the object for good.
TEST(RunIdentity, IsNotForgottenWhileItsTriggerHolds) {
  api::RetrainPolicy policy = Policy();
  policy.meta.annotations[std::string(api::kAnnotationRetrain)] = "please";
  api::Trigger trigger;
  trigger.schedule = api::ScheduleTrigger{"0 * * * *", "UTC"};
  policy.spec.triggers = {trigger};
  policy.spec.history_limit = 2;
  WallTime now = kStart;
  for (int i = 0; i < 80; ++i) {
    policy.status = StatusAfter(policy, now);
    for (api::Run& run : policy.status.runs) {
      run.phase = api::RunPhase::kFailed;
      run.finished = api::Time{now};
    }
    now += std::chrono::hours(1);
  }
  const auto& handled = policy.status.handled_triggers;
  EXPECT_EQ(std::count(handled.begin(), handled.end(), "manual/please"), 1);
  EXPECT_LE(handled.size(), 51u);
  for (const api::Run& run : policy.status.runs) EXPECT_EQ(run.trigger_type, "Schedule");
}

// A policy that seldom leads its group has many triggers between two Jobs of its own.
TEST(RunHistory, EndsForJobsWhoseTriggersAreForgotten) {
  Observed seen;
  for (const char* name : {"a", "b", "c"}) {
    auto job = std::make_shared<api::JobView>();
    job->meta.key = {"transit", name};
    job->meta.uid = name;
    job->meta.created = kStart + Seconds(*name);
    job->meta.annotations[std::string(kTriggerAnnotation)] = std::string("drift/") + name;
    job->state = api::JobState::kSucceeded;
    seen.jobs.push_back(job);
  }
  const auto deleted = [&](int handled, const char* fires) {
    api::RetrainPolicy policy = Policy();
    policy.spec.job_history_limit = 2;
    policy.spec.triggers.emplace_back().drift = api::DriftTrigger{"m", {}};
    for (int i = 0; i < handled; ++i) {
      policy.status.handled_triggers.push_back("drift/of-the-group-" + std::to_string(i));
    }
    auto monitor = std::make_shared<api::DriftMonitor>();
    monitor->meta.key = {"transit", "m"};
    monitor->status.episode.emplace().id = fires;
    monitor->status.episode->signals = {"s"};
    seen.monitors = {monitor};
    seen.policy = std::make_shared<api::RetrainPolicy>(policy);
    std::vector<std::string> out;
    for (const kube::Action& action : Decide(seen, kStart).actions) {
      const auto* gone = std::get_if<kube::DeleteObject>(&action);
      if (gone != nullptr) out.push_back(gone->uid);
    }
    return out;
  };
  EXPECT_EQ(deleted(50, "other"), std::vector<std::string>{"a"});
  EXPECT_EQ(deleted(50, "a"), std::vector<std::string>{}) << "its trigger would make it again";
  EXPECT_EQ(deleted(49, "other"), std::vector<std::string>{}) << "nothing was forgotten";
  EXPECT_EQ(deleted(0, "other"), std::vector<std::string>{}) << "status may have been lost";
}

// What a training is told of the last success must not depend on how many runs status keeps.
TEST(RunData, IsNewSinceTheLastSuccessThoughFailedRunsPushedItOut) {
  api::RetrainPolicy policy = Policy();
  policy.spec.history_limit = 1;
  WallTime now = kStart;
  const auto run = [&](const char* token, api::RunPhase end) {
    now += std::chrono::hours(1);
    policy.meta.annotations[std::string(api::kAnnotationRetrain)] = token;
    policy.status = StatusAfter(policy, now);
    const api::Run begun = policy.status.runs.at(0);
    policy.status.runs[0].phase = end;
    policy.status.runs[0].finished = api::Time{now};
    policy.status = StatusAfter(policy, now);
    EXPECT_EQ(policy.status.runs.size(), 1u);
    return begun;
  };
  const api::Run success = run("1", api::RunPhase::kSucceeded);
  EXPECT_FALSE(success.data_since.has_value());
  for (const char* token : {"2", "3", "4"}) {
    EXPECT_EQ(run(token, api::RunPhase::kFailed).data_since, success.started) << token;
  }
}

TEST(RunData, IsNewSinceTheLastSuccessForTheSameModel) {
  api::RetrainPolicy policy = Policy();
  api::Run run = Running();
  run.model_deployment = "departures";
  run.phase = api::RunPhase::kSucceeded;
  run.finished = api::Time{kStart};
  policy.status.runs = {run};
  policy.meta.annotations[std::string(api::kAnnotationRetrain)] = "please";
  EXPECT_EQ(StatusAfter(policy, kStart + Seconds(1)).runs.at(0).data_since, run.started);
  policy.spec.model_deployment = "other";
  const api::Run other = StatusAfter(policy, kStart + Seconds(1)).runs.at(0);
  EXPECT_EQ(other.model_deployment, "other");
  EXPECT_FALSE(other.data_since.has_value());
}

TEST(RunCondition, SaysHowTheLastRunEnded) {
  api::RetrainPolicy policy = Policy();
  api::Run run = Running();
  run.phase = api::RunPhase::kFailed;
  run.finished = api::Time{kStart};
  run.message = "result of pod p is unusable";
  policy.status.runs = {run};
  const api::RetrainPolicyStatus status = StatusAfter(policy, kStart + Seconds(1));
  const kube::Condition* retraining = kube::FindCondition(status.conditions, "Retraining");
  ASSERT_NE(retraining, nullptr);
  EXPECT_EQ(retraining->status, "False");
  EXPECT_EQ(retraining->reason, "RunFailed");
  EXPECT_EQ(retraining->message, run.message);
}

}  // namespace
}  // namespace perennial::retrain
