#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "retrain/version.h"

namespace perennial::retrain {
namespace {

const WallTime kNow{std::chrono::hours(500'000)};

api::ModelVersion Version(const char* name, double mae) {
  api::ModelVersion version;
  version.meta.key = {"transit", name};
  version.meta.uid = std::string("uid-") + name;
  version.meta.generation = 1;
  version.spec.model_deployment = "departures";
  version.spec.model = {"http://store/m", "sha256:" + std::string(64, '0')};
  version.spec.metrics = {{"mae", "", mae, 100}};
  return version;
}

// What the API server would hold after the plan.
api::ModelVersion Carried(const api::ModelVersion& version, const kube::Plan& plan) {
  if (!plan.status) return version;
  const nlohmann::json object = {
      {"metadata",
       {{"name", version.meta.key.name}, {"namespace", "transit"}, {"uid", version.meta.uid}}},
      {"spec", nlohmann::json::parse(api::EncodeSpec(version.spec))},
      {"status", nlohmann::json::parse(*plan.status)}};
  api::ModelVersion carried = *api::DecodeModelVersion(object);
  carried.meta = version.meta;
  return carried;
}

class VersionTest : public ::testing::Test {
 protected:
  VersionTest() {
    api::Gate gate;
    gate.metric = "mae";
    gate.versus = api::GateComparison::kChampion;
    gate.max_increase = api::Decimal{0, "0"};
    version_.spec.parent = "v1";
    version_.spec.requirements.gates = {gate};
  }

  kube::Plan Step(const api::ModelVersion* parent) {
    VersionObserved seen;
    seen.version = std::make_shared<api::ModelVersion>(version_);
    if (parent != nullptr) seen.parent = std::make_shared<api::ModelVersion>(*parent);
    const kube::Plan plan = DecideVersion(seen, kNow);
    version_ = Carried(version_, plan);
    return plan;
  }

  api::ModelVersion parent_ = Version("v1", 3.0);
  api::ModelVersion version_ = Version("v2", 2.9);
};

TEST_F(VersionTest, IsJudgedOnce) {
  EXPECT_TRUE(Step(&parent_).status.has_value());
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kApproved);
  const kube::Plan again = Step(&parent_);
  EXPECT_FALSE(again.status.has_value());
  EXPECT_TRUE(again.actions.empty());
}

TEST_F(VersionTest, KeepsItsComparisonWhenTheVersionComparedWithIsDeleted) {
  Step(&parent_);
  const kube::Plan after = Step(nullptr);
  EXPECT_FALSE(after.status.has_value());
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kApproved);
  EXPECT_EQ(version_.status.gates.at(0).reference, "3");
}

TEST_F(VersionTest, KeepsThatThereWasNothingToCompareWith) {
  parent_.spec.metrics.clear();
  Step(&parent_);
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kApproved);
  Step(nullptr);
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kApproved);
}

TEST_F(VersionTest, KeepsAFailureToo) {
  parent_.spec.metrics[0].value = 2.0;
  Step(&parent_);
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kGatesFailed);
  Step(nullptr);
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kGatesFailed);
  EXPECT_EQ(version_.status.gates.at(0).reference, "2");
}

TEST_F(VersionTest, SaysThatItWasComparedOnOtherData) {
  version_.spec.evaluation_data = {"s3://new", "sha256:" + std::string(64, 'a'), 10};
  parent_.spec.evaluation_data = {"s3://old", "sha256:" + std::string(64, 'b'), 10};
  Step(&parent_);
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kApproved);
  EXPECT_EQ(version_.status.gates.at(0).compared_on, api::ComparedOn::kOtherData);
  EXPECT_EQ(version_.status.why,
            "1 gates passed, 1 of them compared on other evaluation data; no approval required");
  EXPECT_FALSE(Step(&parent_).status.has_value());
}

TEST_F(VersionTest, FailsWhatWasNeverCompared) {
  Step(nullptr);
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kGatesFailed);
  Step(&parent_);
  EXPECT_EQ(version_.status.phase, api::VersionPhase::kApproved);
}

}  // namespace
}  // namespace perennial::retrain
