// A run from its trigger to its ModelVersion, with a tiny simulated cluster that carries plans out.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/names.h"
#include "retrain/decide.h"
#include "retrain/render.h"
#include "retrain/run.h"
#include "retrain/trigger.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;

constexpr const char* kResult =
    R"({"schemaVersion":1,"artifact":{"uri":"http://store/m","digest":"sha256:)"
    R"(0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},)"
    R"("metrics":[{"name":"mae","value":3.1,"samples":100}]})";

class World {
 public:
  World() {
    policy_.meta.generation = 1;
    policy_.meta.created = now;
    policy_.spec.triggers.emplace_back().drift = api::DriftTrigger{"departures", {"distance"}};
    policy_.spec.deadline.value = std::chrono::hours(1);
    policy_.spec.retries = 1;
    monitor_.meta.key = {"transit", "departures"};
    monitor_.spec.signals.emplace_back().name = "distance";
    deployment_.meta.key = {"transit", "departures"};
    deployment_.status.champion = "departures-v1";
  }

  api::RetrainPolicy& policy() { return policy_; }

  void Drift(const char* episode) {
    monitor_.status.episode = api::Episode{episode, api::Time{now}, "departures-v1", {"distance"}};
  }
  void Worsen(api::Severity severity) { monitor_.status.episode->severity = severity; }
  void Calm() { monitor_.status.episode.reset(); }
  void LoseStatus() { policy_.status = {}; }

  Observed See() const {
    Observed seen;
    seen.policy = std::make_shared<api::RetrainPolicy>(policy_);
    seen.deployment = std::make_shared<api::ModelDeployment>(deployment_);
    seen.monitors = {std::make_shared<api::DriftMonitor>(monitor_)};
    for (const auto& version : versions) {
      seen.versions.push_back(std::make_shared<api::ModelVersion>(version));
    }
    for (const auto& job : jobs) seen.jobs.push_back(std::make_shared<api::JobView>(job));
    for (const auto& pod : pods) seen.pods.push_back(std::make_shared<api::PodView>(pod));
    return seen;
  }

  // Decides and carries out; `crash_after` actions are done before the controller dies.
  kube::Plan Step(size_t crash_after = 1000) {
    const kube::Plan plan = Decide(See(), now);
    size_t done = 0;
    for (const kube::Action& action : plan.actions) {
      if (done++ == crash_after) return plan;
      if (const auto* create = std::get_if<kube::CreateObject>(&action)) Create(*create);
      if (const auto* gone = std::get_if<kube::DeleteObject>(&action)) {
        std::erase_if(jobs, [&](const auto& job) { return job.meta.uid == gone->uid; });
      }
    }
    if (plan.status && done++ < crash_after) {
      policy_.status = ::perennial::testing::StatusOf(*plan.status);
    }
    return plan;
  }

  void FinishJob(api::JobState state, const char* message, int exit_code) {
    jobs.back().state = state;
    jobs.back().finished = now;
    api::PodView pod;
    pod.meta.key = {"transit", jobs.back().meta.key.name + "-pod"};
    pod.job_uid = jobs.back().meta.uid;
    pod.terminated = true;
    pod.exit_code = exit_code;
    pod.termination_reason = exit_code == 0 ? "Completed" : "Error";
    pod.termination_message = message;
    pod.finished = now;
    pods.push_back(pod);
  }

