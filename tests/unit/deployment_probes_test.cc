// How looks add up, and verdicts that are not a metric's: of a DriftMonitor, of a Job.
#include <gtest/gtest.h>

#include "deployment/probes.h"
#include "deployment/seal.h"
#include "deployment/tally.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using api::Verdict;
using nlohmann::json;
using std::chrono::minutes;

constexpr Verdict kP = Verdict::kPass;
constexpr Verdict kF = Verdict::kFail;
constexpr Verdict kI = Verdict::kInconclusive;
constexpr Verdict kN = Verdict::kNoData;

Limits With(int count, int failure = 2, int inconclusive = 1, bool dry_run = false) {
  return {Seconds(30), count, failure, inconclusive, dry_run};
}

// The outcome after looks with these verdicts, one an interval.
Outcome After(const Limits& limits, const std::vector<Verdict>& verdicts) {
  std::optional<api::CheckStatus> record;
  WallTime now{std::chrono::hours(500'000)};
  for (const Verdict verdict : verdicts) {
    api::CheckStatus look;
    look.verdict = verdict;
    if (!record || !Ended(limits, *record)) {
      record = Tally(limits, record ? &*record : nullptr, look, now);
    }
    now += Seconds(30);
  }
  return OutcomeOf(limits, *record);
}

TEST(Tally, AddsLooksUp) {
  const struct {
    const char* name;
    Limits limits;
    std::vector<Verdict> looks;
    Outcome outcome;
  } kCases[] = {
      {"one good look", With(0), {kP}, Outcome::kGood},
      {"one failure of two", With(0), {kF}, Outcome::kFailing},
      {"two in a row", With(0), {kF, kF}, Outcome::kFailed},
      {"not in a row", With(0), {kF, kP, kF}, Outcome::kFailing},
      {"silence between them", With(0), {kF, kN, kF}, Outcome::kFailing},
      {"doubt between them", With(0), {kF, kI, kF}, Outcome::kFailing},
      {"nothing to see", With(0), {kP, kN}, Outcome::kNoData},
      {"some doubt", With(0), {kI}, Outcome::kUndecided},
      {"too much doubt", With(0), {kI, kI}, Outcome::kInconclusive},
      {"doubt goes", With(0), {kI, kI, kP}, Outcome::kGood},
      {"limit 0 pauses at once", With(0, 1, 0), {kI}, Outcome::kInconclusive},
      {"limit 1 fails at once", With(0, 1), {kF}, Outcome::kFailed},
      {"two looks of three", With(3), {kP, kP}, Outcome::kCounting},
      {"three looks of three", With(3), {kP, kP, kP}, Outcome::kGood},
      {"silence is no look", With(3), {kP, kN, kP}, Outcome::kCounting},
      {"after its last look", With(2), {kP, kP, kF, kF}, Outcome::kGood},
      {"a failure with its last look", With(2), {kP, kF}, Outcome::kGood},
      {"two with its last looks", With(2), {kF, kF}, Outcome::kFailed},
      {"doubt with its last look", With(2, 2, 5), {kP, kI}, Outcome::kInconclusive},
      {"dry run", With(0, 1, 0, true), {kF, kF, kN, kI}, Outcome::kGood},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(After(c.limits, c.looks), c.outcome);
  }
}

TEST(Tally, CountsOneLookAnInterval) {
  const Limits limits = With(5);
  const WallTime now{std::chrono::hours(500'000)};
  api::CheckStatus look;
  look.verdict = kF;
  const auto first = Tally(limits, nullptr, look, now);
  const auto soon = Tally(limits, &first, look, now + Seconds(29));
  EXPECT_EQ(soon, first) << "looking twice is one look";
  const auto later = Tally(limits, &soon, look, now + Seconds(30));
  EXPECT_EQ(later.failures, 2);
  EXPECT_EQ(later.looks, 2);
}

// Nobody counts the good looks at what is looked at throughout.
TEST(Tally, WritesNothingWhileAllIsWell) {
  api::CheckStatus look;
  look.verdict = kP;
  const auto first = Tally(With(0), nullptr, look, WallTime{minutes(1)});
  EXPECT_EQ(Tally(With(0), &first, look, WallTime{minutes(9)}), first);
}

TEST(Tally, TakesTheAnalysisOwnLimitsWhereACheckHasNone) {
  api::Analysis analysis;
  analysis.failure_limit = 3;
  api::LookRules rules;
  EXPECT_EQ(LimitsOf(analysis, rules).failure, 3);
  EXPECT_EQ(LimitsOf(analysis, rules).interval, Seconds(30));
  rules.failure_limit = 2;
  rules.inconclusive_limit = 0;
  rules.interval = api::Duration{minutes(2)};
  EXPECT_EQ(LimitsOf(analysis, rules).failure, 2);
  EXPECT_EQ(LimitsOf(analysis, rules).inconclusive, 0);
  EXPECT_EQ(LimitsOf(analysis, rules).interval, minutes(2));
}

struct Probed : ServingWorld {
  explicit Probed(const char* probe) {
    spec["rollout"]["analysis"] = {{"interval", "30s"},
                                   {"probes", json::array({json::parse(probe)})}};
    Settle();
    v1 = Champion();
    SetModel("oci://m:2");
    Settle();
    v2 = NewestDeclared();
  }
  const api::CheckStatus Check() const { return Status().rollout->checks.at(0); }
  void Signal(const std::string& version, api::SignalState state, const char* recent = "") {
    auto monitor = std::make_shared<api::DriftMonitor>();
    monitor->meta.key = {"transit", "watch"};
    monitor->spec.target.model_deployment = "departures";
    monitor->spec.signals.resize(1);
    monitor->spec.signals[0].name = "distance";
    api::SignalStatus row;
    row.name = "distance";
    row.variant = version;
    row.state = state;
    row.recent = recent;
    row.value = "0.3";
    row.message = "it moved";
    monitor->status.signals.push_back(row);
    monitors["watch"] = monitor;
  }
  int Jobs() const {
    return static_cast<int>(std::count_if(objects.begin(), objects.end(), [](const auto& entry) {
      return entry.first.resource == api::kJobs;
    }));
  }
  json& Job() {
    for (auto& [ref, object] : objects) {
      if (ref.resource == api::kJobs) return object;
    }
    ADD_FAILURE() << "no Job";
    return objects.begin()->second;
  }
  void RemoveJobs() {
    std::erase_if(objects, [](const auto& entry) { return entry.first.resource == api::kJobs; });
  }
  void EndJob(const char* how) {
    Job()["status"] = {{"conditions", json::array({{{"type", how},
                                                    {"status", "True"},
                                                    {"reason", "BackoffLimitExceeded"},
                                                    {"message", "it broke"}}})}};
  }

  std::string v1;
  std::string v2;
};

constexpr const char* kDriftProbe = R"({"name": "drift", "driftMonitor": {"name": "watch"}})";
constexpr const char* kJobProbe = R"({"name": "smoke", "step": 1, "job": {"template": {"spec": {
  "template": {"spec": {"containers": [
    {"name": "smoke", "image": "smoke:1", "env": [{"name": "MODEL_URI", "value": "forged"},
                                                  {"name": "KEEP", "value": "1"}]}]}}}}}})";

