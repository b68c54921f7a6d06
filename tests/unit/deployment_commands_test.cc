// What people ask for by annotation, and what they get.
#include <gtest/gtest.h>

#include "support/serving_model.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using std::chrono::minutes;
using Weights = std::map<std::string, int>;

struct Commands : ServingModel {
  std::string Ask(std::string_view annotation, const std::string& value) {
    Annotate(annotation, value);
    Settle();
    const auto commands = Status().commands;
    for (const api::CommandStatus& command : commands) {
      if (annotation.ends_with("/" + command.name) && command.value == value) {
        return command.outcome;
      }
    }
    return "";
  }
};

TEST(Commands, EndAStepBeforeItsTimeAndOnlyThatOne) {
  Commands world;
  const std::string v2 = world.Release();
  EXPECT_EQ(world.Ask(api::kAnnotationPromote, v2 + "/2"), "") << "its time may come";
  EXPECT_EQ(world.Status().rollout->step, 0);
  EXPECT_EQ(world.Ask(api::kAnnotationPromote, v2 + "/1:a"), "step 1 ended");
  EXPECT_EQ(world.Status().rollout->step, 1);
  EXPECT_EQ(world.Ask(api::kAnnotationPromote, v2 + "/1:b"), "that step was over");
  world.Live(Seconds(60));
  EXPECT_EQ(world.Status().rollout->step, 1) << "held as long as any other";
  EXPECT_EQ(world.Champion(), world.v1);
  world.Ask(api::kAnnotationPromote, v2 + "/2:c");
  world.Live(Seconds(10));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Commands, PauseStopsTheClockAndResumeGoesOn) {
  Commands world;
  const std::string v2 = world.Release();
  EXPECT_EQ(world.Ask(api::kAnnotationPause, v2 + ":1"), "paused");
  EXPECT_EQ(world.Phase(), RolloutPhase::kPaused);
  EXPECT_EQ(world.Condition("Promoted"), "False/Paused");
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  EXPECT_EQ(world.Condition("Stalled"), "-");
  EXPECT_EQ(world.Count("RolloutPaused"), 1);
  world.Live(minutes(30));
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  EXPECT_EQ(world.Ask(api::kAnnotationResume, v2 + ":1"), "resumed");
  EXPECT_EQ(world.Status().rollout->step, 1) << "its hold is long over";
  // Both annotations are still there; neither is carried out again.
  world.Live(Seconds(10));
  EXPECT_FALSE(world.Status().rollout->paused);
  EXPECT_EQ(world.Ask(api::kAnnotationPause, v2 + ":2"), "paused") << "another token, asked anew";
}

TEST(Commands, APausedStartMissesNoDeadline) {
  Commands world;
  world.SetModel("oci://m:2");
  world.Step();
  const std::string v2 = world.NewestDeclared();
  world.broken = {v2};
  world.React();
  world.Settle();
  world.Ask(api::kAnnotationPause, v2);
  world.Live(minutes(30));
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting);
  EXPECT_EQ(world.Condition("Promoted"), "False/Paused");
  world.broken.clear();
  world.React();
  world.Live(minutes(1));
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting) << "ready, and paused";
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  world.Ask(api::kAnnotationResume, v2);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
}

TEST(Commands, FullPromotionWaitsForPodsAndForNoPause) {
  Commands world;
  const std::string v2 = world.Release();
  world.Ask(api::kAnnotationPause, v2);
  EXPECT_EQ(world.Ask(api::kAnnotationPromote, v2), "promoting");
  world.Live(Seconds(10));
  EXPECT_EQ(world.Champion(), v2);
  EXPECT_FALSE(world.HasPods(world.v1));
}

TEST(Commands, ResumeEndsTheStepsOwnPause) {
  Commands world;
  world.spec["rollout"]["steps"][0]["pause"] = true;
  const std::string v2 = world.Release();
  world.Live(minutes(2));
  ASSERT_EQ(world.Phase(), RolloutPhase::kPaused);
  EXPECT_EQ(world.Ask(api::kAnnotationResume, v2 + ":1"), "resumed");
  EXPECT_EQ(world.Status().rollout->step, 1);
  EXPECT_EQ(world.Ask(api::kAnnotationResume, v2 + ":2"), "it was not paused");
}

