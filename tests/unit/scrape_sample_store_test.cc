#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "scrape/sample_store.h"

namespace perennial::scrape {
namespace {

constexpr Millis kMinute{60'000};
constexpr Millis kHour{3'600'000};

struct FixedClock : Clock {
  WallTime Wall() const override { return WallTime(Millis{1'700'000'000'000}) + steady; }
  Millis Steady() const override { return steady; }
  Millis steady{0};
};

Subscription Monitor(std::vector<std::string> pods, std::string variant = "v1") {
  Subscription subscription;
  subscription.interval = kMinute;
  subscription.retention = kHour;
  subscription.metrics = {"c"};
  for (std::size_t i = 0; i < pods.size(); ++i) {
    subscription.targets.push_back(
        {pods[i], "10.0.0." + std::to_string(i + 1), 8080, "/metrics", variant});
  }
  return subscription;
}

class Store : public ::testing::Test {
 protected:
  // The scrape of a pod's counter `c` at the clock's time.
  void Record(const std::string& pod, double value, const std::string& id = "dm") {
    const auto job = store_.FindJob(id, pod);
    ASSERT_TRUE(job.has_value()) << pod;
    RecordJob(*job, value);
  }
  void RecordJob(JobId job, double value) {
    Series series;
    series.metric = "c";
    series.kind = SeriesKind::kCounter;
    series.value = value;
    Scrape scrape;
    scrape.series.push_back(series);
    store_.Record(job, scrape, clock_.Steady(), clock_.Wall());
  }
  double Increase(std::string_view variant = "v1", std::string_view id = "dm") const {
    const WindowView view = store_.View(id, variant, kHour, Millis{0}, clock_.steady);
    return view.series.empty() ? -1 : view.series.front().increase;
  }

  FixedClock clock_;
  SampleStore store_{clock_};
};

TEST_F(Store, HandsOutAJobForEveryTargetOnce) {
  int calls = 0;
  store_.OnJobsChanged([&] { ++calls; });
  store_.Set("dm", Monitor({"a", "b"}));
  JobChanges changes = store_.TakeJobChanges();
  ASSERT_EQ(changes.started.size(), 2u);
  EXPECT_EQ(changes.started[0]->target.id, "a");
  EXPECT_EQ(changes.started[0]->interval, kMinute);
  EXPECT_EQ(changes.started[0]->wanted->names(), (std::vector<std::string>{"c"}));
  EXPECT_EQ(calls, 1);
  store_.Set("dm", Monitor({"a", "b"}));
  EXPECT_EQ(calls, 1);
  changes = store_.TakeJobChanges();
  EXPECT_TRUE(changes.started.empty());
  EXPECT_TRUE(changes.stopped.empty());
}

TEST_F(Store, KeepsTheJobsOfTargetsThatStay) {
  store_.Set("dm", Monitor({"a", "b"}));
  const auto a = store_.FindJob("dm", "a");
  const auto b = store_.FindJob("dm", "b");
  store_.TakeJobChanges();
  Subscription next = Monitor({"a", "c"});
  store_.Set("dm", next);
  const JobChanges changes = store_.TakeJobChanges();
  ASSERT_EQ(changes.started.size(), 1u);
  EXPECT_EQ(changes.started[0]->target.id, "c");
  EXPECT_EQ(changes.stopped, (std::vector<JobId>{*b}));
  EXPECT_EQ(store_.FindJob("dm", "a"), a);
}

TEST_F(Store, IgnoresAnswersToAnOlderQuestion) {
  store_.Set("dm", Monitor({"a"}));
  const JobId before = *store_.FindJob("dm", "a");
  Subscription wider = Monitor({"a"});
  wider.metrics = {"c", "d"};
  store_.Set("dm", wider);
  RecordJob(before, 5);
  EXPECT_EQ(store_.View("dm", "v1", kHour, Millis{0}, clock_.steady).newest_age, std::nullopt);
  EXPECT_NE(store_.FindJob("dm", "a"), before);
}

TEST_F(Store, KeepsCountsOverPodChurn) {
  store_.Set("dm", Monitor({"a", "b"}));
  Record("a", 10);
  Record("b", 100);
  clock_.steady += kMinute;
  Record("a", 13);
  Record("b", 104);
  store_.Set("dm", Monitor({"c"}));
  EXPECT_EQ(Increase(), 7);
  clock_.steady += 59 * kMinute;
  EXPECT_EQ(Increase(), 7);
  clock_.steady += 3 * kMinute;
  EXPECT_EQ(Increase(), 0);
}

TEST_F(Store, KeepsVariantsApart) {
  Subscription both = Monitor({"a"}, "v1");
  both.targets.push_back({"b", "10.0.0.9", 8080, "/metrics", "v2"});
  store_.Set("dm", both);
  Record("a", 0);
  Record("b", 0);
  clock_.steady += kMinute;
  Record("a", 1);
  Record("b", 2);
  EXPECT_EQ(Increase("v1"), 1);
  EXPECT_EQ(Increase("v2"), 2);
  EXPECT_EQ(store_.View("dm", "v2", kHour, Millis{0}, clock_.steady).targets, 1);
  EXPECT_EQ(Increase("v3"), -1);
  EXPECT_EQ(Increase("v1", "other"), -1);
}

TEST_F(Store, ForgetsAVariantWhenItsWindowIsOver) {
  store_.Set("dm", Monitor({"a"}, "v1"));
  Record("a", 1);
  store_.Set("dm", Monitor({"b"}, "v2"));
  Record("b", 1);
  EXPECT_EQ(store_.Usage().series, 2u);
  clock_.steady += 2 * kHour;
  store_.Set("dm", Monitor({"b"}, "v2"));
  EXPECT_EQ(store_.Usage().series, 1u);
}

TEST_F(Store, EndsEverythingOnRemove) {
  store_.Set("dm", Monitor({"a"}));
  const JobId job = *store_.FindJob("dm", "a");
  Record("a", 1);
  store_.TakeJobChanges();
  store_.Remove("dm");
  store_.Remove("dm");
  EXPECT_EQ(store_.TakeJobChanges().stopped, (std::vector<JobId>{job}));
  RecordJob(job, 2);
  EXPECT_EQ(Increase(), -1);
  EXPECT_EQ(store_.Generation("dm"), 0u);
  EXPECT_EQ(store_.Usage().subscriptions, 0u);
}

TEST_F(Store, WakesTheControllerAfterEachRound) {
  std::vector<std::string> rounds;
  store_.OnRound([&](const std::string& id) { rounds.push_back(id); });
  store_.Set("dm", Monitor({"a", "b"}));
  EXPECT_EQ(store_.Generation("dm"), 0u);
  Record("a", 1);
  EXPECT_TRUE(rounds.empty());
  store_.Record(*store_.FindJob("dm", "b"), Error{Errc::kTimeout, "no complete answer in time"},
                clock_.Steady(), clock_.Wall());
  EXPECT_EQ(rounds, (std::vector<std::string>{"dm"}));
  EXPECT_EQ(store_.Generation("dm"), 1u);
  // One pod is slow: an interval later the others are news enough.
  clock_.steady += kMinute;
  Record("a", 2);
  EXPECT_EQ(store_.Generation("dm"), 2u);
}

TEST_F(Store, ReportsFailuresWithoutLosingCounts) {
  store_.Set("dm", Monitor({"a"}));
  Record("a", 1);
  clock_.steady += kMinute;
  Record("a", 5);
  store_.Record(*store_.FindJob("dm", "a"), Error{Errc::kUnavailable, "connection failed"},
                clock_.Steady(), clock_.Wall());
  const WindowView view = store_.View("dm", "v1", kHour, Millis{0}, clock_.steady);
  EXPECT_EQ(view.targets_up, 0);
  EXPECT_EQ(view.problems, (std::vector<std::string>{"1 of 1 targets failed: connection failed"}));
  EXPECT_EQ(view.series[0].increase, 4);
}

TEST_F(Store, AddsUpTotalsSinceTheyWereAskedFor) {
  Subscription experiment = Monitor({"a"});
  experiment.totals = true;
  store_.Set("ab", experiment);
  for (int i = 0; i <= 100; ++i) {
    Record("a", i, "ab");
    clock_.steady += kMinute;
  }
  EXPECT_EQ(store_.TotalsView("ab", "v1", clock_.steady).series[0].increase, 100);
  EXPECT_LT(Increase("v1", "ab"), 61);
}

TEST_F(Store, SharesTheNamesOfWhatIsWantedAlike) {
  const auto wanted = [&](const char* id, std::vector<std::string> metrics) {
    Subscription subscription;
    subscription.metrics = std::move(metrics);
    subscription.targets = {{std::string("pod-") + id, "10.0.0.1", 80, "/metrics", "v1"}};
    store_.Set(id, subscription);
    const auto started = store_.TakeJobChanges().started;
    return started.empty() ? nullptr : started.front()->wanted;
  };
  const auto first = wanted("a", {"x", "y"});
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(wanted("b", {"y", "x", "x"}), first) << "neither order nor repetition matters";
  EXPECT_NE(wanted("c", {"x"}), first);
  EXPECT_EQ(wanted("a", {"y", "x"}), nullptr) << "the same again changes nothing";
  const auto changed = wanted("a", {"z"});
  ASSERT_NE(changed, nullptr);
  EXPECT_EQ(changed->names(), std::vector<std::string>{"z"});
}

TEST_F(Store, IgnoresTargetsThatAreListedTwice) {
  store_.Set("dm", Monitor({"a", "a"}));
  EXPECT_EQ(store_.TakeJobChanges().started.size(), 1u);
  EXPECT_EQ(store_.View("dm", "v1", kHour, Millis{0}, clock_.steady).targets, 1);
}

TEST_F(Store, BoundsTheNumberOfSlots) {
  Subscription fine = Monitor({"a"});
  fine.retention = 240 * kHour;
  fine.resolution = Millis{1'000};
  store_.Set("dm", fine);
  for (int i = 0; i < 5'000; ++i) {
    Record("a", i);
    clock_.steady += 3 * kMinute;
  }
  EXPECT_LT(store_.Usage().bytes, 8'000u);
}

TEST_F(Store, SurvivesUseFromManyThreads) {
  std::jthread feeder([&](const std::stop_token& stop) {
    std::set<JobId> jobs;
    while (!stop.stop_requested()) {
      const JobChanges changes = store_.TakeJobChanges();
      for (const auto& job : changes.started) jobs.insert(job->id);
      for (const JobId job : changes.stopped) jobs.erase(job);
      for (const JobId job : jobs) RecordJob(job, 1);
    }
  });
  std::vector<std::jthread> controllers;
  for (int thread = 0; thread < 3; ++thread) {
    controllers.emplace_back([this, thread] {
      for (int i = 0; i < 300; ++i) {
        const std::string id = "dm-" + std::to_string((thread + i) % 3);
        store_.Set(id, Monitor({"a", i % 2 == 0 ? "b" : "c"}, i % 3 == 0 ? "v1" : "v2"));
        store_.View(id, "v1", kHour, Millis{0}, clock_.steady);
        if (i % 7 == 0) store_.Remove(id);
        store_.Usage();
      }
    });
  }
  controllers.clear();
  feeder.request_stop();
  feeder.join();
  for (int i = 0; i < 3; ++i) store_.Remove("dm-" + std::to_string(i));
  EXPECT_EQ(store_.Usage().targets, 0u);
}

}  // namespace
}  // namespace perennial::scrape
