// What must hold whatever is lost: the process at any effect of any plan, the status at any time,
// and a store that shows an older world.
#include <gtest/gtest.h>

#include <random>

#include "support/serving_world.h"

namespace perennial::deployment {
namespace {

using std::chrono::minutes;
using Weights = std::map<std::string, int>;

constexpr Seconds kPace{12};
constexpr int kLooksAtFirst = 8;
constexpr int kLooks = 36;

// A release from 1 to 2, with a crash after `crash` effects of the `at`-th plan.
struct Release {
  ServingWorld world;
  std::string v1;
  int at = -1;
  size_t crash = 1000;
  bool lose_status = false;
  std::vector<size_t> effects;  // of each plan
  std::function<void()> check = [] {};

  void Look() {
    const bool hit = static_cast<int>(effects.size()) == at;
    const kube::Plan plan = world.Step(hit ? crash : 1000);
    if (hit && lose_status) world.status = nlohmann::json::object();
    effects.push_back(plan.actions.size() + (plan.status ? 1 : 0));
    world.React();
    check();
    world.now += kPace;
  }
  void Run() {
    for (int i = 0; i < kLooksAtFirst; ++i) Look();
    v1 = world.NewestDeclared();
    world.SetModel("oci://m:2");
    for (int i = 0; i < kLooks; ++i) Look();
  }
  void ExpectDone() {
    const std::string v2 = world.NewestDeclared();
    EXPECT_NE(v1, v2);
    EXPECT_EQ(world.Champion(), v2);
    EXPECT_EQ(world.Weights(), (Weights{{v2, 100}}));
    EXPECT_FALSE(world.HasPods(v1));
    EXPECT_EQ(world.VersionNames().size(), 2u) << "a version was made twice";
  }
};

TEST(Crash, ReachesTheSameEndFromEveryPrefixOfEveryPlan) {
  Release undisturbed;
  undisturbed.Run();
  undisturbed.ExpectDone();
  int crashes = 0;
  for (size_t at = 0; at < undisturbed.effects.size(); ++at) {
    for (size_t crash = 0; crash < undisturbed.effects[at]; ++crash, ++crashes) {
      SCOPED_TRACE("plan " + std::to_string(at) + ", effect " + std::to_string(crash));
      Release release;
      release.at = static_cast<int>(at);
      release.crash = crash;
      release.Run();
      release.ExpectDone();
    }
  }
  EXPECT_GT(crashes, 20);
}

TEST(Crash, ServesOnWhenStatusIsLostAtAnyTime) {
  for (int at = 0; at < kLooksAtFirst + 24; ++at) {
    SCOPED_TRACE("status lost after plan " + std::to_string(at));
    Release release;
    release.at = at;
    release.lose_status = true;
    bool served = false;
    release.check = [&] {
      const auto weights = release.world.Weights();
      for (const auto& [version, weight] : weights) {
        EXPECT_TRUE(release.world.HasPods(version)) << "traffic to nobody: " << version;
      }
      served = served || !weights.empty();
      EXPECT_EQ(served, !weights.empty()) << "the route went away";
    };
    release.Run();
    for (int i = 0; i < 20; ++i) release.Look();
    release.ExpectDone();
  }
}

// A candidate in the middle of its rollout does not go live because a cluster was restored.
TEST(Crash, FindsTheChampionAgainAfterStatusIsLost) {
  ServingWorld world;
  world.Settle();
  const std::string v1 = world.Champion();
  world.SetModel("oci://m:2");
  world.Settle();
  const std::string v2 = world.NewestDeclared();
  ASSERT_EQ(world.Weights(), (Weights{{v1, 90}, {v2, 10}}));
  world.status = nlohmann::json::object();
  world.Step();
  EXPECT_EQ(world.Champion(), v1);
  EXPECT_EQ(world.Status().challenger, v2);
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{v1, 90}, {v2, 10}}));
}

