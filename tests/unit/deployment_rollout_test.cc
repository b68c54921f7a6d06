// Rollouts as stories: what people see of a new version, from the first pod to the last.
#include <gtest/gtest.h>

#include "support/serving_model.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using std::chrono::minutes;
using Weights = std::map<std::string, int>;

TEST(Rollout, ServesTheFirstVersionAsSoonAsItIsReady) {
  ServingWorld world;
  world.broken = {"departures-placeholder"};
  world.Step();  // records the declared version
  const std::string v1 = world.NewestDeclared();
  ASSERT_FALSE(v1.empty());
  world.broken = {v1};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Champion(), "");
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting);
  EXPECT_EQ(world.Condition("Ready"), "False/Starting");
  EXPECT_EQ(world.Condition("Reconciling"), "True/Starting");
  EXPECT_EQ(world.Condition("Promoted"), "Unknown/NothingServes");
  EXPECT_TRUE(world.Weights().empty()) << "no traffic before a pod is ready";

  world.broken.clear();
  world.React();
  world.Settle();
  EXPECT_EQ(world.Champion(), v1);
  EXPECT_EQ(world.Weights(), (Weights{{v1, 100}}));
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  EXPECT_EQ(world.Condition("Reconciling"), "-");
  EXPECT_EQ(world.Condition("Promoted"), "True/Promoted");
  EXPECT_EQ(world.Count("Promoted"), 1);
}

TEST(Rollout, WaitsWithTheFirstStatusForTheVersionThatItMakes) {
  ServingWorld world;
  const kube::Plan first = world.Step();
  EXPECT_EQ(first.actions.size(), 1u) << "the version";
  EXPECT_FALSE(first.status.has_value());
  EXPECT_TRUE(world.Step().status.has_value());
}

TEST(Rollout, TellsOfAFirstVersionThatIsRefused) {
  ServingWorld world;
  world.last_error = "modelversions departures-1: exceeded quota";
  const kube::Plan plan = world.Step();
  ASSERT_TRUE(plan.status.has_value());
  EXPECT_NE(plan.status->find("WriteRefused"), std::string::npos);
}

TEST(Rollout, TellsOfAnInvalidSpecAtOnce) {
  ServingWorld world;
  world.spec["template"] = {{"spec", {{"containers", nlohmann::json::array()}}}};
  world.Step();
  EXPECT_EQ(world.Condition("Stalled"), "True/InvalidSpec");
}

TEST(Rollout, RecordsItsDecisionBeforeTheFirstPod) {
  ServingWorld world;
  world.Step();
  world.React();
  const kube::Plan decision = world.Step();
  ASSERT_TRUE(decision.status.has_value());
  for (const kube::Action& action : decision.actions) {
    EXPECT_TRUE(std::holds_alternative<kube::EmitEvent>(action));
  }
  EXPECT_FALSE(world.HasPods(world.NewestDeclared()));
  world.Step();
  EXPECT_TRUE(world.HasPods(world.NewestDeclared()));
}

TEST(Rollout, TakesEachStepAndThenPromotes) {
  ServingModel world;
  const std::string v2 = world.Release();
  EXPECT_EQ(world.Status().challenger, v2);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  EXPECT_EQ(world.Condition("Reconciling"), "-") << "a long soak is not in progress";
  EXPECT_EQ(world.Condition("Promoted"), "False/Progressing");

  world.Live(Seconds(50));
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  world.Live(Seconds(15));
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 50}, {v2, 50}}));
  world.Live(Seconds(110));
  EXPECT_EQ(world.Champion(), world.v1);
  world.Live(Seconds(20));
  EXPECT_EQ(world.Champion(), v2);
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));
  EXPECT_FALSE(world.HasPods(world.v1)) << "the old variant goes after the traffic has";
  EXPECT_EQ(world.Status().history.front().version, v2);
  EXPECT_EQ(world.Status().history.front().outcome, "Promoted");
  EXPECT_EQ(world.Count("RolloutStarted"), 2);
  EXPECT_EQ(world.Count("WeightChanged"), 2);
  EXPECT_EQ(world.Count("Promoted"), 2);
  EXPECT_EQ(world.Condition("Promoted"), "True/Promoted");
}

