// How traffic is split, with and without a gateway.
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "deployment/weights.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;
using std::chrono::minutes;

json Selector(ServingWorld& world) {
  return world.Object(api::kServices, "departures")["spec"]["selector"];
}

TEST(Weights, AreWholePercentsThatSumTo100) {
  EXPECT_EQ(Percentages({1, 1, 1}), (std::vector<int>{34, 33, 33}));
  EXPECT_EQ(Percentages({90, 10}), (std::vector<int>{90, 10}));
  EXPECT_EQ(Percentages({0, 7}), (std::vector<int>{0, 100}));
  EXPECT_EQ(Percentages({0, 0}), (std::vector<int>{0, 0}));
  EXPECT_EQ(Percentages({}), (std::vector<int>{}));
  std::mt19937 random(7);
  for (int i = 0; i < 1000; ++i) {
    std::vector<int> weights(1 + random() % 16);
    for (int& weight : weights) weight = static_cast<int>(random() % 101);
    const auto percent = Percentages(weights);
    const int sum = std::accumulate(percent.begin(), percent.end(), 0);
    const bool any = std::accumulate(weights.begin(), weights.end(), 0) > 0;
    ASSERT_EQ(sum, any ? 100 : 0);
    for (size_t k = 0; k < weights.size(); ++k) {
      ASSERT_TRUE(weights[k] > 0 || percent[k] == 0) << "nothing to those with weight 0";
    }
  }
}

TEST(Weights, WithoutStepsAreHeldForAsLongAsWhatIsMeasuredNeeds) {
  const auto hold = [](const auto& fill) {
    api::Rollout rollout;
    rollout.analysis.emplace().window = api::Duration{minutes(3)};
    fill(*rollout.analysis);
    const auto steps = StepsOf(rollout);
    EXPECT_EQ(steps.size(), 1u);
    EXPECT_EQ(steps.at(0).weight, 100);
    return steps.at(0).hold.value;
  };
  EXPECT_EQ(hold([](api::Analysis& analysis) { analysis.checks.resize(1); }), minutes(3));
  EXPECT_EQ(hold([](api::Analysis& analysis) { analysis.probes.emplace_back().query.emplace(); }),
            minutes(3))
      << "a query is of the traffic too";
  EXPECT_EQ(hold([](api::Analysis& analysis) { analysis.probes.emplace_back().drift.emplace(); }),
            Millis(0))
      << "a monitor takes the time that it takes";
  EXPECT_EQ(hold([](api::Analysis& analysis) { analysis.probes.emplace_back().job.emplace(); }),
            Millis(0));
}

TEST(Weights, SplitByReplicasWithoutAGateway) {
  ServingWorld world;
  world.spec["traffic"].erase("gateway");
  world.spec["replicas"] = 9;
  world.Settle();
  const std::string v1 = world.Champion();
  ASSERT_FALSE(v1.empty());
  EXPECT_FALSE(world.objects.contains({api::kHttpRoutes, {"transit", "departures"}}));
  EXPECT_EQ(Selector(world)[std::string(api::kLabelVersion)], v1);
  EXPECT_FALSE(world.Status().approximate_split);

  world.SetModel("oci://m:2");
  world.Step();
  const std::string v2 = world.NewestDeclared();
  world.broken = {v2};
  world.React();
  world.Settle();
  EXPECT_EQ(Selector(world)[std::string(api::kLabelVersion)], v1)
      << "no traffic before it is ready";
  world.broken.clear();
  world.React();
  world.Settle();
  EXPECT_EQ(world.Object(api::kDeployments, world.Child(v2))["spec"]["replicas"], 1)
      << "1 beside 9 is 10 %";
  EXPECT_FALSE(Selector(world).contains(std::string(api::kLabelVersion)));
  EXPECT_TRUE(Selector(world).contains("app.kubernetes.io/component"))
      << "training pods carry the deployment's label too";
  EXPECT_TRUE(world.Status().approximate_split);
  EXPECT_EQ(world.Status().variants[1].weight, 10);
  EXPECT_TRUE(world.Status().rollout->in_effect);

  world.Live(Seconds(65));
  EXPECT_EQ(world.Object(api::kDeployments, world.Child(v2))["spec"]["replicas"], 9);
  EXPECT_EQ(world.Status().variants[1].weight, 50);
  world.Live(minutes(3));
  EXPECT_EQ(world.Champion(), v2);
  EXPECT_EQ(Selector(world)[std::string(api::kLabelVersion)], v2);
  EXPECT_FALSE(world.HasPods(v1));
}

