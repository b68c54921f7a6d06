// Random sequences of changes of a ModelDeployment's spec, valid and invalid. After each that has
// settled the cluster must look as if the spec had been deployed there just now (Acto's oracle: the
// same state, reached on two ways).
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "api/codec.h"
#include "api/names.h"
#include "deployment/render.h"
#include "faults/story_children.h"
#include "faults/story_plots.h"
#include "support/spec_cases.h"

namespace perennial::testing {
namespace {

using nlohmann::json;
using std::chrono::minutes;

// JSON merge patches of the spec. Some make it invalid, by themselves or beside what is there: what
// the CRD refuses, in a cluster without its rules.
const std::vector<json>& Edits() {
  static const std::vector<json> kEdits = [] {
    std::vector<json> edits;
    for (
        const char* text : {
            R"({"model": {"uri": "s3://models/a"}})",
            R"({"model": {"uri": "s3://models/b"}})",
            R"({"model": {"uri": "s3://models/c", "digest": null}})",
            R"({"replicas": 1, "autoscaling": null})",
            R"({"replicas": 4, "autoscaling": null})",
            R"({"replicas": 0, "autoscaling": null})",
            R"({"replicas": 3})",
            R"({"replicas": null, "autoscaling": {"minReplicas": 2, "maxReplicas": 5}})",
            R"({"replicas": null, "autoscaling": {"minReplicas": 3, "maxReplicas": 3}})",
            R"({"disruptionBudget": {"maxUnavailable": 1, "minAvailable": null}})",
            R"({"disruptionBudget": null})",
            R"({"template": {"metadata": {"labels": {"team": "eta"}}}})",
            R"({"template": {"metadata": null}})",
            R"({"template": {"spec": {"nodeSelector": {"disk": "fast"}}}})",
            R"({"template": {"spec": {"nodeSelector": null}}})",
            R"({"template": {"spec": {"containers": [{"name": "model", "image": "server:2",
                 "ports": [{"name": "http", "containerPort": 8080},
                           {"name": "rpc", "containerPort": 9090}]}]}}})",
            R"({"template": {"spec": {"containers": [{"name": "model", "image": "server:1",
                 "env": [{"name": "KEEP", "value": "1"}],
                 "ports": [{"name": "http", "containerPort": 8080},
                           {"name": "rpc", "containerPort": 9090}]}]}}})",
            R"({"metrics": {"path": "/other"}})",
            R"({"metrics": null})",
            R"({"metrics": {"port": "http", "path": "/metrics"}})",
            R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}],
                 "hostnames": ["a.example.org"]}}})",
            R"({"traffic": {"gateway": {"parentRefs": [{"name": "other"}],
                 "hostnames": ["b.example.org"]}, "sticky": null}})",
            R"({"traffic": null})",
            R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}],
                 "hostnames": ["m.example.org"]},
                 "sticky": {"cookie": "perennial-variant", "ttl": "1h"}}})",
            R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}],
                 "hostnames": ["m.example.org"]}, "sticky": null, "timeouts": {"request": "10s"}}})",
            R"({"rollout": {"steps": [{"weight": 20, "hold": "30s"}]}})",
            R"({"rollout": {"steps": [{"weight": 5, "hold": "10s"}, {"weight": 50, "hold": "1m"}]}})",
            R"({"rollout": {"steps": [{"mirror": 30, "hold": "20s"}, {"weight": 50}]}})",
            R"({"traffic": {"protocol": "GRPC", "sticky": null, "timeouts": null, "rules": null,
                 "gateway": {"parentRefs": [{"name": "edge"}]}}})",
            R"({"traffic": {"protocol": null}})",
            R"({"traffic": {"gateway": {"parentRefs": [{"name": "edge"}]},
                 "rules": [{"header": {"name": "x-tester", "value": "yes"},
                            "variant": "challenger"}]}})",
            R"({"traffic": {"rules": null}})",
            R"({"batch": {"schedule": "0 3 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
                 "containers": [{"name": "score", "image": "score:1"}]}}}}}})",
            R"({"batch": null})",
            R"({"replicas": null, "autoscaling": {"minReplicas": 2, "maxReplicas": 6,
                 "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}})",
            R"({"disruptionBudget": {"minAvailable": 1, "maxUnavailable": null}})",
            R"({"rollout": {"steps": []}})",
            R"({"rollout": null})",
            R"({"rollout": {"progressDeadline": "7m"}})",
            R"({"protocol": "OpenInference"})",
            R"({"protocol": null})",
            R"({"storage": {"image": "fetch:1"}})",
            R"({"storage": null})",
            R"({"approval": {"required": true, "approvers": 1}})",
            R"({"approval": null})",
            R"({"model": {"uri": "s3://models/a"}, "variants": null})",
            R"({"model": {"uri": "s3://models/b"}, "variants": null})",
            R"({"updates": "Manual"})",
            R"({"updates": null})",
            R"({"rollout": {"analysis": {"interval": "15s", "checks": [
                 {"name": "seconds", "kind": "Mean", "metric": "seconds", "max": "1000"}]}}})",
            R"({"rollout": {"analysis": null}})",
            R"({"rollout": {"experiment": {"primary": {"name": "seconds", "kind": "Mean",
                 "metric": "seconds", "goal": "Decrease"}, "minSamples": 500,
                 "expectedSamples": 5000, "maxDuration": "3m", "onInconclusive": "Promote"}}})",
            R"({"rollout": {"experiment": null}})",
            R"({"rollout": {"challengerReplicas": "Proportional"}})",
            R"({"rollout": {"challengerReplicas": null}})",
            R"({"rollout": {"keepPrevious": "15m"}})",
            R"({"rollout": {"keepPrevious": null}})",
            R"({"traffic": {"port": "rpc"}})",
            R"({"traffic": {"port": null}})",
            R"({"traffic": {"drain": "30s"}})",
            R"({"traffic": {"drain": "0s"}})",
            R"({"traffic": {"drain": null}})",
            R"({"metrics": {"scheme": "HTTPS"}})",
            R"({"metrics": {"scheme": null}})",
            R"({"traffic": {"port": "other"}})",
            R"({"rollout": {"steps": [{"weight": 50}, {"weight": 25}]}})",
            R"({"rollout": {"steps": [{"weight": 0}]}})",
            R"({"rollout": {"progressDeadline": "0s"}})",
            R"({"traffic": {"gateway": null, "sticky": {"ttl": "1h"}}})",
            R"({"metrics": {"path": "metrics"}})",
            R"({"model": {"uri": "departures"}})",
            R"({"replicas": 2, "autoscaling": {"minReplicas": 2, "maxReplicas": 1}})",
            R"({"storage": {"type": "ImageVolume", "image": "fetch:1"}})",
        }) {
      edits.push_back(json::parse(text));
    }
    return edits;
  }();
  return kEdits;
}

