// What real clusters do to the controller: quotas, namespaces that end, an etcd that restarts.
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>

#include "api/names.h"
#include "support/cluster_access.h"
#include "support/running_controller.h"
#include "support/source_tree.h"
#include "support/spec_cases.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

const kube::Resource kQuotas{"", "v1", "resourcequotas", "ResourceQuota"};
const kube::Resource kNamespaces{"", "v1", "namespaces", "Namespace"};

class ClusterFaults : public ::testing::Test {
 protected:
  void Put(json object) {
    object["metadata"]["namespace"] = ns_.name();
    const Answer created = Admin().Create(RefOf(object), object);
    ASSERT_TRUE(created.ok()) << created.message();
  }
  // A model without a pod: there is no node.
  void PutModel() {
    json model = ObjectOf("ModelDeployment", "departures", ValidSpec("ModelDeployment"));
    model["spec"]["replicas"] = 0;
    model["spec"]["template"]["spec"]["containers"] =
        json::array({{{"name", "model"},
                      {"image", "example.org/model:1"},
                      {"ports", json::array({{{"name", "http"}, {"containerPort", 8080}}})}}});
    Put(model);
  }
  // Trains at once.
  void PutPolicy() {
    json policy = ObjectOf("RetrainPolicy", "weekly", ValidSpec("RetrainPolicy"));
    policy["metadata"]["annotations"] = {{"perennial.dev/retrain", "now"}};
    policy["spec"]["job"]["template"]["spec"]["template"]["spec"]["containers"] = {
        {{"name", "train"}, {"image", "example.org/train:1"}}};
    Put(policy);
  }
  void Start() { running_ = std::make_unique<RunningController>(ns_.name()); }

  json Items(const kube::Resource& resource) {
    return Admin().List(resource, ns_.name(), "limit=100").body.value("items", json::array());
  }
  std::set<std::string> Uids() {
    std::set<std::string> out;
    for (const kube::Resource& resource :
         {api::kModelDeployments, api::kRetrainPolicies, api::kModelVersions, api::kDeployments,
          api::kServices, api::kJobs}) {
      for (const json& item : Items(resource)) out.insert(item["metadata"]["uid"]);
    }
    return out;
  }
  std::string RunMessage() {
    const Answer policy = Admin().Get({api::kRetrainPolicies, {ns_.name(), "weekly"}});
    return policy.body.value(json::json_pointer("/status/runs/0/message"), std::string());
  }
  void SetQuota(const std::string& jobs) {
    const Answer set = Admin().Apply({kQuotas, {ns_.name(), "jobs"}},
                                     {{"apiVersion", "v1"},
                                      {"kind", "ResourceQuota"},
                                      {"metadata", {{"namespace", ns_.name()}, {"name", "jobs"}}},
                                      {"spec", {{"hard", {{"count/jobs.batch", jobs}}}}}});
    ASSERT_TRUE(set.ok()) << set.message();
    // It holds once its controller has counted.
    ASSERT_TRUE(Eventually([&] {
      const Answer quota = Admin().Get({kQuotas, {ns_.name(), "jobs"}});
      return quota.body.value(json::json_pointer("/status/hard/count~1jobs.batch"),
                              std::string()) == jobs;
    }));
  }

  TestNamespace ns_;
  std::unique_ptr<RunningController> running_;
};

TEST_F(ClusterFaults, ARunWaitsForAQuotaSaysSoAndGoesOn) {
  SetQuota("0");
  PutModel();
  PutPolicy();
  Start();
  EXPECT_TRUE(Eventually([&] { return RunMessage().find("exceeded quota") != std::string::npos; }))
      << RunMessage();
  EXPECT_TRUE(Items(api::kJobs).empty());
  SetQuota("1");
  EXPECT_TRUE(Eventually([&] { return Items(api::kJobs).size() == 1; })) << RunMessage();
  EXPECT_TRUE(Eventually([&] { return RunMessage().find("quota") == std::string::npos; }))
      << RunMessage();
}

TEST_F(ClusterFaults, MakesNothingInANamespaceThatEndsAndDoesNotHoldItUp) {
  PutModel();
  PutPolicy();
  Start();
  ASSERT_TRUE(Eventually([&] { return !Items(api::kJobs).empty(); })) << RunMessage();
  // Somebody's finalizer keeps the namespace in its end.
  const kube::Ref holder{api::kConfigMaps, {ns_.name(), "holder"}};
  Put({{"apiVersion", "v1"},
       {"kind", "ConfigMap"},
       {"metadata", {{"name", "holder"}, {"finalizers", {"example.org/hold"}}}}});
  const kube::Ref self{kNamespaces, {"", ns_.name()}};
  ASSERT_TRUE(Admin().Delete(self).ok());
  EXPECT_TRUE(Eventually([&] { return Uids().empty(); })) << "all that is ours goes";
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Uids().empty());
    std::this_thread::sleep_for(Millis(300));
  }
  ASSERT_TRUE(Admin().MergePatch(holder, {{"metadata", {{"finalizers", nullptr}}}}).ok());
  EXPECT_TRUE(Eventually([&] { return Admin().Get(self).status == 404; }));
  // For whoever deletes it at the end.
  const Answer again = Admin().Create(
      self, {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", ns_.name()}}}});
  EXPECT_TRUE(again.ok()) << again.message();
}

TEST_F(ClusterFaults, AnEtcdThatRestartsCostsNothing) {
  PutModel();
  PutPolicy();
  Start();
  ASSERT_TRUE(Eventually([&] { return !Items(api::kJobs).empty(); })) << RunMessage();
  ASSERT_TRUE(Eventually([&] { return !Items(api::kDeployments).empty(); }));
  const std::set<std::string> before = Uids();
  ASSERT_GE(before.size(), 5u);
  Output(SourcePath("hack/cluster") + " restart etcd");
  // What is changed afterwards is acted on, so that it has seen what came after the restart.
  ASSERT_TRUE(Eventually([&] {
    return Admin()
        .MergePatch({api::kModelDeployments, {ns_.name(), "departures"}},
                    {{"spec", {{"model", {{"uri", "oci://models/departures:4"}}}}}})
        .ok();
  }));
  EXPECT_TRUE(Eventually([&] { return Items(api::kModelVersions).size() == 2; }));
  const std::set<std::string> after = Uids();
  for (const std::string& uid : before) {
    EXPECT_TRUE(after.contains(uid)) << uid << " is gone, or was made again";
  }
  EXPECT_EQ(Items(api::kJobs).size(), 1u);
}

}  // namespace
}  // namespace perennial::testing
