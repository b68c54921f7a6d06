#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/drift_monitor_schema.h"
#include "api/model_approval_schema.h"
#include "api/model_deployment_schema.h"
#include "api/retrain_policy_schema.h"
#include "api/schema_describe.h"
#include "stats/measure.h"
#include "support/manifest.h"
#include "support/source_tree.h"
#include "support/spec_cases.h"

namespace perennial::api {
namespace {

using testing::SpecCase;

std::string Join(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

TEST(Validate, JudgesEachCase) {
  for (const SpecCase& c : testing::SpecCases()) {
    SCOPED_TRACE(c.kind + ": " + c.name);
    const std::string problems = Join(testing::Problems(c.kind, c.spec));
    if (c.field.empty()) {
      EXPECT_EQ(problems, "");
    } else {
      EXPECT_NE(problems.find(c.field), std::string::npos) << problems;
      EXPECT_NE(problems.find(c.message), std::string::npos) << problems;
    }
  }
}

TEST(Validate, TellsEveryProblemAtOnce) {
  ModelDeploymentSpec spec;
  spec.updates = Updates::kManual;
  spec.rollout.steps = {RolloutStep{101, 0, {}, false}, RolloutStep{101, 0, {}, false}};
  EXPECT_EQ(Join(Validate(spec)),
            "spec.rollout.steps[0].weight: must be at most 100, is 101\n"
            "spec.rollout.steps[1].weight: must be at most 100, is 101\n"
            "spec.updates: updates: Manual pins to spec.model: set spec.model, or updates: "
            "Automatic\n"
            "spec.rollout.steps: weights of steps must ascend: sort the steps and give each its "
            "own weight\n");
}

TEST(Validate, AcceptsTheSamples) {
  namespace fs = std::filesystem;
  const std::string root = fs::path(testing::SourcePath("")).parent_path().string();
  int seen = 0;
  for (const char* folder : {"/samples/minimal", "/samples/departures/manifests/perennial"}) {
    for (const auto& file : fs::directory_iterator(root + folder)) {
      const std::string path = file.path().string().substr(root.size() + 1);
      SCOPED_TRACE(path);
      for (const auto& manifest : testing::ParseManifests(testing::ReadSource(path))) {
        if (manifest["apiVersion"] != "perennial.dev/v1alpha1") continue;
        EXPECT_EQ(Join(testing::Problems(manifest["kind"], manifest["spec"])), "");
        ++seen;
      }
    }
  }
  EXPECT_GE(seen, 8) << "five minimal ones and the demo's three";
}

// A default is what an absent field means, so it must be something that could be written.
template <class T>
void ExpectValidDefaults(const char* name) {
  SCOPED_TRACE(name);
  const SchemaNode node = Describe<T>();
  for (const Property& property : node.properties) {
    if (property.required || property.fallback.empty()) continue;
    std::vector<std::string> problems;
    CheckText(property.schema, property.fallback, Path(property.name), problems);
    EXPECT_EQ(Join(problems), "");
  }
  std::vector<std::string> problems;
  T value{};
  // Either of two fields must be given, and neither alone is required.
  if constexpr (std::is_same_v<T, RetrainPolicySpec>) value.job.emplace();
  if constexpr (std::is_same_v<T, DriftMonitorSpec>) value.target.model_deployment = "departures";
  CheckCel(value, Path(name), problems);
  EXPECT_EQ(Join(problems), "");
}

TEST(Validate, KeepsItsOwnRulesByDefault) {
  ExpectValidDefaults<ModelDeploymentSpec>("ModelDeploymentSpec");
  ExpectValidDefaults<MetricsEndpoint>("MetricsEndpoint");
  ExpectValidDefaults<Traffic>("Traffic");
  ExpectValidDefaults<Rollout>("Rollout");
  ExpectValidDefaults<LookRules>("LookRules");
  ExpectValidDefaults<ApprovalRule>("ApprovalRule");
  ExpectValidDefaults<DriftMonitorSpec>("DriftMonitorSpec");
  ExpectValidDefaults<Baseline>("Baseline");
  ExpectValidDefaults<RetrainPolicySpec>("RetrainPolicySpec");
  ExpectValidDefaults<ScheduleTrigger>("ScheduleTrigger");
  ExpectValidDefaults<Origin>("Origin");
  ExpectValidDefaults<ModelVersionSpec>("ModelVersionSpec");
}

TEST(Validate, KnowsTheMeasuresOfTheStatistics) {
  std::vector<std::string_view> known;
  for (const auto& info : stats::Measures()) known.push_back(info.name);
  std::vector<std::string_view> allowed(kMeasureNames.begin(), kMeasureNames.end());
  EXPECT_EQ(allowed, known);
}

TEST(Validate, CountsCharactersAndNotBytes) {
  ModelApprovalSpec spec{"v", "", ApprovalDecision::kApprove, "ada", ""};
  for (int i = 0; i < 1024; ++i) spec.reason += "\xC3\xA9";
  EXPECT_EQ(Join(Validate(spec)), "");
  spec.reason += "!";
  EXPECT_EQ(Join(Validate(spec)), "spec.reason: may have at most 1024 characters, has 1025\n");
}

}  // namespace
}  // namespace perennial::api