TEST(Probes, PauseWhileAMonitorSaysNothing) {
  Probed world(kDriftProbe);
  world.Live(minutes(5));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kPaused);
  EXPECT_NE(world.Status().why.find("there is no DriftMonitor watch"), std::string::npos)
      << world.Status().why;
  world.Signal(world.v1, api::SignalState::kOk);
  world.Live(minutes(1));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kPaused) << "the champion's drift is another matter";
  EXPECT_NE(world.Status().why.find("says nothing of " + world.v2), std::string::npos)
      << world.Status().why;
  world.Signal(world.v2, api::SignalState::kNoData);
  world.Live(minutes(1));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kPaused);
  world.Signal(world.v2, api::SignalState::kWarning);
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), world.v2);
}

TEST(Probes, RollBackWhenTheChallengerDrifts) {
  Probed world(kDriftProbe);
  world.Signal(world.v2, api::SignalState::kOk);
  world.Settle();
  world.Signal(world.v2, api::SignalState::kDrifted);
  world.Live(minutes(1));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kRolledBack);
  EXPECT_NE(world.Status().history[0].message.find("failed check drift: signal distance"),
            std::string::npos)
      << world.Status().history[0].message;
}

TEST(Probes, WaitWhileABreachMayBecomeADrift) {
  Probed world(kDriftProbe);
  for (const char* breached : {"B", "?CB", "EB-"}) {
    world.Signal(world.v2, api::SignalState::kWarning, breached);
    world.Live(minutes(1));
    EXPECT_EQ(world.Check().verdict, kN) << breached;
    EXPECT_EQ(world.Check().message, "signal distance: it moved; no drift yet");
    EXPECT_EQ(world.Champion(), world.v1) << breached;
  }
  world.Signal(world.v2, api::SignalState::kWarning, "w-B");
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), world.v2) << "its newest look is no breach";
}

