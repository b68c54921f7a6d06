// What a route does beside the split: sticky sessions, rules, mirrors; and gateways that refuse it.
#include <gtest/gtest.h>

#include "support/serving_model.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using nlohmann::json;
using std::chrono::minutes;
using Weights = std::map<std::string, int>;

struct Traffic : ServingModel {
  void Change(const char* traffic) {
    spec["traffic"].merge_patch(json::parse(traffic));
    ++generation;
    Settle();
  }
};

TEST(Traffic, StickySessionsEndWithTheBackend) {
  Traffic world;
  world.Change(R"({"sticky": {"ttl": "2h"}, "timeouts": {"request": "5s"}})");
  EXPECT_EQ(world.Condition("Stalled"), "-");
  const std::string v2 = world.Release();
  ASSERT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  const json split = world.Rules()[0];
  EXPECT_EQ(split["sessionPersistence"],
            json::parse(R"({"sessionName": "perennial-variant", "type": "Cookie",
                            "absoluteTimeout": "2h", "cookieConfig": {"lifetimeType": "Permanent"}})"));
  EXPECT_EQ(split["timeouts"]["request"], "5s");
  world.Annotate(api::kAnnotationAbort, v2);
  world.Settle();
  EXPECT_EQ(world.Rules().dump().find(world.Child(v2)), std::string::npos)
      << "a session outlives weight 0 (GEP-1619)";
}

// An API server without the field keeps the route and drops it without a word.
TEST(Traffic, WhatTheClusterCannotDoIsSaidAndNoStepIsTaken) {
  Traffic world;
  world.unknown_route_fields = {"sessionPersistence"};
  world.Change(R"({"sticky": {}})");
  EXPECT_EQ(world.Condition("Stalled"), "True/FeatureNotSupported");
  EXPECT_NE(world.Message("Stalled").find("sessionPersistence"), std::string::npos);
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  world.Release();
  world.Live(minutes(5));
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  EXPECT_EQ(world.Champion(), world.v1);
  world.spec["traffic"].erase("sticky");
  world.Settle();
  EXPECT_EQ(world.Condition("Stalled"), "-");
  EXPECT_TRUE(world.Status().rollout->in_effect);
}

TEST(Traffic, TimeoutsThatAreLeftToTheGatewayAskForNothing) {
  Traffic world;
  world.unknown_route_fields = {"timeouts"};
  world.Change(R"({"timeouts": {"request": "0s"}})");
  EXPECT_EQ(world.Condition("Stalled"), "-");
  world.Change(R"({"timeouts": {"request": "5s"}})");
  EXPECT_EQ(world.Condition("Stalled"), "True/FeatureNotSupported");
}

// A Gateway that can't do what the spec asks for may accept the route all the same.
TEST(Traffic, WhatAGatewaySaysThatItCannotDoIsSaidAndNoStepIsTaken) {
  Traffic world;
  api::GatewayClassView poor;
  poor.meta.key.name = "poor";
  poor.features = {"Gateway", "HTTPRoute", "HTTPRouteRequestTimeout", "HTTPRouteRequestMirror"};
  world.gateway_classes = {std::make_shared<api::GatewayClassView>(poor)};
  world.Settle();
  EXPECT_EQ(world.Condition("Stalled"), "-") << "nothing special is asked for";
  const struct {
    const char* traffic;
    const char* steps;
    std::string lacks;
  } cases[] = {
      {R"({"timeouts": {"request": "5s"}})", R"([{"weight": 50}])", ""},
      {R"({"timeouts": {"backendRequest": "5s"}})", R"([{"weight": 50}])",
       "HTTPRouteBackendTimeout"},
      {R"({"timeouts": null})", R"([{"weight": 0, "mirror": 100}, {"weight": 50}])", ""},
      {R"({})", R"([{"weight": 0, "mirror": 20}, {"weight": 50}])",
       "HTTPRouteRequestPercentageMirror"},
      {R"({"protocol": "GRPC"})", R"([{"weight": 50}])", "GRPCRoute"},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(std::string(one.traffic) + one.steps);
    world.spec["rollout"]["steps"] = json::parse(one.steps);
    world.Change(one.traffic);
    EXPECT_EQ(world.Condition("Stalled"), one.lacks.empty() ? "-" : "True/FeatureNotSupported");
    const std::string says = "GatewayClass poor does not support " + one.lacks + ":";
    if (one.lacks.empty()) continue;
    EXPECT_NE(world.Message("Stalled").find(says), std::string::npos) << world.Message("Stalled");
  }
  world.Change(R"({"protocol": "HTTP"})");
  world.spec["rollout"]["steps"] = json::parse(R"([{"weight": 0, "mirror": 20}, {"weight": 50}])");
  world.Release();
  world.Live(minutes(20));
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting) << "it waits, and is not to blame";
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  poor.features.push_back("HTTPRouteRequestPercentageMirror");
  world.gateway_classes = {std::make_shared<api::GatewayClassView>(poor)};
  world.Settle();
  EXPECT_TRUE(world.Status().rollout->in_effect);
  EXPECT_EQ(world.Condition("Stalled"), "-");
}

