// Stories in which others write into our objects, or have the names that we would give.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "api/names.h"
#include "faults/story_plots.h"

namespace perennial::testing {
namespace {

using nlohmann::json;
using std::chrono::minutes;

json Stalled(const StoryWorld& world) {
  const json status =
      world.Object(api::kModelDeployments, "departures").value("status", json::object());
  for (const json& condition : status.value("conditions", json::array())) {
    if (condition["type"] == "Stalled") return condition;
  }
  return json::object();
}

// One that sets the same each time, so that the second apply changes nothing and nobody hears of
// it, and one that leaves a stamp each time, so that each of our writes wakes us.
TEST(Admission, AWebhookThatChangesWhatWeApplyIsNotFought) {
  for (const bool stamps : {false, true}) {
    SCOPED_TRACE(stamps ? "with a stamp" : "always the same");
    const Plot plot = AnEditBehindAGrpcRoute();
    StoryWorld world(plot.options);
    Begin(world);
    int admitted = 0;
    world.admit = [&](json& deployment) {
      deployment["spec"]["replicas"] = 5;
      deployment["spec"]["template"]["spec"]["containers"][0]["image"] =
          "mirror.example.org/server";
      ++admitted;
      if (stamps) {
        deployment["metadata"]["annotations"]["example.org/stamp"] = std::to_string(admitted);
      }
    };
    world.EditDeployment({{"replicas", 3}});
    const int before = world.writes();
    world.Run(minutes(10));
    EXPECT_GT(admitted, 0);
    EXPECT_LE(world.writes() - before, 40) << "a hot loop; the last:\n" << world.log().back();
    if (stamps) {
      EXPECT_EQ(Stalled(world).value("reason", ""), "WriteUndone") << Stalled(world);
    }
    EXPECT_EQ(world.violations(), std::vector<std::string>());
    world.admit = nullptr;
    // Something else has to change where nobody hears of the next apply.
    world.EditDeployment({{"replicas", 4}});
    world.Run(minutes(10));
    EXPECT_EQ(Stalled(world), json::object());
    const json child = world.Listed(api::kDeployments).at(0);
    EXPECT_EQ(child["spec"]["replicas"], 4);
    EXPECT_EQ(child["spec"]["template"]["spec"]["containers"][0]["image"], "server:1");
    const int after = world.writes();
    world.Run(minutes(10));
    EXPECT_EQ(world.writes(), after);
  }
}

// Objects of others that have the very names of ours stay, and what needs no such name goes on.
TEST(Names, WhatSomebodyElseHasIsNeverTaken) {
  Plot plot = AnEditBehindAGrpcRoute();
  const json more = json::parse(R"({
    "replicas": null, "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
    "disruptionBudget": {"maxUnavailable": 1},
    "batch": {"schedule": "0 3 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
      "containers": [{"name": "score", "image": "score:1"}]}}}}}})");
  plot.options.deployment.update(more, /*merge_objects=*/true);
  std::string version;
  std::string child;
  {
    StoryWorld world(plot.options);
    Begin(world);
    version = Champion(world);
    child = NameOf(world.Listed(api::kAutoscalers).at(0));
    ASSERT_EQ(NameOf(world.Listed(api::kCronJobs).at(0)), child);
    ASSERT_EQ(NameOf(world.Listed(api::kDisruptionBudgets).at(0)), child);
  }
  for (const auto& [kind, name] :
       {std::pair(api::kAutoscalers, child), std::pair(api::kDisruptionBudgets, child),
        std::pair(api::kCronJobs, child), std::pair(api::kModelVersions, version)}) {
    SCOPED_TRACE(kind.plural);
    StoryWorld world(plot.options);
    json theirs = MakeObject({kind, {kStoryNamespace, name}});
    theirs["spec"] = {{"theirs", true}, {"minReplicas", 1}};
    if (kind == api::kModelVersions) {
      theirs["spec"] = {{"modelDeployment", "elsewhere"},
                        {"revision", 1},
                        {"model", {{"uri", "s3://models/elsewhere"}}}};
    }
    world.api().Put(kind, theirs);
    world.Run(minutes(10));
    EXPECT_EQ(world.violations(), std::vector<std::string>());
    EXPECT_EQ(world.Object(kind, name)["spec"], theirs["spec"]);
    EXPECT_EQ(Stalled(world).value("reason", ""), "NameConflict") << Stalled(world);
    // Without its autoscaler it has fewer pods than it may serve with.
    EXPECT_EQ(Champion(world).empty(), kind == api::kModelVersions || kind == api::kAutoscalers);
    const int before = world.writes();
    world.Run(minutes(10));
    EXPECT_LE(world.writes() - before, 10) << "the name is asked for over and over";
  }
}

// ---- another version of the controller, or of its CRDs ----

// An upgrade that was taken back while the CRDs stayed: what the newer one decided is not ours to
// forget, whichever object of the model tells of it.
TEST(Versions, WhatANewerControllerWroteIsLeftAlone) {
  for (const kube::Resource& kind :
       {api::kModelDeployments, api::kModelVersions, api::kDriftMonitors, api::kRetrainPolicies}) {
    SCOPED_TRACE(kind.kind);
    StoryWorld world;
    Begin(world);
    Settle(world);
    const std::string champion = Champion(world);
    const json readable = world.Listed(kind).at(0);
    json newer = readable;
    newer["status"]["why"] = 7;
    world.api().Put(kind, newer);
    if (kind != api::kModelDeployments) world.EditDeployment({{"replicas", 3}});
    const int before = world.writes();
    world.Run(minutes(30));
    EXPECT_EQ(world.writes(), before) << world.log().back();
    json again = world.Object(kind, NameOf(newer));
    again["status"] = readable["status"];
    world.api().Put(kind, again);
    if (kind == api::kModelDeployments) world.EditDeployment({{"replicas", 3}});
    world.Run(minutes(15));
    EXPECT_EQ(Champion(world), champion);
    EXPECT_EQ(world.Listed(api::kDeployments).at(0)["spec"]["replicas"], 3);
    EXPECT_EQ(world.violations(), std::vector<std::string>());
  }
}

// Whoever installs CRDs apart from the controller may upgrade them later.
TEST(Versions, WhatAnOlderCrdLeavesOutIsNotWrittenOverAndOver) {
  const Plot plot = AnEditBehindAGrpcRoute();
  const Told reference = Tell(plot);
  const Told told = Tell(plot, {}, {}, [](StoryWorld& world) {
    world.pruned = {"why", "commands"};
  });
  EXPECT_EQ(told.children, reference.children);
  EXPECT_EQ(told.tally, reference.tally);
  EXPECT_EQ(told.violations, std::vector<std::string>());
  EXPECT_LE(told.writes, 2 * reference.writes);
  EXPECT_EQ(told.idle_writes, 0);
}

}  // namespace
}  // namespace perennial::testing