TEST(Crash, RestoresWhatServedWhenOnlyVersionsAreLeft) {
  ServingWorld world;
  world.Settle();
  const std::string v1 = world.Champion();
  world.SetModel("oci://m:2");
  world.Settle();
  world.status = nlohmann::json::object();
  std::erase_if(world.objects,
                [](const auto& entry) { return entry.first.resource != api::kModelVersions; });
  world.Step();
  EXPECT_EQ(world.Champion(), v1) << "not the candidate, which was never promoted";
}

TEST(Crash, DeletesNothingOnAnEmptyStatus) {
  ServingWorld world;
  world.Settle();
  world.status = nlohmann::json::object();
  const kube::Plan plan = Decide(world.See(), world.now);
  for (const kube::Action& action : plan.actions) {
    EXPECT_FALSE(std::holds_alternative<kube::DeleteObject>(action)) << ToString(plan);
    EXPECT_FALSE(std::holds_alternative<kube::ApplyObject>(action)) << ToString(plan);
  }
}

// Nobody has judged the versions since their statuses were lost, and none is marked.
TEST(Crash, KeepsPodsOfWhichNothingIsKnown) {
  ServingWorld world;
  world.spec["traffic"].erase("gateway");
  world.Settle();
  const std::string v1 = world.Champion();
  world.status = nlohmann::json::object();
  world.Object(api::kModelVersions, v1).erase("status");
  world.Object(api::kModelVersions, v1)["metadata"].erase("annotations");
  world.judge_sleeps = true;
  world.Live(minutes(1));
  EXPECT_TRUE(world.HasPods(v1));
  EXPECT_EQ(world.Champion(), "");
  world.judge_sleeps = false;
  world.React();
  world.Settle();
  EXPECT_EQ(world.Champion(), v1);
}

// Every weight that is ever written sums to 100, in one write, and goes to ready pods while there
// are any; a version that was rolled back gets none. Faults come and go at random.
TEST(Crash, KeepsWeightsRightUnderRandomFaults) {
  for (unsigned seed = 0; seed < 15; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
    ServingWorld world;
    if (chance(20)) world.spec["rollout"]["steps"] = nlohmann::json::array();
    int release = 1;
    for (int i = 0; i < 120; ++i, world.now += Seconds(random() % 40)) {
      if (chance(4)) world.SetModel("oci://m:" + std::to_string(++release % 5));
      if (chance(3)) world.status = nlohmann::json::object();
      if (chance(5)) world.gateway_accepts = !world.gateway_accepts;
      const auto names = world.VersionNames();
      if (!names.empty() && chance(10)) world.broken.insert(names[random() % names.size()]);
      if (!world.broken.empty() && chance(20)) world.broken.clear();
      if (!names.empty() && chance(2)) world.Reject(names[random() % names.size()]);
      if (!world.Status().challenger.empty() && chance(3)) {
        world.Annotate(api::kAnnotationAbort, world.Status().challenger);
      }
      if (chance(85)) world.React();
      const Observed seen = world.See();
      const kube::Plan plan = world.Step(chance(15) ? random() % 3 : 1000);
      for (const kube::Action& action : plan.actions) {
        const auto* apply = std::get_if<kube::ApplyObject>(&action);
        if (apply == nullptr || apply->target.resource != api::kHttpRoutes) continue;
        const auto body = nlohmann::json::parse(apply->body);
        int sum = 0;
        bool unready = false;
        bool other_is_ready = false;
        const api::RolloutStatus* rollout = ActiveRollout(seen.deployment->status);
        const bool withdrawn =
            rollout != nullptr && rollout->phase == api::RolloutPhase::kRollingBack;
        for (const std::string& name : names) {
          int weight = 0;
          for (const auto& backend : body["spec"]["rules"][0]["backendRefs"]) {
            if (backend["name"] == world.Child(name)) weight = backend["weight"];
          }
          const bool in_play = name == seen.deployment->status.champion ||
                               (rollout != nullptr && rollout->version == name && !withdrawn &&
                                rollout->phase != api::RolloutPhase::kStarting);
          sum += weight;
          unready = unready || (weight > 0 && !RunningOf(seen, name).Serving());
          other_is_ready = other_is_ready || (in_play && RunningOf(seen, name).Serving());
          if (withdrawn && rollout->version == name) {
            EXPECT_EQ(weight, 0);
          }
        }
        EXPECT_EQ(sum, 100);
        EXPECT_FALSE(unready && other_is_ready) << apply->body;
      }
      const auto status = world.Status();
      EXPECT_FALSE(kube::IsTrue(status.conditions, "Reconciling") &&
                   kube::IsTrue(status.conditions, "Stalled"));
    }
  }
}