TEST(Traffic, LeadsToAGrpcPortByAGrpcRoute) {
  Traffic world;
  const kube::Ref http{api::kHttpRoutes, {"transit", "departures"}};
  const kube::Ref grpc{api::kGrpcRoutes, {"transit", "departures"}};
  ASSERT_TRUE(world.objects.contains(http));
  bool dark = false;
  world.after_step = [&] {
    dark = dark || !(world.objects.contains(http) || world.objects.contains(grpc));
  };
  world.Change(R"({"protocol": "GRPC", "rules": [
      {"header": {"name": "x-tester", "value": "yes"}, "variant": "challenger"}]})");
  EXPECT_TRUE(world.objects.contains(grpc));
  EXPECT_FALSE(world.objects.contains(http)) << "the new one has taken its place";
  EXPECT_FALSE(dark) << "there was always one of them";
  EXPECT_EQ(world.Object(api::kServices, "departures")["spec"]["ports"][0]["appProtocol"],
            "kubernetes.io/h2c");
  const std::string v2 = world.Release();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  const json& route = world.Object(api::kGrpcRoutes, "departures");
  EXPECT_EQ(route["kind"], "GRPCRoute");
  ASSERT_EQ(route["spec"]["rules"].size(), 2u);
  EXPECT_FALSE(route["spec"]["rules"][0].contains("matches")) << "every method";
  EXPECT_EQ(
      route["spec"]["rules"][1]["matches"],
      json::parse(R"([{"headers": [{"type": "Exact", "name": "x-tester", "value": "yes"}]}])"));
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), v2);
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));
  world.spec["traffic"].erase("gateway");
  world.spec["traffic"].erase("rules");
  world.Settle();
  EXPECT_FALSE(world.objects.contains(grpc));
}

TEST(Traffic, RulesGiveRequestsToAVariantThatIsThere) {
  Traffic world;
  world.Change(
      R"({"rules": [{"header": {"name": "x-tester", "value": "yes"}, "variant": "challenger"},
                             {"cookie": {"name": "beta", "value": "1"}, "variant": "challenger"}]})");
  // A rule that came with the challenger would be answered by nobody for a moment.
  ASSERT_EQ(world.Rules().size(), 3u);
  const auto has_split = [&](size_t rule) {
    return world.Rules()[rule]["backendRefs"] == world.Rules()[0]["backendRefs"];
  };
  EXPECT_TRUE(has_split(1) && has_split(2)) << "there is no challenger: the split answers";
  const std::string v2 = world.Release();
  ASSERT_EQ(world.Rules().size(), 3u);
  EXPECT_FALSE(world.Rules()[0]["matches"][0].contains("headers")) << "the split keeps its place";
  EXPECT_EQ(world.Rules()[1]["matches"][0]["headers"][0],
            json::parse(R"({"type": "Exact", "name": "x-tester", "value": "yes"})"));
  EXPECT_EQ(world.Rules()[1]["backendRefs"][0]["name"], world.Child(v2));
  EXPECT_EQ(world.Rules()[2]["matches"][0]["headers"][0]["value"], "(.*; ?)?beta=1(;.*)?");
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}}));
  EXPECT_TRUE(world.Status().rollout->in_effect);
  world.Annotate(api::kAnnotationAbort, v2);
  world.Settle();
  EXPECT_EQ(world.Rules().size(), 3u);
  EXPECT_TRUE(has_split(1) && has_split(2));
  EXPECT_EQ(world.Rules().dump().find(world.Child(v2)), std::string::npos);
}

