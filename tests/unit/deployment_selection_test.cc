// Which version should serve, and which are on record.
#include <gtest/gtest.h>

#include "deployment/selection.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using std::chrono::minutes;

std::string Target(const ServingWorld& world) {
  const Observed seen = world.See();
  const Selection selection = Select(seen, world.Champion());
  return selection.target == nullptr ? "" : selection.target->meta.key.name;
}

TEST(Selection, MakesOneVersionForEachChangeOfTheModel) {
  ServingWorld world;
  world.Settle();
  EXPECT_EQ(world.VersionNames().size(), 1u);
  world.Train("r2", 2);
  world.Live(minutes(5));
  ASSERT_EQ(world.Champion(), "r2");
  world.Live(minutes(5));
  EXPECT_EQ(world.VersionNames().size(), 2u);
  EXPECT_EQ(Target(world), "") << "an unchanged spec.model undoes no retraining";
}

TEST(Selection, TakesARevertOfTheModelForANewVersion) {
  ServingWorld world;
  world.Settle();
  const std::string a = world.NewestDeclared();
  world.SetModel("oci://m:2");
  world.Live(minutes(5));
  const std::string b = world.NewestDeclared();
  world.Train("r3", 9);
  world.Live(minutes(5));
  ASSERT_EQ(world.Champion(), "r3");
  world.SetModel("oci://m:1");
  world.Live(minutes(5));
  const std::string again = world.NewestDeclared();
  EXPECT_EQ(std::set<std::string>({a, b, again}).size(), 3u);
  EXPECT_EQ(world.Champion(), again);
  const auto& record = world.Object(api::kModelVersions, again);
  EXPECT_EQ(record["spec"]["model"]["uri"], "oci://m:1");
  EXPECT_EQ(record["spec"]["revision"], 10);
  EXPECT_EQ(record["spec"]["parent"], "r3");
  EXPECT_EQ(record["metadata"]["ownerReferences"][0]["uid"], "md-uid");
}

TEST(Selection, NamesAVersionTheSameHoweverOftenItIsTried) {
  ServingWorld world;
  const auto first = MissingVersions(world.See());
  const auto second = MissingVersions(world.See());
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first, second);
  world.Train("r5", 5);
  EXPECT_EQ(MissingVersions(world.See())[0].target, first[0].target)
      << "what others make meanwhile does not change the name";
}

TEST(Selection, WritesNoStatusWhileTheFirstVersionIsAboutToBeJudged) {
  ServingWorld world;
  world.judge_sleeps = true;
  EXPECT_FALSE(world.Step().status) << "the version is being made";
  ASSERT_EQ(world.VersionNames().size(), 1u);
  auto& version = world.Object(api::kModelVersions, world.VersionNames().front());
  version["metadata"]["creationTimestamp"] = FormatTime(world.now);
  const kube::Plan plan = world.Step();
  EXPECT_FALSE(plan.status) << *plan.status;
  ASSERT_TRUE(plan.wake_at.has_value());
  EXPECT_LE(*plan.wake_at, world.now + Seconds(5));
  world.now += Seconds(5);
  const kube::Plan later = world.Step();
  ASSERT_TRUE(later.status) << "who judges seems to hang";
  EXPECT_NE(later.status->find("not judged yet"), std::string::npos) << *later.status;
}

TEST(Selection, OrdersByRevisionThenByIntent) {
  api::ModelVersion run;
  run.meta.key.name = "z";
  run.spec.revision = 4;
  run.spec.origin.type = api::OriginType::kRun;
  api::ModelVersion declared = run;
  declared.meta.key.name = "a";
  declared.spec.origin.type = api::OriginType::kSpec;
  EXPECT_TRUE(NewerThan(declared, run));
  EXPECT_FALSE(NewerThan(run, declared));
  run.spec.revision = 5;
  EXPECT_TRUE(NewerThan(run, declared));
  EXPECT_FALSE(NewerThan(run, run));
}

TEST(Selection, PinsToTheModelWithManualUpdates) {
  ServingWorld world;
  world.spec["updates"] = "Manual";
  world.Settle();
  const std::string v1 = world.Champion();
  ASSERT_FALSE(v1.empty());
  world.Train("r2", 2);
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), v1);
  EXPECT_EQ(world.Status().challenger, "");
  world.spec["updates"] = "Automatic";
  world.Live(minutes(5));
  ASSERT_EQ(world.Champion(), "r2");
  world.spec["updates"] = "Manual";
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), v1) << "pinned means pinned, older or not";
}

TEST(Selection, PassesOverWhatIsNotApproved) {
  ServingWorld world;
  world.Settle();
  const char* phases[] = {"Pending", "GatesFailed", "AwaitingApproval", "Rejected"};
  for (int i = 0; i < 4; ++i) {
    const std::string name = "r" + std::to_string(i);
    world.verdicts[name] = phases[i];
    world.Train(name, 10 + i);
  }
  EXPECT_EQ(Target(world), "");
  world.Train("good", 5);
  EXPECT_EQ(Target(world), "good");
}

TEST(Selection, KeepsAChampionWhoseApprovalIsWithdrawn) {
  ServingWorld world;
  world.Settle();
  world.SetModel("oci://m:2");
  world.Live(minutes(4));
  const std::string v2 = world.Champion();
  ASSERT_EQ(v2, world.NewestDeclared());
  world.verdicts[v2] = "AwaitingApproval";
  world.React();
  world.Settle();
  EXPECT_EQ(Target(world), "") << "an older one is no newer version";
  EXPECT_EQ(world.Status().challenger, "");
}

TEST(Selection, SaysWhyNothingCanServe) {
  ServingWorld world;
  world.spec.erase("model");
  world.Settle();
  EXPECT_NE(world.Status().why.find("set spec.model, or let a RetrainPolicy train one"),
            std::string::npos);
  EXPECT_EQ(world.Condition("Reconciling"), "True/Starting");
  world.verdicts["r1"] = "AwaitingApproval";
  world.Train("r1", 1);
  world.Settle();
  EXPECT_NE(world.Status().why.find("judged AwaitingApproval"), std::string::npos);
}

TEST(Selection, RollsOutAnewWhatWasRolledBackOnceItsRejectionIsTakenBack) {
  ServingWorld world;
  world.Settle();
  world.SetModel("oci://m:2");
  world.Settle();
  const std::string v2 = world.NewestDeclared();
  world.Annotate(api::kAnnotationAbort, v2);
  world.Live(Seconds(20));
  ASSERT_EQ(world.Phase(), api::RolloutPhase::kRolledBack);
  world.annotations.clear();
  world.objects.erase({api::kModelApprovals, {"transit", v2 + "-rolled-back"}});
  world.React();
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Selection, RefusesNamesThatPodsCannotCarry) {
  ServingWorld world;
  world.Settle();
  world.Train(std::string(64, 'x'), 50);
  EXPECT_EQ(Target(world), "");
}

}  // namespace
}  // namespace perennial::deployment
