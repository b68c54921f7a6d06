// Autoscalers and disruption budgets of variants.
#include <gtest/gtest.h>

#include "deployment/scaling.h"
#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;
using std::chrono::minutes;

struct Scaled : ServingWorld {
  Scaled() {
    spec.erase("replicas");
    spec["autoscaling"] = {
        {"minReplicas", 2},
        {"maxReplicas", 10},
        {"metrics",
         json::array({{{"type", "Resource"},
                       {"resource",
                        {{"name", "cpu"},
                         {"target", {{"type", "Utilization"}, {"averageUtilization", 60}}}}}}})},
        {"behavior", {{"scaleDown", {{"stabilizationWindowSeconds", 60}}}}}};
    spec["disruptionBudget"] = {{"maxUnavailable", "25%"},
                                {"unhealthyPodEvictionPolicy", "AlwaysAllow"}};
  }

  int Pods(const std::string& version) {
    return Object(api::kDeployments, Child(version))["spec"]["replicas"];
  }
  // What the autoscaler does about load.
  void Scale(const std::string& version, int pods) {
    Object(api::kDeployments, Child(version))["spec"]["replicas"] = pods;
    React();
  }
  int Fewest(const std::string& version) {
    return Object(api::kAutoscalers, Child(version))["spec"]["minReplicas"];
  }
  int CountOf(const kube::Resource& resource) const {
    return static_cast<int>(std::count_if(objects.begin(), objects.end(), [&](const auto& entry) {
      return entry.first.resource == resource;
    }));
  }
};

