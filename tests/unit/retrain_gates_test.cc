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
  EXPECT_EQ(EvaluateGates(at, {})[0].verdict, api::Verdict::kPass);
  const auto above = Version("", {{"mae", "", 4.1, 10}}, {Max("mae", 4.0, "4.0")});
  const auto gates = EvaluateGates(above, {});
  EXPECT_EQ(gates[0].verdict, api::Verdict::kFail);
  EXPECT_EQ(gates[0].value, "4.1");
  EXPECT_EQ(gates[0].message, "4.1 is above 4.0");
}

TEST(Gates, HonourAThresholdOfZero) {
  const auto champion = Version("", {{"mae", "", 3.0, 10}}, {});
  const auto worse = Version("v1", {{"mae", "", 3.01, 10}}, {VersusChampion("mae", 0, "0")});
  const auto same = Version("v1", {{"mae", "", 3.0, 10}}, {VersusChampion("mae", 0, "0")});
  EXPECT_EQ(EvaluateGates(worse, {&champion})[0].verdict, api::Verdict::kFail);
  EXPECT_EQ(EvaluateGates(same, {&champion})[0].verdict, api::Verdict::kPass);
  EXPECT_EQ(EvaluateGates(same, {&champion})[0].reference, "3");
}

TEST(Gates, FailWhereTheMetricIsMissingAndSaySo) {
  const auto version = Version("", {{"mae", "", 3.0, 10}}, {Max("mae", 5, "5", "weekend")});
  const auto gates = EvaluateGates(version, {});
  EXPECT_EQ(gates[0].verdict, api::Verdict::kFail);
  EXPECT_EQ(
      gates[0].message,
      "the training result has no metric mae{weekend}: have the training write it to metrics");
}

TEST(Gates, FailWhereTheRecordedChampionIsGone) {
  const auto version = Version("v1", {{"mae", "", 3.0, 10}}, {VersusChampion("mae", 0, "0")});
  EXPECT_EQ(EvaluateGates(version, {})[0].verdict, api::Verdict::kFail);
}

TEST(Gates, PassAComparisonForTheFirstVersion) {
  const auto version = Version("", {{"mae", "", 3.0, 10}}, {VersusChampion("mae", 0, "0")});
  EXPECT_EQ(EvaluateGates(version, {})[0].verdict, api::Verdict::kPass);
}

// A gate of `metric` with one bound; the rest is set by the test.
api::Gate Least(const char* metric, double limit, const char* text) {
  api::Gate gate;
  gate.metric = metric;
  gate.min = D(limit, text);
  return gate;
}

// Evaluated on two groups: recall 0.9 and 0.6, selection rate 0.5 and 0.35.
std::vector<api::ConfusionCell> TwoGroups() {
  return {{"", "yes", "yes", 150},    {"", "yes", "no", 50},       {"", "no", "yes", 20},
          {"", "no", "no", 180},      {"north", "yes", "yes", 90}, {"north", "yes", "no", 10},
          {"north", "no", "yes", 10}, {"north", "no", "no", 90},   {"south", "yes", "yes", 60},
          {"south", "yes", "no", 40}, {"south", "no", "yes", 10},  {"south", "no", "no", 90}};
}

api::GateStatus One(const api::Gate& gate, std::vector<api::ConfusionCell> matrix,
                    std::vector<api::EvaluationMetric> metrics = {}) {
  auto version = Version("", std::move(metrics), {gate});
  version.spec.confusion_matrix = std::move(matrix);
  return EvaluateGates(version, {})[0];
}

TEST(Gates, ComputeMetricsFromTheConfusionMatrix) {
  EXPECT_EQ(One(Least("accuracy", 0.8, "0.8"), TwoGroups()).value, "0.825");
  EXPECT_EQ(One(Least("accuracy", 0.8, "0.8"), TwoGroups()).verdict, api::Verdict::kPass);
  api::Gate recall = Least("recall", 0.8, "0.8");
  recall.positive = "yes";
  const auto below = One(recall, TwoGroups());
  EXPECT_EQ(below.verdict, api::Verdict::kFail);
  EXPECT_EQ(below.message, "0.75 is below 0.8");
  recall.group = "north";
  EXPECT_EQ(One(recall, TwoGroups()).value, "0.9");
  EXPECT_EQ(One(recall, TwoGroups()).gate, "recall{north} min");
}

TEST(Gates, TakeWhatTheResultReportsBeforeComputingIt) {
  EXPECT_EQ(One(Least("accuracy", 0.8, "0.8"), TwoGroups(), {{"accuracy", "", 0.5, 10}}).value,
            "0.5");
}

