#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "scrape/window.h"
#include "support/vectors.h"

// Windows against reference values: one pod's scrapes, a minute apart, seen over an hour.
namespace perennial::scrape {
namespace {

using testing::Cases;
using testing::ExpectMatches;
using testing::Number;
using testing::Numbers;

constexpr Millis kMinute{60'000};
constexpr Millis kHour{3'600'000};

WindowView Look(const std::vector<Series>& scrapes) {
  VariantWindow window({.interval = kMinute, .retention = kHour, .slot = kMinute},
                       WantedSince::Always({"x"}), Millis{0});
  window.AddTarget("pod");
  Millis now{0};
  for (const Series& series : scrapes) {
    now += kMinute;
    Scrape scrape;
    scrape.series = {series};
    window.Ingest("pod", scrape, now, WallTime(now));
  }
  return window.View(kHour, Millis{0}, now);
}

TEST(WindowVectors, IncreasesMatchPrometheusWithoutExtrapolation) {
  int compared = 0;
  for (const auto& test : Cases("counter_delta")) {
    SCOPED_TRACE(test["name"]);
    std::vector<Series> scrapes;
    for (const double value : Numbers(test["inputs"]["scrapes"])) {
      Series series;
      series.metric = "x";
      series.kind = SeriesKind::kCounter;
      series.value = value;
      scrapes.push_back(series);
    }
    const WindowView view = Look(scrapes);
    if (test["expected"]["increase"].is_null()) {
      for (const SeriesWindow& series : view.series) EXPECT_EQ(series.increase, 0);
      EXPECT_EQ(view.covered, Millis{0}) << "one scrape says nothing about a rise";
      continue;
    }
    ASSERT_EQ(view.series.size(), 1u);
    ExpectMatches(view.series.front().increase, test["expected"]["increase"], test);
    ++compared;
  }
  EXPECT_GT(compared, 3);
}

TEST(WindowVectors, HistogramsFollowTheResetOfTheWholeHistogram) {
  int compared = 0;
  for (const auto& test : Cases("histogram_delta")) {
    SCOPED_TRACE(test["name"]);
    const auto& in = test["inputs"];
    const auto scrape = [&](const char* counts) {
      Series series;
      series.metric = "x";
      series.kind = SeriesKind::kHistogram;
      series.bounds = Numbers(in["le"]);
      series.cumulative = Numbers(in[counts]);
      series.count = series.cumulative.back();
      return series;
    };
    const WindowView view = Look({scrape("previous_cumulative"), scrape("current_cumulative")});
    ASSERT_EQ(view.series.size(), 1u);
    EXPECT_EQ(view.series.front().counts, Numbers(test["expected"]["window_counts"]));
    ++compared;
  }
  EXPECT_GT(compared, 3);
}

}  // namespace
}  // namespace perennial::scrape
