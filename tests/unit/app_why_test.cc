#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "app/why.h"

namespace perennial::app {
namespace {

using nlohmann::json;

const std::string kDigest1 = "sha256:" + std::string(64, '1');
const std::string kDigest2 = "sha256:" + std::string(64, '2');

// As a backup that was restored shows them: specs, metadata and approvals, and no status anywhere.
json Deployment() {
  return json::parse(R"({
    "metadata": {"name": "departures", "namespace": "transit", "uid": "d"},
    "spec": {"model": {"uri": "oci://models/departures:1"},
             "template": {"spec": {"containers": [{"name": "model", "image": "i"}]}}}})");
}

json Versions() {
  json first = json::parse(R"({
    "metadata": {"name": "departures-1", "namespace": "transit", "uid": "u1",
      "creationTimestamp": "2026-11-20T08:00:00Z",
      "annotations": {"perennial.dev/promoted-at": "2026-11-20T08:01:00Z",
                      "perennial.dev/promoted-because": "it is the first version and ready"}},
    "spec": {"modelDeployment": "departures", "revision": 1,
      "model": {"uri": "oci://models/departures:1"},
      "origin": {"type": "Spec", "author": "gitops"},
      "metrics": [{"name": "mae", "value": 4.0}]}})");
  first["spec"]["model"]["digest"] = kDigest1;
  json second = json::parse(R"({
    "metadata": {"name": "departures-2", "namespace": "transit", "uid": "u2",
      "creationTimestamp": "2026-11-24T10:00:00Z",
      "annotations": {"perennial.dev/promoted-at": "2026-11-24T12:30:00Z",
                      "perennial.dev/promoted-because": "abs-error fell by 0.4"}},
    "spec": {"modelDeployment": "departures", "revision": 2, "parent": "departures-1",
      "model": {"uri": "https://store/2"},
      "origin": {"type": "Run", "policy": "nightly", "run": "nightly-abc", "jobUID": "job-1",
        "triggerType": "Drift", "trigger": "drift/m/7",
        "evidence": "{\"monitor\":\"departures\",\"signals\":[{\"name\":\"distance\",\"value\":\"0.31\",\"threshold\":\"0.25\",\"samples\":5000,\"since\":\"2026-11-24T09:00:00Z\"}]}"},
      "metrics": [{"name": "mae", "value": 3.5}],
      "data": [{"uri": "https://data/7", "rows": 20000}],
      "code": {"repository": "https://git/x", "commit": "4be1a7c"},
      "requirements": {"gates": [{"metric": "mae", "max": "4.0"},
                                 {"metric": "mae", "versus": "Champion", "maxIncrease": "0"}],
                       "approval": {"required": true}}}})");
  second["spec"]["model"]["digest"] = kDigest2;
  json newer = second;  // approved by nobody, and so never promoted
  newer["metadata"] = {{"name", "departures-3"}, {"namespace", "transit"}, {"uid", "u3"}};
  newer["spec"]["revision"] = 3;
  return json::array({first, second, newer});
}

json Approval(const char* name, const char* version, const std::string& digest, const char* who,
              const char* decision = "Approve") {
  return {{"metadata",
           {{"name", name},
            {"namespace", "transit"},
            {"uid", name},
            {"creationTimestamp", "2026-11-24T11:00:00Z"}}},
          {"spec",
           {{"modelVersion", version},
            {"digest", digest},
            {"decision", decision},
            {"approver", who},
            {"reason", "looks right"}}}};
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Why, TellsTheWholeChainWithoutAnyStatus) {
  const json approvals = {Approval("a1", "departures-2", kDigest2, "ada"),
                          Approval("a2", "departures-2", kDigest1, "bob"),
                          Approval("a3", "departures-3", kDigest2, "eve")};
  const auto why = ExplainServing({Deployment(), Versions(), approvals});
  ASSERT_TRUE(why.ok()) << why.error().message;
  ASSERT_EQ((*why)["serving"].size(), 1u);
  const json& chain = (*why)["serving"][0]["chain"];
  ASSERT_EQ(chain.size(), 2u);
  const json& served = chain[0];
  EXPECT_EQ(served["version"], "departures-2");
  EXPECT_EQ(served["model"]["digest"], kDigest2);
  EXPECT_EQ(served["promoted"]["at"], "2026-11-24T12:30:00Z");
  EXPECT_EQ(served["promoted"]["trainedToDeployedSeconds"], 9000);
  EXPECT_EQ(served["approvals"]["required"], 1);
  ASSERT_EQ(served["approvals"]["given"].size(), 2u);
  EXPECT_EQ(served["approvals"]["given"][0]["standing"], "counts");
  EXPECT_EQ(served["approvals"]["given"][1]["standing"], "void: of another digest");
  ASSERT_EQ(served["gates"]["judged"].size(), 2u);
  EXPECT_EQ(served["gates"]["judged"][1]["verdict"], "Pass");
  EXPECT_EQ(served["gates"]["judged"][1]["value"], "3.5");
  EXPECT_EQ(served["gates"]["judged"][1]["reference"], "4");
  EXPECT_EQ(served["trigger"]["evidence"]["signals"][0]["value"], "0.31");
  EXPECT_EQ(served["origin"]["jobUID"], "job-1");
  EXPECT_EQ(chain[1]["version"], "departures-1");
  EXPECT_EQ(chain[1]["origin"]["author"], "gitops");
}

