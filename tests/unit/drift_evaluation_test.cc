#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "drift/evaluation.h"
#include "drift/gather.h"
#include "support/windows.h"

namespace perennial::drift {
namespace {

using api::SignalState;
using scrape::SeriesKind;
using scrape::SeriesWindow;
using testing::Categorical;
using testing::Counter;
using testing::Decimal;
using testing::Drift;
using testing::Evaluate;
using testing::Histogram;
using testing::Index;
using testing::Numeric;
using testing::View;

struct Case {
  const char* what;
  std::vector<double> counts;
  SignalState want;
  const char* message;  // part of it
};

TEST(EvaluateDrift, JudgesHistogramsAgainstTheProfile) {
  const api::Profile baseline = Numeric({1, 2, 3}, {2000, 3000, 3000, 2000});
  const api::Signal signal = Drift({Index("0.25", "0.1")});
  const Case cases[] = {
      {"the same", {200, 300, 300, 200}, SignalState::kOk, "is 0, threshold 0.25"},
      {"somewhat off", {100, 300, 400, 200}, SignalState::kOk, "threshold 0.25"},
      {"off beyond warn", {100, 200, 400, 300}, SignalState::kWarning, "threshold 0.25"},
      {"off beyond threshold", {50, 150, 300, 500}, SignalState::kDrifted, "is 0."},
      {"few samples", {20, 30, 30, 19}, SignalState::kNoData, "99 samples in the window"},
      {"nothing", {0, 0, 0, 0}, SignalState::kNoData, "fewer than minSamples 100"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.what);
    const Evaluation got =
        Evaluate(signal, View({Histogram({1, 2, 3}, test.counts, 0)}), &baseline, 100);
    EXPECT_EQ(got.outcome, test.want) << got.message;
    EXPECT_NE(got.message.find(test.message), std::string::npos) << got.message;
    double total = 0;
    for (const double count : test.counts) total += count;
    EXPECT_EQ(got.samples, static_cast<std::int64_t>(total));
    EXPECT_EQ(got.tests.size(), test.want == SignalState::kNoData ? 0u : 1u);
  }
}

// A threshold that chance alone reaches at this sample size answers NoData, with the reason.
TEST(EvaluateDrift, AThresholdBelowTheNoiseIsNoData) {
  const api::Profile baseline = Numeric({1, 2, 3, 4, 5, 6, 7, 8, 9}, std::vector<double>(10, 20));
  const Evaluation got = Evaluate(
      Drift({Index("0.1")}),
      View({Histogram({1, 2, 3, 4, 5, 6, 7, 8, 9}, {27, 13, 24, 15, 26, 12, 24, 16, 26, 17}, 0)}),
      &baseline, 100);
  EXPECT_EQ(got.outcome, SignalState::kNoData);
  EXPECT_NE(got.message.find("chance alone reaches 0.16"), std::string::npos) << got.message;
  ASSERT_EQ(got.tests.size(), 1u);
  EXPECT_EQ(got.tests[0].state, SignalState::kNoData);
  EXPECT_NE(got.tests[0].noise_floor, "");
  EXPECT_NE(got.tests[0].p_value, "");
  EXPECT_EQ(got.value, got.tests[0].value);
}

TEST(EvaluateDrift, TheWorstTestDecides) {
  const api::Profile baseline = Numeric({1, 2, 3}, {2000, 3000, 3000, 2000});
  const auto window = View({Histogram({1, 2, 3}, {50, 150, 300, 500}, 0)});
  const api::DriftTest lax{"total_variation_distance", std::nullopt, Decimal("0.9")};
  const Evaluation got = Evaluate(Drift({lax, Index("0.25")}), window, &baseline, 100);
  EXPECT_EQ(got.outcome, SignalState::kDrifted);
  EXPECT_EQ(got.threshold, "0.25");
  ASSERT_EQ(got.tests.size(), 2u);
  EXPECT_EQ(got.tests[0].state, SignalState::kOk);
  EXPECT_EQ(got.tests[1].state, SignalState::kDrifted);
  // A calm test says nothing while another can't be judged.
  const auto calm = View({Histogram({1, 2, 3}, {21, 30, 29, 20}, 0)});
  EXPECT_EQ(Evaluate(Drift({lax, Index("0.01")}), calm, &baseline, 100).outcome,
            SignalState::kNoData);
  EXPECT_EQ(Evaluate(Drift({lax}), calm, &baseline, 100).outcome, SignalState::kOk);
  EXPECT_EQ(Evaluate(Drift({{"psi", {}, Decimal("1")}}), calm, &baseline, 100).outcome,
            SignalState::kError);
}

TEST(EvaluateDrift, AddsUpLabelSetsAtCommonBounds) {
  const api::Profile baseline = Numeric({1, 2, 3}, {200, 300, 300, 200});
  const Evaluation got =
      Evaluate(Drift({Index("0.25")}),
               View({Histogram({1, 2, 3}, {100, 150, 150, 100}, 0, {{"path", "/a"}}),
                     Histogram({1, 3}, {100, 300, 100}, 0, {{"path", "/b"}})}),
               &baseline, 100);
  EXPECT_EQ(got.outcome, SignalState::kOk) << got.message;
  EXPECT_EQ(got.samples, 1000);
  EXPECT_NE(got.message.find("2 of 3 bucket bounds"), std::string::npos) << got.message;
}

TEST(EvaluateDrift, UsesTheSumsOfBothSides) {
  api::Profile baseline = Numeric({1, 2, 3}, {200, 300, 300, 200});
  baseline.metrics[0].sum = 2000;
  baseline.metrics[0].sum_squares = 5000;
  const api::Signal signal = Drift({{"mean_shift", {}, Decimal("0.2")}});
  const std::vector<double> counts{200, 300, 300, 200};
  EXPECT_EQ(Evaluate(signal, View({Histogram({1, 2, 3}, counts, 2000)}), &baseline, 100).outcome,
            SignalState::kOk);
  EXPECT_EQ(Evaluate(signal, View({Histogram({1, 2, 3}, counts, 2500)}), &baseline, 100).outcome,
            SignalState::kDrifted);
  EXPECT_EQ(
      Evaluate(signal, View({Histogram({1, 2, 3}, counts, std::nan(""))}), &baseline, 100).outcome,
      SignalState::kOk)
      << "a sum that is not a number leaves the buckets";
}

TEST(EvaluateDrift, JudgesCountersByLabel) {
  const api::Profile baseline = Categorical({{"cat", 500}, {"dog", 300}, {"bird", 200}});
  const api::Signal signal = Drift({{"jensen_shannon_distance", {}, Decimal("0.2")}});
  const auto window = [](double cat, double dog, double bird, double fish) {
    return View({Counter("x", cat, {{"kind", "cat"}, {"pod", "a"}}),
                 Counter("x", dog, {{"kind", "dog"}}), Counter("x", bird, {{"kind", "bird"}}),
                 Counter("x", fish, {{"kind", "fish"}})});
  };
  const Evaluation same = Evaluate(signal, window(250, 150, 100, 0), &baseline, 100);
  EXPECT_EQ(same.outcome, SignalState::kOk) << same.message;
  EXPECT_EQ(same.samples, 500);
  EXPECT_EQ(Evaluate(signal, window(100, 150, 250, 0), &baseline, 100).outcome,
            SignalState::kDrifted);
  const Evaluation fresh = Evaluate(signal, window(250, 100, 50, 100), &baseline, 100);
  EXPECT_EQ(fresh.outcome, SignalState::kDrifted);
  EXPECT_NE(fresh.message.find("20 % of the window lie where the baseline has nothing"),
            std::string::npos)
      << fresh.message;
  // A baseline that folded its rare categories knows the unknown.
  const api::Profile folded =
      Categorical({{"cat", 500}, {"dog", 200}, {"bird", 100}, {"__other__", 200}});
  EXPECT_EQ(Evaluate(signal, window(250, 100, 50, 100), &folded, 100).outcome, SignalState::kOk);
}

TEST(EvaluateDrift, FindsTheProfileWithAndWithoutTotal) {
  api::Profile baseline = Categorical({{"cat", 500}, {"dog", 500}});
  baseline.metrics[0].metric = "x_total";
  const auto window =
      View({Counter("x", 250, {{"kind", "cat"}}), Counter("x", 250, {{"kind", "dog"}})});
  EXPECT_EQ(Evaluate(Drift({Index("0.25")}), window, &baseline, 100).outcome, SignalState::kOk);
}

TEST(EvaluateDrift, SaysWhatIsMissingOrWrong) {
  const api::Profile numeric = Numeric({1, 2}, {100, 100, 100});
  const api::Profile categories = Categorical({{"a", 100}});
  const auto histogram = View({Histogram({1, 2}, {100, 100, 100}, 0)});
  api::Signal labelled = Drift({Index("0.25")});
  labelled.label = "kind";
  SeriesWindow gauge;
  gauge.metric = "x";
  gauge.kind = SeriesKind::kGauge;
  api::Signal other = Drift({Index("0.25")});
  other.metric = "y";
  api::Profile broken = numeric;
  broken.metrics[0].counts.pop_back();
  scrape::WindowView down;
  down.targets = 2;
  down.problems = {"2 of 2 targets failed: connection refused"};
  const struct {
    api::Signal signal;
    scrape::WindowView window;
    const api::Profile* baseline;
    SignalState want;
    const char* message;
  } cases[] = {
      {Drift({Index("1")}), histogram, nullptr, SignalState::kNoData, "there is no baseline"},
      {other, histogram, &numeric, SignalState::kNoData, "no metric y (it has: x)"},
      {Drift({Index("1")}), {}, &numeric, SignalState::kNoData, "no ready pod to read"},
      {Drift({Index("1")}), View({}), &numeric, SignalState::kNoData,
       "no pod exposes the histogram x"},
      {Drift({Index("1")}), down, &numeric, SignalState::kNoData, "connection refused"},
      {Drift({Index("1")}), View({gauge}), &numeric, SignalState::kError, "x is a Gauge"},
      {Drift({Index("1")}), View({gauge}), &categories, SignalState::kError, "x is a Gauge"},
      {Drift({Index("1")}), View({Counter("x", 500)}), &categories, SignalState::kError,
       "x has no label kind"},
      {labelled, histogram, &numeric, SignalState::kError, "remove the label"},
      {Drift({Index("1")}), histogram, &broken, SignalState::kError, "the baseline of x"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.message);
    const Evaluation got = Evaluate(test.signal, test.window, test.baseline, 100);
    EXPECT_EQ(got.outcome, test.want) << got.message;
    EXPECT_NE(got.message.find(test.message), std::string::npos) << got.message;
    EXPECT_EQ(got.value, "");
  }
}

api::Signal Bound(std::optional<std::string> max, std::optional<std::string> min = {}) {
  api::Signal signal;
  signal.name = "b";
  signal.type = api::SignalType::kModelPerformance;
  signal.metric = "x";
  if (max) signal.max = Decimal(*max);
  if (min) signal.min = Decimal(*min);
  return signal;
}

api::Signal Ratio(std::optional<std::string> max, std::optional<std::string> min = {}) {
  api::Signal signal = Bound(std::move(max), std::move(min));
  signal.metric.clear();
  signal.numerator = "bad";
  signal.denominator = "all";
  return signal;
}

TEST(EvaluateBound, BoundsTheMeanOfAHistogram) {
  const auto window = View({Histogram({1}, {300, 100}, 900, {{"a", "1"}}),
                            Histogram({1}, {50, 50}, 100, {{"a", "2"}})});  // 1000 / 500
  const struct {
    std::optional<std::string> max;
    std::optional<std::string> min;
    SignalState want;
    const char* threshold;
  } cases[] = {
      {"2.5", {}, SignalState::kOk, "2.5"},      {"2", {}, SignalState::kOk, "2"},
      {"1.9", {}, SignalState::kDrifted, "1.9"}, {{}, "2.1", SignalState::kDrifted, "2.1"},
      {{}, "2", SignalState::kOk, "2"},          {"3", "2.5", SignalState::kDrifted, "2.5"},
      {"1.5", "1", SignalState::kDrifted, "1.5"}};
  for (const auto& test : cases) {
    const Evaluation got = Evaluate(Bound(test.max, test.min), window, nullptr, 500);
    EXPECT_EQ(got.outcome, test.want) << got.message;
    EXPECT_EQ(got.threshold, test.threshold) << got.message;
    EXPECT_EQ(got.value, "2");
    EXPECT_EQ(got.samples, 500);
  }
  EXPECT_EQ(Evaluate(Bound("1"), window, nullptr, 501).outcome, SignalState::kNoData);
}

TEST(EvaluateBound, BoundsARatioOfCounters) {
  const auto window = View({Counter("all", 600, {{"code", "200"}}), Counter("all", 400),
                            Counter("bad", 10, {{"why", "null"}}), Counter("bad", 20)});
  EXPECT_EQ(Evaluate(Ratio("0.02"), window, nullptr, 500).outcome, SignalState::kDrifted);
  const Evaluation fine = Evaluate(Ratio("0.03"), window, nullptr, 500);
  EXPECT_EQ(fine.outcome, SignalState::kOk);
  EXPECT_EQ(fine.value, "0.03");
  EXPECT_EQ(fine.message, "bad / all is 0.03, within max 0.03");
  EXPECT_EQ(Evaluate(Ratio("0"), window, nullptr, 500).outcome, SignalState::kDrifted)
      << "a bound of 0 counts";
  EXPECT_EQ(Evaluate(Ratio("0.03"), window, nullptr, 1001).outcome, SignalState::kNoData);
  const Evaluation none = Evaluate(Ratio("0"), View({Counter("all", 600)}), nullptr, 500);
  EXPECT_EQ(none.outcome, SignalState::kOk);
  EXPECT_NE(none.message.find("counted as 0"), std::string::npos) << none.message;
  EXPECT_EQ(Evaluate(Ratio("0"), View({Counter("bad", 6)}), nullptr, 500).outcome,
            SignalState::kNoData);
  EXPECT_EQ(Evaluate(Ratio("0"), View({Counter("all", 0)}), nullptr, 1).outcome,
            SignalState::kNoData);
}

TEST(EvaluateBound, AveragesAGaugeWhateverMinSamplesSays) {
  SeriesWindow gauge;
  gauge.metric = "x";
  gauge.kind = SeriesKind::kGauge;
  gauge.sum = 2.7;
  gauge.count = 3;
  EXPECT_EQ(Evaluate(Bound({}, "0.91"), View({gauge}), nullptr, 500).outcome,
            SignalState::kDrifted);
  EXPECT_EQ(Evaluate(Bound({}, "0.89"), View({gauge}), nullptr, 500).outcome, SignalState::kOk);
  gauge.count = 0;
  EXPECT_EQ(Evaluate(Bound({}, "0.89"), View({gauge}), nullptr, 500).outcome, SignalState::kNoData);
}

TEST(EvaluateBound, SaysWhatIsWrong) {
  EXPECT_EQ(Evaluate(Bound("1"), View({Counter("x", 5)}), nullptr, 1).outcome, SignalState::kError);
  EXPECT_EQ(Evaluate(Bound({}), View({Counter("x", 5)}), nullptr, 1).outcome, SignalState::kError);
  EXPECT_EQ(Evaluate(Bound("1"), View({}), nullptr, 1).outcome, SignalState::kNoData);
  EXPECT_EQ(Evaluate(Bound("1"), View({Histogram({1}, {5, 5}, std::nan(""))}), nullptr, 1).outcome,
            SignalState::kNoData);
  SeriesWindow gauge;
  gauge.metric = "bad";
  gauge.kind = SeriesKind::kGauge;
  EXPECT_EQ(Evaluate(Ratio("1"), View({gauge, Counter("all", 5)}), nullptr, 1).outcome,
            SignalState::kError);
}

TEST(WantedMetrics, NamesEachFamilyOnce) {
  api::DriftMonitorSpec spec;
  spec.signals = {Drift({}), Bound("1"), Ratio("1")};
  EXPECT_EQ(WantedMetrics(spec, {}), (std::vector<std::string>{"all", "bad", "x"}));
  api::Signal expression;
  expression.name = "rates";
  expression.expression = "rate(x_sum[1h]) / rate(all[1h])";
  spec.signals.push_back(expression);
  EXPECT_EQ(WantedMetrics(spec, ParseExpressions(spec)),
            (std::vector<std::string>{"all", "bad", "x", "x_sum"}));
}

class EvaluateByExpression : public ::testing::Test {
 protected:
  static Evaluation Judge(const std::string& text, const scrape::WindowView& view,
                          const char* max = "0.1") {
    api::Signal signal;
    signal.name = "e";
    signal.type = api::SignalType::kModelPerformance;
    signal.expression = text;
    signal.max = Decimal(max);
    return Evaluate(signal, view, nullptr, 500);
  }
};

TEST_F(EvaluateByExpression, JudgesWhatRestsOnEnoughObservations) {
  const std::string ratio = "increase(bad) / increase(all)";
  const Evaluation above = Judge(ratio, View({Counter("bad", 60), Counter("all", 500)}));
  EXPECT_EQ(above.outcome, SignalState::kDrifted);
  EXPECT_EQ(above.value, "0.12");
  EXPECT_EQ(above.samples, 500);
  EXPECT_EQ(above.message, "the expression is 0.12, above max 0.1");
  EXPECT_EQ(Judge(ratio, View({Counter("bad", 50), Counter("all", 500)})).outcome,
            SignalState::kOk);
  const Evaluation few = Judge(ratio, View({Counter("bad", 60), Counter("all", 499)}));
  EXPECT_EQ(few.outcome, SignalState::kNoData);
  EXPECT_EQ(few.samples, 499);
}

TEST_F(EvaluateByExpression, TellsNoDataFromAMistake) {
  const std::string ratio = "increase(bad) / increase(all)";
  const Evaluation idle = Judge(ratio, View({Counter("bad", 0), Counter("all", 0)}));
  EXPECT_EQ(idle.outcome, SignalState::kNoData);
  EXPECT_NE(idle.message.find("divided by 0"), std::string::npos) << idle.message;
  scrape::WindowView blind;
  EXPECT_NE(Judge(ratio, blind).message.find("no ready pod"), std::string::npos);
  const Evaluation mistake = Judge("bad", View({Counter("bad", 5)}));
  EXPECT_EQ(mistake.outcome, SignalState::kError);
  EXPECT_NE(mistake.message.find("column 1: bad is a Counter"), std::string::npos)
      << mistake.message;
}

class VersusBaseline : public ::testing::Test {
 protected:
  VersusBaseline() {
    signal_.metric = "x";
    signal_.versus_baseline = api::VersusBaseline{};
    signal_.versus_baseline->metric = "mae";
    version_.meta.key.name = "v1";
    version_.spec.metrics = {{"mae", "north", 8, 0}, {"mae", "", -4, 0}};
  }
  api::Signal Bounds() const {
    const auto bounded = WithBounds(signal_, &version_);
    EXPECT_TRUE(std::holds_alternative<api::Signal>(bounded));
    return std::holds_alternative<api::Signal>(bounded) ? std::get<api::Signal>(bounded)
                                                        : api::Signal{};
  }

