#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kube/execute.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"
#include "support/manual_clock.h"

namespace perennial::kube {

// Lets a test act between two requests of one action.
class Between final : public Transport {
 public:
  explicit Between(Transport& inner) : inner_(inner) {}

  Result<Response> Send(const Request& request, Millis deadline) override {
    auto response = inner_.Send(request, deadline);
    if (after_ && request.method == method_) std::exchange(after_, nullptr)();
    return response;
  }
  Status Stream(const Request& request, Millis longest,
                const std::function<void(std::string_view)>& on_line,
                std::stop_token stop) override {
    return inner_.Stream(request, longest, on_line, stop);
  }
  // Once, after the next request with this method.
  void After(std::string method, std::function<void()> act) {
    method_ = std::move(method);
    after_ = std::move(act);
  }

 private:
  Transport& inner_;
  std::string method_;
  std::function<void()> after_;
};

// An object whose plans are carried out against a fake API server.
class ExecuteTest : public ::testing::Test {
 protected:
  ExecuteTest() {
    const nlohmann::json stored =
        api_.Put(testing::ModelDeployments(),
                 {{"metadata", {{"namespace", "transit"}, {"name", "departures"}}},
                  {"spec", {{"replicas", 3}}},
                  {"status", {{"champion", "v1"}, {"why", "old"}}}});
    subject_ = {{testing::ModelDeployments(), {"transit", "departures"}},
                stored["metadata"]["uid"],
                stored["metadata"]["resourceVersion"]};
    api_.ForgetRequests();
  }

  static ClientOptions Impatient(testing::ManualClock& clock) {
    ClientOptions options;
    options.sleep = [&clock](Millis time) { clock.Advance(time); };
    return options;
  }

  Ref Child(const std::string& name = "child") const {
    return {testing::ConfigMaps(), {"transit", name}};
  }

  nlohmann::json Owner(const std::string& uid) const {
    return {{"apiVersion", "perennial.dev/v1alpha1"},
            {"kind", "ModelDeployment"},
            {"name", "departures"},
            {"uid", uid},
            {"controller", true}};
  }

  nlohmann::json Body(const Ref& ref, const nlohmann::json& data) const {
    nlohmann::json body = testing::MakeObject(ref);
    body["metadata"]["ownerReferences"] = nlohmann::json::array({Owner(subject_.uid)});
    body["data"] = data;
    return body;
  }

  ApplyObject Apply(const nlohmann::json& data, const std::string& name = "child") const {
    return {Child(name), Body(Child(name), data).dump(), true};
  }

  CreateObject Create(const std::string& identity, const std::string& name = "job") const {
    nlohmann::json body = Body(Child(name), {{"a", "1"}});
    body["metadata"]["labels"] = {{kIdentityLabel, identity}};
    return {Child(name), body.dump()};
  }

  static EmitEvent Event(const std::string& reason) {
    return {EmitEvent::Type::kNormal, reason, "Test", "note"};
  }

  Result<Executed> Run(Plan plan) { return Execute(client_, events_, subject_, plan, permit_); }

  // Writes but for those of events.
  std::size_t Writes() const {
    std::size_t writes = 0;
    for (const auto& request : api_.Requests()) writes += request.request.method != "GET";
    return writes;
  }
  int EventsQueued() {
    int events = 0;
    while (events_.WriteOne()) ++events;
    return events;
  }
  nlohmann::json Status() const { return api_.Get(subject_.ref)->at("status"); }
  nlohmann::json Data(const std::string& name = "child") const {
    return api_.Get(Child(name))->at("data");
  }

  testing::ManualClock clock_;
  testing::FakeApiServer api_{testing::InProcess()};
  Between transport_{api_.transport()};
  Client client_{transport_, clock_, "perennial-test", Impatient(clock_)};
  EventRecorder events_{client_, clock_, "perennial.dev/test", "pod"};
  Subject subject_;
  WritePermit permit_;
};

inline Plan PlanOf(std::vector<Action> actions, std::optional<std::string> status = {}) {
  return {std::move(actions), std::move(status), {}, "test"};
}

}  // namespace perennial::kube
