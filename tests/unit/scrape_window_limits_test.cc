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
using testing::Histogram;
using testing::kHour;
using testing::kInf;
using testing::kMinute;

class WindowLimits : public testing::WindowTest {};

TEST_F(WindowLimits, LimitsSeriesAndRecoversFromAFlood) {
  options_.max_series = 10;
  window_.Configure(options_, Wanted());
  const auto flood = [&](Millis now, int from) {
    std::vector<Series> series;
    for (int i = 0; i < 20; ++i) {
      series.push_back(Counter("c", 1, {{"id", std::to_string(from + i)}}));
    }
    Scrape(now, std::move(series));
  };
  flood(kMinute, 0);
  EXPECT_EQ(window_.series_count(), 10u);
  EXPECT_EQ(window_.View(kHour, Millis{0}, kMinute).problems,
            (std::vector<std::string>{"more than 10 series; the others were left out"}));
  const std::size_t bytes = window_.bytes();
  for (int i = 2; i < 200; ++i) flood(i * kMinute, 20 * i);
  EXPECT_EQ(window_.series_count(), 10u);
  EXPECT_LT(window_.bytes(), 3 * bytes);
  // What was left out is not new when there is room again.
  for (int i = 200; i < 280; ++i) Scrape(i * kMinute, {Counter("c", i)});
  EXPECT_LT(One(279 * kMinute).increase, 30);
  for (int i = 280; i < 400; ++i) Scrape(i * kMinute, {Counter("c", i)});
  EXPECT_EQ(Increase(399 * kMinute), 60);
  EXPECT_TRUE(window_.View(kHour, Millis{0}, 399 * kMinute).problems.empty());
}

// So many buckets that each slot takes some hundred bytes a series.
std::vector<Series> Wide(int series, int minute) {
  std::vector<double> bounds;
  for (int i = 0; i < 19; ++i) bounds.push_back(i);
  bounds.push_back(kInf);
  std::vector<Series> out;
  for (int n = 0; n < series; ++n) {
    std::vector<double> cumulative;
    for (int i = 1; i <= 20; ++i) cumulative.push_back(100.0 * i * minute);
    out.push_back(Histogram(bounds, cumulative, 3 * minute));
    out.back().labels = {{"n", std::to_string(n)}};
  }
  return out;
}

TEST_F(WindowLimits, GetsShorterWhenItsSeriesTakeTooMuch) {
  options_.max_bytes = 40'000;
  window_.Configure(options_, Wanted());
  for (int minute = 1; minute <= 200; ++minute) {
    Scrape(minute * kMinute, Wide(20, minute));
    EXPECT_LT(window_.bytes(), 40'000u + 8'000u) << minute;
  }
  const WindowView view = window_.View(kHour, Millis{0}, 200 * kMinute);
  ASSERT_EQ(view.problems.size(), 1u);
  EXPECT_EQ(view.problems[0].find("the series take more than 39 KiB"), 0u) << view.problems[0];
  ASSERT_EQ(view.series.size(), 20u);
  EXPECT_GT(view.covered, 5 * kMinute);
  EXPECT_LT(view.covered, 50 * kMinute);
  for (const SeriesWindow& series : view.series) {
    EXPECT_EQ(series.count, view.series[0].count) << "all of them forget alike";
  }
  // 2,000 observations a minute, and an edge is exact to one slot.
  const double minutes = static_cast<double>(view.covered.count()) / 60'000;
  EXPECT_NEAR(view.series[0].count / 2000, minutes, 1);
  // With less to hold, the window grows again, and nobody complains any more.
  for (int minute = 201; minute <= 340; ++minute) Scrape(minute * kMinute, Wide(2, minute));
  const WindowView after = window_.View(kHour, Millis{0}, 340 * kMinute);
  EXPECT_TRUE(after.problems.empty());
  EXPECT_EQ(after.series[0].count, 60 * 2000);
}

