// The whole controller in this process, against an API server in this process.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "api/names.h"
#include "support/controller_world.h"
#include "support/eventually.h"
#include "support/in_process.h"

namespace perennial::app {
namespace {

using nlohmann::json;
using ::perennial::testing::ControllerWorld;
using ::perennial::testing::Eventually;
using ::perennial::testing::FakeApiServer;
using ::perennial::testing::InProcess;
using ::perennial::testing::On;

const kube::Ref kLease{::perennial::testing::Leases(),
                       {"perennial-system", "perennial-controller"}};

class ControllerTest : public ::testing::Test {
 protected:
  void Start(bool leader_elect = false) { world_.Start(leader_elect); }
  void Stop() { world_.Stop(); }
  void AddModel() { world_.SetModel("http://models/1"); }
  std::string Champion() { return world_.Champion(); }

  FakeApiServer server_{InProcess()};
  ControllerWorld world_{server_};
};

TEST_F(ControllerTest, BringsAFirstModelToServeAndThenRests) {
  Start();
  AddModel();
  ASSERT_TRUE(Eventually([&] { return !server_.List(api::kDeployments).empty(); }));
  ASSERT_TRUE(Eventually([&] { return !server_.List(api::kServices).empty(); }));
  EXPECT_EQ(Champion(), "") << "nothing serves before its pods are ready";
  ASSERT_TRUE(Eventually([&] {
    world_.MakePodsReady();
    return !Champion().empty();
  })) << world_.Model().dump(2);
  const auto versions = server_.List(api::kModelVersions);
  ASSERT_EQ(versions.size(), 1u);
  EXPECT_EQ(Champion(), versions[0]["metadata"]["name"]);

  // Let it settle: the last status writes and events.
  size_t writes = 0;
  ASSERT_TRUE(Eventually([&] {
    const size_t before = std::exchange(writes, server_.Writes());
    std::this_thread::sleep_for(Millis(100));
    return before == server_.Writes();
  }));
  writes = server_.Writes();
  // The same objects once more, without a change in what they mean: looked at, and nothing written.
  server_.Put(api::kModelVersions, [&] {
    json version = *server_.Get({api::kModelVersions, {"transit", Champion()}});
    version["metadata"]["annotations"]["example.org/note"] = "looked at";
    return version;
  }());
  std::this_thread::sleep_for(Millis(300));
  EXPECT_EQ(server_.Writes(), writes) << "a converged model costs no write";
  Stop();
}

// Whose Job it is, where it is, and what owns it is not for a template to say.
TEST_F(ControllerTest, TrainsInItsOwnNamespaceWhateverATemplateSays) {
  Start();
  AddModel();
  ASSERT_TRUE(Eventually([&] {
    world_.MakePodsReady();
    return !Champion().empty();
  }));
  const json policy = server_.Put(api::kRetrainPolicies, json::parse(R"({
    "metadata": {"namespace": "transit", "name": "weekly",
                 "annotations": {"perennial.dev/retrain": "now"}},
    "spec": {"modelDeployment": "departures", "job": {"template": {
      "metadata": {"namespace": "kube-system", "name": "others", "uid": "others", "labels": {
          "perennial.dev/retrain-policy": "others", "perennial.dev/run": "others", "team": "eta"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n",
                             "controller": true, "blockOwnerDeletion": true}]},
      "spec": {"template": {
        "metadata": {"namespace": "kube-system",
                     "labels": {"perennial.dev/run": "others", "perennial.dev/retrain-policy": "others"}},
        "spec": {"containers": [{"name": "train", "image": "t"}]}}}}}}})"));
  ASSERT_TRUE(Eventually([&] { return !server_.List(api::kJobs).empty(); }));
  const auto jobs = server_.List(api::kJobs);
  ASSERT_EQ(jobs.size(), 1u);
  const json& metadata = jobs[0]["metadata"];
  EXPECT_EQ(metadata["namespace"], "transit");
  ASSERT_EQ(metadata["ownerReferences"].size(), 1u) << metadata["ownerReferences"];
  EXPECT_EQ(metadata["ownerReferences"][0]["kind"], "RetrainPolicy");
  EXPECT_EQ(metadata["ownerReferences"][0]["uid"], policy["metadata"]["uid"]);
  EXPECT_EQ(metadata["labels"]["team"], "eta") << "what others say of it stays";
  for (const json& labels :
       {metadata["labels"], jobs[0]["spec"]["template"]["metadata"]["labels"]}) {
    EXPECT_EQ(labels["perennial.dev/retrain-policy"], "weekly");
    EXPECT_EQ(labels["perennial.dev/run"], metadata["name"]);
  }
  for (const auto& recorded : server_.Requests()) {
    EXPECT_EQ(recorded.request.path.find("kube-system"), std::string::npos)
        << recorded.request.path;
  }
  Stop();
}

TEST_F(ControllerTest, WaitsForTheKindsToBeInstalled) {
  world_.front.installed = false;
  AddModel();
  Start();
  ASSERT_TRUE(Eventually([&] { return world_.front.asked >= 3; }));
  EXPECT_EQ(server_.Count({}), 0u) << "nothing is listed before";
  world_.front.installed = true;
  EXPECT_TRUE(Eventually([&] { return !server_.List(api::kDeployments).empty(); }));
  Stop();
}

TEST_F(ControllerTest, CanBeStoppedWhileItWaits) {
  world_.front.installed = false;
  Start();
  ASSERT_TRUE(Eventually([&] { return world_.front.asked >= 1; }));
  Stop();
}

TEST_F(ControllerTest, GivesTheLeaseUpWhenStopped) {
  AddModel();
  Start(/*leader_elect=*/true);
  ASSERT_TRUE(Eventually([&] { return !server_.List(api::kDeployments).empty(); }));
  const auto held = server_.Get(kLease);
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(held->at("spec").value("holderIdentity", "").rfind("test_", 0), 0u);
  Stop();
  EXPECT_EQ(server_.Get(kLease)->at("spec").value("holderIdentity", ""), "");
  EXPECT_FALSE(world_.lost);
}

json LeaseOf(const std::string& holder) {
  return {{"metadata", {{"namespace", kLease.key.ns}, {"name", kLease.key.name}}},
          {"spec",
           {{"holderIdentity", holder},
            {"leaseDurationSeconds", 3600},
            {"acquireTime", FormatMicroTime(SystemClock().Wall())},
            {"renewTime", FormatMicroTime(SystemClock().Wall())}}}};
}

TEST_F(ControllerTest, WritesNothingWhileAnotherLeads) {
  server_.Put(kLease.resource, LeaseOf("another"));
  AddModel();
  Start(/*leader_elect=*/true);
  ASSERT_TRUE(Eventually([&] { return server_.Count(On("GET", "/leases/")) >= 1; }));
  ASSERT_TRUE(Eventually([&] { return server_.open_watches() >= 10; })) << "stores are kept filled";
  std::this_thread::sleep_for(Millis(200));
  EXPECT_EQ(server_.Writes(), 0u);
  Stop();
  EXPECT_EQ(server_.Get(kLease)->at("spec").value("holderIdentity", ""), "another");
}

TEST_F(ControllerTest, TellsWhenAnotherTookTheLease) {
  Start(/*leader_elect=*/true);
  ASSERT_TRUE(Eventually([&] { return server_.Get(kLease).has_value(); }));
  server_.Put(kLease.resource, LeaseOf("another"));
  EXPECT_TRUE(Eventually([&] { return world_.lost.load(); }));
  const size_t writes = server_.Writes();
  AddModel();
  std::this_thread::sleep_for(Millis(300));
  EXPECT_EQ(server_.Writes(), writes) << "who lost the Lease writes nothing";
  Stop();
  EXPECT_EQ(server_.Get(kLease)->at("spec").value("holderIdentity", ""), "another");
}

}  // namespace
}  // namespace perennial::app
