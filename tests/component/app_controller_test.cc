// The whole controller in this process, against an API server in this process. The parts of the
// cluster that it relies on (deployment and endpoint controllers, kubelet) are played by the test.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/names.h"
#include "app/controller.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"

namespace perennial::app {
namespace {

using nlohmann::json;
using ::perennial::testing::FakeApiServer;
using ::perennial::testing::InProcess;
using ::perennial::testing::On;

const kube::Ref kLease{::perennial::testing::Leases(),
                       {"perennial-system", "perennial-controller"}};

// What an API server answers beside objects: who asks, and what is installed.
class Front final : public kube::Transport {
 public:
  explicit Front(kube::Transport& inner) : inner_(inner) {}

  Result<kube::Response> Send(const kube::Request& request, Millis deadline) override {
    if (request.path == "/apis/authentication.k8s.io/v1/selfsubjectreviews") {
      return kube::Response{
          201, R"({"status":{"userInfo":{"username":"system:serviceaccount:x:perennial"}}})", {}};
    }
    if (request.path == "/apis/perennial.dev/v1alpha1") {
      ++asked;
      json resources = json::array();
      if (installed) {
        for (const char* name : {"modeldeployments", "driftmonitors", "retrainpolicies",
                                 "modelversions", "modelapprovals"}) {
          resources.push_back({{"name", name}});
        }
      }
      return kube::Response{200, json{{"resources", resources}}.dump(), {}};
    }
    return inner_.Send(request, deadline);
  }
  Status Stream(const kube::Request& request, Millis idle,
                const std::function<void(std::string_view)>& on_line,
                std::stop_token stop) override {
    return inner_.Stream(request, idle, on_line, stop);
  }

  std::atomic<bool> installed{true};
  std::atomic<int> asked{0};

 private:
  kube::Transport& inner_;
};

// True once `holds`, false after ten seconds.
template <class Condition>
bool Eventually(Condition holds) {
  for (int i = 0; i < 2'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(Millis(5));
  }
  return holds();
}

class ControllerTest : public ::testing::Test {
 protected:
  void Start(bool leader_elect = false) {
    RunOptions options;
    options.metrics_port = 0;
    options.health_port = 0;
    options.leader_elect = leader_elect;
    options.instance = "test";
    controller_ = std::make_unique<Controller>(
        options, Controller::Dependencies{front_, front_, SystemClock(), [this] { lost_ = true; },
                                          Millis(20)});
    ASSERT_TRUE(controller_->Listen().ok());
    thread_ = std::jthread([this](std::stop_token stop) { controller_->Run(stop); });
  }
  // As main does on SIGTERM.
  void Stop() {
    thread_.request_stop();
    thread_.join();
  }

  void AddModel() {
    server_.Put(api::kModelDeployments, json::parse(R"({
      "metadata": {"namespace": "transit", "name": "departures"},
      "spec": {"model": {"uri": "http://models/1"}, "template": {"spec": {"containers": [
        {"name": "model", "image": "m", "ports": [{"name": "http", "containerPort": 8080}]}]}}}})"));
  }
  json Model() {
    return server_.Get({api::kModelDeployments, {"transit", "departures"}}).value_or(json());
  }
  std::string Champion() {
    return Model().value(json::json_pointer("/status/champion"), std::string());
  }

  // The deployment controller, the kubelet and the endpoint slice controller: all pods are ready.
  void MakePodsReady() {
    for (const json& deployment : server_.List(api::kDeployments)) {
      const int replicas = deployment["spec"].value("replicas", 1);
      const kube::Key key{"transit", deployment["metadata"]["name"]};
      server_.PutStatus({api::kDeployments, key},
                        {{"observedGeneration", deployment["metadata"]["generation"]},
                         {"replicas", replicas},
                         {"updatedReplicas", replicas},
                         {"readyReplicas", replicas},
                         {"availableReplicas", replicas}});
    }
    for (const json& service : server_.List(api::kServices)) {
      const std::string name = service["metadata"]["name"];
      json labels = service["metadata"].value("labels", json::object());
      labels["kubernetes.io/service-name"] = name;
      server_.Put(api::kEndpointSlices,
                  {{"metadata",
                    {{"namespace", "transit"},
                     {"name", name + "-x"},
                     {"labels", labels},
                     {"ownerReferences", json::array({{{"apiVersion", "v1"},
                                                       {"kind", "Service"},
                                                       {"name", name},
                                                       {"uid", service["metadata"]["uid"]},
                                                       {"controller", true}}})}}},
                   {"addressType", "IPv4"},
                   {"endpoints",
                    {{{"addresses", {"127.0.0.1"}},
                      {"conditions", {{"ready", true}}},
                      {"targetRef", {{"kind", "Pod"}, {"name", name}, {"uid", name + "-uid"}}}}}},
                   {"ports", {{{"name", "http"}, {"port", 1}}}}});
    }
  }

  FakeApiServer server_{InProcess()};
  Front front_{server_.transport()};
  std::atomic<bool> lost_{false};
  std::unique_ptr<Controller> controller_;
  std::jthread thread_;  // last: ends before what it uses
};

TEST_F(ControllerTest, BringsAFirstModelToServeAndThenRests) {
  Start();
  AddModel();
  ASSERT_TRUE(Eventually([&] { return !server_.List(api::kDeployments).empty(); }));
  ASSERT_TRUE(Eventually([&] { return !server_.List(api::kServices).empty(); }));
  EXPECT_EQ(Champion(), "") << "nothing serves before its pods are ready";
  ASSERT_TRUE(Eventually([&] {
    MakePodsReady();
    return !Champion().empty();
  })) << Model().dump(2);
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

TEST_F(ControllerTest, WaitsForTheKindsToBeInstalled) {
  front_.installed = false;
  AddModel();
  Start();
  ASSERT_TRUE(Eventually([&] { return front_.asked >= 3; }));
  EXPECT_EQ(server_.Count({}), 0u) << "nothing is listed before";
  front_.installed = true;
  EXPECT_TRUE(Eventually([&] { return !server_.List(api::kDeployments).empty(); }));
  Stop();
}

TEST_F(ControllerTest, CanBeStoppedWhileItWaits) {
  front_.installed = false;
  Start();
  ASSERT_TRUE(Eventually([&] { return front_.asked >= 1; }));
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
  EXPECT_FALSE(lost_);
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
  EXPECT_TRUE(Eventually([&] { return lost_.load(); }));
  const size_t writes = server_.Writes();
  AddModel();
  std::this_thread::sleep_for(Millis(300));
  EXPECT_EQ(server_.Writes(), writes) << "who lost the Lease writes nothing";
  Stop();
  EXPECT_EQ(server_.Get(kLease)->at("spec").value("holderIdentity", ""), "another");
}

}  // namespace
}  // namespace perennial::app
