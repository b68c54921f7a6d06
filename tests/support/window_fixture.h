#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "scrape/window.h"

// A window that is fed by hand, and the series to feed it with.
namespace perennial::scrape::testing {

inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr Millis kMinute{60'000};
inline constexpr Millis kHour{3'600'000};
// The wall clock's reading at steady time 0, in Unix seconds.
inline constexpr double kWallZero = 1'700'000'000;

inline Series Counter(std::string metric, double value, Labels labels = {}) {
  Series series;
  series.metric = std::move(metric);
  series.labels = std::move(labels);
  series.kind = SeriesKind::kCounter;
  series.value = value;
  return series;
}

inline Series Gauge(std::string metric, double value) {
  Series series = Counter(std::move(metric), value);
  series.kind = SeriesKind::kGauge;
  return series;
}

// cumulative.back() is the count.
inline Series Histogram(std::vector<double> bounds, std::vector<double> cumulative, double sum) {
  Series series;
  series.metric = "h";
  series.kind = SeriesKind::kHistogram;
  series.bounds = std::move(bounds);
  series.count = cumulative.back();
  series.cumulative = std::move(cumulative);
  series.sum = sum;
  return series;
}

class WindowTest : public ::testing::Test {
 protected:
  WindowTest() { window_.AddTarget("pod-a"); }

  static std::shared_ptr<const WantedSince> Wanted() {
    return WantedSince::Always({"c", "g", "h"});
  }

  void Scrape(Millis now, std::vector<Series> series, std::optional<double> start = {},
              const std::string& pod = "pod-a") {
    scrape::Scrape scrape;
    scrape.series = std::move(series);
    if (start) scrape.process_start_time = kWallZero + *start;
    const auto wall = WallTime(Millis(static_cast<std::int64_t>(kWallZero) * 1000) + now + skew_);
    window_.Ingest(pod, scrape, now, wall);
  }

  SeriesWindow One(Millis now, Millis window = kHour, Millis offset = Millis{0}) const {
    const WindowView view = window_.View(window, offset, now);
    EXPECT_EQ(view.series.size(), 1u);
    return view.series.empty() ? SeriesWindow{} : view.series.front();
  }
  double Increase(Millis now, Millis window = kHour, Millis offset = Millis{0}) const {
    return One(now, window, offset).increase;
  }

  WindowOptions options_{.interval = kMinute, .retention = kHour, .slot = kMinute};
  VariantWindow window_{options_, Wanted(), Millis{0}};
  Millis skew_{0};
};

}  // namespace perennial::scrape::testing
