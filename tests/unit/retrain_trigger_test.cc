#include <gtest/gtest.h>

#include "retrain/decide.h"
#include "retrain/trigger.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

using ::perennial::testing::StatusOf;
using ::perennial::testing::TrainingPolicy;

const WallTime kAtFirst{std::chrono::hours(500'000)};

// A policy that waits for a drift in `signals`, with a monitor of distance and error.
class DriftTriggerTest : public ::testing::Test {
 protected:
  DriftTriggerTest() {
    monitor_.meta.key = {"transit", "departures"};
    for (const char* name : {"distance", "error"}) {
      monitor_.spec.signals.emplace_back().name = name;
    }
  }

  TriggerOutcome Evaluate(std::vector<std::string> signals) {
    policy_.spec.triggers.resize(1);
    policy_.spec.triggers[0].drift = api::DriftTrigger{"departures", std::move(signals)};
    return EvaluateTriggers({&policy_, {std::make_shared<api::DriftMonitor>(monitor_)}}, kAtFirst);
  }

  api::RetrainPolicy policy_ = TrainingPolicy({"transit", "departures"}, "departures");
  api::DriftMonitor monitor_;
};

TEST_F(DriftTriggerTest, SaysWhichSignalTheMonitorDoesNotHave) {
  monitor_.status.episode = api::Episode{"e1", api::Time{kAtFirst}, "departures-v1", {"distance"}};
  const TriggerOutcome outcome = Evaluate({"eror", "distance"});
  EXPECT_EQ(outcome.problems,
            std::vector<std::string>{
                "DriftMonitor departures has no signal eror; it has distance, error"});
  EXPECT_EQ(outcome.fired.size(), 1u) << "the other name works";
  EXPECT_TRUE(Evaluate({"error", "distance"}).problems.empty());
  EXPECT_TRUE(Evaluate({}).problems.empty());
}

TEST_F(DriftTriggerTest, SaysThatNoSignalOfItHasAWeight) {
  monitor_.spec.signals[1].weight = api::Decimal{0, "0"};
  const auto problems = Evaluate({"error"}).problems;
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("the weight 0, so it never fires"), std::string::npos) << problems[0];
  EXPECT_TRUE(Evaluate({"error", "distance"}).problems.empty());
}

TEST_F(DriftTriggerTest, MakesThePolicyNotReady) {
  Evaluate({"eror"});
  Observed seen;
  seen.policy = std::make_shared<api::RetrainPolicy>(policy_);
  seen.deployment = std::make_shared<api::ModelDeployment>();
  seen.monitors = {std::make_shared<api::DriftMonitor>(monitor_)};
  const kube::Plan plan = Decide(seen, kAtFirst);
  ASSERT_TRUE(plan.status.has_value());
  const api::RetrainPolicyStatus status = StatusOf(*plan.status);
  const kube::Condition* ready = kube::FindCondition(status.conditions, "Ready");
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(ready->status, "False");
  EXPECT_EQ(ready->reason, "InvalidTrigger");
  EXPECT_NE(ready->message.find("no signal eror"), std::string::npos) << ready->message;
}

}  // namespace
}  // namespace perennial::retrain