TEST(Crash, WritesNothingOnceConverged) {
  ServingWorld world;
  world.Settle();
  world.SetModel("oci://m:2");
  world.Live(minutes(5));
  ASSERT_EQ(world.Champion(), world.NewestDeclared());
  for (int i = 0; i < 20; ++i) {
    world.now += minutes(7);
    const kube::Plan plan = Decide(world.See(), world.now);
    EXPECT_TRUE(plan.actions.empty()) << ToString(plan);
    EXPECT_FALSE(plan.status.has_value());
    EXPECT_FALSE(plan.wake_at.has_value()) << "nothing to wait for";
  }
}

TEST(Crash, SetsRightWhatOthersChange) {
  ServingWorld world;
  world.Settle();
  const std::string v1 = world.Champion();
  world.SetModel("oci://m:2");
  world.Settle();
  auto& route = world.Object(api::kHttpRoutes, "departures");
  route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1;
  world.Object(api::kDeployments, world.Child(v1))["spec"]["replicas"] = 9;
  world.objects.erase({api::kServices, {"transit", "departures"}});
  world.React();
  world.Settle();
  EXPECT_EQ(world.Weights(), (Weights{{v1, 90}, {world.NewestDeclared(), 10}}));
  EXPECT_EQ(world.Object(api::kDeployments, world.Child(v1))["spec"]["replicas"], 2);
  EXPECT_TRUE(world.objects.contains({api::kServices, {"transit", "departures"}}));
}

TEST(Crash, NeverTakesOverWhatBelongsToOthers) {
  ServingWorld world;
  const kube::Ref service{api::kServices, {"transit", "departures"}};
  world.objects[service] = {
      {"metadata",
       {{"name", "departures"}, {"namespace", "transit"}, {"uid", "theirs"}, {"generation", 1}}},
      {"spec", {{"type", "LoadBalancer"}}}};
  const auto before = world.objects[service];
  for (int i = 0; i < 10; ++i) world.Step(), world.React();
  EXPECT_EQ(world.objects[service], before);
  // Told by the refusal, and, where the store shows the object, without even trying.
  Observed seen = world.See();
  EXPECT_FALSE(seen.last_error.empty());
  seen.last_error.clear();
  seen.foreign = {service};
  const kube::Plan plan = Decide(seen, world.now);
  EXPECT_NE(plan.status.value_or("").find("NameConflict"), std::string::npos);
  for (const kube::Action& action : plan.actions) {
    const auto* apply = std::get_if<kube::ApplyObject>(&action);
    EXPECT_TRUE(apply == nullptr || apply->target != service);
  }
}

// A plan made from an old view repeats what was done already; it undoes nothing.
TEST(Crash, IsUnmovedByAnOldView) {
  ServingWorld world;
  world.Settle();
  world.SetModel("oci://m:2");
  for (int i = 0; i < 60; ++i, world.now += Seconds(5)) {
    const Observed old = world.See();
    const auto first = Decide(old, world.now);
    const auto again = Decide(old, world.now);
    EXPECT_EQ(first, again);
    world.Step();
    world.React();
  }
  EXPECT_EQ(world.Champion(), world.NewestDeclared());
}

}  // namespace
}  // namespace perennial::deployment