TEST(Commands, BlueGreenIsOneStepThatWaits) {
  Commands world;
  world.spec["rollout"]["steps"] = nlohmann::json::parse(R"([{"weight": 100, "pause": true}])");
  const std::string v2 = world.Release();
  world.Live(minutes(5));
  EXPECT_EQ(world.Phase(), RolloutPhase::kPaused);
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));
  EXPECT_TRUE(world.HasPods(world.v1)) << "blue stays until green is promoted";
  world.Ask(api::kAnnotationResume, v2);
  world.Live(Seconds(10));
  EXPECT_EQ(world.Champion(), v2);
  EXPECT_FALSE(world.HasPods(world.v1));
}

TEST(Commands, AbortIsNotRepeatedForARetry) {
  Commands world;
  const std::string v2 = world.Release();
  EXPECT_EQ(world.Ask(api::kAnnotationRetry, v2 + ":early"), "") << "not over yet";
  EXPECT_EQ(world.Ask(api::kAnnotationAbort, v2), "rolling back");
  world.Live(Seconds(20));
  const auto answers = world.Status().commands;
  ASSERT_EQ(answers.back().name, "retry") << "waited for its time";
  const std::string copy = world.Status().challenger;
  ASSERT_FALSE(copy.empty());
  EXPECT_NE(copy, v2);
  const auto& object = world.Object(api::kModelVersions, copy);
  EXPECT_EQ(object["spec"]["model"]["uri"], "oci://m:2");
  EXPECT_EQ(object["spec"]["origin"]["copyOf"], v2);
  EXPECT_GT(object["spec"]["revision"], world.Object(api::kModelVersions, v2)["spec"]["revision"]);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {copy, 10}}));
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), copy);
  EXPECT_EQ(world.VersionNames().size(), 3u) << "one retry, one copy";
}

TEST(Commands, RetryIsRefusedForWhatNobodyRolledBack) {
  Commands world;
  EXPECT_NE(world.Ask(api::kAnnotationRetry, world.v1).find("was not rolled back"),
            std::string::npos);
  EXPECT_NE(world.Ask(api::kAnnotationRetry, "nobody").find("no such ModelVersion"),
            std::string::npos);
  EXPECT_EQ(world.Count("CommandRefused"), 2);
  const int writes = world.writes;
  world.Live(minutes(1));
  EXPECT_EQ(world.writes, writes);
  EXPECT_EQ(world.Count("CommandRefused"), 2) << "told once";
}

TEST(Commands, UndoToTheVersionBeforeReturnsWithoutStepsAndStays) {
  Commands world;
  world.spec["rollout"]["keepPrevious"] = "30m";
  const std::string v2 = world.Release();
  world.Ask(api::kAnnotationPromote, v2);
  world.Live(minutes(10));
  ASSERT_EQ(world.Champion(), v2);
  ASSERT_TRUE(world.HasPods(world.v1)) << "kept for the window";
  world.Ask(api::kAnnotationUndo, world.v1);
  EXPECT_EQ(world.Champion(), world.v1) << "no time passed: its pods were there";
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  world.Live(minutes(40));
  EXPECT_EQ(world.Champion(), world.v1) << "an unchanged spec.model brings nothing back";
  EXPECT_FALSE(world.HasPods(v2));
}

TEST(Commands, KeptPodsGoWhenTheWindowEnds) {
  Commands world;
  world.spec["rollout"]["keepPrevious"] = "10m";
  const std::string v2 = world.Release();
  world.Ask(api::kAnnotationPromote, v2);
  world.Live(minutes(9));
  ASSERT_EQ(world.Champion(), v2);
  EXPECT_TRUE(world.HasPods(world.v1));
  world.Live(minutes(2));
  EXPECT_FALSE(world.HasPods(world.v1));
  EXPECT_TRUE(world.HasPods(v2));
}

