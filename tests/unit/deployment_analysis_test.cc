// What quantities and analysis make of what the pods counted, alone and in a rollout.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "deployment/analysis.h"
#include "deployment/quantity.h"
#include "support/counted_samples.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using api::Verdict;
using scrape::SeriesWindow;
using scrape::WindowView;
using std::chrono::minutes;

TEST(Quantity, AddsUpOverLabels) {
  WindowView view = Counted(100, 10, 4);
  WindowView other = Counted(300, 2, 8);
  view.series.insert(view.series.end(), other.series.begin(), other.series.end());
  EXPECT_DOUBLE_EQ(*Measure(ErrorMean(), view).value, 7);
  EXPECT_DOUBLE_EQ(*Measure(ErrorMean(), view).arm.sum_squares, 100 * 17 + 300 * 65);
  EXPECT_DOUBLE_EQ(*Measure(FailureRate(), view).value, 0.03);
  EXPECT_EQ(Measure(FailureRate(), view).samples, 400);
}

TEST(Quantity, EstimatesSquaresFromBucketsWhereNoneAreCounted) {
  api::Quantity quantity = ErrorMean();
  quantity.squares.clear();
  const Measured measured = Measure(quantity, Counted(100, 0, 4));
  ASSERT_TRUE(measured.arm.sum_squares.has_value());
  const double variance = *measured.arm.sum_squares / 100 - 16;
  // Middles 0.5, 3 and 12.5, and the last bound 20: 141.375 - 9 * 9.
  EXPECT_NEAR(variance, 60.375, 1e-9);
  quantity.squares = "not_there";
  EXPECT_FALSE(Measure(quantity, Counted(100, 0, 4)).arm.sum_squares.has_value());
}

TEST(Quantity, HasNoValueWithoutData) {
  EXPECT_FALSE(Measure(ErrorMean(), {}).value.has_value());
  EXPECT_FALSE(Measure(FailureRate(), {}).value.has_value());
  EXPECT_FALSE(Measure(ErrorMean(), Counted(0, 0, 0)).value.has_value());
  EXPECT_FALSE(Measure(FailureRate(), Counted(10, 11, 0)).value.has_value())
      << "more failures than requests is no proportion";
  WindowView broken = Counted(10, 0, 1);
  broken.series[0].sum = NAN;
  EXPECT_FALSE(Measure(ErrorMean(), broken).value.has_value());
}

TEST(Quantity, ReadsTheSumsOfARatio) {
  WindowView view = WithItems(WithItems({}, 100, 30), 300, 10);
  const Measured measured = Measure(ErrorsPerItem(), view);
  EXPECT_DOUBLE_EQ(*measured.value, 40.0 / 800);
  EXPECT_EQ(measured.samples, 400) << "units, not items";
  EXPECT_EQ(measured.arm, (stats::Arm{400, 40, 40.0, stats::Divisor{800, 2000.0, 80.0}}));
  EXPECT_EQ(MetricsOf(ErrorsPerItem()).size(), 6U) << "all are scraped";
}

TEST(Quantity, ARatioHasNoValueWithoutADenominator) {
  EXPECT_EQ(Measure(ErrorsPerItem(), {}).note, "no pod exposes the counter batches");
  EXPECT_EQ(Measure(ErrorsPerItem(), WithItems({}, 0, 0)).note, "batches has counted nothing yet");
  WindowView empty = WithItems({}, 100, 0);
  for (SeriesWindow& series : empty.series) {
    if (series.metric == "items") series.increase = 0;
  }
  const Measured measured = Measure(ErrorsPerItem(), empty);
  EXPECT_FALSE(measured.value.has_value());
  EXPECT_EQ(measured.note, "items has counted nothing yet");
}

// Counters appear with their first increase: where none of the numerators' is there, nothing
// failed; where one of them is, the others are missing.
TEST(Quantity, OfARatioNothingFailedOrItsVarianceIsUnknown) {
  const auto without = [](std::vector<std::string> names) {
    WindowView view = WithItems({}, 500, 10);
    std::erase_if(view.series, [&](const SeriesWindow& series) {
      return std::find(names.begin(), names.end(), series.metric) != names.end();
    });
    return Measure(ErrorsPerItem(), view);
  };
  const Measured good = without({"item_errors", "item_errors_squares", "item_products"});
  EXPECT_EQ(good.value, 0);
  EXPECT_EQ(good.arm.sum_squares, 0);
  EXPECT_EQ(good.arm.divisor->products, 0);
  const Measured unknown = without({"item_products"});
  EXPECT_TRUE(unknown.value.has_value()) << "a check compares values";
  EXPECT_FALSE(unknown.arm.divisor->products.has_value());
  EXPECT_FALSE(without({"items_squares"}).arm.divisor->squares.has_value());
}

