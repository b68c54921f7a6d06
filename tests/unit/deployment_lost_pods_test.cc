// Pods that are lost in the middle of a rollout: who serves, and who is to blame.
#include <gtest/gtest.h>

#include "support/serving_model.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using nlohmann::json;
using std::chrono::minutes;
using Weights = std::map<std::string, int>;

struct LostPods : ServingModel {
  explicit LostPods(const char* steps = nullptr) {
    if (steps != nullptr) spec["rollout"]["steps"] = json::parse(steps);
  }
  // All pods of these.
  void Break(std::set<std::string> versions) {
    pods_stay = false;
    broken = std::move(versions);
    React();
    Settle();
  }
  // One of its two pods is ready.
  void LeaveOne(const std::string& version) {
    pods_stay = true;
    Object(api::kDeployments, Child(version))["status"]["readyReplicas"] = 1;
    Settle();
  }
  void Mend() { Break({}); }
  // The version that gets everything by the route or the main Service, or nothing.
  std::string WhoHasAll() {
    if (!spec["traffic"].contains("gateway")) {
      return Object(api::kServices, "departures")["spec"]["selector"].value(
          std::string(api::kLabelVersion), "");
    }
    for (const auto& [version, weight] : this->Weights()) {
      if (weight == 100) return version;
    }
    return "";
  }
};

TEST(LostPods, OfWhoHasEverythingGiveItBackUntilAllAreThere) {
  for (const bool gateway : {true, false}) {
    SCOPED_TRACE(gateway ? "by a route" : "by the main Service");
    LostPods world(R"([{"weight": 100, "hold": "10m"}])");
    if (!gateway) world.spec["traffic"].erase("gateway");
    world.Settle();
    const std::string v2 = world.Release();
    ASSERT_EQ(world.WhoHasAll(), v2);
    world.LeaveOne(v2);
    EXPECT_EQ(world.WhoHasAll(), v2) << "the other pod serves on";
    world.Break({v2});
    EXPECT_EQ(world.WhoHasAll(), world.v1);
    EXPECT_FALSE(world.Status().rollout->in_effect);
    world.LeaveOne(v2);
    EXPECT_EQ(world.WhoHasAll(), world.v1) << "one pod can't carry what two do";
    world.Mend();
    EXPECT_EQ(world.WhoHasAll(), v2);
    EXPECT_TRUE(world.Status().rollout->in_effect);
    world.Live(minutes(9));
    EXPECT_EQ(world.Champion(), world.v1) << "the hold began anew";
    world.Live(minutes(2));
    EXPECT_EQ(world.Champion(), v2);
  }
}

TEST(LostPods, OfWhoHasEverythingRollItBackAndPromoteNobody) {
  LostPods world(R"([{"weight": 100, "hold": "5m"}])");
  const std::string v2 = world.Release();
  world.Break({v2});
  world.Live(minutes(9));
  EXPECT_EQ(world.Phase(), RolloutPhase::kProgressing);
  world.Live(minutes(2));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  EXPECT_TRUE(world.HasPods(world.v1));
}

TEST(LostPods, WhilePromotingGiveEverythingBackToo) {
  LostPods world(R"([{"weight": 100, "pause": true}])");
  const std::string v2 = world.Release();
  world.Annotate(api::kAnnotationPromote, v2);
  world.Step();
  ASSERT_EQ(world.Phase(), RolloutPhase::kPromoting);
  world.Break({v2});
  EXPECT_EQ(world.Phase(), RolloutPhase::kPromoting);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  world.LeaveOne(v2);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}, {v2, 0}})) << "not nearly all to one pod";
  world.Break({v2});
  world.Live(minutes(11));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
  EXPECT_EQ(world.Champion(), world.v1);
}

// The route stays as it is then, and is no sign that the step goes well.
TEST(LostPods, OfBothEndNoStep) {
  LostPods world;
  const std::string v2 = world.Release();
  world.Break({world.v1, v2});
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  EXPECT_FALSE(world.Status().rollout->in_effect);
  world.Live(minutes(5));
  EXPECT_EQ(world.Status().rollout->step, 0);
  EXPECT_EQ(world.Champion(), world.v1);
  world.Mend();
  EXPECT_TRUE(world.Status().rollout->in_effect);
  EXPECT_EQ(world.Phase(), RolloutPhase::kProgressing);
}

TEST(LostPods, OfTheChampionKeepTheChallengerThatServesInItsPlace) {
  LostPods world;
  const std::string v2 = world.Release();
  world.Break({world.v1});
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));
  world.Live(minutes(11));
  EXPECT_EQ(world.Phase(), RolloutPhase::kProgressing);
  world.LeaveOne(v2);
  EXPECT_EQ(world.Status().rollout->then, "Stalled says what is missing");
  world.Live(minutes(11));
  EXPECT_EQ(world.Phase(), RolloutPhase::kProgressing) << "its pods are the only ones";
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));
  EXPECT_EQ(world.Condition("Stalled"), "True/ProgressDeadlineExceeded");
  EXPECT_NE(world.Message("Stalled").find("1 of 2 pods ready"), std::string::npos)
      << world.Message("Stalled");
  world.now += minutes(1);
  EXPECT_FALSE(Decide(world.See(), world.now).status.has_value()) << "waiting writes nothing";
  world.Mend();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  EXPECT_EQ(world.Condition("Stalled"), "-");
  world.Live(minutes(4));
  EXPECT_EQ(world.Champion(), v2);
}

// What the gateway has used up of the deadline is not the pods' fault.
TEST(LostPods, HaveAWholeDeadlineAfterARouteThatWasRefused) {
  for (const RolloutPhase phase : {RolloutPhase::kProgressing, RolloutPhase::kPromoting}) {
    SCOPED_TRACE(phase == RolloutPhase::kPromoting ? "promoting" : "in a step");
    LostPods world;
    const std::string v2 = world.Release();
    world.gateway_accepts = false;
    world.React();
    if (phase == RolloutPhase::kPromoting) world.Annotate(api::kAnnotationPromote, v2);
    world.Settle();
    world.Live(minutes(11));
    ASSERT_EQ(world.Phase(), phase);
    ASSERT_EQ(world.Condition("Stalled"), "True/RouteNotAccepted");
    world.Break({v2});
    EXPECT_EQ(world.Phase(), phase) << "a drained node";
    world.Live(minutes(5));
    EXPECT_EQ(world.Phase(), phase);
    world.Mend();
    EXPECT_EQ(world.Phase(), phase);
    world.gateway_accepts = true;
    world.React();
    world.Settle();
    world.Live(minutes(4));
    EXPECT_EQ(world.Champion(), v2);
  }
}

}  // namespace
}  // namespace perennial::deployment
