// Random sequences of specs of a DriftMonitor and of a RetrainPolicy, valid and invalid ones: what
// each says of itself in the end must not depend on what it was before.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "api/codec.h"
#include "api/names.h"
#include "faults/story_plots.h"
#include "support/spec_cases_by_kind.h"

namespace perennial::testing {
namespace {

using nlohmann::json;
using std::chrono::minutes;

// Of all cases of the kind those that this world can play: it has no Prometheus, and is not old
// enough for windows of earlier days.
std::vector<json> SpecsOf(const std::string& kind) {
  std::vector<json> specs;
  for (const SpecCase& one : SpecCases()) {
    if (one.kind != kind) continue;
    std::string text = one.spec.dump();
    if (text.find("prometheus") != std::string::npos) continue;
    if (text.find(R"("from":"Window")") != std::string::npos) continue;
    // The metric that the pods have.
    for (const char* metric : {R"("metric":"distance_km")", R"("metric":"m")"}) {
      for (std::size_t at; (at = text.find(metric)) != std::string::npos;) {
        text.replace(at, std::string(metric).size(), R"("metric":"x")");
      }
    }
    json spec = json::parse(text);
    const json::json_pointer containers("/job/template/spec/template/spec/containers");
    if (spec.contains(containers)) spec[containers] = {{{"name", "train"}, {"image", "train:1"}}};
    specs.push_back(std::move(spec));
  }
  return specs;
}

const kube::Resource& ResourceOf(const std::string& kind) {
  return kind == kDm ? api::kDriftMonitors : api::kRetrainPolicies;
}

void PutSpec(StoryWorld& world, const std::string& kind, const json& spec) {
  json object = world.Object(ResourceOf(kind), "departures");
  object["spec"] = spec;
  world.api().Put(ResourceOf(kind), object);
}

// What it says of itself, without what it has seen on its way: samples, runs, times.
std::string StateOf(const StoryWorld& world, const std::string& kind) {
  const json status = world.Object(ResourceOf(kind), "departures").value("status", json::object());
  std::string out;
  for (const json& condition : status.value("conditions", json::array())) {
    out += condition.value("type", "") + "=" + condition.value("status", "") + " " +
           condition.value("reason", "") + "\n";
  }
  for (const json& signal : status.value("signals", json::array())) {
    const std::string version = signal.value("variant", "");
    out += "signal " + signal.value("name", "") + " of " +
           (version == Champion(world) ? "the champion" : version) + ": " +
           signal.value("state", "") + "\n";
  }
  return out;
}

// Of one that had this spec from the beginning.
const std::string& Fresh(const std::string& kind, const json& spec) {
  static std::map<std::string, std::string> known;
  const auto [at, unknown] = known.try_emplace(kind + spec.dump());
  if (unknown) {
    StoryWorld world;
    Begin(world);
    PutSpec(world, kind, spec);
    world.Run(minutes(90));
    Settle(world);
    EXPECT_EQ(world.violations(), std::vector<std::string>());
    at->second = StateOf(world, kind);
  }
  return at->second;
}

bool CanBeRead(const StoryWorld& world, const std::string& kind) {
  const json object = world.Object(ResourceOf(kind), "departures");
  return kind == kDm ? api::DecodeDriftMonitor(object).ok() : api::DecodeRetrainPolicy(object).ok();
}

struct ExploredSignals {
  int states = 0;
  int invalid = 0;
};

void Explore(const std::string& kind, std::uint32_t seed, ExploredSignals& explored) {
  std::vector<json> specs = SpecsOf(kind);
  const auto invalid = std::partition(
      specs.begin(), specs.end(), [&](const json& spec) { return Problems(kind, spec).empty(); });
  const auto valid_specs = static_cast<std::size_t>(invalid - specs.begin());
  std::mt19937 random(seed);
  StoryOptions options;
  if (random() % 2 == 0) options.lag = seed;
  StoryWorld world(std::move(options));
  Begin(world);
  json valid_spec = world.Object(ResourceOf(kind), "departures")["spec"];
  std::string trace;
  for (int i = 0; i < 5; ++i) {
    // Most cases are of mistakes.
    const bool valid = random() % 3 != 0;
    const std::size_t which = random();
    const json& spec = valid ? specs[which % valid_specs]
                             : specs[valid_specs + which % (specs.size() - valid_specs)];
    trace += (valid ? "" : "invalid: ") + spec.dump() + "\n";
    SCOPED_TRACE(kind + ", seed " + std::to_string(seed) + " after\n" + trace);
    PutSpec(world, kind, spec);
    // Sometimes the next one comes before this one has settled.
    if (random() % 3 == 0) {
      world.Run(Millis(static_cast<int>(random() % 60'000)));
    } else {
      world.Run(minutes(90));
      Settle(world);
      if (valid) {
        ++explored.states;
        EXPECT_EQ(StateOf(world, kind), Fresh(kind, spec));
      } else if (CanBeRead(world, kind)) {
        EXPECT_NE(StateOf(world, kind).find("Invalid"), std::string::npos) << StateOf(world, kind);
      }
    }
    explored.invalid += valid ? 0 : 1;
    EXPECT_EQ(world.violations(), std::vector<std::string>());
    if (::testing::Test::HasFailure()) return;
  }
}

class SignalExploration : public ::testing::TestWithParam<const char*> {};

TEST_P(SignalExploration, EverySequenceOfSpecsEndsAsAFreshObject) {
  const auto [first, seeds] = Seeds(3);
  ExploredSignals explored;
  for (int seed = first; seed < first + seeds && !HasFailure(); ++seed) {
    Explore(GetParam(), static_cast<std::uint32_t>(seed), explored);
  }
  std::cout << "explored of " << GetParam() << ": " << seeds << " sequences, " << explored.states
            << " settled states, " << explored.invalid << " invalid specs\n";
  RecordProperty("sequences", seeds);
  RecordProperty("states", explored.states);
  RecordProperty("invalid", explored.invalid);
  EXPECT_GE(explored.states, seeds > 1 ? seeds : 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, SignalExploration, ::testing::Values(kDm, kRp),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace perennial::testing