StoryOptions Deployed(const json& spec) {
  StoryOptions options;
  options.retraining = false;
  options.spec = spec;
  options.by_weight = true;  // else an experiment would doubt the numbers
  return options;
}

// What a sequence begins with.
json FirstSpec() {
  return json::parse(R"({
    "model": {"uri": "s3://models/a"}, "replicas": 2,
    "template": {"spec": {"containers": [
      {"name": "model", "image": "server:1", "ports": [{"name": "http", "containerPort": 8080},
                                                       {"name": "rpc", "containerPort": 9090}]}]}},
    "traffic": {"gateway": {"parentRefs": [{"name": "edge"}], "hostnames": ["m.example.org"]}},
    "rollout": {"steps": [{"weight": 10, "hold": "1m"}]}})");
}

json SpecOf(const StoryWorld& world) {
  return world.Object(api::kModelDeployments, "departures")["spec"];
}

// By the rules of the fields, and of what they say together about the template.
bool IsValid(const StoryWorld& world) {
  const json object = world.Object(api::kModelDeployments, "departures");
  return Problems("ModelDeployment", object["spec"]).empty() &&
         !deployment::TemplateProblem(*api::DecodeModelDeployment(object));
}

// A version that served before may be kept, without pods; nothing else of it.
bool IsKept(const StoryWorld& world, const kube::Resource& kind, const json& object) {
  if (kind != api::kDeployments && kind != api::kServices) return false;
  const json child = world.Object(api::kDeployments, NameOf(object));
  return child.empty() || child["spec"].value("replicas", 1) == 0;
}

// All children but those of versions that served before, and the status, of a deployment with this
// valid spec.
std::string StateOf(const StoryWorld& world, const json& spec) {
  const std::string champion = Champion(world);
  Aliases aliases = {{champion, "CHAMPION"}};
  std::vector<json> objects;
  for (const kube::Resource& kind : ChildKinds()) {
    for (json object : world.Listed(kind)) {
      const std::string version = LabelOf(object, api::kLabelVersion);
      if (!version.empty() && version != champion && IsKept(world, kind, object)) continue;
      if (version == champion) aliases[NameOf(object)] = "child-of-champion";
      object["kind"] = kind.kind;
      object.erase("status");
      objects.push_back(object);
    }
  }
  const json deployment = world.Object(api::kModelDeployments, "departures");
  aliases[deployment["metadata"]["uid"].get<std::string>()] = "UID-of-deployment";
  const std::vector<json> statuses = {json::object({{"status", deployment["status"]}})};
  const bool scales = spec.contains("autoscaling");
  return WithoutTheWay(objects, aliases, scales) + WithoutTheWay(statuses, aliases, scales);
}