TEST(Gates, SayWhatAConfusionMatrixLacks) {
  const api::Gate recall = Least("recall", 0.8, "0.8");
  EXPECT_EQ(
      One(recall, {}).message,
      "the training result has no metric recall, nor a confusionMatrix of all rows to compute "
      "it from: have the training write one of them");
  EXPECT_EQ(
      One(recall, TwoGroups()).message,
      "recall can't be computed from the confusion matrix: positive is not set: set it to one "
      "of no, yes");
  EXPECT_EQ(One(Least("rocAuc", 0.8, "0.8"), TwoGroups()).message,
            "the training result has no metric rocAuc: have the training write it to metrics");
}

TEST(Gates, JudgeTheWorstGroup) {
  api::Gate recall = Least("recall", 0.7, "0.7");
  recall.positive = "yes";
  recall.across = api::GateAcross::kWorstGroup;
  const auto south = One(recall, TwoGroups());
  EXPECT_EQ(south.gate, "recall of the worst group min");
  EXPECT_EQ(south.group, "south");
  EXPECT_EQ(south.value, "0.6");
  EXPECT_EQ(south.verdict, api::Verdict::kFail);
  recall.groups = {"north"};
  EXPECT_EQ(One(recall, TwoGroups()).verdict, api::Verdict::kPass);
  // Upper bounds: the greatest is the worst.
  api::Gate mae = Max("mae", 5, "5");
  mae.across = api::GateAcross::kWorstGroup;
  const auto worst = One(mae, {}, {{"mae", "a", 3, 100}, {"mae", "b", 6, 100}, {"mae", "", 4, 1}});
  EXPECT_EQ(worst.group, "b");
  EXPECT_EQ(worst.message, "6 is above 5");
}

TEST(Gates, NameGroupsThatAreTooSmallOrMissing) {
  api::Gate mae = Max("mae", 5, "5");
  mae.across = api::GateAcross::kWorstGroup;
  const auto passed = One(mae, {}, {{"mae", "a", 3, 100}, {"mae", "b", 6, 29}});
  EXPECT_EQ(passed.verdict, api::Verdict::kPass);
  EXPECT_EQ(passed.message, "left out: b, evaluated on fewer rows than minGroupSamples 30");
  mae.min_group_samples = 29;
  EXPECT_EQ(One(mae, {}, {{"mae", "a", 3, 100}, {"mae", "b", 6, 29}}).verdict, api::Verdict::kFail);
  mae.groups = {"a", "c"};
  const auto missing = One(mae, {}, {{"mae", "a", 3, 100}});
  EXPECT_EQ(missing.verdict, api::Verdict::kFail);
  EXPECT_EQ(missing.message,
            "the training result has no metric mae{c}: have the training write it to metrics");
  mae.groups.clear();
  EXPECT_EQ(One(mae, {}, {{"mae", "", 3, 100}}).message,
            "the training result has mae of no group: have the training write metrics or a "
            "confusionMatrix with group");
}

TEST(Gates, CompareGroupsWithEachOther) {
  api::Gate difference = Max("mae", 1, "1");
  difference.across = api::GateAcross::kGroupDifference;
  const std::vector<api::EvaluationMetric> metrics{{"mae", "a", 3, 100}, {"mae", "b", 4.5, 100}};
  const auto failed = One(difference, {}, metrics);
  EXPECT_EQ(failed.value, "1.5");
  EXPECT_EQ(failed.message, "1.5 is above 1; lowest: a (3), greatest: b (4.5)");
  api::Gate ratio = Least("mae", 0.6, "0.6");
  ratio.across = api::GateAcross::kGroupRatio;
  EXPECT_EQ(One(ratio, {}, metrics).verdict, api::Verdict::kPass);
  EXPECT_EQ(One(difference, {}, {{"mae", "a", 3, 100}}).verdict, api::Verdict::kFail);
}

TEST(Gates, JudgeFairnessFromTheConfusionMatrixOfGroups) {
  api::Gate parity = Max("demographic_parity_difference", 0.1, "0.1");
  parity.positive = "yes";
  const auto failed = One(parity, TwoGroups());
  EXPECT_EQ(failed.verdict, api::Verdict::kFail);
  EXPECT_EQ(failed.value, "0.15");
  EXPECT_NE(failed.message.find("lowest: south, greatest: north"), std::string::npos);
  api::Gate odds = Max("equalized_odds_difference", 0.3, "0.3");
  odds.positive = "yes";
  EXPECT_EQ(One(odds, TwoGroups()).value, "0.3");
  api::Gate ratio = Least("demographic_parity_ratio", 0.8, "0.8");
  ratio.positive = "yes";
  EXPECT_EQ(One(ratio, TwoGroups()).value, "0.7");
}