TEST(Commands, KeptPodsStayThroughTheNextRollout) {
  Commands world;
  world.spec["rollout"]["keepPrevious"] = "1h";
  const std::string v2 = world.Release();
  world.Ask(api::kAnnotationPromote, v2);
  world.Live(minutes(5));
  ASSERT_EQ(world.Champion(), v2);
  const std::string v3 = world.Release("oci://m:3");
  world.Live(Seconds(90));
  ASSERT_EQ(world.Status().challenger, v3);
  EXPECT_TRUE(world.HasPods(world.v1));
  world.Ask(api::kAnnotationAbort, v3);
  world.Live(minutes(5));
  ASSERT_FALSE(world.HasPods(v3));
  EXPECT_TRUE(world.HasPods(world.v1));
  world.Ask(api::kAnnotationUndo, world.v1);
  EXPECT_EQ(world.Champion(), world.v1) << "no time passed: its pods were there";
  EXPECT_TRUE(world.HasPods(v2)) << "which is the previous one now";
}

// A split is among all pods of the model there, so a version that has retired would get a share.
struct KeptWithoutAGateway : Commands {
  KeptWithoutAGateway() {
    spec["traffic"].erase("gateway");
    spec["rollout"]["keepPrevious"] = "1h";
    ++generation;
    Settle();
    v2 = Release();
    Ask(api::kAnnotationPromote, v2);
    Live(minutes(5));
    EXPECT_EQ(Champion(), v2);
    EXPECT_TRUE(HasPods(v1));
    after_step = [this] { EXPECT_FALSE(IsSplit() && HasPods(v1)); };
  }
  bool IsSplit() {
    const auto& selector = Object(api::kServices, "departures")["spec"]["selector"];
    return !selector.contains(std::string(api::kLabelVersion));
  }
  std::string v2;
};

TEST(Commands, WithoutAGatewayKeptPodsGoBeforeTheNextStep) {
  KeptWithoutAGateway world;
  world.Release("oci://m:3");
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting) << "ready, but the proxies still know of v1";
  EXPECT_NE(world.Status().why.find("the pods of an earlier version go first"), std::string::npos)
      << world.Status().why;
  world.Live(Seconds(30));
  EXPECT_TRUE(world.Status().rollout->in_effect);
  EXPECT_TRUE(world.IsSplit());
  EXPECT_FALSE(world.HasPods(world.v1));
}

TEST(Commands, WithoutAGatewayKeptPodsGoBeforeVariantsShareTheTraffic) {
  KeptWithoutAGateway world;
  world.spec.erase("model");
  world.spec["variants"] = nlohmann::json::parse(R"([
    {"name": "a", "weight": 50, "model": {"uri": "oci://a:1"}},
    {"name": "b", "weight": 50, "model": {"uri": "oci://b:1"}}])");
  ++world.generation;
  world.Live(Seconds(30));
  EXPECT_TRUE(world.IsSplit());
  EXPECT_FALSE(world.HasPods(world.v1));
}

TEST(Commands, UndoToAnOlderVersionIsANewVersionOfItsArtifact) {
  Commands world;
  for (const char* uri : {"oci://m:2", "oci://m:3"}) {
    world.Ask(api::kAnnotationPromote, world.Release(uri));
    world.Live(Seconds(10));
  }
  const std::string v3 = world.Champion();
  world.Ask(api::kAnnotationUndo, world.v1);
  const std::string copy = world.Status().challenger;
  EXPECT_EQ(world.Object(api::kModelVersions, copy)["spec"]["model"]["uri"], "oci://m:1");
  EXPECT_EQ(world.Weights(), (Weights{{v3, 90}, {copy, 10}})) << "in steps";
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), copy);
  EXPECT_EQ(world.VersionNames().size(), 4u) << "spec.model makes no version of its own again";
  const std::string v5 = world.Release("oci://m:5");
  EXPECT_EQ(world.Status().challenger, v5) << "a later change of the spec wins";
}

