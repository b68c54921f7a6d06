// What an edit of the spec makes of what was counted before it.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "drift/evaluation.h"
#include "support/monitored_model.h"

namespace perennial::drift {
namespace {

TEST_F(DriftObserve, DividesOnlyWhatWasCountedOverTheSameTime) {
  api::Signal ratio;
  ratio.name = "distance";
  ratio.type = api::SignalType::kDataQuality;
  ratio.numerator = "a_total";
  ratio.denominator = "b_total";
  ratio.max = {0.05, "0.05"};
  api::Signal other = ratio;
  other.name = "other";
  other.numerator = "d_total";
  other.denominator = "e_total";
  monitor_.spec.window.value = kMinute * 60;
  monitor_.spec.signals = {ratio, other};
  Put(monitors_, monitor_);
  Reconcile();
  int minutes = 0;
  const auto round = [&] {
    ++minutes;
    clock_.steady = clock_.Steady() + kMinute;
    for (const char* pod : {"a", "b"}) {
      scrape::Scrape page;
      const auto job = samples_.FindJob("drift/uid-m", pod);
      ASSERT_TRUE(job.has_value());
      for (const auto& [metric, pace] : {std::pair{"a_total", 2},
                                         {"b_total", 100},
                                         {"c_total", 100},
                                         {"d_total", 1},
                                         {"e_total", 100}}) {
        if (!std::ranges::binary_search(WantedMetrics(monitor_.spec, {}), metric)) continue;
        scrape::Series series;
        series.metric = metric;
        series.kind = scrape::SeriesKind::kCounter;
        series.value = pace * (1'000 + minutes);
        page.series.push_back(series);
      }
      samples_.Record(*job, page, clock_.Steady(), clock_.Wall());
    }
    Reconcile();
  };
  const auto increase = [&](const std::string& metric) {
    const auto view = samples_.View("drift/uid-m", "v1", kMinute * 60, {}, clock_.Steady());
    for (const auto& series : view.series) {
      if (series.metric == metric) return series.increase;
    }
    return -1.0;
  };
  for (int i = 0; i < 60; ++i) round();
  EXPECT_EQ(Marks(Observe()), "---");
  const double whole = increase("a_total");
  EXPECT_EQ(whole, 2 * 59 * 2);
  monitor_.spec.signals[0].max = {0.06, "0.06"};
  ++monitor_.meta.generation;
  Put(monitors_, monitor_);
  Reconcile();
  EXPECT_EQ(increase("a_total"), whole) << "another bound empties nothing";

  monitor_.spec.signals[0].denominator = "c_total";
  ++monitor_.meta.generation;
  Put(monitors_, monitor_);
  Reconcile();
  EXPECT_EQ(increase("a_total"), -1);
  EXPECT_EQ(increase("e_total"), 2 * 59 * 100) << "nobody divides it by what is new";
  for (int i = 0; i < 5; ++i) {
    round();
    EXPECT_EQ(Marks(Observe()).find('B'), std::string::npos) << i << ": " << Marks(Observe());
  }
  EXPECT_EQ(Marks(Observe()), "---");
  EXPECT_EQ(increase("a_total"), 2 * 4 * 2);
  EXPECT_EQ(increase("c_total"), 2 * 4 * 100);
  // A metric of another signal, which has been counted for longer.
  monitor_.spec.signals[0].denominator = "e_total";
  ++monitor_.meta.generation;
  Put(monitors_, monitor_);
  Reconcile();
  EXPECT_EQ(increase("d_total"), -1) << "what is divided by it begins anew as well";
  EXPECT_EQ(increase("e_total"), -1);
}

}  // namespace
}  // namespace perennial::drift