TEST(Gates, FailWhereFairnessLacksAGroupThatTheGateNames) {
  api::Gate parity = Max("demographic_parity_difference", 0.2, "0.2");
  parity.positive = "yes";
  parity.groups = {"north", "south"};
  EXPECT_EQ(One(parity, TwoGroups()).verdict, api::Verdict::kPass);
  parity.groups = {"north", "south", "east"};
  const auto failed = One(parity, TwoGroups());
  EXPECT_EQ(failed.verdict, api::Verdict::kFail);
  EXPECT_EQ(failed.message,
            "the training result has no metric demographic_parity_difference, and its "
            "confusionMatrix has no rows of east, which the gate's groups name: have the training "
            "write the metric, or the matrix of each of them");
  // One that was evaluated, on too few rows, is left out as everywhere.
  auto matrix = TwoGroups();
  matrix.push_back({"east", "yes", "no", 29});
  const auto passed = One(parity, matrix);
  EXPECT_EQ(passed.verdict, api::Verdict::kPass);
  EXPECT_NE(passed.message.find("left out: east"), std::string::npos) << passed.message;
}

TEST(Gates, SayWhatFairnessLacks) {
  api::Gate parity = Max("demographic_parity_difference", 0.1, "0.1");
  EXPECT_EQ(One(parity, TwoGroups()).message,
            "the training result has no metric demographic_parity_difference; to compute it from "
            "the confusion matrix, set positive to the class that counts as positive, such as "
            "\"yes\"");
  parity.positive = "yes";
  EXPECT_EQ(One(parity, {{"", "yes", "yes", 9}}).message,
            "the training result has no metric demographic_parity_difference, and its "
            "confusionMatrix has fewer than two groups to compute it from: have the training write "
            "the metric, or the matrix with group");
  parity.min_group_samples = 201;
  EXPECT_NE(One(parity, TwoGroups()).message.find("left out: north, south"), std::string::npos);
  // Reported by the training itself, it needs no matrix.
  EXPECT_EQ(One(parity, {}, {{"demographic_parity_difference", "", 0.05, 0}}).verdict,
            api::Verdict::kPass);
}

TEST(Gates, FailWhereAClassOfOneGroupIsTooSmallForFairness) {
  api::Gate odds = Max("equal_opportunity_difference", 0.9, "0.9");
  odds.positive = "yes";
  EXPECT_EQ(One(odds, TwoGroups()).verdict, api::Verdict::kPass);
  auto matrix = TwoGroups();
  for (const auto& cell : {api::ConfusionCell{"islands", "yes", "yes", 5},
                           {"islands", "yes", "no", 4},
                           {"islands", "no", "yes", 40},
                           {"islands", "no", "no", 31}}) {
    matrix.push_back(cell);
  }
  const auto failed = One(odds, matrix);
  EXPECT_EQ(failed.verdict, api::Verdict::kFail);
  EXPECT_NE(failed.message.find("group islands has 9 actual positives"), std::string::npos)
      << failed.message;
}

TEST(Gates, CompareTheWorstGroupWithTheSameGroup) {
  auto champion = Version("", {{"mae", "a", 5, 100}, {"mae", "b", 3, 100}}, {});
  champion.meta.key.name = "v1";
  api::Gate gate = VersusChampion("mae", 0.1, "0.1");
  gate.across = api::GateAcross::kWorstGroup;
  // Better where it was bad, worse where it was good: the greatest value is not the worst change.
  const auto version = Version("v1", {{"mae", "a", 4, 100}, {"mae", "b", 3.5, 100}}, {gate});
  const auto status = EvaluateGates(version, {&champion})[0];
  EXPECT_EQ(status.group, "b");
  EXPECT_EQ(status.reference, "3");
  EXPECT_EQ(status.message, "3.5 is 0.5 above champion v1's 3, more than 0.1");
  // A group that is new has nothing to be compared with, and hides no other.
  const auto more =
      Version("v1", {{"mae", "a", 4, 100}, {"mae", "b", 3, 100}, {"mae", "c", 99, 100}}, {gate});
  EXPECT_EQ(EvaluateGates(more, {&champion})[0].verdict, api::Verdict::kPass);
}