  WallTime now{std::chrono::hours(500'000)};
  std::vector<api::JobView> jobs;
  std::vector<api::PodView> pods;
  std::vector<api::ModelVersion> versions;
  int jobs_created = 0;
  int versions_created = 0;

 private:
  void Create(const kube::CreateObject& create) {
    const json body = json::parse(create.body);
    if (create.target.resource == api::kJobs) {
      for (const auto& job : jobs) {
        if (job.meta.key == create.target.key) return;
      }
      ++jobs_created;
      api::JobView job;
      job.meta.key = create.target.key;
      job.meta.uid = "job-" + std::to_string(jobs_created);
      job.meta.labels[std::string(api::kLabelDeployment)] =
          body["metadata"]["labels"][std::string(api::kLabelDeployment)];
      jobs.push_back(job);
    } else {
      for (const auto& version : versions) {
        if (version.meta.key == create.target.key) return;
      }
      ++versions_created;
      json object = body;
      object["metadata"]["uid"] = "version-" + std::to_string(versions_created);
      versions.push_back(*api::DecodeModelVersion(object));
    }
  }

  api::RetrainPolicy policy_ =
      ::perennial::testing::TrainingPolicy({"transit", "departures"}, "departures");
  api::DriftMonitor monitor_;
  api::ModelDeployment deployment_;
};

TEST(Retrain, LetsADriftOfTooLittleSeverityStartNothing) {
  World world;
  world.policy().spec.triggers[0].drift->min_severity = api::Severity::kCritical;
  world.Drift("e1");
  world.Step();
  EXPECT_TRUE(world.policy().status.runs.empty());
  world.Worsen(api::Severity::kCritical);
  world.Step();
  ASSERT_EQ(world.policy().status.runs.size(), 1u);
  EXPECT_NE(world.policy().status.runs[0].evidence.find(R"("severity":"Critical")"),
            std::string::npos);
}

TEST(Retrain, RecordsTheRunBeforeItMakesTheJob) {
  World world;
  world.Drift("e1");
  const kube::Plan first = world.Step();
  EXPECT_EQ(world.jobs_created, 0);
  ASSERT_EQ(world.policy().status.runs.size(), 1u);
  EXPECT_EQ(world.policy().status.runs[0].parent, "departures-v1");
  world.Step();
  EXPECT_EQ(world.jobs_created, 1);
  EXPECT_EQ(world.jobs[0].meta.key.name, world.policy().status.runs[0].name);
}

TEST(Retrain, MakesOneVersionOfASuccessfulRun) {
  World world;
  world.Drift("e1");
  world.Step();
  world.Step();
  world.FinishJob(api::JobState::kSucceeded, kResult, 0);
  for (int i = 0; i < 5; ++i) world.Step();
  ASSERT_EQ(world.versions.size(), 1u);
  EXPECT_EQ(world.versions[0].spec.origin.trigger, "drift/e1");
  EXPECT_EQ(world.versions[0].spec.parent, "departures-v1");
  EXPECT_EQ(world.versions[0].spec.origin.job_uid, "job-1");
  EXPECT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kSucceeded);
  EXPECT_EQ(world.policy().status.runs[0].model_version, world.versions[0].meta.key.name);
}

TEST(Retrain, StartsNothingTwiceWhateverIsLost) {
  // Each prefix of each plan is tried: the controller dies after `crash` effects of plan `at`.
  for (int at = 0; at < 6; ++at) {
    for (size_t crash = 0; crash < 3; ++crash) {
      for (const bool lose_status : {false, true}) {
        SCOPED_TRACE("plan " + std::to_string(at) + ", effect " + std::to_string(crash));
        World world;
        world.Drift("e1");
        for (int i = 0; i < 12; ++i) {
          world.Step(i == at ? crash : 1000);
          if (i == at && lose_status) world.LoseStatus();
          if (!world.jobs.empty() && world.jobs.back().state == api::JobState::kRunning && i > 2) {
            world.FinishJob(api::JobState::kSucceeded, kResult, 0);
          }
          world.now += Seconds(5);
        }
        EXPECT_EQ(world.jobs_created, 1);
        EXPECT_EQ(world.versions_created, 1);
      }
    }
  }
}

TEST(Retrain, WritesNothingOnceConverged) {
  World world;
  world.Drift("e1");
  world.Step();
  world.Step();
  world.FinishJob(api::JobState::kSucceeded, kResult, 0);
  for (int i = 0; i < 4; ++i) world.Step();
  const kube::Plan plan = world.Step();
  EXPECT_TRUE(plan.actions.empty());
  EXPECT_FALSE(plan.status.has_value());
}

TEST(Retrain, FailsClearlyOnAResultThatIsNotJson) {
  World world;
  world.Drift("e1");
  world.Step();
  world.Step();
  world.FinishJob(api::JobState::kSucceeded, "all good!", 0);
  world.Step();
  EXPECT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kFailed);
  EXPECT_NE(world.policy().status.runs[0].message.find("unusable"), std::string::npos);
  EXPECT_EQ(world.versions_created, 0);
}