TEST(Rollout, HoldsFromWhenTheWeightIsInEffect) {
  ServingModel world;
  // The step has begun when the gateway thinks otherwise.
  world.after_step = [&] {
    const auto& rollout = world.Status().rollout;
    if (!rollout || rollout->phase != RolloutPhase::kProgressing) return;
    world.after_step = nullptr;
    world.gateway_accepts = false;
    world.React();
  };
  world.Release();
  world.Live(minutes(3));
  EXPECT_EQ(world.Status().rollout->step, 0);
  EXPECT_FALSE(world.Status().rollout->in_effect);
  for (const api::VariantStatus& variant : world.Status().variants) {
    EXPECT_EQ(variant.weight, variant.name == "champion" ? 100 : 0) << "not in effect yet";
    EXPECT_EQ(variant.weight_wanted, variant.name == "champion" ? 90 : 10);
  }
  world.gateway_accepts = true;
  world.React();
  world.Settle();
  world.Live(Seconds(55));
  EXPECT_EQ(world.Status().rollout->step, 0) << "the hold began only now";
  world.Live(Seconds(10));
  EXPECT_EQ(world.Status().rollout->step, 1);
}

TEST(Rollout, RollsBackAVersionWhosePodsNeverGetReady) {
  ServingModel world;
  world.SetModel("oci://broken");
  world.Step();
  const std::string v2 = world.NewestDeclared();
  world.broken = {v2};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  world.Live(minutes(9));
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting);
  world.Live(minutes(2));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
  EXPECT_FALSE(world.HasPods(v2));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  EXPECT_EQ(world.Condition("Stalled"), "True/RolloutAborted");
  EXPECT_EQ(world.Condition("Reconciling"), "-");
  EXPECT_EQ(world.Condition("Promoted"), "False/RolledBack");
  EXPECT_NE(world.Message("Stalled").find("progressDeadline 10m"), std::string::npos);
  // On the record: it is not tried again, whatever is lost.
  world.status = nlohmann::json::object();
  world.Live(minutes(1));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Status().challenger, "");
  EXPECT_FALSE(world.HasPods(v2));

  // A second bad version is caught like the first.
  world.SetModel("oci://broken-too");
  world.Step();
  world.broken.insert(world.NewestDeclared());
  world.React();
  world.Settle();
  world.Live(minutes(12));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
}

// argo-rollouts#3854: what people and GitOps tools own stays theirs; of the ModelDeployment nothing
// is written but its status.
TEST(Rollout, OwnsNothingOfTheDeploymentButItsStatus) {
  ServingModel world;
  const auto look = [&] {
    for (const kube::Action& action : Decide(world.See(), world.now).actions) {
      const auto* apply = std::get_if<kube::ApplyObject>(&action);
      if (apply == nullptr) continue;
      EXPECT_NE(apply->target.resource, api::kModelDeployments);
    }
  };
  world.after_step = look;
  const auto spec = [&] { return world.spec.dump(); };
  const std::string v2 = world.Release();
  const std::string wanted = spec();
  world.Live(minutes(10));
  EXPECT_EQ(world.Champion(), v2);
  world.Annotate(api::kAnnotationUndo, world.v1);
  world.Live(minutes(2));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(spec(), wanted) << "an undo neither edits the spec nor fights with whoever applies it";
}

TEST(Rollout, GoesOnWaitingForABrokenFirstVersionAndSaysSo) {
  ServingWorld world;
  world.Step();
  world.broken = {world.NewestDeclared()};
  world.React();
  world.Settle();
  world.Live(minutes(11));
  EXPECT_EQ(world.Condition("Ready"), "False/Starting");
  EXPECT_EQ(world.Condition("Stalled"), "True/ProgressDeadlineExceeded");
  EXPECT_EQ(world.Condition("Reconciling"), "-") << "never both";
  world.broken.clear();
  world.React();
  world.Settle();
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  EXPECT_EQ(world.Condition("Stalled"), "-");
}

TEST(Rollout, RemovesTheBackendOnAbortAndRejectsTheVersion) {
  ServingModel world;
  const std::string v2 = world.Release();
  ASSERT_EQ(world.Weights().size(), 2u);
  world.Annotate(api::kAnnotationAbort, "some-other-version");
  world.Live(Seconds(10));
  EXPECT_EQ(world.Phase(), RolloutPhase::kProgressing) << "a stale wish does nothing";
  world.Annotate(api::kAnnotationAbort, v2);
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}})) << "removed, not set to 0";
  EXPECT_TRUE(world.HasPods(v2)) << "until proxies follow";
  world.Live(Seconds(10));
  EXPECT_FALSE(world.HasPods(v2));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
  const auto& approval = world.Object(api::kModelApprovals, v2 + "-rolled-back");
  EXPECT_EQ(approval["spec"]["approver"], "system:serviceaccount:perennial-system:perennial");
  EXPECT_EQ(approval["spec"]["modelVersion"], v2);
  EXPECT_EQ(world.Count("RollbackStarted"), 1);
  EXPECT_EQ(world.Count("RolledBack"), 1);
}

