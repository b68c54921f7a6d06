// What analysis and experiment make of what the pods counted, alone and in a rollout.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/text.h"
#include "deployment/analysis.h"
#include "deployment/experiment.h"
#include "deployment/quantity.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using api::Verdict;
using scrape::SeriesKind;
using scrape::SeriesWindow;
using scrape::WindowView;
using std::chrono::minutes;

// `n` requests with `failures`, and an error of mean `mean` and standard deviation 1.
WindowView Counted(double n, double failures, double mean) {
  WindowView view;
  view.targets = view.targets_up = 1;
  view.newest_age = Millis(1000);
  SeriesWindow error;
  error.metric = "error";
  error.kind = SeriesKind::kHistogram;
  error.bounds = {1, 5, 20, INFINITY};
  error.counts = {n / 4, n / 4, n / 4, n / 4};
  error.count = n;
  error.sum = n * mean;
  SeriesWindow squares;
  squares.metric = "error_squares";
  squares.kind = SeriesKind::kCounter;
  squares.increase = n * (mean * mean + 1);
  SeriesWindow failed = squares;
  failed.metric = "failures";
  failed.increase = failures;
  SeriesWindow all = squares;
  all.metric = "requests";
  all.increase = n;
  view.series = {error, squares, failed, all};
  return view;
}

Samples All(const WindowView& view) {
  return {view, view, view};
}

api::Quantity ErrorMean() {
  return {"error", api::QuantityKind::kMean, "error", "error_squares", "", ""};
}
api::Quantity FailureRate() {
  return {"failures", api::QuantityKind::kProportion, "", "", "failures", "requests"};
}

api::Experiment AbTest(double margin = 0.02) {
  api::Experiment experiment;
  experiment.primary = {ErrorMean(), api::Goal::kDecrease};
  experiment.guardrails = {{FailureRate(), {margin, NumberText(margin)}}};
  experiment.min_samples = 200;
  experiment.expected_samples = 2000;
  return experiment;
}

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

TEST(Experiment, DecidesOnlyOnEvidence) {
  const struct {
    const char* name;
    double n, champion, challenger, failures;
    Verdict verdict;
  } kCases[] = {
      {"too few", 150, 4, 1, 0, Verdict::kNoData},
      {"no difference", 5000, 4, 4, 0, Verdict::kInconclusive},
      {"better", 5000, 4, 3.5, 0, Verdict::kPass},
      {"worse", 5000, 4, 4.5, 0, Verdict::kFail},
      {"better but fails requests", 5000, 4, 3.5, 400, Verdict::kFail},
      {"better, failures not ruled out", 5000, 4, 3.5, 75, Verdict::kInconclusive},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    const auto look = Judge(AbTest(), {}, {}, All(Counted(c.n, 0, c.champion)),
                            All(Counted(c.n, c.failures, c.challenger)), 0.5);
    EXPECT_EQ(look.verdict, c.verdict) << look.message;
    EXPECT_FALSE(look.mismatch);
  }
}

TEST(Experiment, RespectsTheGoal) {
  api::Experiment experiment = AbTest();
  experiment.primary.goal = api::Goal::kIncrease;
  const auto better =
      Judge(experiment, {}, {}, All(Counted(5000, 0, 4)), All(Counted(5000, 0, 5)), 0.5);
  EXPECT_EQ(better.verdict, Verdict::kPass);
  const auto worse =
      Judge(experiment, {}, {}, All(Counted(5000, 0, 4)), All(Counted(5000, 0, 3)), 0.5);
  EXPECT_EQ(worse.verdict, Verdict::kFail);
}

TEST(Experiment, NeverForgetsItsSmallestPValue) {
  api::ExperimentStatus before;
  before.p_value = "0.001";
  const auto restarted = Judge(AbTest(), before, {}, All({}), All({}), 0.5);
  EXPECT_EQ(restarted.p_value, "0.001");
  EXPECT_EQ(restarted.verdict, Verdict::kNoData) << "but decides nothing without data";
  const auto again =
      Judge(AbTest(), before, {}, All(Counted(300, 0, 4)), All(Counted(300, 0, 3.99)), 0.5);
  EXPECT_EQ(again.p_value, "0.001");
}

TEST(Experiment, GoesOnCountingAfterARestart) {
  const auto whole =
      Judge(AbTest(), {}, {}, All(Counted(1000, 10, 4)), All(Counted(1000, 12, 3.9)), 0.5);
  const auto first =
      Judge(AbTest(), {}, {}, All(Counted(600, 4, 4)), All(Counted(600, 9, 3.9)), 0.5);
  const auto second =
      Judge(AbTest(), first, first.counts, All(Counted(400, 6, 4)), All(Counted(400, 3, 3.9)), 0.5);
  EXPECT_EQ(second.champion_samples, 1000);
  EXPECT_EQ(second.effect, whole.effect);
  EXPECT_EQ(second.lower, whole.lower);
  EXPECT_EQ(second.upper, whole.upper);
  EXPECT_EQ(second.guardrails[0].challenger, whole.guardrails[0].challenger);
  EXPECT_EQ(second.counts, whole.counts) << "so a third process goes on as well";
}