TEST(Scaling, MakesOneAutoscalerAndOneBudgetForEachVariant) {
  Scaled world;
  world.Settle();
  const std::string v1 = world.Champion();
  ASSERT_FALSE(v1.empty()) << world.Status().why;
  const json& scaler = world.Object(api::kAutoscalers, world.Child(v1));
  EXPECT_EQ(scaler["apiVersion"], "autoscaling/v2");
  EXPECT_EQ(scaler["spec"]["scaleTargetRef"],
            (json{{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", world.Child(v1)}}));
  EXPECT_EQ(scaler["spec"]["minReplicas"], 2);
  EXPECT_EQ(scaler["spec"]["maxReplicas"], 10);
  EXPECT_EQ(scaler["spec"]["metrics"], world.spec["autoscaling"]["metrics"]);
  EXPECT_EQ(scaler["spec"]["behavior"], world.spec["autoscaling"]["behavior"]);
  const json& budget = world.Object(api::kDisruptionBudgets, world.Child(v1));
  EXPECT_EQ(budget["apiVersion"], "policy/v1");
  EXPECT_EQ(budget["spec"]["maxUnavailable"], "25%");
  EXPECT_EQ(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
  EXPECT_EQ(budget["spec"]["selector"],
            world.Object(api::kDeployments, world.Child(v1))["spec"]["selector"]);
  EXPECT_EQ(world.Status().variants[0].replicas, 2);

  world.SetModel("oci://m:2");
  world.Settle();
  EXPECT_EQ(world.CountOf(api::kAutoscalers), 2);
  EXPECT_EQ(world.CountOf(api::kDisruptionBudgets), 2);
  world.Live(minutes(5));
  const std::string v2 = world.NewestDeclared();
  ASSERT_EQ(world.Champion(), v2);
  EXPECT_EQ(world.CountOf(api::kAutoscalers), 1) << "the old version's goes with its pods";
  EXPECT_EQ(world.CountOf(api::kDisruptionBudgets), 1);
  EXPECT_TRUE(world.objects.contains({api::kAutoscalers, {"transit", world.Child(v2)}}));
}

TEST(Scaling, LeavesTheNumberOfPodsToTheAutoscaler) {
  Scaled world;
  world.Settle();
  const std::string v1 = world.Champion();
  world.Scale(v1, 7);
  world.Settle();
  EXPECT_EQ(world.Pods(v1), 7);
  EXPECT_EQ(world.Status().variants[0].replicas, 7);
  EXPECT_EQ(world.Condition("Ready"), "True/Serving");
  EXPECT_EQ(world.Condition("Reconciling"), "-");
  // An update of the template says nothing about it either, not even that it is given up.
  world.spec["template"]["metadata"]["labels"]["team"] = "other";
  const kube::Plan plan = Decide(world.See(), world.now);
  int applied = 0;
  for (const kube::Action& action : plan.actions) {
    const auto* apply = std::get_if<kube::ApplyObject>(&action);
    if (apply == nullptr || apply->target.resource != api::kDeployments) continue;
    ++applied;
    EXPECT_FALSE(json::parse(apply->body)["spec"].contains("replicas"));
    EXPECT_EQ(apply->left_alone, "/spec/replicas");
  }
  EXPECT_EQ(applied, 1);
  world.Settle();
  EXPECT_EQ(world.Pods(v1), 7);
}

TEST(Scaling, TakesOverFromAndGivesBackToFixedReplicas) {
  ServingWorld world;
  world.spec["replicas"] = 6;
  world.Settle();
  const std::string v1 = world.Champion();
  world.spec.erase("replicas");
  world.spec["autoscaling"] = {{"minReplicas", 2}, {"maxReplicas", 10}};
  world.Settle();
  EXPECT_EQ(world.Object(api::kDeployments, world.Child(v1))["spec"]["replicas"], 6)
      << "no pod goes because somebody else counts them now";
  EXPECT_TRUE(world.objects.contains({api::kAutoscalers, {"transit", world.Child(v1)}}));
  world.spec.erase("autoscaling");
  world.spec["replicas"] = 3;
  world.Settle();
  EXPECT_FALSE(world.objects.contains({api::kAutoscalers, {"transit", world.Child(v1)}}));
  EXPECT_EQ(world.Object(api::kDeployments, world.Child(v1))["spec"]["replicas"], 3);
}

// A challenger begins with what the champion has, and has enough for everything before it gets it.
TEST(Scaling, BringsPodsAheadOfTheLoad) {
  Scaled world;
  world.Settle();
  const std::string v1 = world.Champion();
  world.Scale(v1, 6);
  world.SetModel("oci://m:2");
  world.Settle();
  const std::string v2 = world.NewestDeclared();
  ASSERT_EQ(world.Weights(), (std::map<std::string, int>{{v1, 90}, {v2, 10}}));
  EXPECT_EQ(world.Fewest(v2), 6);
  EXPECT_EQ(world.Pods(v2), 6);
  EXPECT_EQ(world.Fewest(v1), 2) << "the champion's is its autoscaler's business";

  world.Live(Seconds(65));
  ASSERT_EQ(world.Weights(), (std::map<std::string, int>{{v1, 50}, {v2, 50}}));
  world.Scale(v1, 4);  // half of the load, half of the pods, nearly
  bool enough = true;
  world.after_step = [&] {
    const auto weights = world.Weights();
    if (weights.contains(v2) && weights.at(v2) == 100 && world.HasPods(v1)) {
      enough = enough && world.Pods(v2) >= 8;
    }
  };
  world.Live(minutes(3));
  EXPECT_EQ(world.Champion(), v2);
  EXPECT_TRUE(enough) << "4 pods had half of it";
  EXPECT_EQ(world.Fewest(v2), 2) << "the champion's load decides again";
  EXPECT_GE(world.Pods(v2), 8) << "nothing takes its pods away at once";
}

TEST(Scaling, ProportionalChallengersNeedLess) {
  Scaled world;
  world.spec["rollout"]["challengerReplicas"] = "Proportional";
  world.Settle();
  world.Scale(world.Champion(), 6);
  world.SetModel("oci://m:2");
  world.Settle();
  EXPECT_EQ(world.Fewest(world.NewestDeclared()), 1);
  world.Live(Seconds(65));
  EXPECT_EQ(world.Fewest(world.NewestDeclared()), 3);
}

TEST(Scaling, RefusesWhatIsNotForTheSpecToSay) {
  Scaled world;
  world.spec["disruptionBudget"]["selector"] = json::object();
  world.Step();
  EXPECT_NE(world.Message("Stalled").find("selector is set by the controller"), std::string::npos)
      << world.Message("Stalled");
  world.spec["disruptionBudget"] = {{"maxUnavailable", 1}, {"minAvailable", 1}};
  world.Step();
  EXPECT_NE(world.Message("Stalled").find("either minAvailable or maxUnavailable"),
            std::string::npos);
  world.spec["disruptionBudget"] = {{"minAvailable", 1}};
  world.Settle();
  EXPECT_EQ(world.Condition("Stalled"), "-");
}

// A refused autoscaler stops neither a rollout nor a rollback.
TEST(Scaling, HoldsUpNothingWhenItIsRefused) {
  Scaled world;
  world.Settle();
  const std::string v1 = world.Champion();
  world.refuses = [](const kube::Ref& ref) { return ref.resource == api::kAutoscalers; };
  world.SetModel("oci://m:2");
  for (int i = 0; i < 30; ++i) world.Step(), world.React(), world.now += Seconds(5);
  EXPECT_EQ(world.Weights().count(v1), 1u);
  world.Annotate(api::kAnnotationAbort, world.NewestDeclared());
  for (int i = 0; i < 10; ++i) world.Step(), world.React(), world.now += Seconds(5);
  EXPECT_EQ(world.Weights(), (std::map<std::string, int>{{v1, 100}}));
}

// Autoscaled, with a crash after each effect of each plan: in the end there is one of everything,
// and never fewer pods than before.
TEST(Scaling, SurvivesACrashAtAnyEffect) {
  const auto release = [](int at, size_t crash, std::vector<size_t>* effects) {
    Scaled world;
    world.Settle();
    const std::string v1 = world.Champion();
    world.Scale(v1, 5);
    world.SetModel("oci://m:2");
    for (int look = 0; look < 40; ++look, world.now += Seconds(12)) {
      const kube::Plan plan = world.Step(look == at ? crash : 1000);
      if (effects != nullptr) effects->push_back(plan.actions.size() + (plan.status ? 1 : 0));
      world.React();
      for (const auto& [version, weight] : world.Weights()) EXPECT_GE(world.Pods(version), 5);
    }
    EXPECT_EQ(world.Champion(), world.NewestDeclared());
    EXPECT_EQ(world.CountOf(api::kAutoscalers), 1);
    EXPECT_EQ(world.CountOf(api::kDisruptionBudgets), 1);
    EXPECT_FALSE(world.HasPods(v1));
  };
  std::vector<size_t> effects;
  release(-1, 0, &effects);
  for (size_t at = 0; at < effects.size(); ++at) {
    for (size_t crash = 0; crash < effects[at]; ++crash) {
      SCOPED_TRACE("plan " + std::to_string(at) + ", effect " + std::to_string(crash));
      release(static_cast<int>(at), crash, nullptr);
    }
  }
}

TEST(Scaling, WritesNothingOnceConverged) {
  Scaled world;
  world.Settle();
  world.Scale(world.Champion(), 4);
  world.Settle();
  for (int i = 0; i < 5; ++i) {
    world.now += minutes(7);
    const kube::Plan plan = Decide(world.See(), world.now);
    EXPECT_TRUE(plan.actions.empty()) << ToString(plan);
    EXPECT_FALSE(plan.status.has_value());
  }
}

// The rest of a pod's placement is the template's.
TEST(Scaling, PassesTopologySpreadThrough) {
  ServingWorld world;
  const json spread = json::array({{{"maxSkew", 1},
                                    {"topologyKey", "topology.kubernetes.io/zone"},
                                    {"whenUnsatisfiable", "ScheduleAnyway"},
                                    {"matchLabelKeys", {"perennial.dev/model-version"}}}});
  world.spec["template"]["spec"]["topologySpreadConstraints"] = spread;
  world.Settle();
  EXPECT_EQ(
      world.Object(
          api::kDeployments,
          world.Child(world.Champion()))["spec"]["template"]["spec"]["topologySpreadConstraints"],
      spread);
}

}  // namespace
}  // namespace perennial::deployment
