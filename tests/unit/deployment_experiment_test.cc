// What an experiment makes of what the pods counted, alone and in a rollout.
#include <gtest/gtest.h>

#include <random>

#include "base/text.h"
#include "deployment/experiment.h"
#include "deployment/judgement.h"
#include "support/counted_samples.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using api::Verdict;
using std::chrono::minutes;

api::Experiment AbTest(double margin = 0.02) {
  api::Experiment experiment;
  experiment.primary = {ErrorMean(), api::Goal::kDecrease};
  experiment.guardrails = {{FailureRate(), {margin, NumberText(margin)}}};
  experiment.min_samples = 200;
  experiment.expected_samples = 2000;
  return experiment;
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

TEST(Experiment, AWinThatTurnedIsNoLossBeforeItIsShown) {
  const auto won = Judge(AbTest(), {}, {}, All(Counted(2000, 0, 4)), All(Counted(2000, 0, 3)), 0.5);
  ASSERT_EQ(won.verdict, Verdict::kPass);
  const auto turned =
      Judge(AbTest(), won, {}, All(Counted(9000, 0, 4)), All(Counted(9000, 0, 4.001)), 0.5);
  EXPECT_EQ(turned.verdict, Verdict::kInconclusive);
  EXPECT_NE(turned.message.find("above alpha"), std::string::npos) << turned.message;
  const auto lost =
      Judge(AbTest(), won, {}, All(Counted(9000, 0, 4)), All(Counted(9000, 0, 4.5)), 0.5);
  EXPECT_EQ(lost.verdict, Verdict::kFail);
}

TEST(Experiment, ALossThatTurnedIsNoWinBeforeItIsShown) {
  const auto lost =
      Judge(AbTest(), {}, {}, All(Counted(2000, 0, 4)), All(Counted(2000, 0, 4.5)), 0.5);
  ASSERT_EQ(lost.verdict, Verdict::kFail);
  const auto turned =
      Judge(AbTest(), lost, {}, All(Counted(9000, 0, 4)), All(Counted(9000, 0, 3.999)), 0.5);
  EXPECT_EQ(turned.verdict, Verdict::kInconclusive) << turned.message;
}

TEST(Experiment, KnowsNothingOfAQuantityThatIsDefinedAnew) {
  const auto won = Judge(AbTest(), {}, {}, All(Counted(2000, 0, 4)), All(Counted(2000, 0, 3)), 0.5);
  ASSERT_EQ(won.verdict, Verdict::kPass);
  api::Experiment edited = AbTest();
  edited.primary.quantity.metric = "seconds";
  edited.primary.quantity.squares = "seconds_squares";
  const auto nothing = Judge(edited, won, won.counts, All({}), All({}), 0.5);
  EXPECT_EQ(nothing.champion_samples, 0) << "those were errors";
  EXPECT_EQ(nothing.p_value, "1");
  EXPECT_EQ(nothing.verdict, Verdict::kNoData);
  const auto same = Judge(AbTest(), won, won.counts, All({}), All({}), 0.5);
  EXPECT_EQ(same.p_value, won.p_value);
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

// Pods are asked one after the other: the first counts may be of one of them alone.
TEST(Experiment, ABeginningThatOneArmSawEarlierIsNoMismatch) {
  Samples champion = All(Counted(1000, 0, 4));
  Samples challenger = All(Counted(0, 0, 4));
  champion.step_edges = challenger.step_edges = 1;
  EXPECT_FALSE(Judge(AbTest(), {}, {}, champion, challenger, 0.5).mismatch);
  // An hour of a thousand a second, one arm with ten seconds more at each end.
  champion = All(Counted(3'620'000, 0, 4));
  challenger = All(Counted(3'600'000, 0, 4));
  EXPECT_TRUE(Judge(AbTest(), {}, {}, champion, challenger, 0.5).mismatch);
  champion.step_edges = challenger.step_edges = 20.0 / 3600;
  EXPECT_FALSE(Judge(AbTest(), {}, {}, champion, challenger, 0.5).mismatch);
  // What is wrong with the split is seen all the same.
  champion = All(Counted(3'800'000, 0, 4));
  champion.step_edges = challenger.step_edges;
  EXPECT_TRUE(Judge(AbTest(), {}, {}, champion, challenger, 0.5).mismatch);
  EXPECT_TRUE(Judge(AbTest(), {}, {}, challenger, champion, 0.5).mismatch);
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

// ---- ratios ----

api::Experiment RatioTest() {
  api::Experiment experiment = AbTest();
  experiment.primary = {ErrorsPerItem(), api::Goal::kDecrease};
  return experiment;
}

Samples Items(double n, double errors) {
  return All(WithItems(Counted(n, 0, 4), n, errors));
}

TEST(Experiment, DecidesOnARatio) {
  const struct {
    const char* name;
    double n, champion, challenger;
    Verdict verdict;
  } kCases[] = {
      {"too few requests, though many items", 150, 90, 10, Verdict::kNoData},
      {"no difference", 5000, 500, 500, Verdict::kInconclusive},
      {"better", 5000, 500, 300, Verdict::kPass},
      {"worse", 5000, 500, 700, Verdict::kFail},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    const auto look =
        Judge(RatioTest(), {}, {}, Items(c.n, c.champion), Items(c.n, c.challenger), 0.5);
    EXPECT_EQ(look.verdict, c.verdict) << look.message;
    EXPECT_EQ(look.challenger_samples, c.n) << "requests are counted, not items";
    EXPECT_EQ(look.probability_better.empty(), c.verdict == Verdict::kNoData);
  }
}

TEST(Experiment, ARatioGuards) {
  api::Experiment experiment = AbTest();
  experiment.guardrails = {{ErrorsPerItem(), {0.01, "0.01"}}};
  // The primary is not worse; 0.05 errors an item may become 0.06.
  EXPECT_EQ(
      Judge(experiment, {}, {}, Items(5000, 500), Items(5000, 500), 0.5).guardrails[0].verdict,
      Verdict::kPass);
  const auto broken = Judge(experiment, {}, {}, Items(5000, 500), Items(5000, 900), 0.5);
  EXPECT_EQ(broken.verdict, Verdict::kFail);
  EXPECT_NE(broken.message.find("guardrail errors-per-item"), std::string::npos) << broken.message;
}

TEST(Experiment, CountsARatioOnAfterARestart) {
  const auto whole = Judge(RatioTest(), {}, {}, Items(1000, 100), Items(1000, 80), 0.5);
  const auto first = Judge(RatioTest(), {}, {}, Items(600, 70), Items(600, 30), 0.5);
  const auto second = Judge(RatioTest(), first, first.counts, Items(400, 30), Items(400, 50), 0.5);
  EXPECT_EQ(second.counts, whole.counts);
  EXPECT_EQ(second.counts[0].champion.products, "200");
  EXPECT_EQ(second.effect, whole.effect);
  EXPECT_EQ(second.lower, whole.lower);
  // Before the pods answer again, and while what they answer has nothing to divide by.
  const auto silent = Judge(RatioTest(), first, first.counts, All({}), All({}), 0.5);
  EXPECT_EQ(silent.counts[0], first.counts[0]);
  scrape::WindowView no_items = WithItems({}, 10, 0);
  for (scrape::SeriesWindow& series : no_items.series) {
    if (series.metric != "batches") series.increase = 0;
  }
  const auto waiting = Judge(RatioTest(), first, first.counts, All(no_items), All(no_items), 0.5);
  EXPECT_EQ(waiting.champion_samples, 610);
  EXPECT_EQ(waiting.effect, first.effect);
}

TEST(Experiment, CountsOfAnotherKindAreNotAddedToARatio) {
  const api::QuantityCounts of_a_mean{
      "errors-per-item", {"500", "2000", "9000"}, {"500", "2000", "9000"}};
  const auto look = Judge(RatioTest(), {}, {of_a_mean}, Items(400, 30), Items(400, 30), 0.5);
  EXPECT_EQ(look.champion_samples, 400);
  EXPECT_EQ(look.counts[0].champion.sum, "30");
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

TEST(Experiment, AWinWaitsForTheLeastDuration) {
  Trial trial;
  trial.spec["rollout"]["experiment"]["minDuration"] = "30m";
  trial.Count(6000, 4, 3.5);
  trial.Live(minutes(25));
  EXPECT_EQ(trial.Champion(), trial.v1);
  EXPECT_EQ(trial.Status().rollout->experiment->verdict, Verdict::kPass);
  EXPECT_NE(trial.Status().why.find("passes so far"), std::string::npos) << trial.Status().why;
  EXPECT_EQ(trial.Status().rollout->then, "it is promoted if it still passes");
  trial.Live(minutes(6));
  EXPECT_EQ(trial.Champion(), trial.v2);
}

TEST(Experiment, ALossDoesNotWaitForTheLeastDuration) {
  Trial trial;
  trial.spec["rollout"]["experiment"]["minDuration"] = "30m";
  trial.Count(5000, 4, 4.5);
  trial.Live(Seconds(15));
  EXPECT_EQ(trial.Phase(), api::RolloutPhase::kRolledBack);
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

// Half of the requests should have met the challenger.
struct Mismatched : Trial {
  Mismatched() {
    spec["rollout"]["experiment"]["onInconclusive"] = "Promote";
    samples[v1] = All(Counted(9000, 0, 4));
    samples[v2] = All(Counted(500, 0, 4));
    Live(minutes(10));
    EXPECT_EQ(Phase(), api::RolloutPhase::kPaused);
  }
};

TEST(Experiment, PausesOnAMismatchAndKeepsTheChampionInTheEnd) {
  Mismatched trial;
  EXPECT_NE(trial.Status().why.find("sample-ratio"), std::string::npos);
  EXPECT_TRUE(trial.Status().rollout->experiment->mismatch);
  EXPECT_EQ(trial.ServingWorld::Count("SampleRatioMismatch"), 1) << "once, not once a look";
  trial.Live(minutes(55));
  EXPECT_EQ(trial.Champion(), trial.v1);
  EXPECT_EQ(trial.Status().challenger, "");
}

// A restart of the controller, or another spec, takes the samples; what they showed is on record.
TEST(Experiment, AMismatchOutlivesTheSamplesThatShowedIt) {
  Mismatched trial;
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

// The copies of a step with weight are counted by the challenger as well.
TEST(Experiment, CopiesAreNoMismatch) {
  Trial trial;
  trial.spec["rollout"]["steps"] =
      nlohmann::json::parse(R"([{"weight": 10, "hold": "1m"}, {"weight": 20, "mirror": 30}])");
  trial.samples[trial.v1] = All(Counted(8000, 0, 4));
  trial.samples[trial.v2] = All(Counted(5000, 0, 4));
  trial.Live(minutes(2));
  EXPECT_FALSE(trial.Status().rollout->experiment->mismatch);
  trial.samples[trial.v2] = All(Counted(2000, 0, 4));
  trial.Live(minutes(2));
  EXPECT_TRUE(trial.Status().rollout->experiment->mismatch);
}

TEST(Experiment, BeginsWithTheFirstStepInWhichBothHaveTraffic) {
  ServingWorld world;
  world.spec["rollout"] = nlohmann::json::parse(R"({
    "steps": [{"weight": 0, "hold": "2h"}, {"weight": 50}],
    "experiment": {"primary": {"name": "error", "kind": "Mean", "goal": "Decrease",
      "metric": "error", "squares": "error_squares"}, "minSamples": 200, "expectedSamples": 2000,
      "maxDuration": "1h"}})");
  world.Settle();
  const std::string v1 = world.Champion();
  world.SetModel("oci://m:2");
  world.Settle();
  const std::string v2 = world.NewestDeclared();
  world.samples[v1] = All(Counted(5000, 0, 4));
  world.samples[v2] = All(Counted(5000, 0, 4));
  world.Live(minutes(90));
  ASSERT_EQ(world.Status().rollout->step, 0);
  EXPECT_FALSE(world.Status().rollout->experiment.has_value());
  world.Live(minutes(60));
  ASSERT_EQ(world.Status().rollout->step, 1);
  EXPECT_EQ(world.Status().rollout->experiment->verdict, Verdict::kInconclusive);
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kProgressing) << "its hour began half an hour ago";
  world.Live(minutes(35));
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kRolledBack);
}

TEST(Experiment, ItsTimeStandsStillWhileNothingRuns) {
  Trial trial;
  trial.Count(5000, 4, 4);
  trial.Live(minutes(30));
  trial.spec["replicas"] = 0;
  ++trial.generation;
  trial.Live(minutes(180));
  EXPECT_FALSE(trial.Status().rollout->experiment_ends.has_value());
  trial.spec["replicas"] = 2;
  ++trial.generation;
  trial.Live(minutes(20));
  EXPECT_EQ(trial.Status().challenger, trial.v2) << "ten minutes are left";
  trial.Live(minutes(20));
  EXPECT_EQ(trial.Phase(), api::RolloutPhase::kRolledBack);
}

TEST(Experiment, IsLookedAtAsOftenAsItSays) {
  api::Rollout rollout;
  rollout.experiment = AbTest();
  EXPECT_EQ(LookInterval(rollout), Seconds(10));
  rollout.experiment->interval = api::Duration{Seconds(60)};
  EXPECT_EQ(LookInterval(rollout), Seconds(60));
  rollout.analysis.emplace();
  EXPECT_EQ(LookInterval(rollout), Seconds(30)) << "the analysis looks more often";
  rollout.experiment->interval = api::Duration{Seconds(5)};
  EXPECT_EQ(LookInterval(rollout), Seconds(5));
  rollout.experiment->interval.reset();
  EXPECT_EQ(LookInterval(rollout), Seconds(30));
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

}  // namespace
}  // namespace perennial::deployment