  api::Signal signal_;
  api::ModelVersion version_;
};

TEST_F(VersusBaseline, BoundsFollowWhatTheVersionRecords) {
  signal_.versus_baseline->max_increase = Decimal("0.5");
  EXPECT_EQ(Bounds().max, (api::Decimal{-3.5, "-3.5"}));
  EXPECT_FALSE(Bounds().min.has_value());
  signal_.versus_baseline->max_relative_increase = Decimal("0.1");
  EXPECT_EQ(Bounds().max, (api::Decimal{-3.6, "-3.6"}))
      << "the narrower counts; of -4, 10 % is 0.4";
  signal_.max = Decimal("-3.9");
  EXPECT_EQ(Bounds().max->text, "-3.9");
  signal_.versus_baseline->max_decrease = Decimal("2");
  signal_.versus_baseline->max_relative_decrease = Decimal("0.25");
  EXPECT_EQ(Bounds().min, (api::Decimal{-5, "-5"}));
  signal_.versus_baseline->group = "north";
  EXPECT_EQ(Bounds().min, (api::Decimal{6, "6"})) << "8 - 25 %";
}

TEST_F(VersusBaseline, WhatIsNotRecordedIsNoData) {
  signal_.versus_baseline->metric = "rmse";
  const auto bounded = WithBounds(signal_, &version_);
  ASSERT_TRUE(std::holds_alternative<Evaluation>(bounded));
  EXPECT_EQ(std::get<Evaluation>(bounded).outcome, SignalState::kNoData);
  EXPECT_NE(std::get<Evaluation>(bounded).message.find("v1 records no metric rmse"),
            std::string::npos);
  EXPECT_TRUE(std::holds_alternative<Evaluation>(WithBounds(signal_, nullptr)));
}

}  // namespace
}  // namespace perennial::drift