TEST(Weights, GiveEverythingOnlyToEnoughPods) {
  ServingWorld world;
  world.spec["traffic"].erase("gateway");
  world.spec["replicas"] = 9;
  world.spec["rollout"]["steps"] =
      json::parse(R"([{"weight": 10}, {"weight": 100, "hold": "1h"}])");
  world.Settle();
  const std::string v1 = world.Champion();
  world.SetModel("oci://m:2");
  // Without React() the pods that were asked for last are not there yet.
  for (int i = 0; i < 12; ++i) {
    const auto before = world.Status().rollout ? world.Status().rollout->step : 0;
    world.Step();
    if (before == 1) break;
    world.React();
  }
  const std::string v2 = world.NewestDeclared();
  ASSERT_EQ(world.Status().rollout->step, 1);
  world.Step();
  EXPECT_FALSE(Selector(world).contains(std::string(api::kLabelVersion)))
      << "one pod can't carry what nine do";
  world.React();
  world.Settle();
  EXPECT_EQ(Selector(world)[std::string(api::kLabelVersion)], v2);
  EXPECT_TRUE(world.HasPods(v1)) << "the champion stays until promotion";
}

TEST(Weights, FollowEndpointsAndNotOnlyReadyPods) {
  ServingWorld world;
  world.Settle();
  const std::string v1 = world.Champion();
  world.SetModel("oci://m:2");
  world.Step();
  const std::string v2 = world.NewestDeclared();
  world.stuck_services = {v2};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{v1, 100}}));
  world.stuck_services.clear();
  world.Settle();
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{v1, 90}, {v2, 10}}));
  world.stuck_services = {v1};
  world.Settle();
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{v2, 100}})) << "whoever has pods serves";
}

TEST(Weights, FollowReadyPodsAndNotOnlyEndpoints) {
  ServingWorld world;
  world.Settle();
  Observed seen = world.See();
  const std::string v1 = world.Champion();
  ASSERT_TRUE(RunningOf(seen, v1).Serving());
  auto view = std::make_shared<api::DeploymentView>(*seen.deployments.at(0));
  view->ready_replicas = 0;
  seen.deployments = {view};
  EXPECT_FALSE(RunningOf(seen, v1).Serving()) << "endpoints may lag behind";
  seen = world.See();
  seen.services.clear();
  EXPECT_FALSE(RunningOf(seen, v1).Serving());
}

TEST(Weights, DropTheRouteWhenTheGatewayIsTakenOut) {
  ServingWorld world;
  world.Settle();
  ASSERT_TRUE(world.objects.contains({api::kHttpRoutes, {"transit", "departures"}}));
  world.spec["traffic"].erase("gateway");
  ++world.generation;
  world.Settle();
  EXPECT_FALSE(world.objects.contains({api::kHttpRoutes, {"transit", "departures"}}));
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
}

