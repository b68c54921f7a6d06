// A gateway whose caches are behind: it answers 500 for a Service that it has not heard of.
#include <gtest/gtest.h>

#include "support/serving_model.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using nlohmann::json;
using std::chrono::minutes;
using Weights = std::map<std::string, int>;

struct Resolved : ServingModel {
  Resolved() {
    after_step = [this] {
      for (const auto& [version, weight] : this->Weights()) {
        EXPECT_TRUE(weight == 0 || !unresolved.contains(version) || may_lose) << version;
      }
      for (const std::string& version : unresolved) {
        const std::string rest = Rules().size() > 1 ? Rules()[1].dump() : "";
        EXPECT_EQ(rest.find(Child(version)), std::string::npos) << "its testers would get 500";
        EXPECT_FALSE(Rules()[0].contains("filters")) << "a mirror to nowhere costs the whole rule";
      }
    };
  }
  // A version that the gateway does not know, with pods that are ready.
  std::string ReleaseUnresolved(const std::string& uri = "oci://m:2") {
    SetModel(uri);
    Step();
    unresolved = {NewestDeclared()};
    React();
    Settle();
    return NewestDeclared();
  }
  void Find() {
    unresolved.clear();
    React();
    Settle();
  }
  bool may_lose = false;
};

TEST(Resolved, AStepGivesWeightWhenTheGatewayHasFoundTheService) {
  Resolved world;
  const std::string v2 = world.ReleaseUnresolved();
  EXPECT_EQ(world.Phase(), RolloutPhase::kProgressing);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}, {v2, 0}})) << "named, so that it looks";
  EXPECT_FALSE(world.Status().rollout->in_effect);
  EXPECT_NE(world.Status().why.find(world.Child(v2) + " not found"), std::string::npos)
      << world.Status().why;
  EXPECT_EQ(world.Status().variants[1].weight, 0);
  const int writes = world.writes;
  world.Live(minutes(2));
  EXPECT_EQ(world.writes, writes);
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  world.Live(minutes(10));
  EXPECT_EQ(world.Condition("Stalled"), "True/RouteNotAccepted");
  EXPECT_EQ(world.Count("RolledBack"), 0) << "not the version's fault";

  world.Find();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  EXPECT_TRUE(world.Status().rollout->in_effect);
  EXPECT_EQ(world.Condition("Stalled"), "-");
  world.Live(minutes(4));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Resolved, PromotionByHandWaitsForTheGatewayToo) {
  Resolved world;
  const std::string v2 = world.ReleaseUnresolved();
  world.Annotate(api::kAnnotationPromote, v2);
  world.Live(Seconds(30));
  EXPECT_EQ(world.Phase(), RolloutPhase::kPromoting);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}, {v2, 0}}));
  EXPECT_EQ(world.Champion(), world.v1);
  world.Find();
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Resolved, WithoutStepsEverythingMovesWhenTheGatewayHasFoundTheService) {
  Resolved world;
  world.spec["rollout"]["steps"] = json::array();
  const std::string v2 = world.ReleaseUnresolved();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}, {v2, 0}}));
  world.Find();
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Resolved, NeitherTestersNorCopiesGoWhereNobodyAnswers) {
  Resolved world;
  world.spec["traffic"]["rules"] =
      json::parse(R"([{"header": {"name": "x-tester", "value": "yes"}, "variant": "challenger"}])");
  world.spec["rollout"]["steps"] =
      json::parse(R"([{"weight": 0, "mirror": 20, "hold": "1m"}, {"weight": 50, "hold": "1m"}])");
  const std::string v2 = world.ReleaseUnresolved();
  world.Live(minutes(2));
  EXPECT_FALSE(world.Status().rollout->in_effect);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}, {v2, 0}}));
  world.Find();
  EXPECT_TRUE(world.Status().rollout->in_effect);
  EXPECT_EQ(world.Rules()[1]["backendRefs"][0]["name"], world.Child(v2));
  EXPECT_EQ(world.Rules()[0]["filters"][0]["requestMirror"]["percent"], 20);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}})) << "a session outlives weight 0";
}

TEST(Resolved, WhoHasTrafficKeepsItWhileAnotherIsLookedFor) {
  Resolved world;
  const std::string v2 = world.Release();
  ASSERT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  const std::string v3 = world.ReleaseUnresolved("oci://m:3");
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}, {v3, 0}}));
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  world.Annotate(api::kAnnotationAbort, v3);
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  EXPECT_TRUE(
      world.objects.at({api::kHttpRoutes, {"transit", "departures"}})["status"].is_object());
}

// Errors of some are better than errors of all.
TEST(Resolved, NobodyWaitsForTheGatewayWhereNobodyElseServes) {
  Resolved world;
  world.may_lose = true;
  const std::string v2 = world.ReleaseUnresolved();
  world.broken = {world.v1};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));

  Resolved fresh;
  fresh.may_lose = true;
  fresh.objects.erase({api::kHttpRoutes, {"transit", "departures"}});
  fresh.unresolved = {fresh.v1};
  fresh.Settle();
  EXPECT_EQ(fresh.Weights(), (Weights{{fresh.v1, 100}})) << "a route that somebody deleted";
}

TEST(Resolved, AVariantGoesOnWithWhatItServesUntilTheGatewayHasFoundTheNext) {
  Resolved world;
  world.spec.erase("model");
  world.spec["variants"] = json::parse(R"([
    {"name": "a", "weight": 70, "model": {"uri": "oci://a:1"}},
    {"name": "b", "weight": 30, "model": {"uri": "oci://b:1"}}])");
  ++world.generation;
  world.Settle();
  const auto before = world.Weights();
  ASSERT_EQ(before.size(), 2u);
  world.spec["variants"][1]["model"]["uri"] = "oci://b:2";
  ++world.generation;
  world.Step();
  std::string b2;
  for (const std::string& name : world.VersionNames()) {
    if (world.Object(api::kModelVersions, name)["spec"]["model"]["uri"] == "oci://b:2") b2 = name;
  }
  ASSERT_FALSE(b2.empty());
  world.unresolved = {b2};
  world.Live(minutes(1));
  auto waiting = before;
  waiting[b2] = 0;
  EXPECT_EQ(world.Weights(), waiting);
  EXPECT_NE(world.Status().why.find("until the gateway has found the Service of " + b2),
            std::string::npos)
      << world.Status().why;
  world.Find();
  EXPECT_EQ(world.Weights()[b2], 30);
  EXPECT_EQ(world.Weights().size(), 2u);
}

}  // namespace
}  // namespace perennial::deployment
