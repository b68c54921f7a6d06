// What an experiment makes of what the pods counted, alone and in a rollout.
#include <gtest/gtest.h>

#include <random>

#include "base/text.h"
#include "deployment/experiment.h"
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
  EXPECT_NE(turned.message.find("an earlier look found the challenger better"), std::string::npos)
      << turned.message;
  const auto lost =
      Judge(AbTest(), won, {}, All(Counted(9000, 0, 4)), All(Counted(9000, 0, 4.5)), 0.5);
  EXPECT_EQ(lost.verdict, Verdict::kFail);
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