TEST(Retrain, TriesAFailedJobAgainAfterABackoffAndThenGivesUp) {
  World world;
  world.Drift("e1");
  world.Step();
  world.Step();
  world.FinishJob(api::JobState::kFailed, "out of disk", 1);
  world.Step();
  world.Step();
  EXPECT_EQ(world.jobs_created, 1) << "the back-off is over only after 10 s";
  world.now += Seconds(11);
  world.Step();
  world.Step();
  EXPECT_EQ(world.jobs_created, 2);
  world.FinishJob(api::JobState::kFailed, "out of disk", 1);
  world.Step();
  EXPECT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kFailed);
  EXPECT_NE(world.policy().status.runs[0].message.find("out of disk"), std::string::npos);
  world.now += std::chrono::hours(5);
  for (int i = 0; i < 3; ++i) world.Step();
  EXPECT_EQ(world.jobs_created, 2) << "the same episode starts no second run";
}

TEST(Retrain, EndsAJobThatNeverEnds) {
  World world;
  world.Drift("e1");
  world.Step();
  world.Step();
  world.now += std::chrono::hours(2);
  world.Step();
  EXPECT_TRUE(world.jobs.empty());
  EXPECT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kFailed);
}

TEST(Retrain, WaitsForTheCooldownButNotByHand) {
  World world;
  world.policy().spec.cooldown.value = std::chrono::hours(12);
  world.Drift("e1");
  world.Step();
  world.Step();
  world.FinishJob(api::JobState::kFailed, "", 1);
  world.policy().spec.retries = 0;
  world.Step();
  world.Drift("e2");
  const kube::Plan waiting = world.Step();
  EXPECT_EQ(world.policy().status.runs.size(), 1u);
  EXPECT_EQ(waiting.wake_at,
            world.policy().status.runs[0].finished->value + std::chrono::hours(12));
  world.policy().meta.annotations["perennial.dev/retrain"] = "please";
  world.Step();
  ASSERT_EQ(world.policy().status.runs.size(), 2u);
  EXPECT_EQ(world.policy().status.runs[0].trigger_type, "Manual");
}

TEST(Retrain, RunsOnceForManyMissedSchedules) {
  World world;
  api::Trigger trigger;
  trigger.schedule = api::ScheduleTrigger{"0 * * * *", "UTC"};
  world.policy().spec.triggers = {trigger};
  world.Step();
  EXPECT_TRUE(world.policy().status.runs.empty());
  world.now += std::chrono::hours(7) + std::chrono::minutes(1);
  world.Step();
  ASSERT_EQ(world.policy().status.runs.size(), 1u);
  world.Step();
  world.FinishJob(api::JobState::kSucceeded, kResult, 0);
  for (int i = 0; i < 4; ++i) world.Step();
  EXPECT_EQ(world.policy().status.runs.size(), 1u);
  EXPECT_EQ(world.versions_created, 1);
}

TEST(Retrain, KeepsAMissedScheduleThroughALongCooldown) {
  World world;
  api::Trigger trigger;
  trigger.schedule = api::ScheduleTrigger{"0 0 1 * *", "UTC"};
  world.policy().spec.triggers = {trigger};
  world.policy().spec.cooldown.value = std::chrono::hours(24 * 20);
  world.policy().meta.annotations["perennial.dev/retrain"] = "by-hand";
  world.now = *ParseTime("2026-10-20T00:00:00Z");
  world.policy().meta.created = world.now;
  world.Step();
  world.Step();
  world.FinishJob(api::JobState::kSucceeded, kResult, 0);
  for (int i = 0; i < 4; ++i) world.Step();
  ASSERT_EQ(world.policy().status.runs.size(), 1u);
  // The first of November fell into the cooldown, which ends on the ninth.
  world.now = *ParseTime("2026-11-10T12:00:00Z");
  world.Step();
  ASSERT_EQ(world.policy().status.runs.size(), 2u);
  EXPECT_EQ(world.policy().status.runs[0].trigger, "schedule/2026-11-01T00:00:00Z");
}