TEST(Commands, UndoIsRefusedWhereItCannotBe) {
  Commands world;
  world.spec["updates"] = "Manual";
  for (const char* uri : {"oci://m:2", "oci://m:3"}) {
    world.Ask(api::kAnnotationPromote, world.Release(uri));
    world.Live(Seconds(10));
  }
  EXPECT_NE(world.Ask(api::kAnnotationUndo, world.Champion()).find("serves already"),
            std::string::npos);
  EXPECT_NE(world.Ask(api::kAnnotationUndo, world.v1).find("updates: Manual"), std::string::npos);
}

TEST(Commands, ARestorationIsOneHoweverOftenTheProcessDies) {
  for (size_t crash = 0; crash < 3; ++crash) {
    SCOPED_TRACE(crash);
    Commands world;
    const std::string v2 = world.Release();
    world.Ask(api::kAnnotationAbort, v2);
    world.Live(Seconds(20));
    world.Annotate(api::kAnnotationRetry, v2);
    world.Step(crash);
    world.React();
    world.Live(minutes(5));
    EXPECT_EQ(world.VersionNames().size(), 3u);
    EXPECT_NE(world.Champion(), world.v1);
  }
}

// argo-rollouts#4128, #3988: the second bad revision in a row is no exception.
TEST(Commands, TheDeadlineFiresOnASecondBadVersionToo) {
  Commands world;
  for (const char* uri : {"oci://bad:1", "oci://bad:2"}) {
    world.SetModel(uri);
    world.Step();
    const std::string bad = world.NewestDeclared();
    world.broken.insert(bad);
    world.React();
    world.Live(minutes(11));
    EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
    EXPECT_EQ(world.Status().rollout->version, bad);
    EXPECT_FALSE(world.HasPods(bad));
  }
  EXPECT_EQ(world.Champion(), world.v1);
}

// argo-rollouts PR 4612 and #4642: weight never goes where there is no capacity for it.
TEST(Commands, PodsComeAheadOfWeight) {
  Commands world;
  world.spec["replicas"] = 10;
  world.spec["rollout"]["challengerReplicas"] = "Proportional";
  world.Settle();
  const std::string v2 = world.Release();
  const auto pods = [&] {
    return world.Object(api::kDeployments, world.Child(v2))["spec"]["replicas"].get<int>();
  };
  EXPECT_EQ(pods(), 1);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  world.pods_stay = true;  // nothing more becomes ready
  world.Live(Seconds(70));
  EXPECT_EQ(world.Status().rollout->step, 1);
  EXPECT_EQ(pods(), 5);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}})) << "not before they are ready";
  world.pods_stay = false;
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 50}, {v2, 50}}));
  EXPECT_EQ(world.Object(api::kDeployments, world.Child(world.v1))["spec"]["replicas"], 10)
      << "the champion keeps room for all traffic";
  world.Live(minutes(3));
  EXPECT_EQ(world.Champion(), v2);
  EXPECT_EQ(pods(), 10);
}

// Five pods don't fit, where one did.
struct PodsThatDoNotFit : Commands {
  PodsThatDoNotFit() {
    spec["replicas"] = 10;
    spec["rollout"]["challengerReplicas"] = "Proportional";
    Settle();
    v2 = Release();
    pods_stay = true;
    Live(Seconds(70));
    EXPECT_EQ(Status().rollout->step, 1);
    EXPECT_EQ(Weights(), (std::map<std::string, int>{{v1, 90}, {v2, 10}}));
  }
  std::string v2;
};

TEST(Commands, PodsThatDoNotComeForALaterStepRollItBack) {
  PodsThatDoNotFit world;
  world.Live(minutes(11));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Condition("Stalled"), "True/RolloutAborted");
  EXPECT_NE(world.Message("Stalled").find("pods are not ready"), std::string::npos)
      << world.Message("Stalled");
}

TEST(Commands, PromotingInTheMiddleTakesNoTrafficAway) {
  PodsThatDoNotFit world;
  world.Annotate(api::kAnnotationPromote, world.v2);
  world.Settle();
  EXPECT_EQ(world.Phase(), api::RolloutPhase::kPromoting);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {world.v2, 10}}));
  world.pods_stay = false;
  world.React();
  world.Settle();
  EXPECT_EQ(world.Champion(), world.v2);
}

}  // namespace
}  // namespace perennial::deployment