TEST(Why, IsReadableText) {
  const json approvals = {Approval("a1", "departures-2", kDigest2, "a\x1b[31mda")};
  const auto why = ExplainServing({Deployment(), Versions(), approvals});
  ASSERT_TRUE(why.ok());
  const std::string text = DescribeWhy(*why);
  for (const char* line :
       {"champion  departures-2  revision 2\n", "https://store/2  sha256:2222",
        "2026-11-24T12:30:00Z, 2h after it was made: abs-error fell by 0.4",
        "a[31mda at 2026-11-24T11:00:00Z: looks right  (counts, ModelApproval a1)",
        "mae max 4.0: 3.5\n", "mae versus Champion maxIncrease 0: 3.5, compared with 4\n",
        "nightly-abc of RetrainPolicy nightly, UID job-1",
        "Drift drift/m/7: distance was 0.31 (threshold 0.25, 5000 samples) since "
        "2026-11-24T09:00:00Z",
        "https://data/7  20000 rows", "https://git/x 4be1a7c",
        "departures-1 (revision 1), Spec, promoted 2026-11-20T08:01:00Z, sha256:1111"}) {
    EXPECT_TRUE(Has(text, line)) << line << "\n" << text;
  }
}

TEST(Why, NamesTheJobOfAnotherPolicyThatTrainedIt) {
  json versions = Versions();
  versions[1]["spec"]["origin"]["sharedJob"] = "hourly-xyz";
  const auto why = ExplainServing({Deployment(), versions, json::array()});
  ASSERT_TRUE(why.ok());
  EXPECT_EQ((*why)["serving"][0]["chain"][0]["origin"]["sharedJob"], "hourly-xyz");
  EXPECT_TRUE(Has(DescribeWhy(*why),
                  "nightly-abc of RetrainPolicy nightly, trained by Job hourly-xyz for several, "
                  "UID job-1"))
      << DescribeWhy(*why);
}

TEST(Why, GoesByWhatStatusSaysWhileThereIsOne) {
  json deployment = Deployment();
  deployment["status"] = {
      {"champion", "departures-1"},
      {"variants",
       {{{"name", "champion"}, {"version", "departures-1"}, {"model", {{"uri", "a://b"}}}},
        {{"name", "challenger"}, {"version", "departures-3"}, {"model", {{"uri", "a://b"}}}}}}};
  const auto why = ExplainServing({deployment, Versions(), json::array()});
  ASSERT_TRUE(why.ok());
  ASSERT_EQ((*why)["serving"].size(), 2u);
  EXPECT_EQ((*why)["serving"][0]["chain"][0]["version"], "departures-1");
  EXPECT_EQ((*why)["serving"][1]["role"], "challenger");
  EXPECT_TRUE(Has(DescribeWhy(*why), "none was required"));
}

TEST(Why, PassesOverWhatWasRejectedSince) {
  const json approvals = {Approval("a1", "departures-2", kDigest2, "ada", "Reject")};
  const auto why = ExplainServing({Deployment(), Versions(), approvals});
  ASSERT_TRUE(why.ok());
  EXPECT_EQ((*why)["serving"][0]["chain"][0]["version"], "departures-1");
}

TEST(Why, SaysWhereAParentIsGoneAndWhereNothingServes) {
  json versions = Versions();
  versions.erase(0);
  const auto why = ExplainServing({Deployment(), versions, json::array()});
  ASSERT_TRUE(why.ok());
  EXPECT_TRUE(Has(DescribeWhy(*why), "departures-1: its ModelVersion was deleted"));
  EXPECT_EQ((*why)["serving"][0]["chain"][0]["gates"]["judged"][1]["verdict"], "Fail");
  const auto nothing = ExplainServing({Deployment(), json::array(), json::array()});
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().code, Errc::kNotFound);
  EXPECT_TRUE(Has(nothing.error().message, "kubectl perennial status departures"));
}

TEST(Why, EndsWhereParentsGoInACircle) {
  json versions = Versions();
  versions[0]["spec"]["parent"] = "departures-2";
  const auto why = ExplainServing({Deployment(), versions, json::array()});
  ASSERT_TRUE(why.ok());
  EXPECT_EQ((*why)["serving"][0]["chain"].size(), 2u);
}

}  // namespace
}  // namespace perennial::app
