#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "kube/meta.h"

namespace perennial::kube {
namespace {

using nlohmann::json;

constexpr const char* kWholeObject = R"({"metadata": {
  "name": "departures-v3", "namespace": "transit", "uid": "u-1", "resourceVersion": "42",
  "generation": 7, "creationTimestamp": "2026-11-24T12:00:00Z",
  "labels": {"app": "departures"}, "annotations": {"a": "b"},
  "ownerReferences": [
    {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u-2"},
    {"apiVersion": "perennial.dev/v1alpha1", "kind": "ModelDeployment", "name": "departures",
     "uid": "u-3", "controller": true}]}})";

TEST(ParseMeta, ReadsWhatDecisionsNeed) {
  const auto meta = ParseMeta(json::parse(kWholeObject));
  ASSERT_TRUE(meta.ok());
  EXPECT_EQ(meta->key, (Key{"transit", "departures-v3"}));
  EXPECT_EQ(meta->uid, "u-1");
  EXPECT_EQ(meta->resource_version, "42");
  EXPECT_EQ(meta->generation, 7);
  EXPECT_EQ(FormatTime(meta->created), "2026-11-24T12:00:00Z");
  EXPECT_FALSE(meta->deleting);
  ASSERT_NE(Find(meta->labels, "app"), nullptr);
  EXPECT_EQ(*Find(meta->labels, "app"), "departures");
  EXPECT_EQ(Find(meta->labels, "a"), nullptr);
  ASSERT_NE(ControllerOf(*meta), nullptr);
  EXPECT_EQ(ControllerOf(*meta)->uid, "u-3");
}

TEST(ParseMeta, SeesADeletionUnderWay) {
  json object = json::parse(kWholeObject);
  object["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z";
  EXPECT_TRUE(ParseMeta(object)->deleting);
}

TEST(ParseMeta, TakesNoOwnerForAController) {
  json object = json::parse(kWholeObject);
  object["metadata"]["ownerReferences"].erase(1);
  const auto meta = ParseMeta(object);
  ASSERT_TRUE(meta.ok());
  EXPECT_EQ(meta->owners.size(), 1u);
  EXPECT_EQ(ControllerOf(*meta), nullptr);
}

TEST(ParseMeta, RefusesWhatCannotBeAnObject) {
  for (const char* text : {"null", "[]", "{}", R"({"metadata": 3})", R"({"metadata": {}})",
                           R"({"metadata": {"name": "x"}})", R"({"metadata": {"uid": "x"}})",
                           R"({"metadata": {"name": 3, "uid": "x"}})"}) {
    const auto meta = ParseMeta(json::parse(text));
    ASSERT_FALSE(meta.ok()) << text;
    EXPECT_EQ(meta.error().code, Errc::kInvalid);
  }
}

// Whatever a peer sends, reading it must not throw: each value of the object is replaced in turn.
TEST(ParseMeta, SurvivesEveryWrongType) {
  const json whole = json::parse(kWholeObject);
  const json flat = whole.flatten();
  for (const auto& [path, unused] : flat.items()) {
    for (const json& wrong : {json(nullptr), json(-1), json(1e300), json("x"), json::array({1}),
                              json::object({{"a", 1}}), json(true)}) {
      for (json::json_pointer at(path); !at.empty(); at.pop_back()) {
        json object = whole;
        object[at] = wrong;
        (void)ParseMeta(object).ok();
      }
    }
  }
}

TEST(ToStringOfKeys, LeavesOutAMissingNamespace) {
  EXPECT_EQ(ToString(Key{"a", "b"}), "a/b");
  EXPECT_EQ(ToString(Key{"", "b"}), "b");
  EXPECT_EQ(ToString(Ref{{"apps", "v1", "deployments", "Deployment"}, {"a", "b"}}),
            "Deployment a/b");
  EXPECT_EQ((Resource{"", "v1", "pods", "Pod"}.ApiVersion()), "v1");
  EXPECT_EQ((Resource{"apps", "v1", "deployments", "Deployment"}.ApiVersion()), "apps/v1");
}

TEST(CompareResourceVersions, ComparesNumbersOfAnyLength) {
  const std::vector<std::string> ascending = {"",
                                              "1",
                                              "9",
                                              "10",
                                              "99",
                                              "100",
                                              "123456789012345678901",
                                              "123456789012345678902",
                                              "999999999999999999999999"};
  for (size_t i = 0; i < ascending.size(); ++i) {
    for (size_t j = 0; j < ascending.size(); ++j) {
      const int order = CompareResourceVersions(ascending[i], ascending[j]);
      EXPECT_EQ(order < 0, i < j) << ascending[i] << " " << ascending[j];
      EXPECT_EQ(order == 0, i == j);
    }
  }
}

WallTime At(int second) {
  return WallTime(Seconds(1'795'521'600 + second));
}

TEST(SetCondition, StampsOnlyChangesOfStatus) {
  std::vector<Condition> conditions;
  SetCondition(conditions, {"Ready", "False", "Starting", "wait", 1, ""}, At(0));
  const std::string first = conditions[0].last_transition_time;
  EXPECT_EQ(first, FormatTime(At(0)));

  SetCondition(conditions, {"Ready", "False", "StillStarting", "wait more", 2, ""}, At(60));
  ASSERT_EQ(conditions.size(), 1u);
  EXPECT_EQ(conditions[0].reason, "StillStarting");
  EXPECT_EQ(conditions[0].observed_generation, 2);
  EXPECT_EQ(conditions[0].last_transition_time, first);

  SetCondition(conditions, {"Ready", "True", "Serving", "", 2, ""}, At(120));
  EXPECT_EQ(conditions[0].last_transition_time, FormatTime(At(120)));
  EXPECT_TRUE(IsTrue(conditions, "Ready"));
}

TEST(SetCondition, KeepsConditionsSortedWhateverTheOrderOfSetting) {
  std::vector<std::string> types = {"Ready", "Drifted", "Stalled", "Blind", "Promoted"};
  std::mt19937 random(1);
  for (int i = 0; i < 20; ++i) {
    std::shuffle(types.begin(), types.end(), random);
    std::vector<Condition> conditions;
    for (const std::string& type : types) {
      SetCondition(conditions, {type, "True", "R", "", 1, ""}, At(0));
    }
    EXPECT_TRUE(std::is_sorted(conditions.begin(), conditions.end(),
                               [](const auto& a, const auto& b) { return a.type < b.type; }));
    RemoveCondition(conditions, "Ready");
    EXPECT_EQ(FindCondition(conditions, "Ready"), nullptr);
    EXPECT_FALSE(IsTrue(conditions, "Ready"));
    EXPECT_EQ(conditions.size(), types.size() - 1);
  }
}

}  // namespace
}  // namespace perennial::kube
