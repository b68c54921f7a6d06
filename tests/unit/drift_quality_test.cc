#include <gtest/gtest.h>

#include <string>

#include "drift/evaluation.h"
#include "drift/quality.h"
#include "support/text.h"
#include "support/windows.h"

namespace perennial::drift {
namespace {

using api::SignalState;
using testing::Categorical;
using testing::Counter;
using testing::Has;
using testing::Histogram;
using testing::Numeric;

class QualitySignal : public ::testing::Test {
 protected:
  QualitySignal() {
    signal_.type = api::SignalType::kDataQuality;
    signal_.name = "s";
    signal_.max = {0.02, "0.02"};
    signal_.quality = api::Quality{"null_value_rate", "x", "nulls_total", ""};
  }
  Evaluation Judge(const api::Profile* baseline = nullptr) const {
    return testing::Evaluate(signal_, window_, baseline, 10);
  }
  Evaluation JudgeBounds(std::optional<double> min, std::optional<double> max) {
    signal_.quality = api::Quality{"out_of_bounds_rate", "x", "", ""};
    api::Profile profile = Numeric({0, 10, 20}, {5, 5, 5, 5});
    profile.metrics[0].min = min;
    profile.metrics[0].max = max;
    return Judge(&profile);
  }

  api::Signal signal_;
  scrape::WindowView window_ = testing::View({});
};

TEST_F(QualitySignal, CountsNullsAmongAllValues) {
  window_.series = {Histogram({1, 2}, {50, 30, 17}, 100), Counter("nulls_total", 2),
                    Counter("nulls_total", 1, {{"reason", "parse"}})};
  const Evaluation judged = Judge();
  EXPECT_EQ(judged.value, "0.03") << "the histogram has not seen the nulls";
  EXPECT_EQ(judged.samples, 100);
  EXPECT_EQ(judged.outcome, SignalState::kDrifted);
  EXPECT_EQ(judged.message, "null_value_rate of x is 0.03, above max 0.02");
  signal_.quality = api::Quality{"data_type_error_rate", "", "nulls_total", "rows_total"};
  window_.series.push_back(Counter("rows_total", 300));
  EXPECT_EQ(Judge().value, "0.01");
  EXPECT_EQ(Judge().samples, 300);
  EXPECT_EQ(Judge().message, "data_type_error_rate of rows_total is 0.01, within max 0.02");
}

TEST_F(QualitySignal, TakesACounterThatIsNotThereYetForZeroAndSaysSo) {
  window_.series = {Counter("x", 100)};
  EXPECT_EQ(Judge().value, "0");
  EXPECT_PRED2(Has, Judge().message, "no pod exposes nulls_total yet: counted as 0");
  window_.series = {Counter("nulls_total", 100)};
  EXPECT_EQ(Judge().outcome, SignalState::kNoData);
  window_.series = {Counter("x", 0), Counter("nulls_total", 0)};
  EXPECT_EQ(Judge().outcome, SignalState::kNoData);
  window_.series[0].kind = scrape::SeriesKind::kGauge;
  EXPECT_EQ(Judge().outcome, SignalState::kError);
}

TEST_F(QualitySignal, CountsBucketsThatLieOutsideTheBaselinesRange) {
  // (-inf, 0], (0, 10], (10, 20], (20, inf)
  window_.series = {Histogram({0, 10, 20}, {4, 80, 10, 6}, 1000)};
  EXPECT_EQ(JudgeBounds(5, 20).value, "0.1") << "at most 0 is below 5, above 20 is above 20";
  EXPECT_EQ(JudgeBounds(0, 20).value, "0.06") << "0 itself may have been observed";
  EXPECT_EQ(JudgeBounds(5, 15).value, "0.1") << "the bucket up to 20 reaches over 15";
  EXPECT_EQ(JudgeBounds(5, 10).value, "0.2");
  EXPECT_EQ(JudgeBounds(std::nullopt, 10).value, "0.16");
  EXPECT_EQ(JudgeBounds(5, 20).samples, 100);
  EXPECT_EQ(JudgeBounds(5, 20).outcome, SignalState::kDrifted);
}

TEST_F(QualitySignal, SaysWhichBoundNoBucketCanTell) {
  window_.series = {Histogram({0, 10, 20}, {4, 80, 10, 6}, 1000)};
  EXPECT_EQ(JudgeBounds(5, 30).value, "0.04");
  EXPECT_PRED2(Has, JudgeBounds(5, 30).message, "no bucket begins at 30 or above");
  EXPECT_PRED2(Has, JudgeBounds(-5, 20).message, "no bucket ends below -5");
  EXPECT_EQ(JudgeBounds(-5, 30).outcome, SignalState::kNoData);
  EXPECT_PRED2(Has, JudgeBounds(-5, 30).message, "expose a bound at 30");
  EXPECT_EQ(JudgeBounds(std::nullopt, std::nullopt).outcome, SignalState::kNoData);
  EXPECT_EQ(Judge(nullptr).outcome, SignalState::kNoData) << "without a baseline";
}

TEST_F(QualitySignal, CountsCategoriesThatTrainingNeverSaw) {
  signal_.quality = api::Quality{"out_of_bounds_rate", "x", "", ""};
  const api::Profile profile = Categorical({{"red", 10}, {"blue", 5}});
  window_.series = {Counter("x", 70, {{"kind", "red"}}), Counter("x", 30, {{"kind", "green"}})};
  EXPECT_EQ(Judge(&profile).value, "0.3");
  const api::Profile folded = Categorical({{"red", 10}, {"__other__", 5}});
  EXPECT_EQ(Judge(&folded).outcome, SignalState::kNoData);
}

TEST_F(QualitySignal, AsksForTheMetricsThatItReads) {
  api::DriftMonitorSpec spec;
  spec.signals = {signal_, signal_, signal_};
  spec.signals[1].quality = api::Quality{"data_type_error_rate", "", "errors_total", "rows_total"};
  spec.signals[2].quality.reset();
  spec.signals[2].performance = api::Performance{"root_mean_squared_error", "e", "squares"};
  EXPECT_EQ(WantedMetrics(spec, {}), (std::vector<std::string>{"e", "errors_total", "nulls_total",
                                                               "rows_total", "squares", "x"}));
}

}  // namespace
}  // namespace perennial::drift
