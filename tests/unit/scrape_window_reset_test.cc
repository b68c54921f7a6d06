// Counters that begin anew: what tells a restart from a fall, and what is counted across it.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "scrape/window.h"
#include "support/window_fixture.h"

namespace perennial::scrape {
namespace {

using testing::Counter;
using testing::Histogram;
using testing::kHour;
using testing::kInf;
using testing::kMinute;
using testing::kWallZero;

class WindowReset : public testing::WindowTest {};

TEST_F(WindowReset, TakesAFallingCounterForAReset) {
  Scrape(1 * kMinute, {Counter("c", 100)});
  Scrape(2 * kMinute, {Counter("c", 3)});
  Scrape(3 * kMinute, {Counter("c", 5)});
  EXPECT_EQ(Increase(3 * kMinute), 5);
}

TEST_F(WindowReset, TakesAnyFallingBucketForAResetOfTheWholeHistogram) {
  Scrape(1 * kMinute, {Histogram({1, 2, kInf}, {5, 10, 10}, 12)});
  Scrape(2 * kMinute, {Histogram({1, 2, kInf}, {6, 7, 7}, 8)});
  const SeriesWindow window = One(2 * kMinute);
  EXPECT_EQ(window.counts, (std::vector<double>{6, 1, 0}));
  EXPECT_EQ(window.count, 7);
  EXPECT_EQ(window.sum, 8);
}

TEST_F(WindowReset, SeesAResetInObservationsThatCannotMoveDown) {
  // No cumulative count falls, but three observations would have left the second bucket.
  Scrape(1 * kMinute, {Histogram({1, 2, kInf}, {5, 10, 10}, 12)});
  Scrape(2 * kMinute, {Histogram({1, 2, kInf}, {8, 10, 10}, 9)});
  EXPECT_EQ(One(2 * kMinute).counts, (std::vector<double>{8, 2, 0}));
}

TEST_F(WindowReset, LetsASumFallWithNegativeObservations) {
  Scrape(1 * kMinute, {Histogram({0, kInf}, {5, 10}, 12)});
  Scrape(2 * kMinute, {Histogram({0, kInf}, {8, 14}, 2)});
  const SeriesWindow window = One(2 * kMinute);
  EXPECT_EQ(window.counts, (std::vector<double>{3, 1}));
  EXPECT_EQ(window.sum, -10);
}

TEST_F(WindowReset, SeesAResetToAHigherValueByTheProcessStart) {
  Scrape(1 * kMinute, {Counter("c", 10)}, -10000);
  Scrape(2 * kMinute, {Counter("c", 30)}, 70);
  EXPECT_EQ(Increase(2 * kMinute), 30);
  // A start that moves by rounding only is the same process.
  Scrape(3 * kMinute, {Counter("c", 31)}, 71);
  EXPECT_EQ(Increase(3 * kMinute), 31);
}

TEST_F(WindowReset, SeesAResetToAHigherValueByCreated) {
  Series first = Counter("c", 10);
  first.created = kWallZero - 10000;
  Series second = Counter("c", 30);
  second.created = kWallZero + 70;
  Scrape(1 * kMinute, {first});
  Scrape(2 * kMinute, {second});
  EXPECT_EQ(Increase(2 * kMinute), 30);
}

TEST_F(WindowReset, CountsTheFirstScrapeOfAPodThatStartedInsideTheWindow) {
  Scrape(100 * kMinute, {Counter("c", 40)}, 80 * 60);
  EXPECT_EQ(Increase(100 * kMinute), 40);
  EXPECT_EQ(Increase(100 * kMinute, 30 * kMinute), 40);
  // It counted for 20 minutes: not all of that lies within 10.
  EXPECT_EQ(Increase(100 * kMinute, 10 * kMinute), 0);
}

TEST_F(WindowReset, CountsNothingAtTheFirstScrapeOfAnOldOrUnknownProcess) {
  Scrape(200 * kMinute, {Counter("c", 40)}, 60);
  EXPECT_EQ(Increase(200 * kMinute), 0);
  window_.AddTarget("pod-b");
  Scrape(200 * kMinute, {Counter("c", 40)}, std::nullopt, "pod-b");
  EXPECT_EQ(Increase(200 * kMinute), 0);
}

TEST_F(WindowReset, KnowsWhatBeganBeforeTheSteadyClockDid) {
  Scrape(1 * kMinute, {Counter("c", 40)}, -20 * 60);
  EXPECT_EQ(Increase(1 * kMinute, 30 * kMinute), 40);
  EXPECT_EQ(Increase(1 * kMinute, 10 * kMinute), 0);
}

TEST_F(WindowReset, BelievesNoStartInTheFuture) {
  skew_ = -2 * kHour;  // our clock was set back
  Scrape(100 * kMinute, {Counter("c", 40)}, 80 * 60);
  EXPECT_EQ(Increase(100 * kMinute), 0);
  // A few minutes are a badly set clock somewhere.
  window_.AddTarget("pod-b");
  skew_ = Millis{0};
  Scrape(100 * kMinute, {Counter("c", 7)}, 102 * 60, "pod-b");
  EXPECT_EQ(Increase(100 * kMinute), 7);
}

TEST_F(WindowReset, IsNotMovedByAJumpOfTheWallClock) {
  Scrape(1 * kMinute, {Counter("c", 10)}, -10000);
  skew_ = 5 * kHour;
  Scrape(2 * kMinute, {Counter("c", 12)}, -10000);
  skew_ = -5 * kHour;
  Scrape(3 * kMinute, {Counter("c", 15)}, -10000);
  EXPECT_EQ(Increase(3 * kMinute), 5);
}

TEST_F(WindowReset, TakesNoClockThatWasSetForANewProcess) {
  // The kernel reports when a process began by a clock that can be set.
  Series series = Counter("c", 1000);
  series.created = kWallZero - 90'000;
  Scrape(1 * kMinute, {series}, -90'000);
  series.value = 1003;
  *series.created += 40;
  Scrape(2 * kMinute, {series}, -90'000 + 40);
  EXPECT_EQ(Increase(2 * kMinute), 3);
  // The new reading is the one to compare with.
  series.value = 1004;
  Scrape(3 * kMinute, {series}, -90'000 + 40);
  EXPECT_EQ(Increase(3 * kMinute), 4);
}

Series Created(Series series, double at) {
  series.created = kWallZero + at;
  return series;
}

// Python's client writes `_created` of each set of labels when it is first used.
TEST_F(WindowReset, CountsAllSeriesOfAFirstScrapeSinceTheSameTime) {
  constexpr double kDay = 86'400;
  const auto page = [&](double start) {
    return std::vector{Created(Counter("c", 12, {{"reason", "timeout"}}), 10 * 60),
                       Created(Counter("g", 100'000), start)};
  };
  const auto increases = [&](Millis now, Millis window) {
    const WindowView view = window_.View(window, Millis{0}, now);
    return std::vector{view.series.at(0).increase, view.series.at(1).increase};
  };
  Scrape(50 * kMinute, page(-3 * kDay), -3 * kDay);
  EXPECT_EQ(increases(50 * kMinute, kHour), (std::vector<double>{0, 0}));
  // By the earliest `_created` where the process start is not told.
  window_.AddTarget("pod-b");
  Scrape(50 * kMinute, page(-3 * kDay), std::nullopt, "pod-b");
  EXPECT_EQ(increases(50 * kMinute, kHour), (std::vector<double>{0, 0}));

  window_.AddTarget("pod-c");
  Scrape(50 * kMinute, page(0), 0, "pod-c");
  EXPECT_EQ(increases(50 * kMinute, kHour), (std::vector<double>{12, 100'000}));
  EXPECT_EQ(increases(50 * kMinute, 45 * kMinute), (std::vector<double>{0, 0}));
  window_.AddTarget("pod-d");
  Scrape(50 * kMinute, page(0), std::nullopt, "pod-d");
  EXPECT_EQ(increases(50 * kMinute, kHour), (std::vector<double>{24, 200'000}));
  EXPECT_EQ(increases(50 * kMinute, 45 * kMinute), (std::vector<double>{0, 0}));
}

TEST_F(WindowReset, CountsAMetricThatIsWantedNowAsAFirstScrape) {
  std::vector<Series> page{Created(Counter("c", 12), 10 * 60), Created(Counter("g", 50), -9'000)};
  Scrape(50 * kMinute, {page[1]}, -9'000);
  auto names = std::make_shared<const WantedMetrics>(std::vector<std::string>{"c", "g"});
  window_.Configure(options_, std::make_shared<const WantedSince>(
                                  names, std::vector<Millis>{51 * kMinute, Millis{0}}));
  Scrape(52 * kMinute, page, -9'000);
  EXPECT_EQ(window_.View(kHour, Millis{0}, 52 * kMinute).series.at(0).increase, 0);
}

TEST_F(WindowReset, GoesByCreatedAfterAPageThatLeftSomethingOut) {
  Scrape(90 * kMinute, {Counter("c", 1, {{"id", "a"}}), Counter("c", kInf, {{"id", "b"}})}, 60);
  Scrape(100 * kMinute,
         {Counter("c", 1, {{"id", "a"}}), Created(Counter("c", 40, {{"id", "b"}}), 95 * 60),
          Created(Counter("c", 7, {{"id", "d"}}), 60)},
         60);
  const WindowView view = window_.View(kHour, Millis{0}, 100 * kMinute);
  ASSERT_EQ(view.series.size(), 3u);
  EXPECT_EQ(view.series[1].increase, 40);
  EXPECT_EQ(view.series[2].increase, 0) << "it may have been what was left out";
}

TEST_F(WindowReset, CountsASeriesThatCameBackAfterARestartFromZero) {
  Scrape(1 * kMinute, {Counter("c", 1000)}, -10'000);
  Scrape(2 * kMinute, {Counter("c", 1001)}, -10'000);
  Scrape(3 * kMinute, {}, 170);  // a new process, which has not counted yet
  Scrape(4 * kMinute, {Counter("c", 1003)}, 170);
  EXPECT_EQ(Increase(4 * kMinute), 1 + 1003);
}

}  // namespace
}  // namespace perennial::scrape
