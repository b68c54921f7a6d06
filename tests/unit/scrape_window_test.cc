#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scrape/window.h"
#include "support/window_fixture.h"

namespace perennial::scrape {
namespace {

using testing::Counter;
using testing::Gauge;
using testing::Histogram;
using testing::kHour;
using testing::kInf;
using testing::kMinute;
using testing::kWallZero;

class Window : public testing::WindowTest {};

TEST_F(Window, CountsWhatACounterRoseBetweenScrapes) {
  Scrape(1 * kMinute, {Counter("c", 100)});
  EXPECT_EQ(Increase(1 * kMinute), 0);
  Scrape(2 * kMinute, {Counter("c", 107)});
  Scrape(3 * kMinute, {Counter("c", 107)});
  Scrape(4 * kMinute, {Counter("c", 110)});
  EXPECT_EQ(Increase(4 * kMinute), 10);
}

TEST_F(Window, ForgetsWhatIsOlderThanTheWindow) {
  for (int i = 1; i <= 90; ++i) Scrape(i * kMinute, {Counter("c", i)});
  EXPECT_EQ(Increase(90 * kMinute), 60);
  EXPECT_EQ(Increase(90 * kMinute, 10 * kMinute), 10);
  EXPECT_EQ(Increase(90 * kMinute, kMinute), 1);
  EXPECT_EQ(Increase(200 * kMinute), 0);
}

TEST_F(Window, SplitsTimeBetweenAWindowAndTheOneBeforeIt) {
  for (int i = 1; i <= 60; ++i) Scrape(i * kMinute, {Counter("c", i * i)});
  const double now = Increase(60 * kMinute, 20 * kMinute);
  const double before = Increase(60 * kMinute, 20 * kMinute, 20 * kMinute);
  const double both = Increase(60 * kMinute, 40 * kMinute);
  EXPECT_GT(now, before);
  EXPECT_EQ(now + before, both);
}

TEST_F(Window, KeepsCountsWhenTheSumIsNotANumber) {
  Scrape(1 * kMinute, {Histogram({0, kInf}, {5, 10}, 12)});
  Scrape(2 * kMinute, {Histogram({0, kInf}, {8, 14}, std::numeric_limits<double>::quiet_NaN())});
  EXPECT_EQ(One(2 * kMinute).count, 4);
  EXPECT_TRUE(std::isnan(One(2 * kMinute).sum));
}

TEST_F(Window, CountsASeriesFromZeroThatAppearsOnAKnownPod) {
  Scrape(1 * kMinute, {Counter("c", 10, {{"class", "late"}})});
  Scrape(2 * kMinute, {Counter("c", 10, {{"class", "late"}}), Counter("c", 4, {{"class", "x"}})});
  const WindowView view = window_.View(kHour, Millis{0}, 2 * kMinute);
  ASSERT_EQ(view.series.size(), 2u);
  EXPECT_EQ(view.series[0].increase, 0);
  EXPECT_EQ(view.series[1].labels, (Labels{{"class", "x"}}));
  EXPECT_EQ(view.series[1].increase, 4);
}

TEST_F(Window, DoesNotTakeANewlyWantedMetricForANewOne) {
  Scrape(1 * kMinute, {Counter("c", 10)});
  const std::vector<Millis> since{Millis{0}, Millis{90'000}, Millis{0}, Millis{0}};
  window_.Configure(
      options_,
      std::make_shared<const WantedSince>(
          std::make_shared<const WantedMetrics>(std::vector<std::string>{"c", "d", "g", "h"}),
          since));
  Scrape(2 * kMinute, {Counter("c", 12), Counter("d", 1000)});
  Scrape(3 * kMinute, {Counter("c", 13), Counter("d", 1003)});
  const WindowView view = window_.View(kHour, Millis{0}, 3 * kMinute);
  ASSERT_EQ(view.series.size(), 2u);
  EXPECT_EQ(view.series[0].increase, 3);
  EXPECT_EQ(view.series[1].increase, 3);
}

TEST_F(Window, ForgetsAMetricThatIsNotWantedAnyMore) {
  Scrape(1 * kMinute, {Counter("c", 10), Gauge("g", 1)});
  window_.Configure(options_, WantedSince::Always({"g"}));
  EXPECT_EQ(One(1 * kMinute).metric, "g");
  // Its place is used again by another series: old counters must not meet new ones.
  window_.Configure(options_, Wanted());
  Scrape(2 * kMinute, {Counter("c", 50, {{"a", "b"}}), Gauge("g", 1)});
  Scrape(3 * kMinute, {Counter("c", 51, {{"a", "b"}}), Gauge("g", 1)});
  EXPECT_EQ(window_.View(kHour, Millis{0}, 3 * kMinute).series[0].increase, 51);
}

TEST_F(Window, ComparesASeriesThatComesBackWithItsOldCounters) {
  Scrape(1 * kMinute, {Counter("c", 1000)});
  Scrape(2 * kMinute, {});
  Scrape(3 * kMinute, {});
  Scrape(4 * kMinute, {Counter("c", 1003)});
  EXPECT_EQ(Increase(4 * kMinute), 3);
}

TEST_F(Window, KeepsAGapOutOfShorterWindows) {
  Scrape(1 * kMinute, {Counter("c", 10)});
  Scrape(2 * kMinute, {Counter("c", 11)});
  // 28 minutes without an answer.
  Scrape(30 * kMinute, {Counter("c", 500)});
  Scrape(31 * kMinute, {Counter("c", 501)});
  EXPECT_EQ(Increase(31 * kMinute, 10 * kMinute), 1);
  EXPECT_EQ(Increase(31 * kMinute, 40 * kMinute), 491);
}

TEST_F(Window, StartsAnewAfterAGapLongerThanTheRetention) {
  Scrape(1 * kMinute, {Counter("c", 10)});
  Scrape(100 * kMinute, {Counter("c", 500)});
  Scrape(101 * kMinute, {Counter("c", 501)});
  EXPECT_EQ(Increase(101 * kMinute), 1);
  EXPECT_EQ(window_.View(kHour, Millis{0}, 101 * kMinute).covered, kMinute);
}

TEST_F(Window, KeepsTheCountsOfPodsThatAreGone) {
  window_.AddTarget("pod-b");
  Scrape(1 * kMinute, {Counter("c", 10)});
  Scrape(1 * kMinute, {Counter("c", 100)}, std::nullopt, "pod-b");
  Scrape(2 * kMinute, {Counter("c", 15)});
  Scrape(2 * kMinute, {Counter("c", 120)}, std::nullopt, "pod-b");
  window_.RemoveTarget("pod-b", 2 * kMinute);
  EXPECT_EQ(Increase(3 * kMinute), 25);
  window_.RemoveTarget("pod-a", 3 * kMinute);
  EXPECT_EQ(Increase(50 * kMinute), 25);
  EXPECT_FALSE(window_.Expired(50 * kMinute));
  EXPECT_TRUE(window_.Expired(63 * kMinute));
}

TEST_F(Window, ContinuesWithAPodThatComesBack) {
  Scrape(1 * kMinute, {Counter("c", 10)});
  window_.RemoveTarget("pod-a", 2 * kMinute);  // not ready for a while
  window_.AddTarget("pod-a");
  Scrape(4 * kMinute, {Counter("c", 13)});
  EXPECT_EQ(Increase(4 * kMinute), 3);
}

TEST_F(Window, IgnoresPodsThatItDoesNotKnow) {
  Scrape(1 * kMinute, {Counter("c", 10)}, std::nullopt, "stranger");
  EXPECT_TRUE(window_.View(kHour, Millis{0}, kMinute).series.empty());
}

TEST_F(Window, MergesNestedBucketLayoutsAtTheirCommonBounds) {
  Scrape(1 * kMinute, {Histogram({1, 2, 3, kInf}, {0, 0, 0, 0}, 0)});
  Scrape(2 * kMinute, {Histogram({1, 2, 3, kInf}, {1, 2, 4, 8}, 10)});
  Scrape(3 * kMinute, {Histogram({2, kInf}, {3, 5}, 7)});
  const WindowView view = window_.View(kHour, Millis{0}, 3 * kMinute);
  ASSERT_EQ(view.series.size(), 1u);
  EXPECT_EQ(view.series[0].bounds, (std::vector<double>{2, kInf}));
  EXPECT_EQ(view.series[0].counts, (std::vector<double>{5, 8}));
  EXPECT_EQ(view.series[0].count, 13);
  EXPECT_EQ(view.series[0].sum, 17);
  EXPECT_EQ(view.problems,
            (std::vector<std::string>{"bucket bounds of h differ; counted at the common bounds"}));
}

TEST_F(Window, RestartsWhenTheBucketLayoutChangesToAnother) {
  Scrape(1 * kMinute, {Histogram({1, 2, kInf}, {0, 0, 0}, 0)});
  Scrape(2 * kMinute, {Histogram({1, 2, kInf}, {1, 2, 4}, 10)});
  Scrape(3 * kMinute, {Histogram({5, 6, kInf}, {1, 2, 3}, 7)});
  const WindowView view = window_.View(kHour, Millis{0}, 3 * kMinute);
  ASSERT_EQ(view.series.size(), 1u);
  EXPECT_EQ(view.series[0].bounds, (std::vector<double>{5, 6, kInf}));
  EXPECT_EQ(view.series[0].counts, (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(view.problems,
            (std::vector<std::string>{"bucket bounds of h changed; its window restarted"}));
  // Once the old counts have aged out there is nothing to report.
  for (int i = 4; i < 70; ++i) Scrape(i * kMinute, {Histogram({5, 6, kInf}, {1, 2, 3}, 7)});
  EXPECT_TRUE(window_.View(kHour, Millis{0}, 69 * kMinute).problems.empty());
}

TEST_F(Window, KeepsAFewLayoutsOnly) {
  for (int i = 1; i < 50; ++i) {
    Scrape(i * kMinute, {Histogram({static_cast<double>(i), kInf}, {1, 2}, 3)});
  }
  EXPECT_LT(window_.bytes(), 4000u);
  EXPECT_EQ(One(49 * kMinute).bounds, (std::vector<double>{49, kInf}));
}

TEST_F(Window, CountsNothingTwiceWhenPodsHaveTooManyLayouts) {
  for (int minute = 1; minute <= 20; ++minute) {
    for (int pod = 0; pod < 8; ++pod) {
      const std::string name = "pod-" + std::to_string(pod);
      window_.AddTarget(name);
      const double count = 1000 + minute;
      Scrape(minute * kMinute + Millis(pod),
             {Histogram({static_cast<double>(pod), kInf}, {count, count}, 0)}, std::nullopt, name);
    }
  }
  const WindowView view = window_.View(kHour, Millis{0}, 20 * kMinute + Millis{8});
  ASSERT_EQ(view.series.size(), 1u);
  EXPECT_EQ(view.series[0].count, 19);
  EXPECT_NE(
      std::ranges::find(view.problems, "too many different bucket bounds; some were left out"),
      view.problems.end());
}

TEST_F(Window, DoesNotKnowTheIncreaseOfAForgottenLayout) {
  window_.AddTarget("pod-b");
  Scrape(1 * kMinute, {Histogram({7, kInf}, {1000, 1000}, 0)});
  for (int i = 2; i < 20; ++i) {
    Scrape(i * kMinute, {Histogram({static_cast<double>(i), kInf}, {0, 0}, 0)}, std::nullopt,
           "pod-b");
  }
  Scrape(20 * kMinute, {Histogram({7, kInf}, {1005, 1005}, 0)});
  EXPECT_EQ(One(20 * kMinute).count, 0);
  Scrape(21 * kMinute, {Histogram({7, kInf}, {1007, 1007}, 0)});
  EXPECT_EQ(One(21 * kMinute).count, 2);
}

TEST_F(Window, AveragesGaugesOverPodsAndTime) {
  window_.AddTarget("pod-b");
  Scrape(1 * kMinute, {Gauge("g", 10)});
  Scrape(1 * kMinute, {Gauge("g", 20)}, std::nullopt, "pod-b");
  Scrape(2 * kMinute, {Gauge("g", 30)});
  SeriesWindow window = One(2 * kMinute);
  EXPECT_EQ(window.last, 25);
  EXPECT_EQ(window.sum, 60);
  EXPECT_EQ(window.count, 3);
  window_.RecordFailure("pod-b", {Errc::kTimeout, "no complete answer in time"});
  EXPECT_EQ(One(2 * kMinute).last, 30);
  Scrape(3 * kMinute, {Gauge("g", std::numeric_limits<double>::quiet_NaN())});
  window = One(3 * kMinute);
  EXPECT_TRUE(std::isnan(window.last));
  EXPECT_EQ(window.count, 3);
}

TEST_F(Window, TreatsUnknownAsCounterAndGauge) {
  Series series = Counter("c", 5);
  series.kind = SeriesKind::kUnknown;
  Scrape(1 * kMinute, {series});
  series.value = 8;
  Scrape(2 * kMinute, {series});
  const SeriesWindow window = One(2 * kMinute);
  EXPECT_EQ(window.increase, 3);
  EXPECT_EQ(window.last, 8);
  EXPECT_EQ(window.sum, 13);
  EXPECT_EQ(window.count, 2);
}

TEST_F(Window, IgnoresUnknownValuesThatAreNotNumbers) {
  Series series = Counter("c", 5);
  series.kind = SeriesKind::kUnknown;
  Scrape(1 * kMinute, {series});
  series.value = std::numeric_limits<double>::quiet_NaN();
  Scrape(2 * kMinute, {series});
  EXPECT_TRUE(std::isnan(One(2 * kMinute).last));
  series.value = 8;
  Scrape(3 * kMinute, {series});
  const SeriesWindow window = One(3 * kMinute);
  EXPECT_EQ(window.increase, 3);
  EXPECT_EQ(window.sum, 13);
  EXPECT_EQ(window.count, 2);
}

TEST_F(Window, CountsSummaries) {
  Series series = Counter("c", 0);
  series.kind = SeriesKind::kSummary;
  series.count = 10;
  series.sum = 4;
  Scrape(1 * kMinute, {series});
  series.count = 13;
  series.sum = 5.5;
  Scrape(2 * kMinute, {series});
  EXPECT_EQ(One(2 * kMinute).count, 3);
  EXPECT_EQ(One(2 * kMinute).sum, 1.5);
}

TEST_F(Window, ShowsOneSeriesWhenAMetricChangesItsType) {
  Scrape(1 * kMinute, {Counter("c", 5)});
  Scrape(2 * kMinute, {Gauge("c", 5)});
  const WindowView view = window_.View(kHour, Millis{0}, 2 * kMinute);
  ASSERT_EQ(view.series.size(), 1u);
  EXPECT_EQ(view.series[0].kind, SeriesKind::kGauge);
  EXPECT_EQ(view.problems, (std::vector<std::string>{"type of c changed; its window restarted"}));
}

TEST_F(Window, ShowsOneSeriesWhenAMetricHasHadThreeTypes) {
  Series histogram = Histogram({1, kInf}, {1, 1}, 0);
  histogram.metric = "c";
  Scrape(1 * kMinute, {histogram});
  Scrape(2 * kMinute, {Counter("c", 5)});
  Scrape(3 * kMinute, {Gauge("c", 5)});
  Scrape(4 * kMinute, {histogram});
  EXPECT_EQ(One(4 * kMinute).kind, SeriesKind::kHistogram);
  Scrape(5 * kMinute, {Gauge("c", 5)});
  EXPECT_EQ(One(5 * kMinute).kind, SeriesKind::kGauge);
}

TEST_F(Window, IgnoresCountersThatAreNotNumbers) {
  Scrape(1 * kMinute, {Counter("c", 5)});
  Scrape(2 * kMinute, {Counter("c", kInf)});
  Scrape(3 * kMinute, {Counter("c", 9)});
  EXPECT_EQ(Increase(3 * kMinute), 4);
}

TEST_F(Window, TellsWhoIsUpAndWhyNot) {
  window_.AddTarget("pod-b");
  window_.AddTarget("pod-c");
  Scrape(1 * kMinute, {Counter("c", 5)});
  window_.RecordFailure("pod-b", {Errc::kTimeout, "no complete answer in time"});
  window_.RecordFailure("pod-c", {Errc::kTimeout, "no complete answer in time"});
  WindowView view = window_.View(kHour, Millis{0}, 2 * kMinute);
  EXPECT_EQ(view.targets, 3);
  EXPECT_EQ(view.targets_up, 1);
  EXPECT_EQ(view.newest_age, kMinute);
  EXPECT_EQ(view.problems,
            (std::vector<std::string>{"2 of 3 targets failed: no complete answer in time"}));
  view = window_.View(kHour, Millis{0}, 10 * kMinute);
  EXPECT_EQ(view.targets_up, 0);
}

TEST_F(Window, SaysTheSameOfAPageThatStaysWrong) {
  const auto problems = [&](const char* message) {
    window_.RecordFailure("pod-a", {Errc::kInvalid, message});
    return window_.View(kHour, Millis{0}, kMinute).problems.at(0);
  };
  const std::string first = problems("line 7, column 3: value is not a number");
  EXPECT_EQ(first, "1 of 1 targets failed: line 7, column 3: value is not a number");
  EXPECT_EQ(problems("line 9, column 3: value is not a number"), first);
  EXPECT_NE(problems("line 9, column 3: metric name expected"), first);
  Scrape(1 * kMinute, {Counter("c", 1)});
  EXPECT_EQ(problems("line 9, column 3: value is not a number"),
            "1 of 1 targets failed: line 9, column 3: value is not a number");
}

TEST_F(Window, TellsHowMuchOfTheWindowIsCovered) {
  EXPECT_EQ(window_.View(kHour, Millis{0}, kMinute).covered, Millis{0});
  EXPECT_FALSE(window_.View(kHour, Millis{0}, kMinute).newest_age.has_value());
  Scrape(1 * kMinute, {Counter("c", 5)});
  EXPECT_EQ(window_.View(kHour, Millis{0}, kMinute).covered, Millis{0});
  for (int i = 2; i <= 21; ++i) Scrape(i * kMinute, {Counter("c", 5)});
  EXPECT_EQ(window_.View(kHour, Millis{0}, 21 * kMinute).covered, 20 * kMinute);
  EXPECT_EQ(window_.View(5 * kMinute, Millis{0}, 21 * kMinute).covered, 5 * kMinute);
  EXPECT_EQ(window_.View(5 * kMinute, 18 * kMinute, 21 * kMinute).covered, 2 * kMinute);
}

TEST_F(Window, AddsUpTotalsWithoutAnEnd) {
  options_.totals_since = Millis{0};
  window_.Configure(options_, Wanted());
  for (int i = 1; i <= 300; ++i) Scrape(i * kMinute, {Counter("c", 2 * i)}, 30);
  const WindowView view = window_.Totals(300 * kMinute);
  ASSERT_EQ(view.series.size(), 1u);
  EXPECT_EQ(view.series[0].increase, 600);
  EXPECT_EQ(view.covered, 300 * kMinute);
  EXPECT_EQ(Increase(300 * kMinute), 120);
  options_.totals_since.reset();
  window_.Configure(options_, Wanted());
  EXPECT_TRUE(window_.Totals(300 * kMinute).series.empty());
}

TEST_F(Window, LeavesWhatWasBeforeOutOfTotals) {
  options_.totals_since = 10 * kMinute;
  window_.Configure(options_, Wanted());
  Scrape(5 * kMinute, {Counter("c", 10)}, 30);
  Scrape(11 * kMinute, {Counter("c", 50)}, 30);  // began before minute 10
  Scrape(12 * kMinute, {Counter("c", 53)}, 30);
  EXPECT_EQ(window_.Totals(12 * kMinute).series[0].increase, 3);
}

TEST_F(Window, ForgetsTheLastValueOfAGaugeThatLeftThePage) {
  window_.AddTarget("pod-b");
  Scrape(1 * kMinute, {Gauge("g", 10)});
  Scrape(1 * kMinute, {Gauge("g", 20)}, std::nullopt, "pod-b");
  Scrape(2 * kMinute, {});
  EXPECT_EQ(One(2 * kMinute).last, 20) << "of the pod that still shows it";
  Scrape(2 * kMinute, {}, std::nullopt, "pod-b");
  EXPECT_TRUE(std::isnan(One(2 * kMinute).last));
  EXPECT_EQ(One(2 * kMinute).sum, 30) << "what was measured inside the window stays";
  const WindowView later = window_.View(kHour, Millis{0}, 63 * kMinute);
  EXPECT_TRUE(later.series.empty() || later.series[0].count == 0);
}

TEST_F(Window, KeepsTheOrderOfPagesWhateverTheClockSays) {
  Scrape(100 * kMinute, {Counter("c", 10)});
  Scrape(101 * kMinute, {Counter("c", 15)});
  Scrape(20 * kMinute, {Counter("c", 25)});  // the source's clock seems to have been set
  Scrape(102 * kMinute, {Counter("c", 45)});
  EXPECT_EQ(Increase(102 * kMinute), 35);
  EXPECT_EQ(window_.View(kHour, Millis{0}, 102 * kMinute).covered, 2 * kMinute);
}

}  // namespace
}  // namespace perennial::scrape
