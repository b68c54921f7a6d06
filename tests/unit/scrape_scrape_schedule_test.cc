#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>

#include "scrape/scrape_schedule.h"

namespace perennial::scrape {
namespace {

constexpr Millis kMinute{60'000};

TEST(ScrapeSchedule, SpreadsTargetsOverTheInterval) {
  ScrapeSchedule schedule;
  for (std::uint64_t job = 0; job < 6'000; ++job) {
    schedule.Add(job, "pod-" + std::to_string(job), kMinute, Millis{0});
  }
  std::array<std::size_t, 60> seconds{};
  for (int second = 0; second < 60; ++second) {
    seconds[static_cast<std::size_t>(second)] =
        schedule.Take(Millis{1'000 * (second + 1)}, 10'000, 10'000).size();
  }
  for (const std::size_t count : seconds) {
    EXPECT_GT(count, 50u);
    EXPECT_LT(count, 150u);
  }
  EXPECT_TRUE(schedule.Take(100 * kMinute, 10, 10).empty());  // all are running
}

TEST(ScrapeSchedule, KeepsThePlaceOfATargetWhateverItsJobIsCalled) {
  ScrapeSchedule first;
  first.Add(1, "pod", kMinute, Millis{123'456});
  ScrapeSchedule second;
  second.Add(77, "pod", kMinute, Millis{987'654});
  EXPECT_EQ(first.NextDue(true)->count() % 60'000, second.NextDue(true)->count() % 60'000);
  EXPECT_GT(first.NextDue(true), Millis{123'456});
  EXPECT_LE(first.NextDue(true), Millis{123'456} + kMinute);
}

TEST(ScrapeSchedule, IsDueOnceAnIntervalAndSkipsWhatItMissed) {
  ScrapeSchedule schedule;
  schedule.Add(1, "pod", kMinute, Millis{0});
  const Millis first = *schedule.NextDue(true);
  ASSERT_EQ(schedule.Take(first, 1, 1).size(), 1u);
  schedule.Finished(1, true, first + Millis{50});
  EXPECT_EQ(schedule.NextDue(true), first + kMinute);
  const auto due = schedule.Take(first + 5 * kMinute + Millis{7}, 1, 1);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].lateness, 4 * kMinute + Millis{7});
  schedule.Finished(1, true, first + 5 * kMinute + Millis{9});
  EXPECT_EQ(schedule.NextDue(true), first + 6 * kMinute);
}

TEST(ScrapeSchedule, SkipsMoreAndMoreTurnsOfAFailingTarget) {
  ScrapeSchedule schedule;
  schedule.Add(1, "pod", kMinute, Millis{0});
  Millis due = *schedule.NextDue(true);
  for (const int turns : {1, 2, 4, 8, 8, 8}) {
    ASSERT_EQ(schedule.Take(due, 1, 1).size(), 1u);
    schedule.Finished(1, false, due + Millis{10'000});
    EXPECT_EQ(*schedule.NextDue(true), due + turns * kMinute);
    due = *schedule.NextDue(true);
  }
  ASSERT_EQ(schedule.Take(due, 1, 1).size(), 1u);
  schedule.Finished(1, true, due);
  EXPECT_EQ(*schedule.NextDue(true), due + kMinute);
}

TEST(ScrapeSchedule, NeverPausesLongerThanAQuarterOfAnHourOrTheInterval) {
  for (const Millis interval : {5 * kMinute, 60 * kMinute}) {
    ScrapeSchedule schedule;
    schedule.Add(1, "pod", interval, Millis{0});
    Millis due{0};
    for (int i = 0; i < 10; ++i) {
      due = *schedule.NextDue(true);
      schedule.Take(due, 1, 1);
      schedule.Finished(1, false, due);
    }
    EXPECT_LE(*schedule.NextDue(true) - due, std::max(interval, 15 * kMinute));
  }
}

TEST(ScrapeSchedule, LeavesSlotsToHealthyTargets) {
  ScrapeSchedule schedule;
  std::map<std::uint64_t, bool> fails;
  for (std::uint64_t job = 0; job < 100; ++job) {
    schedule.Add(job, "pod-" + std::to_string(job), kMinute, Millis{0});
    fails[job] = job < 80;
  }
  for (const auto& due : schedule.Take(kMinute, 100, 100)) {
    schedule.Finished(due.job, !fails[due.job], kMinute);
  }
  const auto due = schedule.Take(10 * kMinute, 30, 5);
  std::size_t suspects = 0;
  for (const auto& job : due) suspects += fails[job.job] ? 1 : 0;
  EXPECT_EQ(due.size(), 25u);  // all 20 healthy ones
  EXPECT_EQ(suspects, 5u);
  EXPECT_FALSE(schedule.NextDue(false).has_value());
  EXPECT_TRUE(schedule.NextDue(true).has_value());
}

TEST(ScrapeSchedule, ForgetsRemovedJobsEvenWhileTheyRun) {
  ScrapeSchedule schedule;
  schedule.Add(1, "a", kMinute, Millis{0});
  schedule.Add(2, "b", kMinute, Millis{0});
  schedule.Remove(2);
  const auto due = schedule.Take(kMinute, 10, 10);
  ASSERT_EQ(due.size(), 1u);
  schedule.Remove(1);
  schedule.Finished(1, true, kMinute);
  EXPECT_EQ(schedule.size(), 0u);
  EXPECT_FALSE(schedule.NextDue(true).has_value());
}

}  // namespace
}  // namespace perennial::scrape
