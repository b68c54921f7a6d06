// From when on a schedule starts runs: never for a time before it was there.
#include <gtest/gtest.h>

#include <memory>

#include "retrain/decide.h"
#include "retrain/schedule_status.h"
#include "retrain/trigger.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

using ::perennial::testing::StatusOf;
using ::perennial::testing::TrainingPolicy;

class ScheduleStatusTest : public ::testing::Test {
 protected:
  ScheduleStatusTest() {
    policy_.meta.generation = 1;
    policy_.meta.created = now_;
    policy_.meta.uid = "uid-a";  // whose share of two hours is 92 minutes
  }

  // One look; whatever run it starts is over by the next.
  void Look() {
    Observed seen;
    seen.policy = std::make_shared<api::RetrainPolicy>(policy_);
    seen.deployment = std::make_shared<api::ModelDeployment>();
    seen.versions = versions_;
    const kube::Plan plan = Decide(seen, now_);
    if (plan.status) policy_.status = StatusOf(*plan.status);
    for (api::Run& run : policy_.status.runs) {
      run.phase = api::RunPhase::kFailed;
      run.finished = api::Time{now_};
    }
  }
  void LookAt(const char* time) {
    now_ = *ParseTime(time);
    Look();
  }
  void Schedule(std::vector<api::ScheduleTrigger> schedules) {
    policy_.spec.triggers.clear();
    for (const auto& schedule : schedules) policy_.spec.triggers.emplace_back().schedule = schedule;
    ++policy_.meta.generation;
  }
  std::vector<std::string> Runs() const {
    std::vector<std::string> out;
    for (const api::Run& run : policy_.status.runs) out.push_back(run.trigger);
    return out;
  }

  WallTime now_ = *ParseTime("2026-11-01T12:00:00Z");  // a Sunday
  api::RetrainPolicy policy_ = TrainingPolicy({"transit", "departures"}, "departures");
  std::vector<std::shared_ptr<const api::ModelVersion>> versions_;
};

using Names = std::vector<std::string>;

TEST_F(ScheduleStatusTest, OneThatIsAddedLaterStartsNothingForTheTimesBefore) {
  Look();
  now_ = *ParseTime("2026-11-24T12:00:00Z");
  Schedule({{"0 3 * * 1"}});
  Look();
  EXPECT_EQ(Runs(), Names{});
  EXPECT_EQ(FormatTime(policy_.status.next_schedule->value), "2026-11-30T03:00:00Z");
  LookAt("2026-11-30T02:59:59Z");
  EXPECT_EQ(Runs(), Names{});
  LookAt("2026-11-30T03:00:00Z");
  LookAt("2026-11-30T03:00:05Z");
  EXPECT_EQ(Runs(), Names{"schedule/2026-11-30T03:00:00Z"});
}

TEST_F(ScheduleStatusTest, AnotherTimeZoneIsNoSecondRunOfTheDay) {
  Schedule({{"0 3 * * *"}});
  Look();
  LookAt("2026-11-02T03:00:00Z");
  ASSERT_EQ(Runs().size(), 1u);
  now_ = *ParseTime("2026-11-02T12:00:00Z");
  Schedule({{"0 3 * * *", "America/New_York"}});
  Look();
  EXPECT_EQ(Runs().size(), 1u) << "08:00 UTC was before it";
  ASSERT_EQ(policy_.status.schedules.size(), 1u) << "the one of before is forgotten";
  LookAt("2026-11-03T08:00:00Z");
  EXPECT_EQ(Runs(), (Names{"schedule/2026-11-03T08:00:00Z", "schedule/2026-11-02T03:00:00Z"}));
}

TEST_F(ScheduleStatusTest, EachOfTwoHasItsOwnTimes) {
  Schedule({{"0 3 * * *", "UTC", {}, api::Duration{std::chrono::hours(2)}}, {"0 4 * * *"}});
  Look();
  LookAt("2026-11-02T04:00:00Z");
  EXPECT_EQ(Runs(), Names{"schedule/2026-11-02T04:00:00Z"});
  EXPECT_EQ(FormatTime(policy_.status.next_schedule->value), "2026-11-02T04:32:32Z");
  LookAt("2026-11-02T04:33:00Z");
  EXPECT_EQ(Runs(), (Names{"schedule/2026-11-02T03:00:00Z", "schedule/2026-11-02T04:00:00Z"}));
  EXPECT_EQ(FormatTime(policy_.status.last_schedule->value), "2026-11-02T04:00:00Z");
}

TEST_F(ScheduleStatusTest, ATimeThatTwoHaveInCommonIsOneRun) {
  Schedule({{"0 3 * * *"}, {"0 3 * * 1"}});
  Look();
  LookAt("2026-11-02T03:00:00Z");
  LookAt("2026-11-02T03:00:05Z");
  EXPECT_EQ(Runs().size(), 1u);
  for (const api::ScheduleStatus& schedule : policy_.status.schedules) {
    EXPECT_EQ(FormatTime(schedule.since.value), "2026-11-02T03:00:00Z");
  }
}

TEST_F(ScheduleStatusTest, AnnouncesNoTimeBeforeItWasThere) {
  Look();
  now_ = *ParseTime("2026-11-02T03:30:00Z");
  Schedule({{"0 3 * * *", "UTC", {}, api::Duration{std::chrono::hours(2)}}});
  Look();
  EXPECT_EQ(FormatTime(policy_.status.next_schedule->value), "2026-11-03T04:32:32Z");
  LookAt("2026-11-02T05:00:00Z");
  EXPECT_EQ(Runs(), Names{});
}

TEST_F(ScheduleStatusTest, TakesOverTheOneTimeOfAnOlderStatus) {
  Schedule({{"0 3 * * *"}});
  policy_.status.observed_generation = policy_.meta.generation;
  policy_.status.last_schedule = api::Time{*ParseTime("2026-11-02T03:00:00Z")};
  LookAt("2026-11-02T12:00:00Z");
  EXPECT_EQ(Runs(), Names{});
  policy_.status.schedules.clear();
  LookAt("2026-11-05T12:00:00Z");
  EXPECT_EQ(Runs(), Names{"schedule/2026-11-05T03:00:00Z"}) << "the controller was away";
}

TEST_F(ScheduleStatusTest, ALostStatusStartsNoRunTwice) {
  Schedule({{"0 3 * * *"}});
  Look();
  LookAt("2026-11-02T03:00:00Z");
  ASSERT_EQ(Runs().size(), 1u);
  auto version = std::make_shared<api::ModelVersion>();
  version->spec.origin.run = policy_.status.runs[0].name;
  version->spec.origin.trigger = policy_.status.runs[0].trigger;
  versions_ = {version};
  policy_.status = {};
  LookAt("2026-11-02T12:00:00Z");
  EXPECT_EQ(Runs(), Names{});
  policy_.status = {};
  LookAt("2026-11-03T12:00:00Z");
  EXPECT_EQ(Runs(), Names{"schedule/2026-11-03T03:00:00Z"}) << "as a policy that is new";
}

}  // namespace
}  // namespace perennial::retrain
