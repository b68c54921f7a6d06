#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "drift/attribution.h"
#include "drift/baseline.h"
#include "support/text.h"
#include "support/vectors.h"
#include "support/windows.h"

namespace perennial::drift {
namespace {

using api::SignalState;
using scrape::SeriesKind;
using testing::Counter;
using testing::Has;
using testing::View;

class Attribution : public ::testing::Test {
 protected:
  Attribution() {
    signal_.name = "attribution";
    signal_.type = api::SignalType::kAttributionDrift;
    signal_.metric = "x";
    signal_.preset = api::Preset::kAzure;
    baseline_.feature_attribution = {{"distance", 0.6}, {"hour", -0.3}, {"rain", 0.1}};
  }

  // The mean of what pods showed of a feature's gauge.
  static scrape::SeriesWindow Gauge(const std::string& feature, double value) {
    scrape::SeriesWindow series;
    series.metric = "x";
    series.labels = {{"feature", feature}};
    series.kind = SeriesKind::kGauge;
    series.sum = 4 * value;
    series.count = 4;
    return series;
  }
  static scrape::SeriesWindow Rise(const std::string& feature, double increase) {
    return Counter("x", increase, {{"feature", feature}});
  }
  Evaluation Judge(std::vector<scrape::SeriesWindow> series) const {
    return testing::Evaluate(signal_, View(std::move(series)), &baseline_, 500);
  }