TEST(Analysis, ComparesWithBoundsAndWithTheChampion) {
  const struct {
    const char* name;
    std::optional<double> max, min, increase, decrease;
    double challenger;
    Verdict verdict;
  } kCases[] = {
      {"max kept", 5.0, {}, {}, {}, 5.0, Verdict::kPass},
      {"max broken", 5.0, {}, {}, {}, 5.1, Verdict::kFail},
      {"max of zero counts", 0.0, {}, {}, {}, 0.1, Verdict::kFail},
      {"min kept", {}, 2.0, {}, {}, 2.0, Verdict::kPass},
      {"min broken", {}, 2.0, {}, {}, 1.9, Verdict::kFail},
      {"increase kept", {}, {}, 0.5, {}, 4.5, Verdict::kPass},
      {"increase broken", {}, {}, 0.5, {}, 4.75, Verdict::kFail},
      {"decrease kept", {}, {}, {}, 0.5, 3.5, Verdict::kPass},
      {"decrease broken", {}, {}, {}, 0.5, 3.25, Verdict::kFail},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    const auto decimal = [](std::optional<double> value) {
      return value ? std::optional(api::Decimal{*value, NumberText(*value)}) : std::nullopt;
    };
    api::Analysis analysis;
    analysis.checks = {
        {ErrorMean(), decimal(c.max), decimal(c.min), decimal(c.increase), decimal(c.decrease)}};
    const auto look = LookAtCheck(analysis, analysis.checks[0], Counted(100, 0, 4),
                                  Counted(100, 0, c.challenger));
    EXPECT_EQ(look.verdict, c.verdict);
    EXPECT_EQ(look.message.empty(), c.verdict == Verdict::kPass);
  }
}

TEST(Analysis, HasNoVerdictWithoutFreshAndSufficientData) {
  api::Analysis analysis;
  api::AnalysisCheck check{ErrorMean(), api::Decimal{5, "5"}, {}, {}, {}};
  const auto verdict = [&](const WindowView& champion, const WindowView& challenger) {
    return LookAtCheck(analysis, check, champion, challenger).verdict;
  };
  EXPECT_EQ(verdict({}, Counted(29, 0, 9)), Verdict::kNoData);
  EXPECT_EQ(verdict({}, Counted(30, 0, 9)), Verdict::kFail);
  EXPECT_EQ(verdict({}, {}), Verdict::kNoData);
  WindowView old = Counted(30, 0, 9);
  old.newest_age = analysis.interval.value * kStaleIntervals + Millis(1);
  EXPECT_EQ(verdict({}, old), Verdict::kNoData) << "old news";
  check.max_increase = api::Decimal{1, "1"};
  EXPECT_EQ(verdict(Counted(10, 0, 9), Counted(30, 0, 9)), Verdict::kNoData)
      << "nothing to compare with";
}

TEST(Analysis, AsksExpressions) {
  const struct {
    const char* success;
    const char* failure;
    double challenger;
    Verdict verdict;
  } kCases[] = {
      {"challenger < 4.5", "", 4.4, Verdict::kPass},
      {"challenger < 4.5", "", 4.6, Verdict::kFail},
      {"", "challenger > 5", 4.6, Verdict::kPass},
      {"", "challenger > 5", 5.5, Verdict::kFail},
      {"challenger < 4.5", "challenger > 5", 4.4, Verdict::kPass},
      {"challenger < 4.5", "challenger > 5", 4.7, Verdict::kInconclusive},
      {"challenger < 4.5", "challenger > 5", 5.5, Verdict::kFail},
      {"challenger <= champion && samples >= 100", "", 4.0, Verdict::kPass},
      {"challenger <= champion && samples >= 101", "", 4.0, Verdict::kFail},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(std::string(c.success) + " / " + c.failure);
    api::AnalysisCheck check{ErrorMean(), {}, {}, {}, {}};
    check.rules.success = c.success;
    check.rules.failure = c.failure;
    const auto look = LookAtCheck({}, check, Counted(100, 0, 4), Counted(100, 0, c.challenger));
    EXPECT_EQ(look.verdict, c.verdict) << look.message;
    EXPECT_EQ(look.message.empty(), c.verdict == Verdict::kPass);
  }
  api::AnalysisCheck check{ErrorMean(), {}, {}, {}, {}};
  check.rules.success = "challenger <= champion";
  EXPECT_EQ(LookAtCheck({}, check, {}, Counted(100, 0, 4)).verdict, Verdict::kNoData)
      << "what is not there is compared with nothing";
}