TEST_F(WindowLimits, LeavesSeriesOutWhereNoWindowIsShortEnough) {
  options_.max_bytes = 4'000;
  window_.Configure(options_, Wanted());
  for (int minute = 1; minute <= 100; ++minute) {
    Scrape(minute * kMinute, Wide(5 + minute, minute));
    // Each page may add one more than there is room for.
    EXPECT_LT(window_.bytes(), 24'000u) << minute;
  }
  EXPECT_LT(window_.series_count(), 20u);
  EXPECT_FALSE(window_.View(kHour, Millis{0}, 100 * kMinute).problems.empty());
}

TEST_F(WindowLimits, LimitsTheCountersOfOnePod) {
  options_.max_counter_bytes = 1'000;
  window_.Configure(options_, Wanted());
  for (int minute = 1; minute <= 5; ++minute) Scrape(minute * kMinute, Wide(100, minute));
  const std::size_t kept = window_.series_count();
  EXPECT_LT(kept, 40u);
  EXPECT_LT(window_.bytes(), 60'000u);
  const WindowView view = window_.View(kHour, Millis{0}, 5 * kMinute);
  EXPECT_FALSE(view.problems.empty());
  for (const SeriesWindow& series : view.series) EXPECT_EQ(series.count, 4 * 2000);
}

TEST_F(WindowLimits, LimitsPodsThatAreGone) {
  for (int i = 0; i < 5000; ++i) {
    const std::string pod = "pod-" + std::to_string(i);
    window_.AddTarget(pod);
    Scrape(kMinute + Millis(i), {Counter("c", 5)}, std::nullopt, pod);
    window_.RemoveTarget(pod, kMinute + Millis(i));
  }
  EXPECT_LT(window_.bytes(), 8000u + 1024 * 24) << "little of the latest 1,000";
  window_.AddTarget("pod-a");
  Scrape(kMinute * 90, {Counter("c", 5)});
  EXPECT_LT(window_.bytes(), 8000u);
}

TEST_F(WindowLimits, CountsPodsOnceThatAreAllGoneForAWhile) {
  window_.RemoveTarget("pod-a", Millis{0});
  const auto name = [](int i) { return "pod-" + std::to_string(i); };
  for (int i = 0; i < 20; ++i) {
    window_.AddTarget(name(i));
    Scrape(20 * kMinute, {Counter("c", 40)}, 0, name(i));
  }
  for (int i = 0; i < 20; ++i) window_.RemoveTarget(name(i), 21 * kMinute);
  for (int i = 0; i < 20; ++i) {
    window_.AddTarget(name(i));
    Scrape(22 * kMinute, {Counter("c", 40)}, 0, name(i));
  }
  EXPECT_EQ(Increase(22 * kMinute), 800);
  for (int i = 0; i < 20; ++i) Scrape(23 * kMinute, {Counter("c", 41)}, 0, name(i));
  EXPECT_EQ(Increase(23 * kMinute), 820);
  // What is forgotten is so until it is older than the window.
  for (int i = 0; i < 20; ++i) window_.RemoveTarget(name(i), 24 * kMinute);
  window_.AddTarget(name(0));
  Scrape(23 * kMinute + 2 * kHour, {Counter("c", 7)}, 120 * 60, name(0));
  EXPECT_EQ(Increase(23 * kMinute + 2 * kHour), 7);
}

TEST_F(WindowLimits, StaysSmallForAMonitorWithTenHistograms) {
  std::vector<double> bounds;
  for (int i = 0; i < 19; ++i) bounds.push_back(i);
  bounds.push_back(kInf);
  VariantWindow window(options_, Wanted(), Millis{0});
  for (const char* pod : {"a", "b", "c"}) window.AddTarget(pod);
  for (int minute = 1; minute <= 120; ++minute) {
    for (const char* pod : {"a", "b", "c"}) {
      scrape::Scrape scrape;
      for (int feature = 0; feature < 10; ++feature) {
        std::vector<double> cumulative;
        for (int i = 1; i <= 20; ++i) cumulative.push_back(i * minute);
        Series series = Histogram(bounds, cumulative, 0.5 * minute);
        series.labels = {{"feature", std::to_string(feature)}};
        scrape.series.push_back(std::move(series));
      }
      window.Ingest(pod, scrape, minute * kMinute, WallTime{});
    }
  }
  EXPECT_EQ(window.View(kHour, Millis{0}, 120 * kMinute).series[3].count, 3 * 20 * 60);
  RecordProperty("bytes", static_cast<int>(window.bytes()));
  EXPECT_LT(window.bytes(), 32'000u);  // plain doubles: 100 KB a pod
}

}  // namespace
}  // namespace perennial::scrape