TEST(Probes, AskSignalsByExpressions) {
  Probed world(R"({"name": "drift", "driftMonitor": {"name": "watch", "signals": ["distance"]},
                   "success": "value < 0.2", "failure": "value > 0.5", "inconclusiveLimit": 2})");
  world.Signal(world.v2, api::SignalState::kDrifted);
  world.Live(Seconds(40));
  EXPECT_EQ(world.Check().verdict, kI) << "0.3 is between them, whatever its state";
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kProgressing);
  world.Live(minutes(2));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kPaused);
  EXPECT_NE(world.Status().why.find("inconclusiveLimit is 2"), std::string::npos);
}

TEST(Probes, RunAJobOnceAndGoOnWhenItSucceeds) {
  Probed world(kJobProbe);
  ASSERT_EQ(world.Jobs(), 1);
  const json job = world.Job();
  EXPECT_EQ(world.Check().job, job["metadata"]["name"]);
  EXPECT_FALSE(job["spec"]["template"]["metadata"]["labels"].contains(std::string(kLabelComponent)))
      << "no Service may send it requests";
  std::map<std::string, std::string> env;
  for (const json& entry : job["spec"]["template"]["spec"]["containers"][0]["env"]) {
    env[entry["name"]] = entry["value"];
  }
  EXPECT_EQ(env["MODEL_URI"], "oci://m:2");
  EXPECT_EQ(env["MODEL_VERSION"], world.v2);
  EXPECT_EQ(env["KEEP"], "1");
  EXPECT_EQ(env["MODEL_SERVICE"], world.Child(world.v2) + ".transit.svc:8080");
  world.Live(minutes(10));
  EXPECT_EQ(world.Status().rollout->step, 0) << "it still runs";
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kProgressing) << "nobody has to look";
  world.EndJob("Complete");
  world.Live(Seconds(30));
  EXPECT_EQ(world.Status().rollout->step, 1);
  EXPECT_EQ(world.Check().verdict, kP);
  // Gone after its time, its verdict stands.
  world.RemoveJobs();
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), world.v2);
  EXPECT_EQ(world.Jobs(), 0) << "it is not run again";
}

TEST(Probes, WaitForAPersonWhenAJobIsGoneWithoutAVerdict) {
  Probed world(kJobProbe);
  ASSERT_EQ(world.Check().job_uid, world.Job()["metadata"]["uid"]);
  const json job = world.Job();
  world.RemoveJobs();
  world.Live(minutes(10));
  EXPECT_EQ(world.Jobs(), 0) << "it is not run again";
  EXPECT_EQ(world.Check().verdict, kI);
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kPaused);
  EXPECT_EQ(world.Status().rollout->step, 0);
  EXPECT_NE(world.Status().why.find("was deleted before its verdict was seen"), std::string::npos)
      << world.Status().why;
  // Another of its name is somebody's own.
  json other = job;
  other["metadata"]["uid"] = "another";
  other["status"] = {{"conditions", json::array({{{"type", "Complete"}, {"status", "True"}}})}};
  world.objects[{api::kJobs, {"transit", job["metadata"]["name"]}}] = other;
  world.Live(minutes(1));
  EXPECT_EQ(world.Check().verdict, kI);
  EXPECT_EQ(world.Status().rollout->step, 0);
  world.Annotate(api::kAnnotationResume, world.v2);
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), world.v2);
}

// Between the write that makes it and the watch that shows it, it may be made again: that was no
// run.
TEST(Probes, MakeAJobAgainThatNobodySaw) {
  Probed world(kJobProbe);
  world.RemoveJobs();
  world.status["rollout"]["checks"][0].erase("jobUID");
  world.Settle();
  EXPECT_EQ(world.Jobs(), 1);
}