TEST(Rollout, PromotesByAnnotationAtOnce) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.Annotate(api::kAnnotationPromote, v2);
  world.Live(Seconds(10));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Rollout, StaysAtAPauseUntilItIsNamed) {
  ServingModel world;
  world.spec["rollout"]["steps"][0]["pause"] = true;
  const std::string v2 = world.Release();
  world.Live(minutes(30));
  EXPECT_EQ(world.Phase(), RolloutPhase::kPaused);
  EXPECT_EQ(world.Condition("Promoted"), "False/Paused");
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  EXPECT_EQ(world.Count("RolloutPaused"), 1);
  EXPECT_NE(world.Status().why.find("resume"), std::string::npos) << "says how to go on";
  world.Annotate(api::kAnnotationPromote, v2 + "/1");
  world.Settle();
  EXPECT_EQ(world.Status().rollout->step, 1);
  world.Live(Seconds(30));
  EXPECT_EQ(world.Champion(), world.v1) << "the next step is held as long as any other";
}

TEST(Rollout, StaysInAStepThatWaitsForApproval) {
  ServingModel world;
  world.spec["rollout"]["steps"][0]["approval"] = true;
  const std::string v2 = world.Release();
  world.Live(minutes(30));
  EXPECT_EQ(world.Phase(), RolloutPhase::kPaused);
  EXPECT_NE(world.Status().why.find("kubectl perennial approve " + v2 + " --step 1"),
            std::string::npos)
      << world.Status().why;
  // That it may be in service is another decision, and so is the next step.
  world.approved_steps[v2] = {2};
  world.Annotate(api::kAnnotationResume, v2);
  world.React();
  world.Live(minutes(5));
  EXPECT_EQ(world.Status().rollout->step, 0) << "who may edit the object approves nothing by that";
  world.approved_steps[v2] = {1, 2};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Status().rollout->step, 1);
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), v2) << "the second step asks for none";
}

// A version of spec.model whose author nobody has put on record.
TEST(Rollout, SaysThatNoApprovalOfAStepCanCountWithoutAnAuthor) {
  ServingModel world;
  world.spec["rollout"]["steps"][0]["approval"] = true;
  world.spec["approval"] = {{"separationOfDuties", true}};
  world.Release();
  world.Live(minutes(5));
  ASSERT_EQ(world.Phase(), RolloutPhase::kPaused);
  EXPECT_NE(world.Status().why.find("no approval counts, because separationOfDuties"),
            std::string::npos)
      << world.Status().why;
  EXPECT_NE(world.Status().why.find("perennial.dev/author"), std::string::npos)
      << world.Status().why;
}

TEST(Rollout, GivesWayToANewerVersion) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.Live(Seconds(70));
  ASSERT_EQ(world.Status().rollout->step, 1);
  const std::string v3 = world.Release("oci://m:3");
  EXPECT_EQ(world.Status().challenger, v3);
  EXPECT_EQ(world.Status().rollout->step, 0) << "nothing that was measured before counts";
  EXPECT_EQ(world.Status().history.front().outcome, "Superseded");
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v3, 10}}));
  world.Live(Seconds(10));
  EXPECT_FALSE(world.HasPods(v2));
  world.Live(minutes(4));
  EXPECT_EQ(world.Champion(), v3);
  EXPECT_FALSE(world.objects.contains({api::kModelApprovals, {"transit", v2 + "-rolled-back"}}))
      << "superseded is not rejected";
}

TEST(Rollout, NeverPromotesWhatIsRejectedMeanwhile) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.Reject(v2);
  world.Live(Seconds(20));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
  EXPECT_FALSE(world.HasPods(v2));
}

TEST(Rollout, WaitsForApproval) {
  ServingModel world;
  world.verdicts["r2"] = "AwaitingApproval";
  world.Train("r2", 7);
  world.Live(minutes(5));
  EXPECT_EQ(world.Status().challenger, "");
  EXPECT_EQ(world.Condition("Promoted"), "False/AwaitingApproval");
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  world.verdicts.erase("r2");
  world.React();
  world.Settle();
  EXPECT_EQ(world.Status().challenger, "r2");
}

TEST(Rollout, RestoresTheVersionBeforeARejectedChampionAtOnce) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.Live(minutes(4));
  ASSERT_EQ(world.Champion(), v2);
  world.Reject(v2);
  world.Step();
  EXPECT_EQ(world.Status().challenger, world.v1);
  world.broken = {world.v1};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}})) << "something has to serve meanwhile";
  world.broken.clear();
  world.React();
  world.Live(Seconds(15));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  EXPECT_FALSE(world.HasPods(v2));
}

