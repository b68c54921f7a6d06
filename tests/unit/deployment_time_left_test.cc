// How much longer a rollout waits, as status tells it.
#include <gtest/gtest.h>

#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

struct Waiting : ServingWorld {
  std::string Release(const std::string& uri = "oci://m:2") {
    Settle();
    Pass(Seconds(10));
    SetModel(uri);
    Settle();
    return NewestDeclared();
  }
  api::RolloutStatus Now() const { return *Status().rollout; }
  // What is left; nothing where no time ends it.
  std::optional<Millis> Left() const {
    const auto until = Now().until;
    if (!until) return std::nullopt;
    return until->value - now;
  }
  // Looks every few seconds; returns how often status was written.
  int WritesWithin(Millis time) {
    int writes = 0;
    for (Millis t{0}; t < time; t += Seconds(5)) {
      now += Seconds(5);
      if (Step().status) ++writes;
    }
    return writes;
  }
};

TEST(TimeLeft, OfAHoldEndsWithTheNextStep) {
  Waiting world;
  world.Release();
  EXPECT_EQ(world.Left(), minutes(1));
  EXPECT_EQ(world.Now().then, "step 2 begins");
  EXPECT_EQ(world.WritesWithin(Seconds(55)), 0) << "time that passes is no change";
  EXPECT_EQ(world.Left(), Seconds(5));
  EXPECT_EQ(world.Now().step, 0);
  world.Pass(Seconds(5));
  EXPECT_EQ(world.Now().step, 1);
  EXPECT_EQ(world.Left(), minutes(2));
  EXPECT_EQ(world.Now().then, "the steps are done");
  world.Pass(minutes(2));
  EXPECT_EQ(world.Left(), std::nullopt) << "it is promoted";
  EXPECT_EQ(world.Now().then, "");
}

TEST(TimeLeft, OfAStartIsTheProgressDeadline) {
  Waiting world;
  world.Step();
  world.broken = {world.NewestDeclared()};
  world.React();
  world.Settle();
  ASSERT_EQ(world.Now().phase, api::RolloutPhase::kStarting);
  EXPECT_EQ(world.Left(), minutes(10));
  EXPECT_EQ(world.Now().then, "Stalled says what is missing") << "there is no way back";
  world.Live(minutes(11));
  EXPECT_EQ(world.Left(), std::nullopt);
  EXPECT_EQ(world.Condition("Stalled"), "True/ProgressDeadlineExceeded");

  world.broken.clear();
  world.React();
  world.Settle();
  world.Pass(Seconds(10));
  world.SetModel("oci://bad:1");
  world.Step();
  world.broken = {world.NewestDeclared()};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Left(), minutes(10));
  EXPECT_EQ(world.Now().then, "it is rolled back");
  world.Pass(minutes(10) - Seconds(5));
  EXPECT_EQ(world.Now().phase, api::RolloutPhase::kStarting);
  world.Pass(Seconds(5));
  world.Pass(Seconds(10));
  EXPECT_EQ(world.Now().phase, api::RolloutPhase::kRolledBack);
}

TEST(TimeLeft, NobodyKnowsWhileAPersonIsWaitedFor) {
  Waiting world;
  world.spec["rollout"]["steps"] = {{{"weight", 10}, {"hold", "1m"}, {"pause", true}}};
  const std::string v2 = world.Release();
  EXPECT_EQ(world.Left(), minutes(1));
  EXPECT_EQ(world.Now().then, "it waits until somebody resumes it");
  world.Pass(minutes(1));
  EXPECT_EQ(world.Now().phase, api::RolloutPhase::kPaused);
  EXPECT_EQ(world.Left(), std::nullopt);

  Waiting stopped;
  const std::string other = stopped.Release();
  stopped.Annotate(api::kAnnotationPause, other);
  stopped.Settle();
  EXPECT_EQ(stopped.Now().phase, api::RolloutPhase::kPaused);
  EXPECT_EQ(stopped.Left(), std::nullopt);
}

TEST(TimeLeft, OfAnExperimentIsItsMaxDuration) {
  Waiting world;
  world.spec["rollout"]["experiment"] = nlohmann::json::parse(R"({
    "primary": {"name": "error", "kind": "Mean", "goal": "Decrease", "metric": "error"},
    "maxDuration": "3h"})");
  world.Release();
  const WallTime end = world.Now().started.value + hours(3);
  ASSERT_TRUE(world.Now().experiment_ends.has_value());
  EXPECT_EQ(world.Now().experiment_ends->value, end);
  EXPECT_EQ(world.Left(), minutes(1)) << "the hold ends sooner";
  world.Live(minutes(4));
  ASSERT_TRUE(world.Now().until.has_value());
  EXPECT_EQ(world.Now().until->value, end);
  EXPECT_EQ(world.Now().then, "it waits for a person") << "nothing was counted yet";
  EXPECT_EQ(world.WritesWithin(minutes(30)), 0) << "time that passes is no change";
  EXPECT_EQ(world.Now().until->value, end);
  world.Live(hours(3));
  EXPECT_EQ(world.Now().phase, api::RolloutPhase::kPaused) << "silence is no verdict";
  EXPECT_EQ(world.Left(), std::nullopt);
}

TEST(TimeLeft, OfTheWayBackIsWhatTheOldPodsAreKeptFor) {
  Waiting world;
  world.spec["rollout"]["keepPrevious"] = "30m";
  const std::string v2 = world.Release();
  const std::string v1 = world.Champion();
  world.Annotate(api::kAnnotationPromote, v2);
  world.Settle();
  ASSERT_EQ(world.Champion(), v2);
  EXPECT_EQ(world.Left(), minutes(30));
  EXPECT_EQ(world.Now().then, "the pods of " + v1 + " go");
  world.Live(minutes(29));
  EXPECT_TRUE(world.HasPods(v1));
  world.Live(minutes(2));
  EXPECT_FALSE(world.HasPods(v1));
  EXPECT_EQ(world.Left(), std::nullopt);
}

}  // namespace
}  // namespace perennial::deployment
