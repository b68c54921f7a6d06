// What the store makes of the pages that a Prometheus saw.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scrape/promql_source.h"
#include "scrape/sample_store.h"
#include "support/manual_clock.h"

namespace perennial::scrape {
namespace {

PromqlSource Source() {
  PromqlSource source;
  source.url = "https://prometheus.monitoring:9090/";
  source.ns = "transit";
  source.variants = {{"v1", "departures-v1"}, {"v2", "departures-v2"}};
  return source;
}

// The windows of the store do not tell who scraped.
TEST(PromqlStore, TakesInPagesAsIfItHadScraped) {
  perennial::testing::ManualClock clock;
  SampleStore store(clock);
  Subscription subscription;
  subscription.interval = Millis{10'000};
  subscription.metrics = {"c_total"};
  subscription.promql = Source();
  subscription.targets.push_back({"departures-v1-a-b", "10.0.0.1", 80, "/metrics", "v1"});
  store.Set("m", subscription);
  EXPECT_TRUE(store.TakeJobChanges().started.empty()) << "nobody scrapes it";
  const auto asked = store.TakeQueryChanges();
  ASSERT_EQ(asked.size(), 1u);
  store.Set("m", subscription);
  EXPECT_TRUE(store.TakeQueryChanges().empty()) << "the same again changes nothing";
  const WallTime now = clock.Wall();
  const auto page = [&](const std::string& pod, Millis ago, double value) {
    Series series;
    series.metric = "c_total";
    series.kind = SeriesKind::kCounter;
    series.value = value;
    Scrape scrape;
    scrape.series.push_back(series);
    return ScrapedPage{pod, "v1", now - ago, scrape};
  };
  ScrapedPages seen;
  seen.problems = {"Prometheus warns: x"};
  // A pod that is gone counted as well; one of them was reset.
  seen.pages.push_back(page("departures-v1-a-old", Millis{40'000}, 100));
  seen.pages.push_back(page("departures-v1-a-b", Millis{35'000}, 7));
  seen.pages.push_back(page("departures-v1-a-old", Millis{30'000}, 110));
  seen.pages.push_back(page("departures-v1-a-b", Millis{25'000}, 12));
  seen.pages.push_back(page("departures-v1-a-b", Millis{5'000}, 3));
  store.RecordPages(*asked[0], seen, true);
  EXPECT_EQ(store.Generation("m"), 1u);
  const WindowView view = store.View("m", "v1", Millis{600'000}, Millis{0}, clock.Steady());
  ASSERT_EQ(view.series.size(), 1u);
  EXPECT_EQ(view.series[0].increase, 10 + 5 + 3);
  EXPECT_EQ(view.targets, 1);
  EXPECT_EQ(view.targets_up, 1);
  EXPECT_EQ(view.problems, seen.problems);
  store.RecordQueryFailure("m", {Errc::kTimeout, "no complete answer in time"});
  EXPECT_EQ(store.View("m", "v1", Millis{600'000}, Millis{0}, clock.Steady()).targets_up, 0);
  // Back to scraping: the question ends, a job begins.
  subscription.promql.reset();
  store.Set("m", subscription);
  EXPECT_EQ(store.TakeJobChanges().started.size(), 1u);
  const auto ended = store.TakeQueryChanges();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_FALSE(ended[0]->source.has_value());
}

TEST(PromqlStore, CountsForEachVersionWhatAnotherPodKnowsOfIt) {
  perennial::testing::ManualClock clock;
  SampleStore store(clock);
  Subscription subscription;
  subscription.interval = Millis{10'000};
  subscription.metrics = {"c_total"};
  subscription.promql = Source();
  subscription.promql->version_label = "version";
  store.Set("m", subscription);
  const auto job = store.TakeQueryChanges().at(0);
  const std::map<std::string, std::vector<double>> known = {{"v1", {5, 15, 40}}, {"v2", {1, 3, 4}}};
  for (std::size_t i = 0; i < 3; ++i) {
    ScrapedPages seen;
    for (const auto& [version, values] : known) {
      Series series;
      series.metric = "c_total";
      series.kind = SeriesKind::kCounter;
      series.value = values[i];
      Scrape scrape;
      scrape.series.push_back(series);
      seen.pages.push_back({"joiner-0", version, clock.Wall(), scrape});
    }
    store.RecordPages(*job, seen, true);
    clock.Advance(Millis{10'000});
  }
  for (const auto& [version, values] : known) {
    const WindowView view = store.View("m", version, Millis{600'000}, Millis{0}, clock.Steady());
    ASSERT_EQ(view.series.size(), 1u);
    EXPECT_EQ(view.series[0].increase, values[2] - values[0]) << version;
  }
}

class PromqlChurn : public ::testing::Test {
 protected:
  PromqlChurn() {
    subscription_.interval = Millis{10'000};
    subscription_.metrics = {"c_total"};
    subscription_.promql = Source();
    Target("departures-v1-a-old");
  }

  void Target(const std::string& pod) {
    subscription_.targets = {{pod, "10.0.0.1", 80, "/metrics", "v1"}};
    Set(subscription_);
  }
  void Set(const Subscription& subscription) {
    store_.Set("m", subscription);
    for (const auto& job : store_.TakeQueryChanges()) job_ = job;
  }
  // What the Prometheus scraped just now, by its own clock; nothing: a marker.
  void Scraped(const std::map<std::string, std::optional<double>>& pods) {
    ScrapedPages seen;
    for (const auto& [pod, value] : pods) {
      Scrape scrape;
      if (value) {
        Series series;
        series.metric = "c_total";
        series.kind = SeriesKind::kCounter;
        series.value = *value;
        scrape.series.push_back(series);
      }
      seen.pages.push_back({pod, "v1", prometheus_, scrape});
    }
    store_.RecordPages(*job_, seen, true);
  }
  ScrapedPage Page(Millis ago, std::optional<double> value) const {
    Scrape scrape;
    scrape.process_start_time = 60;
    if (value) {
      Series series;
      series.metric = "c_total";
      series.kind = SeriesKind::kCounter;
      series.value = *value;
      scrape.series.push_back(series);
    }
    return {"departures-v1-a-old", "v1", prometheus_ - ago, scrape};
  }
  void Pass(Millis time) {
    clock_.Advance(time);
    prometheus_ += time;
  }
  WindowView Look() const {
    return store_.View("m", "v1", Millis{3'600'000}, Millis{0}, clock_.Steady());
  }

  perennial::testing::ManualClock clock_;
  WallTime prometheus_ = clock_.Wall();
  SampleStore store_{clock_};
  Subscription subscription_;
  std::shared_ptr<const QueryJob> job_;
};

TEST_F(PromqlChurn, CountsEachPodOnceWhileTheyComeAndGo) {
  constexpr Millis kMinute{60'000};
  Scraped({{"departures-v1-a-old", 100}});
  Pass(kMinute);
  Scraped({{"departures-v1-a-old", 110}, {"departures-v1-b-new", 3}});
  Target("departures-v1-b-new");
  Pass(kMinute);
  // The old one's series are stale, and its pages end; the new one goes on.
  Scraped({{"departures-v1-a-old", std::nullopt}, {"departures-v1-b-new", 5}});
  Pass(kMinute);
  Scraped({{"departures-v1-b-new", 9}});
  EXPECT_EQ(Look().series.at(0).increase, 10 + 2 + 4);
  EXPECT_EQ(Look().targets, 1);
  EXPECT_EQ(Look().targets_up, 1);
  // A name that comes back within the window continues; as a StatefulSet's pods do.
  Pass(kMinute);
  Scraped({{"departures-v1-a-old", 112}, {"departures-v1-b-new", 9}});
  EXPECT_EQ(Look().series.at(0).increase, 10 + 2 + 4 + 2);
  // Nothing new of a pod that should be there: after five minutes it counts as down.
  for (int i = 0; i < 6; ++i) {
    Pass(kMinute);
    Scraped({});
  }
  EXPECT_EQ(Look().targets_up, 0);
  EXPECT_EQ(Look().series.at(0).increase, 18) << "what was counted stays";
}

TEST_F(PromqlChurn, LosesAndDoublesNothingWhenOurClockIsSet) {
  constexpr Millis kMinute{60'000};
  double value = 100;
  const auto next = [&] {
    Pass(kMinute);
    Scraped({{"departures-v1-a-old", value += 5}});
  };
  next();
  next();
  for (const Millis jump : {Millis{7'200'000}, Millis{-7'200'000}, Millis{-7'200'000}}) {
    clock_.JumpWall(jump);
    next();
    next();
  }
  EXPECT_EQ(Look().series.at(0).increase, value - 105);
  EXPECT_EQ(Look().targets_up, 1);
}

// What it scraped before it was asked is no first scrape of ours.
TEST_F(PromqlChurn, CountsASeriesThatAppearsOnThePagesThatAreReadBack) {
  store_.RecordPages(
      *job_, {{Page(Millis{90'000}, {}), Page(Millis{60'000}, 3), Page(Millis{30'000}, 4)}, {}},
      true);
  EXPECT_EQ(Look().series.at(0).increase, 4);
}

// A Secret that cannot be read for a moment takes the source away; then all is read again.
TEST_F(PromqlChurn, CountsNothingTwiceThatIsReadAgain) {
  store_.RecordPages(*job_, {{Page(Millis{90'000}, 100), Page(Millis{60'000}, 110)}, {}}, true);
  Subscription none = subscription_;
  none.promql.reset();
  none.targets.clear();
  Set(none);
  EXPECT_FALSE(job_->source.has_value());
  Set(subscription_);
  const ScrapedPages again{
      {Page(Millis{90'000}, 100), Page(Millis{60'000}, 110), Page(Millis{30'000}, 115)}, {}};
  store_.RecordPages(*job_, again, true);
  EXPECT_EQ(Look().series.at(0).increase, 15);
  store_.RecordPages(*job_, again, true);
  EXPECT_EQ(Look().series.at(0).increase, 15);
}

// Of pods that are gone only the latest keep their counters.
TEST_F(PromqlChurn, ReadsAgainOfManyPodsThatAreGone) {
  ScrapedPages seen;
  for (const auto& [ago, value] : {std::pair{Millis{90'000}, 100.0}, {Millis{60'000}, 110.0}}) {
    for (int i = 0; i < 20; ++i) {
      seen.pages.push_back(Page(ago, value));
      seen.pages.back().pod += std::to_string(i);
    }
  }
  store_.RecordPages(*job_, seen, true);
  EXPECT_EQ(Look().series.at(0).increase, 200);
  store_.RecordPages(*job_, seen, true);
  EXPECT_EQ(Look().series.at(0).increase, 200);
}

TEST_F(PromqlChurn, IsReadBackWhereTheWindowsWouldLackSomething) {
  const ScrapedPages seen{{Page(Millis{90'000}, 100), Page(Millis{60'000}, 110)}, {}};
  store_.RecordPages(*job_, seen, true);
  const auto set = [&] {
    const std::uint64_t before = job_->windows;
    Set(subscription_);
    return job_->windows != before;
  };
  subscription_.metrics = {"c_total", "d_total"};
  EXPECT_TRUE(set());
  EXPECT_TRUE(Look().series.empty());
  store_.RecordPages(*job_, seen, true);
  EXPECT_EQ(Look().series.at(0).increase, 10);
  subscription_.retention *= 2;
  EXPECT_TRUE(set());
  subscription_.resolution = Millis{300'000};
  EXPECT_TRUE(set());
  store_.RecordPages(*job_, seen, true);
  // Nothing is missing.
  subscription_.retention /= 2;
  subscription_.metrics = {"c_total"};
  subscription_.access.bearer_token = "another";
  EXPECT_FALSE(set());
  EXPECT_EQ(Look().series.at(0).increase, 10);
  subscription_.totals = true;
  subscription_.metrics = {"c_total", "d_total"};
  EXPECT_FALSE(set()) << "totals would be lost";
}

// They call the pods differently: what both told of one pod would be told of two.
TEST_F(PromqlChurn, BeginsAnewWhereThePodsAreScrapedInItsPlace) {
  store_.RecordPages(*job_, {{Page(Millis{90'000}, 100), Page(Millis{60'000}, 110)}, {}}, true);
  const auto late = job_;
  Subscription pods = subscription_;
  pods.promql.reset();
  pods.targets[0].id = "uid";
  Set(pods);
  const WindowView begun = Look();
  EXPECT_TRUE(begun.series.empty());
  EXPECT_EQ(begun.targets, 1);
  store_.Record(*store_.FindJob("m", "uid"), *Page({}, 115).outcome, clock_.Steady(),
                clock_.Wall());
  EXPECT_EQ(Look().series.size(), 1u);
  Set(subscription_);
  EXPECT_TRUE(Look().series.empty());
  store_.RecordPages(*late, {{Page(Millis{30'000}, 115)}, {}}, true);
  EXPECT_TRUE(Look().series.empty()) << "it goes on where other windows ended";
  store_.RecordPages(*job_, {{Page(Millis{90'000}, 100), Page(Millis{60'000}, 110)}, {}}, true);
  EXPECT_EQ(Look().series.at(0).increase, 10);
}

}  // namespace
}  // namespace perennial::scrape