TEST(Retrain, TellsOneLongTokenFromAnotherAndRunsEachOnce) {
  World world;
  const std::string base(5000, 'x');
  for (const char* end : {"1", "2"}) {
    world.policy().meta.annotations["perennial.dev/retrain"] = base + end;
    world.Step();
    world.Step();
    world.FinishJob(api::JobState::kFailed, "", 1);
    world.policy().spec.retries = 0;
    for (int i = 0; i < 4; ++i) world.Step();
  }
  EXPECT_EQ(world.jobs_created, 2);
  EXPECT_EQ(world.policy().status.runs.size(), 2u);
}

TEST(Retrain, FailsARunWhoseTemplateIsNoJobTemplate) {
  for (const char* text :
       {R"({"spec":3})", R"({"spec":{"template":{"spec":{"containers":{}}}}})",
        R"({"spec":{"template":{"spec":{"containers":[]}}}})",
        R"({"spec":{"template":{"spec":{"containers":[3]}}}})",
        R"({"spec":{"template":{"spec":{"containers":[{"env":"x"}]}}}})",
        R"({"spec":{"template":{"spec":{"containers":[{"env":[3]}]}}}})",
        R"({"spec":{"template":{"spec":{"containers":[{"env":[{"name":3}]}]}}}})",
        R"({"spec":{"template":{"metadata":{"labels":3},"spec":{"containers":[{}]}}}})",
        R"({"metadata":{"labels":[]},"spec":{"template":{"spec":{"containers":[{}]}}}})",
        R"({"metadata":{"annotations":"x"},"spec":{"template":{"spec":{"containers":[{}]}}}})"}) {
    SCOPED_TRACE(text);
    World world;
    world.policy().spec.job.emplace().job_template.text = text;
    world.Drift("e1");
    for (int i = 0; i < 3; ++i) world.Step();
    ASSERT_EQ(world.policy().status.runs.size(), 1u);
    EXPECT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kFailed);
    EXPECT_NE(world.policy().status.runs[0].message.find("JobTemplateSpec"), std::string::npos);
    EXPECT_EQ(world.jobs_created, 0);
  }
}

TEST(Retrain, StartsNothingUnderANameThatNoLabelHolds) {
  World world;
  world.policy().meta.key.name = "departures.weekly";
  world.Drift("e1");
  for (int i = 0; i < 3; ++i) world.Step();
  EXPECT_TRUE(world.policy().status.runs.empty());
  const kube::Condition* ready = kube::FindCondition(world.policy().status.conditions, "Ready");
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(ready->reason, "InvalidName");
}

TEST(Retrain, TakesNobodyElsesVersionForItsResult) {
  World world;
  world.Drift("e1");
  world.Step();
  world.Step();
  api::ModelVersion other;
  other.meta.key = {"transit", VersionName(world.policy(), world.policy().status.runs[0])};
  other.spec.model_deployment = "departures";
  world.versions.push_back(other);
  world.FinishJob(api::JobState::kSucceeded, kResult, 0);
  for (int i = 0; i < 3; ++i) world.Step();
  EXPECT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kFailed);
  EXPECT_NE(world.policy().status.runs[0].message.find("not made by this run"), std::string::npos);
}

TEST(Retrain, WritesAMessageOnceWhereverItIsCut) {
  for (const char* pad : {"", "a", "ab", "abc"}) {
    World world;
    world.Drift("e1");
    world.Step();
    world.Step();
    std::string message = pad;
    for (int i = 0; i < 600; ++i) message += "\U0001f68c";
    world.FinishJob(api::JobState::kFailed, message.c_str(), 1);
    world.Step();
    EXPECT_NE(world.policy().status.runs[0].message.find("next attempt at"), std::string::npos);
    EXPECT_FALSE(world.Step().status.has_value()) << "the same look again writes nothing";
  }
}

