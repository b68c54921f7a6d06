#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "drift/evaluation.h"
#include "drift/performance.h"
#include "support/text.h"
#include "support/windows.h"

namespace perennial::drift {
namespace {

using api::SignalState;
using testing::Counter;
using testing::Has;

class PerformanceSignal : public ::testing::Test {
 protected:
  PerformanceSignal() {
    signal_.type = api::SignalType::kModelPerformance;
    signal_.name = "s";
    signal_.performance = api::Performance{};
    signal_.performance->metric = "outcomes_total";
    signal_.min = {0.7, "0.7"};
  }
  void Count(const std::string& predicted, const std::string& actual, double increase) {
    window_.series.push_back(Counter("outcomes_total", increase,
                                     {{"actual", actual}, {"predicted", predicted}, {"pod", "x"}}));
  }
  void Observe(const std::string& metric, scrape::SeriesKind kind, double sum, double count) {
    scrape::SeriesWindow series;
    series.metric = metric;
    series.kind = kind;
    series.sum = sum;
    series.count = count;
    window_.series.push_back(series);
  }
  Evaluation Judge(const std::string& measure, std::int64_t min_samples = 10) {
    signal_.performance->measure = measure;
    return testing::Evaluate(signal_, window_, nullptr, min_samples);
  }

  api::Signal signal_;
  scrape::WindowView window_ = testing::View({});
};

TEST_F(PerformanceSignal, JudgesAConfusionMatrixByEachMeasure) {
  Count("1", "1", 20);
  Count("1", "1", 10);  // another series of the same cell
  Count("0", "1", 15);
  Count("1", "0", 10);
  Count("0", "0", 45);
  EXPECT_EQ(Judge("accuracy").value, "0.75");
  EXPECT_EQ(Judge("accuracy").samples, 100);
  EXPECT_EQ(Judge("precision").value, "0.75");
  EXPECT_EQ(Judge("precision").samples, 40);
  const Evaluation recall = Judge("recall");
  EXPECT_EQ(recall.value, "0.666667");
  EXPECT_EQ(recall.samples, 45);
  EXPECT_EQ(recall.outcome, SignalState::kDrifted);
  EXPECT_EQ(recall.message, "recall is 0.666667, below min 0.7");
  EXPECT_EQ(Judge("f1_score").value, "0.705882");
  EXPECT_EQ(Judge("f1_score").samples, 55);
  EXPECT_EQ(Judge("f1_score").outcome, SignalState::kOk);
  EXPECT_EQ(Judge("precision", 41).outcome, SignalState::kNoData) << "it rests on 40";
  signal_.performance->positive = "0";
  EXPECT_EQ(Judge("recall").value, "0.818182");
}

TEST_F(PerformanceSignal, ComparesManyClassesByTheirNames) {
  signal_.performance->predicted_label = "pod";
  Count("x", "x", 5);
  Count("y", "x", 15);
  EXPECT_EQ(Judge("accuracy").value, "1") << "the label pod is x everywhere";
  signal_.performance->predicted_label = "predicted";
  EXPECT_EQ(Judge("accuracy").value, "0.25");
}

TEST_F(PerformanceSignal, SaysWhatIsMissing) {
  EXPECT_PRED2(Has, Judge("recall").message, "no pod exposes the counter outcomes_total");
  Count("0", "0", 100);
  EXPECT_EQ(Judge("recall").outcome, SignalState::kNoData);
  EXPECT_EQ(Judge("recall").message, "nothing turned out to be 1 in the window");
  EXPECT_EQ(Judge("precision").message, "nothing was predicted as 1 in the window");
  EXPECT_EQ(Judge("f1_score").message, "nothing was, or was predicted as, 1 in the window");
  EXPECT_EQ(Judge("accuracy").value, "1");
  signal_.performance->actual_label = "truth";
  EXPECT_EQ(Judge("accuracy").outcome, SignalState::kError);
  EXPECT_PRED2(Has, Judge("accuracy").message, "set predictedLabel and actualLabel");
  window_.series[0].kind = scrape::SeriesKind::kGauge;
  EXPECT_PRED2(Has, Judge("accuracy").message, "needs a counter");
}

TEST_F(PerformanceSignal, JudgesErrorsBySumsAndCounts) {
  signal_.min.reset();
  signal_.max = {4.5, "4.5"};
  signal_.performance->metric = "error";
  Observe("error", scrape::SeriesKind::kHistogram, 300, 100);
  Observe("error", scrape::SeriesKind::kSummary, 100, 100);
  EXPECT_EQ(Judge("mean_absolute_error").value, "2");
  EXPECT_EQ(Judge("mean_absolute_error").samples, 200);
  signal_.performance->squares = "error_squares_total";
  window_.series.push_back(Counter("error_squares_total", 3'200));
  window_.series.push_back(Counter("error_squares_total", 1'800, {{"a", "b"}}));
  EXPECT_EQ(Judge("root_mean_squared_error").value, "5") << "sqrt(5000 / 200)";
  EXPECT_EQ(Judge("root_mean_squared_error").outcome, SignalState::kDrifted);
}

TEST_F(PerformanceSignal, ExplainsErrorsThatCannotBeJudged) {
  signal_.min.reset();
  signal_.max = {4.5, "4.5"};
  signal_.performance->metric = "error";
  signal_.performance->squares = "squares";
  EXPECT_PRED2(Has, Judge("mean_absolute_error").message, "no pod exposes the metric error");
  Observe("error", scrape::SeriesKind::kSummary, -50, 100);
  EXPECT_PRED2(Has, Judge("mean_absolute_error").message, "let the pods observe absolute errors");
  EXPECT_PRED2(Has, Judge("root_mean_squared_error").message, "no pod exposes the counter squares");
  window_.series[0].sum = std::nan("");
  EXPECT_EQ(Judge("mean_absolute_error").outcome, SignalState::kNoData);
  EXPECT_PRED2(Has, Judge("mean_absolute_error").message, "a pod observed NaN");
  window_.series[0].count = 0;
  EXPECT_PRED2(Has, Judge("mean_absolute_error").message, "no samples of error");
  window_.series[0].kind = scrape::SeriesKind::kCounter;
  EXPECT_EQ(Judge("mean_absolute_error").outcome, SignalState::kError);
}

}  // namespace
}  // namespace perennial::drift