TEST(Traffic, ARuleThatNobodySpecialAnswersIsAsTheSplitInAll) {
  Traffic world;
  world.Change(R"({"sticky": {"cookie": "v", "ttl": "1h"}, "rules": [
      {"header": {"name": "x-tester", "value": "yes"}, "variant": "champion"},
      {"header": {"name": "x-other", "value": "yes"}, "variant": "challenger"}]})");
  world.spec["rollout"]["steps"] = json::parse(R"([{"weight": 20, "mirror": 30}])");
  world.Settle();
  EXPECT_TRUE(world.Rules()[2].contains("sessionPersistence"));
  EXPECT_FALSE(world.Rules()[1].contains("sessionPersistence")) << "one variant, so none to keep";
  const std::string v2 = world.Release();
  world.stuck_services = {v2};
  world.React();
  world.Settle();
  EXPECT_EQ(world.Rules()[2]["backendRefs"], world.Rules()[0]["backendRefs"]);
  world.stuck_services.clear();
  world.React();
  world.Settle();
  EXPECT_EQ(world.Rules()[2]["backendRefs"][0]["name"], world.Child(v2));
}

TEST(Traffic, AShadowStepCopiesRequestsAndAnswersNone) {
  Traffic world;
  world.spec["rollout"]["steps"] = json::parse(
      R"([{"weight": 0, "mirror": 20, "hold": "1m"}, {"weight": 0, "mirror": 100, "hold": "1m"},
          {"weight": 50, "hold": "1m"}])");
  const std::string v2 = world.Release();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  const json mirror = world.Rules()[0]["filters"][0]["requestMirror"];
  EXPECT_EQ(mirror["backendRef"]["name"], world.Child(v2));
  EXPECT_EQ(mirror["percent"], 20);
  EXPECT_TRUE(world.Status().rollout->in_effect);
  world.Live(Seconds(65));
  EXPECT_EQ(world.Rules()[0]["filters"][0]["requestMirror"]["percent"], 100);
  world.Live(Seconds(60));
  EXPECT_FALSE(world.Rules()[0].contains("filters"));
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 50}, {v2, 50}}));
  world.Live(minutes(2));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Traffic, APreviewAnswersItsRulesAndNobodyElse) {
  Traffic world;
  world.spec["rollout"]["steps"] =
      json::parse(R"([{"weight": 0, "hold": "1m"}, {"weight": 100, "hold": "1m"}])");
  world.spec["traffic"]["rules"] =
      json::parse(R"([{"header": {"name": "x-tester", "value": "yes"}, "variant": "challenger"}])");
  const std::string v2 = world.Release();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  ASSERT_EQ(world.Rules().size(), 2u);
  EXPECT_EQ(world.Rules()[1]["backendRefs"][0]["name"], world.Child(v2));
  EXPECT_TRUE(world.Status().rollout->in_effect);
  world.Live(Seconds(65));
  EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));
  EXPECT_EQ(world.Champion(), world.v1) << "its pods wait until the hold is over";
  world.Live(Seconds(65));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Traffic, APreviewNeedsNoGateway) {
  Traffic world;
  world.spec["traffic"].erase("gateway");
  world.spec["rollout"]["steps"] =
      json::parse(R"([{"weight": 0, "pause": true}, {"weight": 100}])");
  world.Settle();
  const std::string v2 = world.Release();
  EXPECT_TRUE(world.Status().rollout->in_effect);
  EXPECT_EQ(world.Phase(), RolloutPhase::kPaused);
  const json& service = world.Object(api::kServices, "departures");
  EXPECT_EQ(service["spec"]["selector"][std::string(api::kLabelVersion)], world.v1);
  world.Annotate(api::kAnnotationResume, v2);
  world.Live(Seconds(10));
  EXPECT_EQ(world.Champion(), v2);
}

TEST(Traffic, AShadowOfNoReadyPodIsNotInEffect) {
  Traffic world;
  world.spec["rollout"]["steps"] =
      json::parse(R"([{"weight": 0, "mirror": 20, "hold": "1m"}, {"weight": 50}])");
  const std::string v2 = world.Release();
  world.broken = {v2};
  world.React();
  world.Settle();
  EXPECT_FALSE(world.Rules()[0].contains("filters"));
  EXPECT_FALSE(world.Status().rollout->in_effect);
  world.Live(minutes(11));
  EXPECT_EQ(world.Phase(), RolloutPhase::kRolledBack);
}

// seldon-core#5181: weights edited in the middle are what the route has, and nothing else.
TEST(Traffic, EditedStepsAreInTheRouteAtOnce) {
  Traffic world;
  const std::string v2 = world.Release();
  world.spec["rollout"]["steps"][0]["weight"] = 25;
  ++world.generation;
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 75}, {v2, 25}}));
}