TEST(Retrain, GivesTheTrainingContainerItsCauseAndRefusesToBeOverruled) {
  World world;
  world.policy().spec.job.emplace().job_template.text =
      R"({"spec":{"template":{"spec":{"containers":[{"name":"train","image":"t","env":)"
      R"([{"name":"PERENNIAL_RUN","value":"forged"},{"name":"MINE","value":"1"}]}]}}}})";
  world.Drift("e1");
  world.Step();
  const kube::Plan plan = Decide(world.See(), world.now);
  const auto* create = std::get_if<kube::CreateObject>(&plan.actions.at(0));
  ASSERT_NE(create, nullptr);
  const json job = json::parse(create->body);
  std::map<std::string, std::string> env;
  for (const json& entry : job["spec"]["template"]["spec"]["containers"][0]["env"]) {
    EXPECT_TRUE(env.emplace(entry["name"], entry["value"]).second) << "name given twice";
  }
  EXPECT_EQ(env["PERENNIAL_RUN"], world.policy().status.runs[0].name);
  EXPECT_EQ(env["MINE"], "1");
  EXPECT_EQ(json::parse(env["PERENNIAL_TRIGGER"])["type"], "Drift");
  EXPECT_EQ(job["metadata"]["ownerReferences"][0]["uid"], "uid-departures");
}

// Of a policy that was stored before its rule was there.
TEST(Retrain, StartsNothingWithASpecThatBreaksARule) {
  World world;
  world.policy().spec.result.path = "a";
  world.Drift("e1");
  world.Step();
  EXPECT_TRUE(world.policy().status.runs.empty());
  const kube::Condition* stalled = kube::FindCondition(world.policy().status.conditions, "Stalled");
  ASSERT_NE(stalled, nullptr);
  EXPECT_EQ(stalled->reason, "InvalidSpec");
  EXPECT_NE(stalled->message.find("spec.result"), std::string::npos) << stalled->message;
}

TEST(Retrain, TakesNoResultForAModelThatThePolicyTrainsNoMore) {
  for (const bool ended : {false, true}) {
    World world;
    world.Drift("e1");
    world.Step();
    world.Step();
    world.Step();
    ASSERT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kRunning);
    world.policy().spec.model_deployment = "other";
    if (ended) world.FinishJob(api::JobState::kSucceeded, kResult, 0);
    for (int i = 0; i < 3; ++i) world.Step();
    EXPECT_EQ(world.versions_created, 0);
    EXPECT_EQ(world.jobs.size(), ended ? 1u : 0u) << "what ended keeps its logs";
    EXPECT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kFailed);
    EXPECT_EQ(world.policy().status.runs[0].message,
              "spec.modelDeployment was changed from departures to other while this run trained "
              "for departures: start another");
    world.policy().meta.annotations["perennial.dev/retrain"] = "another";
    world.Step();
    EXPECT_EQ(world.policy().status.runs[0].model_deployment, "other");
  }
}

// The Job was made, and the controller died before it wrote that down.
TEST(Retrain, EndsAJobOfAnotherModelThatStatusDoesNotKnow) {
  for (const bool lose_status : {false, true}) {
    World world;
    world.Drift("e1");
    world.Step();
    world.Step(1);
    ASSERT_EQ(world.jobs.size(), 1u);
    ASSERT_EQ(world.policy().status.runs[0].job_uid, "");
    if (lose_status) world.LoseStatus();
    world.policy().spec.model_deployment = "other";
    for (int i = 0; i < 3; ++i) world.Step();
    EXPECT_TRUE(world.jobs.empty());
    ASSERT_EQ(world.policy().status.runs.size(), 1u);
    EXPECT_EQ(world.policy().status.runs[0].phase, api::RunPhase::kFailed);
    EXPECT_EQ(world.jobs_created, 1);
  }
}

TEST(Retrain, SaysWhatIsMissing) {
  World world;
  Observed seen = world.See();
  seen.deployment = nullptr;
  const kube::Plan plan = Decide(seen, world.now);
  ASSERT_TRUE(plan.status.has_value());
  EXPECT_NE(plan.status->find("ModelDeploymentNotFound"), std::string::npos);
}

}  // namespace
}  // namespace perennial::retrain