TEST(Experiment, KnowsWhatWasCountedBeforeThePodsAnswerAgain) {
  const auto first =
      Judge(AbTest(), {}, {}, All(Counted(5000, 0, 4)), All(Counted(5000, 0, 3)), 0.5);
  const auto second = Judge(AbTest(), first, first.counts, All({}), All({}), 0.5);
  EXPECT_EQ(second.verdict, Verdict::kPass);
  EXPECT_EQ(second.counts, first.counts);
  // Numbers that can't be are not hidden behind those from before.
  const auto broken =
      Judge(AbTest(), first, first.counts, All(Counted(10, 0, 4)), All(Counted(10, 11, 4)), 0.5);
  EXPECT_EQ(broken.guardrails[0].verdict, Verdict::kNoData);
  EXPECT_NE(broken.verdict, Verdict::kPass);
}

TEST(Experiment, DropsSquaresThatOneProcessDidNotKnow) {
  api::Experiment experiment = AbTest();
  api::QuantityCounts carried{"error", {"500", "2000", ""}, {"500", "2000", "9000"}};
  const auto look =
      Judge(experiment, {}, {carried}, All(Counted(500, 0, 4)), All(Counted(500, 0, 4)), 0.5);
  EXPECT_EQ(look.verdict, Verdict::kNoData) << "no variance can be told";
  EXPECT_EQ(look.champion_samples, 1000);
}

TEST(Experiment, StopsOnASampleRatioMismatch) {
  Samples champion = All(Counted(9000, 0, 4));
  Samples challenger = All(Counted(9000, 0, 3));
  EXPECT_FALSE(Judge(AbTest(), {}, {}, champion, challenger, 0.5).mismatch);
  const auto look = Judge(AbTest(), {}, {}, champion, challenger, 0.1);
  EXPECT_TRUE(look.mismatch) << "10 % was asked for";
  EXPECT_EQ(look.verdict, Verdict::kInconclusive) << "such a win does not count";
  EXPECT_FALSE(Judge(AbTest(), {}, {}, champion, challenger, 0).mismatch) << "approximate split";
}

TEST(Experiment, TellsOfAMismatchAtOnceThoughTheVerdictStays) {
  Samples champion = All(Counted(9000, 0, 4));
  Samples challenger = All(Counted(9000, 0, 4));
  const auto right = Judge(AbTest(), {}, {}, champion, challenger, 0.5);
  EXPECT_EQ(right.verdict, Verdict::kInconclusive);
  challenger.step = All(Counted(1000, 0, 4)).step;
  const auto wrong = Judge(AbTest(), right, {}, champion, challenger, 0.5);
  EXPECT_EQ(wrong.verdict, Verdict::kInconclusive);
  EXPECT_TRUE(TellsMore(right, wrong));
  EXPECT_FALSE(TellsMore(wrong, wrong));
}

TEST(Experiment, RefusesWhatHasNoVariance) {
  api::Experiment experiment = AbTest();
  experiment.primary.quantity.squares = "missing";
  const auto look =
      Judge(experiment, {}, {}, All(Counted(900, 0, 4)), All(Counted(900, 0, 1)), 0.5);
  EXPECT_EQ(look.verdict, Verdict::kNoData);
  EXPECT_FALSE(look.message.empty());
}

// ---- in a rollout ----

struct Trial : ServingWorld {
  Trial() {
    spec["rollout"]["experiment"] = json::parse(R"({
      "primary": {"name": "error", "kind": "Mean", "goal": "Decrease", "metric": "error",
                  "squares": "error_squares"},
      "guardrails": [{"name": "failures", "kind": "Proportion", "numerator": "failures",
                      "denominator": "requests", "maxIncrease": "0.02"}],
      "minSamples": 200, "expectedSamples": 2000, "maxDuration": "1h"})");
    Settle();
    v1 = Champion();
    SetModel("oci://m:2");
    Settle();
    v2 = NewestDeclared();
    Live(Seconds(70));
    EXPECT_EQ(Status().rollout->step, 1);
  }
  void Count(double n, double champion, double challenger, double failures = 0) {
    samples[v1] = All(Counted(n, 0, champion));
    samples[v2] = All(Counted(n, failures, challenger));
  }
  std::string v1;
  std::string v2;
};

TEST(Experiment, GatesThePromotion) {
  Trial trial;
  trial.Live(minutes(10));
  EXPECT_EQ(trial.Champion(), trial.v1) << "steps are done, but nothing is decided";
  trial.Count(5000, 4, 4);
  trial.Live(minutes(5));
  EXPECT_EQ(trial.Champion(), trial.v1);
  trial.Count(6000, 4, 3.5);
  trial.Live(Seconds(30));
  EXPECT_EQ(trial.Champion(), trial.v2);
  EXPECT_NE(trial.Status().history.front().message.find("experiment passed"), std::string::npos);
}