TEST(Weights, OfVariantsTheChampionStandsInUntilTheyAreReady) {
  ServingWorld world;
  world.Settle();
  const std::string v1 = world.Champion();
  world.spec.erase("model");
  world.spec["variants"] = json::parse(R"([
    {"name": "a", "weight": 60, "model": {"uri": "oci://a:1"}},
    {"name": "b", "weight": 40, "model": {"uri": "oci://b:1"}}])");
  ++world.generation;
  world.judge_sleeps = true;  // as long as nobody approves them
  world.Live(Seconds(60));
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{v1, 100}}));
  EXPECT_TRUE(world.HasPods(v1));
  EXPECT_EQ(world.Champion(), v1);
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  std::string b;
  for (const auto& [ref, object] : world.objects) {
    if (ref.resource != api::kModelVersions) continue;
    if (object["spec"]["origin"].value("variant", "") == "b") b = ref.key.name;
  }
  world.broken = {b};
  world.judge_sleeps = false;
  world.React();
  world.Live(Seconds(60));
  const std::string a = world.Status().variants[0].version;
  EXPECT_EQ(world.Weights()[a], 60);
  EXPECT_EQ(world.Weights()[v1], 40) << "for b";
  EXPECT_NE(world.Status().why.find(v1 + " stands in"), std::string::npos) << world.Status().why;
  world.broken.clear();
  world.React();
  world.Live(Seconds(60));
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{a, 60}, {b, 40}}));
  EXPECT_EQ(world.Champion(), a);
  EXPECT_FALSE(world.HasPods(v1));
  // Other names are other variants.
  world.spec["variants"][0]["name"] = "first";
  world.spec["variants"][1]["name"] = "second";
  ++world.generation;
  world.after_step = [&] {
    EXPECT_FALSE(world.Weights().empty());
    for (const auto& [version, weight] : world.Weights()) {
      EXPECT_TRUE(weight == 0 || world.HasPods(version));
    }
  };
  world.Live(Seconds(60));
  ASSERT_EQ(world.Weights().size(), 2u);
  EXPECT_FALSE(world.Weights().contains(a));
}

TEST(Weights, OfVariantsAreTheChampionsWithoutAGateway) {
  ServingWorld world;
  world.spec["traffic"].erase("gateway");
  world.Settle();
  const std::string v1 = world.Champion();
  world.spec.erase("model");
  world.spec["variants"] = json::parse(R"([
    {"name": "a", "weight": 50, "model": {"uri": "oci://a:1"}},
    {"name": "b", "weight": 50, "model": {"uri": "oci://b:1"}}])");
  ++world.generation;
  world.judge_sleeps = true;
  world.Live(Seconds(60));
  EXPECT_TRUE(world.HasPods(v1));
  EXPECT_EQ(world.Champion(), v1);
  world.judge_sleeps = false;
  world.React();
  world.Live(Seconds(60));
  EXPECT_FALSE(world.HasPods(v1));
  EXPECT_EQ(world.Champion(), world.Status().variants[0].version);
}

TEST(Weights, AreFixedWhereVariantsAreDeclared) {
  ServingWorld world;
  world.spec.erase("model");
  world.spec["variants"] = json::parse(R"([
    {"name": "a", "weight": 70, "model": {"uri": "oci://a:1"}},
    {"name": "b", "weight": 25, "model": {"uri": "oci://b:1"}},
    {"name": "c", "weight": 5, "model": {"uri": "oci://c:1"}}])");
  world.Settle();
  const auto versions = world.Status().variants;
  ASSERT_EQ(versions.size(), 3u);
  const std::string a = versions[0].version;
  const std::string b = versions[1].version;
  const std::string c = versions[2].version;
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{a, 70}, {b, 25}, {c, 5}}));
  EXPECT_EQ(world.Champion(), a);
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");

  // Edited weights are in the route at once, exactly.
  world.spec["variants"][0]["weight"] = 10;
  world.spec["variants"][1]["weight"] = 85;
  ++world.generation;
  world.Settle();
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{a, 10}, {b, 85}, {c, 5}}));

  // A new artifact of one variant takes over when it is ready, the others stay.
  world.spec["variants"][2]["model"]["uri"] = "oci://c:2";
  ++world.generation;
  world.Step();
  std::string c2;
  for (const std::string& name : world.VersionNames()) {
    if (name != a && name != b && name != c) c2 = name;
  }
  ASSERT_FALSE(c2.empty());
  world.broken = {c2};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights()[c], 5);
  world.broken = {b};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{a, 67}, {c2, 33}}))
      << "those that are ready take over in proportion";
  EXPECT_FALSE(world.HasPods(c));
  world.broken.clear();
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{a, 10}, {b, 85}, {c2, 5}}));
}

}  // namespace
}  // namespace perennial::deployment