// flagger#634, #1563, #1674: an autoscaler's write is no release, and is honoured at once.
TEST(Traffic, AnAutoscalersWriteMovesPodsAndNothingElse) {
  Traffic world;
  const int started = world.Count("RolloutStarted");
  world.spec["replicas"] = 7;  // through the scale subresource
  ++world.generation;
  world.Settle();
  EXPECT_EQ(world.Object(api::kDeployments, world.Child(world.v1))["spec"]["replicas"], 7);
  EXPECT_EQ(world.Count("RolloutStarted"), started);
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  const int writes = world.writes;
  world.Live(minutes(1));
  EXPECT_EQ(world.writes, writes) << "one write follows another, nobody fights";
}

TEST(Traffic, BlamesTheRouteAndNotTheVersion) {
  Traffic world;
  world.gateway_accepts = false;
  const std::string v2 = world.Release();
  world.Live(minutes(15));
  EXPECT_EQ(world.Status().challenger, v2);
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting) << "the first step begins on an accepted route";
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  EXPECT_EQ(world.Count("WeightChanged"), 0);
  EXPECT_EQ(world.Condition("Stalled"), "True/RouteNotAccepted");
  EXPECT_NE(world.Message("Stalled").find("no listener takes m.example.org"), std::string::npos);
  EXPECT_EQ(world.Status().why,
            "ready, but no step is taken: Gateway edge: NotAllowedByListeners: no listener takes "
            "m.example.org; correct the Gateway's listeners or spec.traffic.gateway");
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");

  // What the gateway has used up of the deadline is not the pods' fault.
  world.broken = {v2};
  world.React();
  world.Live(minutes(5));
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting);
  world.broken.clear();
  world.React();
  world.Live(minutes(9));
  EXPECT_EQ(world.Condition("Stalled"), "-");

  world.gateway_accepts = true;
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 90}, {v2, 10}})) << "it goes on by itself";
  world.Live(minutes(5));
  EXPECT_EQ(world.Champion(), v2);
}

// What a status says is for people; what is decided next rests on its fields.
TEST(Traffic, ADeadlineDoesNotRestOnTheWordsOfAMessage) {
  Traffic world;
  world.gateway_accepts = false;
  const std::string v2 = world.Release();
  world.Live(minutes(9));
  EXPECT_TRUE(world.Status().rollout->pods_ready);
  world.status["rollout"]["message"] = "in other words";
  world.broken = {v2};
  world.React();
  world.Live(minutes(5));
  EXPECT_FALSE(world.Status().rollout->pods_ready);
  EXPECT_EQ(world.Phase(), RolloutPhase::kStarting) << "the pods have a whole deadline again";
  world.broken.clear();
  world.gateway_accepts = true;
  world.React();
  world.Settle();
  EXPECT_FALSE(world.Status().rollout->pods_ready) << "the first step is taken";
  EXPECT_EQ(world.Phase(), RolloutPhase::kProgressing);
}

TEST(Traffic, PromotesNothingOnARouteThatIsRefused) {
  Traffic world;
  world.spec["rollout"]["steps"] = json::array();
  world.gateway_accepts = false;
  const std::string v2 = world.Release();
  world.Live(minutes(15));
  EXPECT_EQ(world.Champion(), world.v1);
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  const std::string v3 = world.Release("oci://m:3");
  EXPECT_EQ(world.Status().challenger, v3) << "nothing was decided that a newer one must wait for";
  world.gateway_accepts = true;
  world.React();
  world.Live(Seconds(30));
  EXPECT_EQ(world.Champion(), v3);
}

TEST(Traffic, KeepsPodsWhileTheRouteStillNamesThem) {
  Traffic world;
  const std::string v2 = world.Release();
  world.gateway_accepts = false;
  world.Annotate(api::kAnnotationAbort, v2);
  world.Live(minutes(2));
  EXPECT_EQ(world.Weights(), (Weights{{world.v1, 100}}));
  EXPECT_TRUE(world.HasPods(v2)) << "no gateway has taken the new route in";
  EXPECT_NE(world.Status().why.find("no listener takes m.example.org"), std::string::npos)
      << world.Status().why;
  EXPECT_EQ(world.Condition("Stalled"), "True/RolloutAborted");
  world.Live(minutes(10));
  EXPECT_EQ(world.Condition("Stalled"), "True/RouteNotAccepted");
  world.gateway_accepts = true;
  world.React();
  world.Live(Seconds(10));
  EXPECT_FALSE(world.HasPods(v2));
}

}  // namespace
}  // namespace perennial::deployment
