#include <gtest/gtest.h>

#include <algorithm>

#include "drift/comparison.h"
#include "support/windows.h"

namespace perennial::drift {
namespace {

using api::SignalState;
using scrape::SeriesWindow;
using testing::Categorical;
using testing::Counter;
using testing::Decimal;
using testing::Drift;
using testing::Evaluate;
using testing::EvaluateSignals;
using testing::Histogram;
using testing::Index;
using testing::Numeric;
using testing::View;

api::DriftTest By(const std::string& measure, const std::string& threshold) {
  return {measure, std::nullopt, Decimal(threshold)};
}

bool Says(const Evaluation& evaluation, const std::string& what) {
  return evaluation.message.find(what) != std::string::npos;
}

TEST(EvaluateDrift, SaysHowManyObservationsWouldBeEnough) {
  const api::Profile baseline = Numeric({1, 2, 3}, {2000, 3000, 3000, 2000});
  const auto window = View({Histogram({1, 2, 3}, {20, 30, 28, 22}, 0)});
  const Evaluation few = Evaluate(Drift({Index("0.05")}), window, &baseline, 100);
  EXPECT_EQ(few.outcome, SignalState::kNoData);
  EXPECT_TRUE(Says(few, "needs about 160 observations")) << few.message;
  const auto enough = View({Histogram({1, 2, 3}, {32, 48, 48, 32}, 0)});
  EXPECT_EQ(Evaluate(Drift({Index("0.05")}), enough, &baseline, 100).outcome, SignalState::kOk);
  const Evaluation never = Evaluate(Drift({Index("0.0001")}), window, &baseline, 100);
  EXPECT_TRUE(Says(never, "no window is enough for a baseline of 10000")) << never.message;
  const Evaluation zero = Evaluate(Drift({Index("0")}), window, &baseline, 100);
  EXPECT_TRUE(Says(zero, "chance alone is above 0 in every window")) << zero.message;
}

// p = 1e-6 of an effect of 0.03: a million samples show differences that matter to nobody.
TEST(EvaluateDrift, APValueNeedsAnEffectToo) {
  const api::Profile baseline = Numeric({1, 2, 3}, {2e5, 3e5, 3e5, 2e5});
  const auto window = View({Histogram({1, 2, 3}, {1.94e5, 2.98e5, 3.02e5, 2.06e5}, 0)});
  for (const char* measure : {"two_sample_kolmogorov_smirnov_test", "pearsons_chi_squared_test",
                              "welchs_t_test", "mann_whitney_u_test"}) {
    SCOPED_TRACE(measure);
    api::DriftTest test = By(measure, "0.05");
    const Evaluation small = Evaluate(Drift({test}), window, &baseline, 100);
    EXPECT_EQ(small.outcome, SignalState::kOk);
    EXPECT_TRUE(Says(small, "significant but small")) << small.message;
    EXPECT_FALSE(small.tests.at(0).effect.empty());
    test.min_effect = Decimal("0.001");
    const Evaluation counted = Evaluate(Drift({test}), window, &baseline, 100);
    EXPECT_EQ(counted.outcome, SignalState::kDrifted) << counted.message;
    EXPECT_TRUE(Says(counted, ", effect ")) << counted.message;
  }
}

TEST(EvaluateDrift, TheEquivalenceTestHasThreeAnswers) {
  const api::Profile baseline = Numeric({1, 2, 3}, {2e4, 3e4, 3e4, 2e4});
  const auto answer = [&](std::vector<double> counts) {
    return Evaluate(Drift({By("chi_squared_equivalence_test", "0.1")}),
                    View({Histogram({1, 2, 3}, std::move(counts), 0)}), &baseline, 1);
  };
  const Evaluation drift = answer({100, 200, 400, 300});
  EXPECT_EQ(drift.outcome, SignalState::kDrifted) << drift.message;
  EXPECT_LT(std::stod(drift.tests.at(0).p_value), 0.05);
  EXPECT_EQ(answer({200, 300, 300, 200}).outcome, SignalState::kOk);
  const Evaluation open = answer({14, 13, 11, 12});
  EXPECT_EQ(open.outcome, SignalState::kNoData);
  EXPECT_TRUE(Says(open, "inconclusive") && Says(open, "needs about")) << open.message;
}

TEST(EvaluateDrift, ACriticalThresholdMakesTheBreachCritical) {
  const api::Profile baseline = Numeric({1, 2, 3}, {2000, 3000, 3000, 2000});
  api::DriftTest test = Index("0.1");
  test.critical = Decimal("0.5");
  const auto look = [&](std::vector<double> counts) {
    return Evaluate(Drift({test}), View({Histogram({1, 2, 3}, std::move(counts), 0)}), &baseline,
                    100);
  };
  EXPECT_EQ(look({100, 200, 400, 300}).outcome, SignalState::kDrifted);
  EXPECT_FALSE(look({100, 200, 400, 300}).critical);
  EXPECT_TRUE(look({10, 90, 300, 600}).critical);
}

TEST(EvaluateDrift, APresetGivesTestsAndBoundsWhereThereAreNone) {
  api::DriftMonitorSpec spec;
  spec.min_samples = 100;
  spec.preset = api::Preset::kAzure;
  api::Signal rate;
  rate.name = "nulls";
  rate.type = api::SignalType::kDataQuality;
  rate.numerator = "bad";
  rate.denominator = "all";
  spec.signals = {Drift({}), rate};
  api::Profile baseline = Numeric({1, 2, 3}, {2000, 3000, 3000, 2000});
  auto got = EvaluateSignals(
      spec,
      View({Histogram({1, 2, 3}, {100, 200, 400, 300}, 0), Counter("bad", 1), Counter("all", 500)}),
      &baseline);
  EXPECT_EQ(got.at(0).tests.at(0).measure, "normalized_wasserstein_distance");
  EXPECT_EQ(got.at(0).threshold, "0.1");
  EXPECT_EQ(got.at(0).outcome, SignalState::kDrifted);
  EXPECT_EQ(got.at(1).outcome, SignalState::kDrifted) << "0 counts";
  EXPECT_EQ(got.at(1).threshold, "0");
  baseline = Categorical({{"a", 5000}, {"b", 5000}});
  const auto categories =
      View({Counter("x", 700, {{"kind", "a"}}), Counter("x", 300, {{"kind", "b"}})});
  spec.preset.reset();
  spec.signals.pop_back();
  EXPECT_EQ(EvaluateSignals(spec, categories, &baseline).at(0).outcome, SignalState::kError);
  spec.signals[0].preset = api::Preset::kAzure;
  got = EvaluateSignals(spec, categories, &baseline);
  EXPECT_EQ(got.at(0).tests.at(0).measure, "jensen_shannon_distance");
  spec.signals[0].tests = {Index("0.5")};
  got = EvaluateSignals(spec, categories, &baseline);
  EXPECT_EQ(got.at(0).tests.at(0).measure, "population_stability_index") << "its own tests count";
}

// One of 20 features lies at p = 0.03, as chance has it; then one that has drifted joins.
TEST(EvaluateDrift, TheFalseDiscoveryRateIsOverTheFeaturesOfALook) {
  api::DriftMonitorSpec spec;
  spec.min_samples = 100;
  std::vector<SeriesWindow> series;
  api::Profile baseline;
  for (int i = 0; i < 20; ++i) {
    api::Signal signal = Drift({By("pearsons_chi_squared_test", "0.05")});
    signal.tests[0].min_effect = Decimal("0");
    signal.name = signal.metric = "x" + std::to_string(i);
    spec.signals.push_back(signal);
    SeriesWindow histogram = Histogram({1}, {500, 500}, 0);
    if (i == 7) histogram = Histogram({1}, {465, 535}, 0);
    histogram.metric = signal.metric;
    series.push_back(histogram);
    api::MetricProfile metric = Numeric({1}, {50'000, 50'000}).metrics.at(0);
    metric.metric = signal.metric;
    baseline.metrics.push_back(metric);
  }
  EXPECT_EQ(EvaluateSignals(spec, View(series), &baseline).at(7).outcome, SignalState::kDrifted);
  spec.false_discovery_rate = Decimal("0.05");
  auto got = EvaluateSignals(spec, View(series), &baseline);
  EXPECT_EQ(got.at(7).outcome, SignalState::kOk) << got.at(7).message;
  EXPECT_TRUE(Says(got.at(7), "above falseDiscoveryRate 0.05")) << got.at(7).message;
  const double p = std::stod(got.at(7).tests.at(0).p_value);
  EXPECT_NEAR(std::stod(got.at(7).tests.at(0).adjusted_p_value), std::min(1.0, 20 * p), 1e-5);
  series[3] = Histogram({1}, {300, 700}, 0);
  series[3].metric = "x3";
  got = EvaluateSignals(spec, View(series), &baseline);
  EXPECT_EQ(got.at(3).outcome, SignalState::kDrifted) << got.at(3).message;
  EXPECT_EQ(got.at(7).outcome, SignalState::kOk);
  EXPECT_EQ(got.at(0).outcome, SignalState::kOk);
}

}  // namespace
}  // namespace perennial::drift
