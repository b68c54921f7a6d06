#include <gtest/gtest.h>

#include "retrain/gates.h"

namespace perennial::retrain {
namespace {

api::Decimal D(double value, const char* text) {
  return {value, text};
}

api::ModelVersion Version(const char* parent, std::vector<api::EvaluationMetric> metrics,
                          std::vector<api::Gate> gates) {
  api::ModelVersion version;
  version.spec.parent = parent;
  version.spec.metrics = std::move(metrics);
  version.spec.requirements.gates = std::move(gates);
  return version;
}

api::Gate Max(const char* metric, double limit, const char* text, const char* group = "") {
  api::Gate gate;
  gate.metric = metric;
  gate.group = group;
  gate.max = D(limit, text);
  return gate;
}

api::Gate VersusChampion(const char* metric, double increase, const char* text) {
  api::Gate gate;
  gate.metric = metric;
  gate.versus = api::GateComparison::kChampion;
  gate.max_increase = D(increase, text);
  return gate;
}

TEST(Gates, JudgeAbsoluteBoundsInclusively) {
  const auto at = Version("", {{"mae", "", 4.0, 10}}, {Max("mae", 4.0, "4.0")});
  EXPECT_EQ(EvaluateGates(at, nullptr)[0].verdict, api::Verdict::kPass);
  const auto above = Version("", {{"mae", "", 4.1, 10}}, {Max("mae", 4.0, "4.0")});
  const auto gates = EvaluateGates(above, nullptr);
  EXPECT_EQ(gates[0].verdict, api::Verdict::kFail);
  EXPECT_EQ(gates[0].value, "4.1");
  EXPECT_EQ(gates[0].message, "4.1 is above 4.0");
}

TEST(Gates, HonourAThresholdOfZero) {
  const auto champion = Version("", {{"mae", "", 3.0, 10}}, {});
  const auto worse = Version("v1", {{"mae", "", 3.01, 10}}, {VersusChampion("mae", 0, "0")});
  const auto same = Version("v1", {{"mae", "", 3.0, 10}}, {VersusChampion("mae", 0, "0")});
  EXPECT_EQ(EvaluateGates(worse, &champion)[0].verdict, api::Verdict::kFail);
  EXPECT_EQ(EvaluateGates(same, &champion)[0].verdict, api::Verdict::kPass);
  EXPECT_EQ(EvaluateGates(same, &champion)[0].reference, "3");
}

TEST(Gates, FailWhereTheMetricIsMissingAndSaySo) {
  const auto version = Version("", {{"mae", "", 3.0, 10}}, {Max("mae", 5, "5", "weekend")});
  const auto gates = EvaluateGates(version, nullptr);
  EXPECT_EQ(gates[0].verdict, api::Verdict::kFail);
  EXPECT_EQ(gates[0].message, "the training result has no metric mae{weekend}");
}

TEST(Gates, FailWhereTheRecordedChampionIsGone) {
  const auto version = Version("v1", {{"mae", "", 3.0, 10}}, {VersusChampion("mae", 0, "0")});
  EXPECT_EQ(EvaluateGates(version, nullptr)[0].verdict, api::Verdict::kFail);
}

TEST(Gates, PassAComparisonForTheFirstVersion) {
  const auto version = Version("", {{"mae", "", 3.0, 10}}, {VersusChampion("mae", 0, "0")});
  EXPECT_EQ(EvaluateGates(version, nullptr)[0].verdict, api::Verdict::kPass);
}

TEST(Gates, OnlyReportInDryRun) {
  const auto version = Version("", {{"mae", "", 9.0, 10}}, {Max("mae", 4.0, "4.0")});
  const auto gates = EvaluateGates(version, nullptr);
  EXPECT_FALSE(GatesPass(gates, api::GateMode::kEnforce));
  EXPECT_TRUE(GatesPass(gates, api::GateMode::kDryRun));
}

}  // namespace
}  // namespace perennial::retrain