// ---- in a rollout ----

struct Checked : ServingWorld {
  explicit Checked(const char* steps = nullptr) {
    if (steps != nullptr) spec["rollout"]["steps"] = json::parse(steps);
    spec["rollout"]["analysis"] = json::parse(R"({"interval": "30s", "window": "2m",
      "checks": [{"name": "failures", "kind": "Proportion", "numerator": "failures",
                  "denominator": "requests", "maxIncrease": "0.05"}]})");
    spec["rollout"]["analysis"]["failureLimit"] = 2;
    Settle();
    v1 = Champion();
    SetModel("oci://m:2");
    Settle();
    v2 = NewestDeclared();
    samples[v1] = All(Counted(1000, 10, 4));
  }
  std::string v1;
  std::string v2;
};

TEST(Analysis, LetsAGoodChallengerThrough) {
  Checked world;
  world.samples[world.v2] = All(Counted(100, 2, 4));
  world.Live(minutes(4));
  EXPECT_EQ(world.Champion(), world.v2);
}

TEST(Analysis, PausesWithoutData) {
  Checked world;
  world.Live(minutes(20));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kPaused);
  EXPECT_EQ(world.Status().rollout->step, 0);
  EXPECT_EQ(world.Status().rollout->checks[0].verdict, Verdict::kNoData);
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  world.samples[world.v2] = All(Counted(100, 2, 4));
  world.Live(minutes(4));
  EXPECT_EQ(world.Champion(), world.v2) << "goes on by itself when there is data";
}

TEST(Analysis, LooksAtAStepThatHasNoHoldToo) {
  Checked world(R"([{"weight": 50}])");
  EXPECT_EQ(world.Status().challenger, world.v2);
  EXPECT_EQ(world.Status().rollout->checks[0].verdict, Verdict::kNoData);
  world.samples[world.v2] = All(Counted(100, 30, 4));
  world.Live(minutes(3));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kRolledBack);
  EXPECT_EQ(world.Champion(), world.v1);
}

TEST(Analysis, RollsBackAfterFailingLooksInARow) {
  Checked world;
  world.samples[world.v2] = All(Counted(100, 30, 4));
  world.Settle();
  world.Settle();
  EXPECT_EQ(world.Status().rollout->checks[0].failures, 1) << "looking twice is failing once";
  world.samples[world.v2] = All(Counted(100, 2, 4));
  world.Live(Seconds(10));
  EXPECT_EQ(world.Status().rollout->checks[0].failures, 0) << "in a row";
  world.samples[world.v2] = All(Counted(100, 30, 4));
  world.Live(Seconds(40));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kProgressing);
  world.Live(Seconds(40));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kRolledBack);
  EXPECT_FALSE(world.HasPods(world.v2));
}

// With the traffic of both it fails for want of the champion, and is all that serves.
TEST(Analysis, JudgesNobodyWhoStandsInForAChampionWithoutPods) {
  Checked world(R"([{"weight": 10}, {"weight": 50, "hold": "10m"}])");
  world.samples[world.v2] = All(Counted(100, 2, 4));
  world.Live(Seconds(40));
  ASSERT_EQ(world.Status().rollout->step, 1);
  const auto break_pods = [&](std::set<std::string> versions) {
    world.broken = std::move(versions);
    world.React();
    world.Settle();
  };
  break_pods({world.v1});
  world.samples[world.v2] = All(Counted(100, 30, 4));
  world.Live(minutes(5));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kProgressing);
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{world.v2, 100}}));
  EXPECT_EQ(world.Status().rollout->checks[0].failures, 0);
  break_pods({});
  world.Live(minutes(2));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kRolledBack) << "beside the champion it counts again";
  EXPECT_EQ(world.Champion(), world.v1);
}

}  // namespace
}  // namespace perennial::deployment
