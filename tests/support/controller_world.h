#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>

#include "api/names.h"
#include "app/controller.h"
#include "kube/client.h"
#include "support/fake_api_server.h"

namespace perennial::testing {

// What an API server answers beside objects: who asks, and what is installed.
class Front final : public kube::Transport {
 public:
  explicit Front(kube::Transport& inner) : inner_(inner) {}

  Result<kube::Response> Send(const kube::Request& request, Millis deadline) override {
    using nlohmann::json;
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
    if (request.path.starts_with("/apis/authentication.k8s.io/v1/tokenreviews") ||
        request.path.starts_with("/apis/authorization.k8s.io/v1/subjectaccessreviews")) {
      return Review(nlohmann::json::parse(request.body)["spec"]);
    }
    return inner_.Send(request, std::min(deadline, most_patience.load()));
  }
  Status Stream(const kube::Request& request, Millis idle,
                const std::function<void(std::string_view)>& on_line,
                std::stop_token stop) override {
    return inner_.Stream(request, std::min(idle, most_silence.load()), on_line, stop);
  }

  std::atomic<bool> installed{true};
  std::atomic<int> asked{0};
  // Tokens that somebody has, and whether they may get /metrics. Before the controller starts.
  std::map<std::string, bool> readers;
  // For those who can't wait for the real time limits, of calls and of watches. They are for as
  // long as nobody answers: on a slow machine an answer takes longer than that as well.
  std::atomic<Millis> most_patience{Millis::max()};
  std::atomic<Millis> most_silence{Millis::max()};

 private:
  // A TokenReview, or a SubjectAccessReview of a user who is called as the token is.
  kube::Response Review(const nlohmann::json& spec) const {
    using nlohmann::json;
    json status = {{"authenticated", false}};
    if (spec.contains("user")) {
      const json& path = spec["nonResourceAttributes"]["path"];
      status = {{"allowed", path == "/metrics" && readers.at(spec["user"].get<std::string>())}};
    } else if (readers.contains(spec["token"].get<std::string>())) {
      status = {{"authenticated", true}, {"user", {{"username", spec["token"]}}}};
    }
    return {201, json{{"status", status}}.dump(), {}};
  }

  kube::Transport& inner_;
};

// The whole controller with its threads, against an API server in this process. The parts of the
// cluster that it relies on (deployment and endpoint controllers, kubelet) are played here.
class ControllerWorld {
 public:
  using json = nlohmann::json;

  // `wire`: how the controller reaches the API server; without, as a function call.
  explicit ControllerWorld(FakeApiServer& server, kube::Transport* wire = nullptr)
      : server_(server), front(wire != nullptr ? *wire : server.transport()) {}

  void Start(bool leader_elect = false, app::RunOptions options = {}) {
    options.metrics_port = 0;
    options.health_port = 0;
    options.leader_elect = leader_elect;
    options.instance = "test";
    controller_ = std::make_unique<app::Controller>(
        options,
        app::Controller::Dependencies{
            front, front, SystemClock(), [this] { lost = true; }, Millis(20), {}, server_url});
    ASSERT_TRUE(controller_->Listen().ok());
    thread_ = std::jthread([this](std::stop_token stop) { controller_->Run(stop); });
  }
  // As main does on SIGTERM.
  void Stop() {
    thread_.request_stop();
    thread_.join();
  }

  // As a user does: a change of status that the controller makes at the same moment stays.
  void SetModel(const std::string& uri) {
    const json model = {{"uri", uri}};
    if (!Model().is_null()) {
      kube::Client user(server_.transport(), SystemClock(), "user");
      const auto patched = user.MergePatch({api::kModelDeployments, {"transit", "departures"}},
                                           json{{"spec", {{"model", model}}}}.dump());
      EXPECT_TRUE(patched.ok());
      return;
    }
    json object = json::parse(R"({
      "metadata": {"namespace": "transit", "name": "departures"},
      "spec": {"template": {"spec": {"containers": [
        {"name": "model", "image": "m", "ports": [{"name": "http", "containerPort": 8080}]}]}}}})");
    object["spec"]["model"] = model;
    server_.Put(api::kModelDeployments, object);
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
                   {"ports", {{{"name", "http"}, {"port", pod_port}}}}});
    }
  }

  app::Controller& controller() { return *controller_; }

 private:
  FakeApiServer& server_;

 public:
  Front front;
  std::string server_url;  // set before Start(): at which it is said to reach the API server
  std::atomic<bool> lost{false};
  int pod_port = 1;  // where pods serve; nobody does on the first

 private:
  std::unique_ptr<app::Controller> controller_;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace perennial::testing