TEST(Experiment, RollsBackALosingChallengerWithinItsStep) {
  Trial trial;
  trial.Count(5000, 4, 4.5);
  trial.Live(Seconds(15));
  EXPECT_EQ(trial.Champion(), trial.v1);
  EXPECT_EQ(trial.Phase(), api::RolloutPhase::kRolledBack);
  EXPECT_NE(trial.Message("Stalled").find("the challenger is worse"), std::string::npos);
}

TEST(Experiment, EndsAfterItsDurationAsTheSpecSays) {
  for (const char* rule : {"KeepChampion", "Promote"}) {
    SCOPED_TRACE(rule);
    Trial trial;
    trial.spec["rollout"]["experiment"]["onInconclusive"] = rule;
    trial.Count(5000, 4, 4);
    trial.Live(minutes(10));
    EXPECT_EQ(trial.Status().rollout->until, trial.Status().rollout->experiment_ends);
    EXPECT_EQ(trial.Status().rollout->then,
              std::string(rule) == "Promote" ? "it is promoted" : "the champion stays");
    trial.Live(minutes(52));
    EXPECT_EQ(trial.Champion(), std::string(rule) == "Promote" ? trial.v2 : trial.v1);
    EXPECT_EQ(trial.Status().challenger, "");
  }
}

TEST(Experiment, SilenceIsNoVerdictHoweverLongItLasts) {
  Trial trial;
  trial.spec["rollout"]["experiment"]["onInconclusive"] = "Promote";
  trial.Live(minutes(90));
  EXPECT_EQ(trial.Phase(), api::RolloutPhase::kPaused);
  EXPECT_EQ(trial.Status().challenger, trial.v2);
  EXPECT_EQ(trial.Champion(), trial.v1);
  trial.Annotate(api::kAnnotationPromote, trial.v2);
  trial.Live(Seconds(20));
  EXPECT_EQ(trial.Champion(), trial.v2);
}

TEST(Experiment, PausesOnAMismatchAndKeepsTheChampionInTheEnd) {
  Trial trial;
  trial.spec["rollout"]["experiment"]["onInconclusive"] = "Promote";
  trial.samples[trial.v1] = All(Counted(9000, 0, 4));
  trial.samples[trial.v2] = All(Counted(500, 0, 3));
  trial.Live(minutes(10));
  EXPECT_EQ(trial.Phase(), api::RolloutPhase::kPaused);
  EXPECT_NE(trial.Status().why.find("sample-ratio"), std::string::npos);
  EXPECT_TRUE(trial.Status().rollout->experiment->mismatch);
  EXPECT_EQ(trial.ServingWorld::Count("SampleRatioMismatch"), 1) << "once, not once a look";
  trial.Live(minutes(55));
  EXPECT_EQ(trial.Champion(), trial.v1);
  EXPECT_EQ(trial.Status().challenger, "");
}

// A restart of the controller, or another spec, takes the samples; what they showed is on record.
TEST(Experiment, AMismatchOutlivesTheSamplesThatShowedIt) {
  Trial trial;
  trial.spec["rollout"]["experiment"]["onInconclusive"] = "Promote";
  trial.samples[trial.v1] = All(Counted(9000, 0, 4));
  trial.samples[trial.v2] = All(Counted(500, 0, 4));
  trial.Live(minutes(10));
  ASSERT_EQ(trial.Phase(), api::RolloutPhase::kPaused);
  for (const double few : {0, 400}) {
    trial.Count(few, 4, 4);
    trial.Live(minutes(2));
    EXPECT_EQ(trial.Phase(), api::RolloutPhase::kPaused);
    EXPECT_TRUE(trial.Status().rollout->experiment->mismatch);
  }
  trial.spec["rollout"]["experiment"]["maxDuration"] = "1s";
  trial.Live(Seconds(30));
  EXPECT_EQ(trial.Phase(), api::RolloutPhase::kRolledBack);
  EXPECT_EQ(trial.Champion(), trial.v1);
  EXPECT_NE(trial.Status().history.front().message.find("sample-ratio"), std::string::npos);
  EXPECT_EQ(trial.ServingWorld::Count("SampleRatioMismatch"), 1);
}

TEST(Experiment, WritesLittleWhileItCounts) {
  Trial trial;
  double n = 1000;
  trial.Count(n, 4, 4);
  trial.Live(minutes(3));
  int writes = 0;
  for (int i = 0; i < 100; ++i) {
    trial.now += Seconds(10);
    trial.Count(n += 20, 4, 4);
    if (trial.Step().status) ++writes;
  }
  EXPECT_LT(writes, 30);
  EXPECT_GT(writes, 5);
}

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

}  // namespace
}  // namespace perennial::deployment