TEST(Rollout, KeepsARejectedChampionThatNobodyCanReplace) {
  ServingModel world;
  world.Reject(world.v1);
  world.Live(minutes(1));
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  EXPECT_EQ(world.Condition("Stalled"), "True/NoApprovedVersion");
}

TEST(Rollout, FreezesWhileScaledToZeroAndStartsItsDeadlineAnew) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.spec["replicas"] = 0;
  ++world.generation;
  world.Live(minutes(20));
  EXPECT_EQ(world.Condition("Ready"), "True/ScaledToZero");
  EXPECT_EQ(world.Status().challenger, v2);
  EXPECT_TRUE(world.Status().rollout->scaled_to_zero);
  world.status["rollout"]["message"] = "the words are for people";
  world.spec["replicas"] = 2;
  ++world.generation;
  world.Settle();
  EXPECT_FALSE(world.Status().rollout->scaled_to_zero);
  EXPECT_NE(world.Phase(), RolloutPhase::kRollingBack);
  world.Live(minutes(4));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Rollout, MakesTheFirstVersionsObjectsWhenItStartsAtZero) {
  ServingWorld world;
  world.spec["replicas"] = 0;
  world.Settle();
  const std::string v1 = world.NewestDeclared();
  EXPECT_TRUE(world.HasPods(v1)) << "its Deployment";
  EXPECT_EQ(world.Condition("Ready"), "True/ScaledToZero");
  world.Live(minutes(20));
  EXPECT_EQ(world.Champion(), "");
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting) << "no deadline passes while there is nothing";
  world.spec["replicas"] = 1;
  ++world.generation;
  world.Settle();
  EXPECT_EQ(world.Champion(), v1);
}

TEST(Rollout, RollsBackAChallengerThatLosesItsPods) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.broken = {v2};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}})) << "traffic leaves it at once";
  world.Live(minutes(11));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
}

TEST(Rollout, UpdatesBothVariantsPodsByTheOrdinaryWay) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.spec["template"]["spec"]["containers"][0]["image"] = "server:2";
  ++world.generation;
  world.Settle();
  for (const std::string& version : {world.v1, v2}) {
    EXPECT_EQ(
        world.Object(api::kDeployments,
                     world.Child(version))["spec"]["template"]["spec"]["containers"][0]["image"],
        "server:2");
  }
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}})) << "no traffic moves";
}

TEST(Rollout, IsNotOverBeforeTheRejectionIsSeen) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.judge_sleeps = true;
  world.Annotate(api::kAnnotationAbort, v2);
  // The rejection is created at each look until somebody has judged it: that alone goes on.
  for (int i = 0; i < 12; ++i, world.now += Seconds(2)) world.Step(), world.React();
  EXPECT_FALSE(world.HasPods(v2));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRollingBack);
  EXPECT_EQ(world.Count("RolloutStarted"), 2) << "it is not selected again";
  world.judge_sleeps = false;
  world.React();
  world.Settle();
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
}

TEST(Rollout, RollsBackWhatTheApiServerRefuses) {
  ServingModel world;
  world.SetModel("oci://m:2");
  world.Step();
  const std::string v2 = world.NewestDeclared();
  world.refuses = [&](const kube::Ref& ref) { return ref.key.name == world.Child(v2); };
  world.React();
  for (int i = 0; i < 70; ++i, world.now += Seconds(10)) world.Step(), world.React();
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack)
      << "a write that fails must not keep the decision from being recorded";
  EXPECT_EQ(world.Champion(), world.v1);
}

TEST(Rollout, KeepsTheOldPodsUntilThePromotionIsOnTheVersion) {
  ServingModel world;
  const std::string v2 = world.Release();
  world.refuses = [](const kube::Ref& ref) { return ref.resource == api::kModelVersions; };
  world.Annotate(api::kAnnotationPromote, v2);
  for (int i = 0; i < 12; ++i, world.now += Seconds(2)) world.Step(), world.React();
  EXPECT_EQ(world.Champion(), v2);
  EXPECT_TRUE(world.HasPods(world.v1)) << "a lost status would lead back to it";
  world.refuses = [](const kube::Ref&) { return false; };
  world.Live(Seconds(10));
  EXPECT_FALSE(world.HasPods(world.v1));
}

TEST(Rollout, KeepsTenHistoryEntries) {
  ServingModel world;
  for (int i = 2; i < 16; ++i) {
    const std::string version = world.Release("oci://m:" + std::to_string(i));
    world.Annotate(api::kAnnotationPromote, version);
    world.Live(Seconds(10));
    ASSERT_EQ(world.Champion(), version);
  }
  EXPECT_EQ(world.Status().history.size(), 10u);
  EXPECT_EQ(world.Status().history.front().version, world.Champion());
}

}  // namespace
}  // namespace perennial::deployment