TEST(Gates, CompareWithTheVersionThatItWasTrainedFrom) {
  auto champion = Version("", {{"mae", "", 2, 10}}, {});
  champion.meta.key.name = "v1";
  auto base = Version("", {{"mae", "", 4, 10}}, {});
  base.meta.key.name = "base";
  api::Gate gate = VersusChampion("mae", 0, "0");
  gate.versus = api::GateComparison::kParent;
  auto version = Version("v1", {{"mae", "", 3, 10}}, {gate});
  // Trained from scratch: the champion.
  const auto champions = EvaluateGates(version, {&champion, nullptr})[0];
  EXPECT_EQ(champions.verdict, api::Verdict::kFail);
  EXPECT_EQ(champions.gate, "mae versus Parent maxIncrease");
  EXPECT_EQ(champions.message, "3 is 1 above parent v1's 2, more than 0");
  version.spec.trained_from = "base";
  EXPECT_EQ(EvaluateGates(version, {&champion, &base})[0].verdict, api::Verdict::kPass);
  EXPECT_EQ(EvaluateGates(version, {&champion, nullptr})[0].message,
            "ModelVersion base to compare with does not exist");
}

struct DataCase {
  const char* name;
  const char* here;
  const char* there;
  api::OtherData on_other_data;
  api::ComparedOn compared_on;
  api::Verdict verdict;
  const char* message;
};

class GatesOnData : public ::testing::TestWithParam<DataCase> {};

TEST_P(GatesOnData, FlagWhatIsNotComparable) {
  const DataCase& given = GetParam();
  const auto data = [](const char* digest) {
    return api::DataReference{"s3://d/holdout", digest, 10};
  };
  auto champion = Version("", {{"mae", "", 3, 10}}, {});
  champion.meta.key.name = "v1";
  if (*given.there != 0) champion.spec.evaluation_data = data(given.there);
  api::Gate gate = VersusChampion("mae", 0, "0");
  gate.on_other_data = given.on_other_data;
  auto version = Version("v1", {{"mae", "", 2, 10}}, {gate});
  if (*given.here != 0) version.spec.evaluation_data = data(given.here);
  const auto status = EvaluateGates(version, {&champion})[0];
  EXPECT_EQ(status.compared_on, given.compared_on);
  EXPECT_EQ(status.verdict, given.verdict);
  EXPECT_EQ(status.message, given.message);
}

constexpr const char* kDigestA = "sha256:aaaaaaaaaaaaaaaa";
constexpr const char* kDigestB = "sha256:bbbbbbbbbbbbbbbb";
INSTANTIATE_TEST_SUITE_P(
    Digests, GatesOnData,
    ::testing::Values(
        DataCase{"same", kDigestA, kDigestA, api::OtherData::kFail, api::ComparedOn::kSameData,
                 api::Verdict::kPass, ""},
        DataCase{"other", kDigestA, kDigestB, api::OtherData::kFlag, api::ComparedOn::kOtherData,
                 api::Verdict::kPass,
                 "champion v1 was evaluated on other data (sha256:bbbbbbbbbbbb, not "
                 "sha256:aaaaaaaaaaaa)"},
        DataCase{"otherFails", kDigestA, kDigestB, api::OtherData::kFail,
                 api::ComparedOn::kOtherData, api::Verdict::kFail,
                 "champion v1 was evaluated on other data (sha256:bbbbbbbbbbbb, not "
                 "sha256:aaaaaaaaaaaa): evaluate both on the same data, or set onOtherData: Flag"},
        DataCase{"unknown", kDigestA, "", api::OtherData::kFlag, api::ComparedOn::kUnknown,
                 api::Verdict::kPass, ""},
        DataCase{"unknownFails", "", kDigestB, api::OtherData::kFail, api::ComparedOn::kUnknown,
                 api::Verdict::kFail,
                 "the training result records no evaluationData.digest, so whether both were "
                 "evaluated on the same data is not known: have the training write it, or set "
                 "onOtherData: Flag"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Gates, OnlyReportInDryRun) {
  const auto version = Version("", {{"mae", "", 9.0, 10}}, {Max("mae", 4.0, "4.0")});
  const auto gates = EvaluateGates(version, {});
  EXPECT_FALSE(GatesPass(gates, api::GateMode::kEnforce));
  EXPECT_TRUE(GatesPass(gates, api::GateMode::kDryRun));
}

}  // namespace
}  // namespace perennial::retrain
