// Who asked for a run by hand stands in the version that comes of it.
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/names.h"
#include "retrain/render.h"
#include "retrain/trigger.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;

api::RetrainPolicy Policy() {
  return ::perennial::testing::TrainingPolicy({"transit", "departures"}, "departures");
}

json VersionOf(const api::RetrainPolicy& policy, const FiredTrigger& trigger,
               const std::string& by_hand = "") {
  Observed seen;
  seen.policy = std::make_shared<api::RetrainPolicy>(policy);
  api::Run run;
  run.name = "departures-run";
  run.trigger_type = trigger.type;
  run.trigger = trigger.identity;
  run.evidence = trigger.evidence;
  run.by_hand = by_hand;
  api::TrainingResult result;
  result.artifact = {"http://store/m", "sha256:" + std::string(64, '0')};
  result.trained_from = "departures-1";
  result.evaluation_data = api::DataReference{"s3://holdout", "", 7};
  return json::parse(RenderVersion(seen, run, result));
}

TEST(Author, OfARunByHandIsOnRecord) {
  api::RetrainPolicy policy = Policy();
  policy.meta.annotations[std::string(api::kAnnotationRetrain)] = "t1";
  auto fired = EvaluateTriggers({&policy, {}}, WallTime{}).fired;
  ASSERT_EQ(fired.size(), 1u);
  EXPECT_FALSE(VersionOf(policy, fired[0])["spec"]["origin"].contains("author"));
  policy.meta.annotations[std::string(api::kAnnotationAuthor)] = "ada";
  fired = EvaluateTriggers({&policy, {}}, WallTime{}).fired;
  EXPECT_EQ(fired[0].identity, "manual/t1");
  const json version = VersionOf(policy, fired[0]);
  EXPECT_EQ(version["spec"]["origin"]["author"], "ada");
  EXPECT_EQ(version["spec"]["trainedFrom"], "departures-1");
  EXPECT_EQ(version["spec"]["evaluationData"]["rows"], 7);
}

TEST(Author, IsWhoAskedForARunThatWaited) {
  const FiredTrigger drift{"Drift", "drift/1", R"({"author": "drift"})"};
  const json version = VersionOf(Policy(), drift, R"({"author": "ada", "token": "now"})");
  EXPECT_EQ(version["spec"]["origin"]["author"], "ada");
  EXPECT_EQ(version["spec"]["origin"]["triggerType"], "Drift");
}

TEST(Author, IsNobodyWhereNobodyAsked) {
  const json version = VersionOf(Policy(), {"Drift", "drift/1", R"({"author": "drift"})"});
  EXPECT_FALSE(version["spec"]["origin"].contains("author"));
  EXPECT_FALSE(
      VersionOf(Policy(), {"Manual", "manual/1", "[1]"})["spec"]["origin"].contains("author"));
}

}  // namespace
}  // namespace perennial::retrain