  api::Signal signal_;
  api::Profile baseline_;
};

TEST_F(Attribution, TheUsualOrderIsFineWhateverItsScale) {
  const Evaluation same = Judge({Rise("distance", 6000), Rise("hour", 3000), Rise("rain", 900)});
  EXPECT_EQ(same.outcome, SignalState::kOk) << same.message;
  EXPECT_EQ(same.value, "1");
  EXPECT_EQ(same.threshold, "0.9") << "Azure's";
  EXPECT_TRUE(same.moved.empty());
  EXPECT_EQ(Judge({Gauge("distance", 0.5), Gauge("hour", -0.4), Gauge("rain", 0.2)}).value, "1")
      << "the sign doesn't matter";
}

// 0.6/0.3/0.1 in the order rain, hour, distance: (0.1 + 0.3/log2(3) + 0.6/2) /
// (0.6 + 0.3/log2(3) + 0.1/2).
TEST_F(Attribution, ATurnedOrderBreachesAndTellsWhichFeaturesMoved) {
  const Evaluation turned = Judge({Rise("distance", 100), Rise("hour", 3000), Rise("rain", 6900)});
  EXPECT_EQ(turned.outcome, SignalState::kDrifted) << turned.message;
  EXPECT_EQ(turned.value, "0.702125");
  EXPECT_PRED2(Has, turned.message, "normalized_discounted_cumulative_gain of x is 0.702125");
  ASSERT_EQ(turned.moved.size(), 2u);
  // Both by 0.59.
  for (const api::BinShift& shift :
       {api::BinShift{"rain", "0.1000", "0.6900"}, api::BinShift{"distance", "0.6000", "0.0100"}}) {
    EXPECT_EQ(std::ranges::count(turned.moved, shift), 1) << shift.bin;
  }
}

// As a Prometheus has gauges.
TEST_F(Attribution, OfSeriesOfUnknownKindTheMeanCounts) {
  const auto unknown = [](const std::string& feature, double increase, double sum) {
    scrape::SeriesWindow series = Rise(feature, increase);
    series.kind = SeriesKind::kUnknown;
    series.sum = sum;
    series.count = 10;
    return series;
  };
  const auto window = View({unknown("distance", 0, 4.2), unknown("hour", 3, 0.5)});
  const auto gathered = GatherImportances(signal_, window);
  ASSERT_TRUE(std::holds_alternative<Importances>(gathered));
  const auto& importances = std::get<Importances>(gathered);
  EXPECT_FALSE(importances.observations);
  ASSERT_EQ(importances.features.size(), 2u);
  EXPECT_DOUBLE_EQ(importances.features[0].count, 0.42);
  EXPECT_DOUBLE_EQ(importances.features[1].count, 0.05);
}

TEST_F(Attribution, AgreesWithScikitLearn) {
  signal_.preset.reset();
  signal_.min = testing::Decimal("0");
  int checked = 0;
  for (const auto& test : testing::Cases("ndcg")) {
    const auto reference = testing::Numbers(test["inputs"]["reference_importance"]);
    const auto current = testing::Numbers(test["inputs"]["current_importance"]);
    const auto positive = [](const std::vector<double>& all) {
      return std::any_of(all.begin(), all.end(), [](double value) { return value != 0; });
    };
    if (!positive(reference) || !positive(current)) continue;  // NoData, not 0
    baseline_.feature_attribution.clear();
    std::vector<scrape::SeriesWindow> series;
    for (std::size_t i = 0; i < reference.size(); ++i) {
      baseline_.feature_attribution.push_back({"f" + std::to_string(i), reference[i]});
      series.push_back(Gauge("f" + std::to_string(i), current[i]));
    }
    const Evaluation got = Judge(std::move(series));
    EXPECT_NEAR(std::stod(got.value), testing::Number(test["expected"]["ndcg"]), 1e-5)
        << test["name"];
    ++checked;
  }
  EXPECT_GE(checked, 5);
}

TEST_F(Attribution, AFeatureOfOneSideCountsAsNothingOnTheOther) {
  const Evaluation got = Judge({Rise("distance", 6000), Rise("rain", 900), Rise("wind", 9000)});
  EXPECT_EQ(got.outcome, SignalState::kDrifted) << got.message;
  EXPECT_PRED2(Has, got.message, "1 of the baseline's features are not exposed");
  EXPECT_PRED2(Has, got.message, "1 features are not in the baseline");
  EXPECT_EQ(Judge({Rise("wind", 5), Rise("sun", 5)}).outcome, SignalState::kError);
  EXPECT_PRED2(Has, Judge({Rise("wind", 5)}).message,
               "shows other features (wind) than the baseline (distance, hour, rain)");
}

// Without importances all features share one rank, which says nothing about any.
TEST_F(Attribution, NoImportanceIsNoData) {
  EXPECT_EQ(Judge({Rise("distance", 0), Rise("hour", 0)}).outcome, SignalState::kNoData);
  EXPECT_EQ(Judge({}).outcome, SignalState::kNoData);
  EXPECT_PRED2(Has, Judge({}).message, "no pod exposes the metric x with label feature");
  const Evaluation odd =
      Judge({Gauge("distance", std::numeric_limits<double>::quiet_NaN()), Gauge("hour", 1)});
  EXPECT_EQ(odd.outcome, SignalState::kNoData) << odd.message;
  baseline_.feature_attribution = {{"distance", 0}};
  EXPECT_PRED2(Has, Judge({Rise("distance", 1)}).message, "let training record featureAttribution");
}

TEST_F(Attribution, TheLabelIsTheSignals) {
  signal_.label = "column";
  EXPECT_EQ(Judge({Rise("distance", 1)}).outcome, SignalState::kError);
  EXPECT_PRED2(Has, Judge({Rise("distance", 1)}).message, "x has no label column");
  EXPECT_EQ(Judge({Counter("x", 7, {{"column", "distance"}})}).outcome, SignalState::kOk);
}

TEST_F(Attribution, ExplanationsOfFewPredictionsAreNoData) {
  const auto summary = [](const std::string& feature, double count, double mean) {
    scrape::SeriesWindow series = Gauge(feature, 0);
    series.kind = SeriesKind::kSummary;
    series.count = count;
    series.sum = count * mean;
    return series;
  };
  EXPECT_EQ(Judge({summary("distance", 499, 0.5), summary("hour", 499, 0.1)}).outcome,
            SignalState::kNoData);
  const Evaluation enough = Judge({summary("distance", 500, 0.5), summary("hour", 500, 0.1)});
  EXPECT_EQ(enough.outcome, SignalState::kOk) << enough.message;
  EXPECT_EQ(enough.samples, 500);
}

TEST_F(Attribution, ALiveWindowIsABaselineToo) {
  api::DriftMonitorSpec spec;
  spec.signals = {signal_};
  spec.min_samples = 1;
  const auto window = View({Rise("distance", 6000), Rise("hour", 3000), Rise("rain", 900)});
  std::map<std::string, std::string> gaps;
  const api::Profile profile = ProfileOf(
      spec, [&](const api::Signal&) -> const auto& { return window; }, gaps);
  EXPECT_TRUE(gaps.empty());
  EXPECT_EQ(profile.feature_attribution, (std::vector<api::FeatureImportance>{
                                             {"distance", 6000}, {"hour", 3000}, {"rain", 900}}));
  const auto none = View({});
  ProfileOf(
      spec, [&](const api::Signal&) -> const auto& { return none; }, gaps);
  EXPECT_EQ(gaps.count("attribution"), 1u);
}

}  // namespace
}  // namespace perennial::drift
