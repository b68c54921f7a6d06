// What a run does while it waits for its turn.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "retrain/decide.h"
#include "retrain/run.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

using ::perennial::testing::StatusOf;
using ::perennial::testing::TrainingPolicy;

constexpr WallTime kNow{std::chrono::hours(499'992)};  // a midnight

class TurnTest : public ::testing::Test {
 protected:
  TurnTest() {
    policy_.meta.annotations["perennial.dev/retrain"] = "one";
    queue_.granted = false;
    queue_.room = false;
    queue_.active = 200;
  }

  kube::Plan Look() {
    Observed seen;
    seen.policy = std::make_shared<api::RetrainPolicy>(policy_);
    seen.deployment = std::make_shared<api::ModelDeployment>();
    seen.jobs = jobs_;
    seen.queue = queue_;
    kube::Plan plan = Decide(seen, now_);
    if (plan.status) policy_.status = StatusOf(*plan.status);
    return plan;
  }

  const api::Run& run() const { return policy_.status.runs.at(0); }
  const kube::Condition& Retraining() const {
    return *kube::FindCondition(policy_.status.conditions, "Retraining");
  }
  static bool Makes(const kube::Plan& plan) {
    return std::any_of(plan.actions.begin(), plan.actions.end(), [](const kube::Action& action) {
      return std::holds_alternative<kube::CreateObject>(action);
    });
  }

  api::RetrainPolicy policy_ = TrainingPolicy({"transit", "departures"}, "departures");
  std::vector<std::shared_ptr<const api::JobView>> jobs_;
  RunQueue::View queue_;
  WallTime now_ = kNow;
};

TEST_F(TurnTest, WaitsWithItsPositionAndWritesNothingUntilThatTellsMore) {
  queue_.waiting_in_namespace = 1'499;
  Look();
  ASSERT_EQ(run().phase, api::RunPhase::kWaiting);
  EXPECT_EQ(run().position, 1'500);
  EXPECT_EQ(run().message,
            "waits for its turn at position 1500 in the namespace: 200 runs are under way in the "
            "cluster, which is the most allowed");
  EXPECT_EQ(Retraining().reason, "RunWaiting");
  int writes = 0;
  for (std::size_t position = 1'500; position > 0; --position) {
    queue_.position = position;
    now_ += Seconds(10);
    const kube::Plan plan = Look();
    EXPECT_TRUE(plan.actions.empty());
    writes += plan.status.has_value();
    EXPECT_TRUE(!plan.status || run().position == static_cast<int>(position));
  }
  EXPECT_EQ(writes, 3);
  EXPECT_EQ(run().position, 10);
  // Others with a higher priority push it back and let it come again: nothing new.
  for (const std::size_t position : {200u, 10u, 5u, 11u, 10u}) {
    queue_.position = position;
    EXPECT_FALSE(Look().status.has_value()) << position;
  }
}

TEST_F(TurnTest, TakesItsPlaceBeforeTheJobIsMade) {
  Look();
  const WallTime recorded = now_;
  now_ += Seconds(3'600);
  queue_.granted = true;
  const kube::Plan place = Look();
  EXPECT_FALSE(Makes(place));
  EXPECT_EQ(run().phase, api::RunPhase::kPending);
  EXPECT_EQ(run().started.value, now_) << "the deadline counts from here";
  EXPECT_EQ(run().enqueued->value, recorded);
  EXPECT_EQ(run().position, 0);
  queue_.granted = false;  // it is counted by its status now
  EXPECT_TRUE(Makes(Look()));
}

TEST_F(TurnTest, NamesTheNamespaceWhereThatIsFull) {
  queue_.namespace_is_full = true;
  queue_.active_in_namespace = 5;
  queue_.waiting_in_namespace = 3;
  Look();
  EXPECT_EQ(run().message,
            "waits for its turn at position 4 in the namespace: 5 runs are under way in the "
            "namespace, which is the most allowed");
}

TEST_F(TurnTest, ASuspendedPolicyStandsBackAndKeepsItsPlaceInTime) {
  Look();
  policy_.spec.suspend = true;
  queue_.granted = true;
  Look();
  EXPECT_EQ(run().phase, api::RunPhase::kWaiting);
  EXPECT_EQ(run().message, "waits until spec.suspend is false");
  EXPECT_FALSE(ClaimOf(policy_).has_value());
  EXPECT_FALSE(Look().status.has_value());
  policy_.spec.suspend = false;
  EXPECT_EQ(ClaimOf(policy_)->place, kNow - kHeadStartByHand);
  Look();
  EXPECT_EQ(run().phase, api::RunPhase::kPending);
}

TEST_F(TurnTest, ATurnOutsideTheMaintenanceWindowsIsGivenUpForTheNextOne) {
  policy_.meta.annotations.clear();
  policy_.meta.created = kNow - Seconds(60);
  api::Trigger trigger;
  trigger.schedule = api::ScheduleTrigger{"0 0 * * *"};
  policy_.spec.triggers = {trigger};
  policy_.spec.maintenance_windows = {{"0 0 * * *", api::Duration{std::chrono::hours(1)}, "UTC"}};
  Look();
  ASSERT_EQ(run().phase, api::RunPhase::kWaiting);
  now_ += std::chrono::hours(2);
  queue_.granted = true;
  const kube::Plan late = Look();
  EXPECT_EQ(run().phase, api::RunPhase::kWaiting);
  ASSERT_TRUE(run().held_until.has_value());
  EXPECT_EQ(run().held_until->value, kNow + std::chrono::hours(24));
  EXPECT_EQ(late.wake_at, kNow + std::chrono::hours(24));
  EXPECT_FALSE(ClaimOf(policy_).has_value()) << "others get the place";
  queue_.granted = false;
  now_ += std::chrono::hours(1);
  EXPECT_FALSE(Look().status.has_value());
  now_ = kNow + std::chrono::hours(24);
  Look();
  EXPECT_FALSE(run().held_until.has_value());
  EXPECT_EQ(ClaimOf(policy_)->place, kNow);
  queue_.granted = true;
  Look();
  EXPECT_EQ(run().phase, api::RunPhase::kPending);
}

TEST_F(TurnTest, ByHandLetsTheRunGoThatWaitsAlready) {
  policy_.meta.annotations.clear();
  policy_.meta.created = kNow - Seconds(60);
  policy_.spec.triggers.emplace_back().schedule = api::ScheduleTrigger{"0 0 * * *"};
  policy_.spec.maintenance_windows = {{"0 0 * * *", api::Duration{std::chrono::hours(1)}, "UTC"}};
  Look();
  now_ += std::chrono::hours(2);
  queue_.granted = true;
  Look();
  ASSERT_TRUE(run().held_until.has_value());
  queue_.granted = false;
  now_ += std::chrono::hours(7);
  policy_.meta.annotations["perennial.dev/retrain"] = "please";
  policy_.meta.annotations["perennial.dev/author"] = "ada";
  Look();
  EXPECT_FALSE(run().held_until.has_value());
  EXPECT_EQ(run().trigger_type, "Schedule");
  EXPECT_EQ(run().by_hand, R"({"author":"ada","token":"please"})");
  EXPECT_EQ(run().message, "needs no maintenance window; waits for its turn");
  EXPECT_EQ(ClaimOf(policy_)->place, kNow - kHeadStartByHand);
  EXPECT_FALSE(Look().status.has_value());
  queue_.granted = true;
  Look();
  EXPECT_EQ(run().phase, api::RunPhase::kPending);
  EXPECT_EQ(run().started.value, now_);
  policy_.status.runs[0].phase = api::RunPhase::kFailed;
  policy_.status.runs[0].finished = api::Time{now_};
  Look();
  EXPECT_EQ(policy_.status.runs.size(), 1u);
}

TEST_F(TurnTest, ByHandAfterTheRunBeganStartsTheNextOne) {
  policy_.meta.annotations.clear();
  policy_.meta.created = kNow - Seconds(60);
  policy_.spec.triggers.emplace_back().schedule = api::ScheduleTrigger{"0 0 * * *"};
  queue_.granted = true;
  Look();
  ASSERT_EQ(run().phase, api::RunPhase::kPending);
  policy_.meta.annotations["perennial.dev/retrain"] = "please";
  Look();
  EXPECT_EQ(run().by_hand, "");
  policy_.status.runs[0].phase = api::RunPhase::kFailed;
  policy_.status.runs[0].finished = api::Time{now_};
  Look();
  ASSERT_EQ(policy_.status.runs.size(), 2u);
  EXPECT_EQ(run().trigger, "manual/please");
}

TEST_F(TurnTest, OneThatTriesAgainInItsGroupKeepsItsDeadlineWhileItIsSuspended) {
  policy_.spec.group = api::RunGroup{"stops"};
  policy_.spec.deadline.value = std::chrono::hours(6);
  Look();
  policy_.status.runs[0].attempt = 1;
  policy_.spec.suspend = true;
  now_ += Seconds(60);
  EXPECT_EQ(Look().wake_at, kNow + std::chrono::hours(6));
  EXPECT_EQ(run().message, "waits until spec.suspend is false");
  now_ = kNow + std::chrono::hours(6);
  Look();
  EXPECT_EQ(run().phase, api::RunPhase::kFailed);
}

TEST_F(TurnTest, AJobThatIsThereAlreadyIsFollowedAndNotMadeAgain) {
  Look();
  auto job = std::make_shared<api::JobView>();
  job->meta.key = {"transit", JobName(run())};
  job->meta.uid = "job";
  jobs_ = {job};
  const kube::Plan plan = Look();
  EXPECT_FALSE(Makes(plan));
  EXPECT_EQ(run().phase, api::RunPhase::kRunning);
  EXPECT_TRUE(ClaimOf(policy_)->active) << "it counts, whatever its status had lost";
}

}  // namespace
}  // namespace perennial::retrain
