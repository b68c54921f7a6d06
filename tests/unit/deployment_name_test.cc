#include <gtest/gtest.h>

#include <memory>

#include "deployment/decide.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

kube::Plan PlanFor(const std::string& name) {
  api::ModelDeployment md;
  md.meta.key = {"transit", name};
  md.meta.uid = "md-uid";
  md.spec.model = api::ModelReference{"oci://m:1", "sha256:" + std::string(64, '0')};
  md.spec.pod_template.text =
      R"({"spec":{"containers":[{"name":"m","ports":[{"name":"http","containerPort":8080}]}]}})";
  Observed seen;
  seen.deployment = std::make_shared<api::ModelDeployment>(md);
  return Decide(seen, WallTime(std::chrono::hours(500'000)));
}

TEST(DeploymentName, MustNameAServiceToo) {
  EXPECT_FALSE(PlanFor("departures").actions.empty());
  for (const std::string& name :
       {std::string("departures.v2"), std::string("2departures"), std::string(64, 'd')}) {
    const kube::Plan plan = PlanFor(name);
    EXPECT_TRUE(plan.actions.empty()) << name;
    ASSERT_TRUE(plan.status.has_value());
    EXPECT_NE(plan.status->find("InvalidSpec"), std::string::npos);
    EXPECT_NE(plan.status->find("begins with a letter"), std::string::npos);
  }
}

// A version whose name no label, parent or approval can hold would never be rolled back, and no
// other version could be made while it serves.
TEST(DeploymentName, OfAVersionMustFitWhereOthersNameIt) {
  ServingWorld world;
  world.Settle();
  const std::string first = world.Champion();
  for (const std::string& name : {std::string("departures.v7"), std::string(64, 'v')}) {
    world.Train(name, 70);
    world.Settle();
    EXPECT_EQ(world.Champion(), first);
    EXPECT_EQ(world.Status().challenger, "");
  }
  world.Train("departures-v8", 80);
  world.Settle();
  EXPECT_EQ(world.Status().challenger, "departures-v8");
}

TEST(DeploymentName, OfAVersionThatDoesNotFitIsToldToWhoWaitsForIt) {
  ServingWorld world;
  world.spec.erase("model");
  world.Train("departures.v1", 1);
  world.Settle();
  EXPECT_NE(world.Status().why.find("without dots"), std::string::npos) << world.Status().why;
}

TEST(DeploymentStatus, IsWrittenOnceWhereverAMessageIsCut) {
  for (const char* pad : {"", "a", "ab", "abc"}) {
    ServingWorld world;
    world.Settle();
    std::string error = pad;
    for (int i = 0; i < 600; ++i) error += "\U0001f68c";
    world.last_error = error;
    EXPECT_TRUE(world.Step().status.has_value());
    world.last_error = error;
    EXPECT_FALSE(world.Step().status.has_value()) << "the same look again writes nothing";
  }
}

}  // namespace
}  // namespace perennial::deployment