TEST(Probes, KeepAJobUntilItsVerdictIsSeen) {
  const auto kept = [](const json& ttl) {
    json probe = json::parse(kJobProbe);
    if (!ttl.is_null()) probe["job"]["template"]["spec"]["ttlSecondsAfterFinished"] = ttl;
    Probed world(probe.dump().c_str());
    return world.Job()["spec"]["ttlSecondsAfterFinished"];
  };
  EXPECT_EQ(kept(nullptr), 86'400);
  EXPECT_EQ(kept(0), 3'600);
  EXPECT_EQ(kept(7'200), 7'200);
}

TEST(Probes, RollBackWhenAJobFails) {
  Probed world(kJobProbe);
  world.EndJob("Failed");
  world.Live(minutes(1));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_NE(world.Status().history[0].message.find("BackoffLimitExceeded it broke"),
            std::string::npos)
      << world.Status().history[0].message;
  // The next version is probed by a Job of its own.
  world.SetModel("oci://m:3");
  world.Settle();
  EXPECT_EQ(world.Jobs(), 2);
}

TEST(Probes, ForgiveNoJobThatFails) {
  Probed world(kJobProbe);
  world.spec["rollout"]["analysis"]["failureLimit"] = 3;
  world.EndJob("Failed");
  world.Live(minutes(1));
  EXPECT_EQ(world.Champion(), world.v1);
}

TEST(Probes, OnlyTellInADryRun) {
  Probed world(R"({"name": "drift", "driftMonitor": {"name": "watch"}, "dryRun": true})");
  world.Signal(world.v2, api::SignalState::kDrifted);
  world.Live(Seconds(30));
  EXPECT_EQ(world.Check().verdict, kF);
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), world.v2);
}

TEST(Probes, BelongToTheirStep) {
  Probed world(R"({"name": "drift", "driftMonitor": {"name": "watch"}, "step": 2, "count": 2})");
  world.Settle();
  EXPECT_TRUE(world.Status().rollout->checks.empty());
  world.Live(Seconds(70));
  ASSERT_EQ(world.Status().rollout->step, 1) << "the first step has none";
  world.Live(minutes(5));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kPaused);
  world.Signal(world.v2, api::SignalState::kOk);
  world.Live(Seconds(10));
  EXPECT_EQ(world.Check().looks, 1);
  EXPECT_EQ(world.Status().champion, world.v1) << "one look of two";
  world.Live(minutes(1));
  EXPECT_EQ(world.Champion(), world.v2);
}

// Its second step waits for pods: five of ten, where one was enough for the first.
struct AwaitedStep : Probed {
  explicit AwaitedStep(const char* probe) : Probed(probe) {
    Signal(v2, api::SignalState::kOk);
    spec["replicas"] = 10;
    spec["rollout"]["challengerReplicas"] = "Proportional";
    Settle();
    pods_stay = true;
    Live(minutes(2));
    EXPECT_EQ(Status().rollout->step, 1);
    EXPECT_FALSE(Status().rollout->in_effect);
  }
};

TEST(Probes, LookAtAStepOnlyWhileItsWeightIsInEffect) {
  AwaitedStep world(R"({"name": "drift", "driftMonitor": {"name": "watch"}, "step": 2, "count": 3,
                        "interval": "10s"})");
  EXPECT_TRUE(world.Status().rollout->checks.empty()) << "no traffic of that step yet";
  world.pods_stay = false;
  world.React();
  world.Settle();
  EXPECT_EQ(world.Check().looks, 1);
  world.Signal(world.v2, api::SignalState::kDrifted);
  world.Live(minutes(1));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kRolledBack);
}

TEST(Probes, OfEveryStepFindWhatGoesWrongWhileOneIsAwaited) {
  AwaitedStep world(kDriftProbe);
  world.Signal(world.v2, api::SignalState::kDrifted);
  world.Live(minutes(1));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kRolledBack) << "it has the first step's traffic";
}

TEST(Probes, RefuseATemplateThatIsNone) {
  Probed world(R"({"name": "smoke", "job": {"template": {"spec": {}}}})");
  EXPECT_NE(world.Message("Stalled").find("must be a batch/v1 JobTemplateSpec"), std::string::npos)
      << world.Message("Stalled");
}

TEST(Probes, RefuseAnExpressionThatIsNone) {
  Probed world(R"({"name": "drift", "driftMonitor": {"name": "watch"}, "success": "value <"})");
  EXPECT_NE(world.Message("Stalled").find("probe drift: success"), std::string::npos)
      << world.Message("Stalled");
}

}  // namespace
}  // namespace perennial::deployment
