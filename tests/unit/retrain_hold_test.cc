#include <gtest/gtest.h>

#include "retrain/hold.h"

namespace perennial::retrain {
namespace {

WallTime At(const char* text) {
  return *ParseTime(text);
}

api::Run Began(const char* when, const char* type = "Drift") {
  api::Run run;
  run.trigger_type = type;
  run.started = api::Time{At(when)};
  run.finished = run.started;
  run.phase = api::RunPhase::kSucceeded;
  return run;
}

const FiredTrigger kDrift{"Drift", "drift/e", "{}"};
const FiredTrigger kManual{"Manual", "manual/x", "{}"};

TEST(Hold, OpensWindowsInTheirZone) {
  api::RetrainPolicy policy;
  policy.spec.maintenance_windows.resize(1);
  auto& window = policy.spec.maintenance_windows[0];
  window = {"0 22 * * *", {std::chrono::hours(6)}, "Europe/Berlin"};
  // 22:00 in Berlin is 21:00 UTC in winter.
  const auto before = HeldBack(policy, kDrift, At("2026-01-10T20:59:59Z"));
  ASSERT_TRUE(before.has_value());
  EXPECT_EQ(FormatTime(before->until), "2026-01-10T21:00:00Z");
  EXPECT_FALSE(HeldBack(policy, kDrift, At("2026-01-10T21:00:00Z")));
  EXPECT_FALSE(HeldBack(policy, kDrift, At("2026-01-11T02:59:59Z")));
  EXPECT_TRUE(HeldBack(policy, kDrift, At("2026-01-11T03:00:00Z")));
  EXPECT_FALSE(HeldBack(policy, kManual, At("2026-01-11T03:00:00Z")));
  policy.spec.maintenance_windows.push_back({"0 4 * * *", {std::chrono::hours(1)}, "UTC"});
  EXPECT_EQ(FormatTime(HeldBack(policy, kDrift, At("2026-01-11T03:00:00Z"))->until),
            "2026-01-11T04:00:00Z");
  EXPECT_FALSE(HeldBack(policy, kDrift, At("2026-01-11T04:30:00Z")));
}

TEST(Hold, AWindowThatCannotBeReadNeverOpensAndIsTold) {
  api::RetrainPolicy policy;
  policy.spec.maintenance_windows = {{"99 * * * *", {std::chrono::hours(6)}, "UTC"},
                                     {"0 22 * * *", {std::chrono::hours(6)}, "Mars/Olympus"}};
  EXPECT_TRUE(HeldBack(policy, kDrift, At("2026-01-10T22:30:00Z")));
  const auto problems = WindowProblems(policy);
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].rfind("maintenanceWindows[0]: ", 0), 0u) << problems[0];
  EXPECT_NE(problems[1].find("Mars/Olympus"), std::string::npos);
}

TEST(Hold, CountsTheRunsOfADay) {
  api::RetrainPolicy policy;
  policy.spec.max_per_day = 2;
  policy.status.runs = {Began("2026-01-10T12:00:00Z"), Began("2026-01-10T11:00:00Z", "Manual")};
  EXPECT_FALSE(HeldBack(policy, kDrift, At("2026-01-10T13:00:00Z")));
  policy.status.runs.push_back(Began("2026-01-10T09:00:00Z"));
  const auto hold = HeldBack(policy, kDrift, At("2026-01-10T13:00:00Z"));
  ASSERT_TRUE(hold.has_value());
  EXPECT_EQ(FormatTime(hold->until), "2026-01-11T09:00:00Z");
  EXPECT_FALSE(HeldBack(policy, kDrift, hold->until));
  EXPECT_FALSE(HeldBack(policy, kManual, At("2026-01-10T13:00:00Z")));
}

TEST(Hold, WaitsForTheCooldown) {
  api::RetrainPolicy policy;
  policy.spec.cooldown.value = std::chrono::hours(1);
  policy.status.runs = {Began("2026-01-10T12:00:00Z")};
  EXPECT_EQ(FormatTime(HeldBack(policy, kDrift, At("2026-01-10T12:30:00Z"))->until),
            "2026-01-10T13:00:00Z");
  EXPECT_FALSE(HeldBack(policy, kDrift, At("2026-01-10T13:00:00Z")));
  EXPECT_FALSE(HeldBack(policy, kManual, At("2026-01-10T12:30:00Z")));
}

}  // namespace
}  // namespace perennial::retrain