// As above, and until no pods of the version before are kept any more: a fresh deployment has none.
void SettleWhollyAs(StoryWorld& world, const json& spec) {
  Settle(world);
  const json::json_pointer kept("/rollout/keepPrevious");
  if (!spec.contains(kept)) return;
  world.Run(ParseDuration(spec[kept].get<std::string>()).value());
  Settle(world);
}

// The state of a fresh deployment, remembered by its spec.
const std::string& Fresh(const json& spec) {
  static std::map<std::string, std::string> known;
  const auto [at, unknown] = known.try_emplace(spec.dump());
  if (unknown) {
    StoryWorld world(Deployed(spec));
    Settle(world);
    EXPECT_EQ(world.violations(), std::vector<std::string>());
    at->second = StateOf(world, spec);
  }
  return at->second;
}

std::string Children(const std::string& state) {
  return state.substr(0, state.rfind("{\n \"status\""));
}

struct Explored {
  int states = 0;
  int invalid = 0;
};

// The spec as it is must be refused, and nothing but the status may tell; not even that, where it
// can't be read at all.
void ExpectRefused(const StoryWorld& world, const json& valid_spec, const std::string& children) {
  const std::string state = StateOf(world, valid_spec);
  const json object = world.Object(api::kModelDeployments, "departures");
  const bool told = state.find("InvalidSpec") != std::string::npos;
  EXPECT_EQ(told, api::DecodeModelDeployment(object).ok()) << state;
  EXPECT_TRUE(Children(state) == children) << FirstDifference(Children(state), children);
}

void Explore(std::uint32_t seed, int length, Explored& explored) {
  std::mt19937 random(seed);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  json valid_spec = FirstSpec();
  // It can't be changed.
  const bool headless = seed % 5 == 3;
  if (headless) valid_spec["traffic"]["headless"] = true;
  StoryOptions options = Deployed(valid_spec);
  // Half of them with stores that lag behind each other.
  if (seed % 2 == 0) options.lag = seed;
  StoryWorld world(std::move(options));
  Settle(world);
  std::string trace;
  bool settled = true;
  for (int i = 0; i < length; ++i) {
    const std::string children = settled ? Children(StateOf(world, valid_spec)) : "";
    const json& edit = Edits()[below(Edits().size())];
    world.EditDeployment(edit);
    if (headless) world.EditDeployment({{"traffic", {{"headless", true}}}});
    const bool valid = IsValid(world);
    trace += (valid ? "" : "invalid: ") + edit.dump() + "\n";
    SCOPED_TRACE("seed " + std::to_string(seed) + " after\n" + trace);
    // Sometimes the next edit comes before this one has settled.
    if (below(3) == 0) {
      world.Run(Millis(static_cast<int>(below(60'000))));
      settled = false;
    } else {
      SettleWhollyAs(world, valid ? SpecOf(world) : valid_spec);
      if (valid) settled = true;
      if (!valid && settled) ExpectRefused(world, valid_spec, children);
    }
    if (valid) {
      valid_spec = SpecOf(world);
    } else {
      ++explored.invalid;
      json object = world.Object(api::kModelDeployments, "departures");
      object["spec"] = valid_spec;
      world.api().Put(api::kModelDeployments, object);
      SettleWhollyAs(world, valid_spec);
      settled = true;
    }
    EXPECT_EQ(world.violations(), std::vector<std::string>());
    // Scaled to zero, a champion stays one, and a first version waits: here the way matters.
    if (settled && valid_spec.value("replicas", 1) != 0) {
      ++explored.states;
      const std::string state = StateOf(world, valid_spec);
      const std::string& fresh = Fresh(valid_spec);
      EXPECT_TRUE(state == fresh) << FirstDifference(state, fresh);
    }
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(Exploration, EverySequenceOfSpecsEndsAsAFreshDeployment) {
  const auto [first, seeds] = Seeds(6);
  Explored explored;
  for (int seed = first; seed < first + seeds && !HasFailure(); ++seed) {
    Explore(static_cast<std::uint32_t>(seed), 8, explored);
  }
  std::cout << "explored: " << seeds << " sequences, " << explored.states << " settled states, "
            << explored.invalid << " invalid specs\n";
  RecordProperty("sequences", seeds);
  RecordProperty("states", explored.states);
  RecordProperty("invalid", explored.invalid);
  EXPECT_GE(explored.states, seeds > 1 ? seeds : 0);
}

}  // namespace
}  // namespace perennial::testing
