#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "kube/runner.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"
#include "support/manual_clock.h"

namespace perennial::kube {

// A controller as small as can be: spec.value goes into a ConfigMap, then into status.value.
struct Toy {
  Meta meta;
  nlohmann::json spec;
  nlohmann::json status;
};

inline Toy DecodeToy(const nlohmann::json& object) {
  return {*ParseMeta(object), object.value("spec", nlohmann::json::object()),
          object.value("status", nlohmann::json::object())};
}

class ToyReconciler {
 public:
  struct Observed {
    std::shared_ptr<const Toy> toy;
    std::string child_value;
    std::string last_error;
  };
  static constexpr std::string_view kName = "toy";

  ToyReconciler(const Store<Toy>& toys, const Store<Toy>& children)
      : toys_(toys), children_(children) {}

  std::optional<Observed> Observe(const Key& key, const Attempt& attempt) {
    ++observed;
    const auto toy = toys_.Get(key);
    if (toy == nullptr) return std::nullopt;
    const auto child = children_.Get(key);
    return Observed{toy, child ? child->spec.value("value", "") : "", attempt.last_error};
  }

  static Plan Decide(const Observed& seen, WallTime now) {
    Plan plan;
    const Toy& toy = *seen.toy;
    const std::string value = toy.spec.value("value", "");
    plan.why = "value is " + value;
    nlohmann::json status = {
        {"value", value},
        {"observedGeneration", toy.meta.generation},
        {"conditions",
         nlohmann::json::array({{{"type", "Ready"},
                                 {"status", seen.last_error.empty() ? "True" : "False"},
                                 {"message", seen.last_error}}})}};
    // A controller may tell of an error in a plan of its own and act again only in the next one.
    const bool tells =
        toy.spec.value("tells", false) && !seen.last_error.empty() &&
        status["conditions"] != toy.status.value("conditions", nlohmann::json::array());
    if (seen.child_value != value && !tells) {
      const Ref child{testing::ConfigMaps(), toy.meta.key};
      nlohmann::json body = testing::MakeObject(child);
      body["metadata"]["ownerReferences"] = {{{"apiVersion", "perennial.dev/v1alpha1"},
                                              {"kind", "ModelDeployment"},
                                              {"name", toy.meta.key.name},
                                              {"uid", toy.meta.uid},
                                              {"controller", true}}};
      body["spec"] = {{"value", value}};
      plan.actions.emplace_back(ApplyObject{child, body.dump(), true});
    }
    if (status != toy.status) plan.status = status.dump();
    if (const int wake = toy.spec.value("wake", 0)) plan.wake_at = now + Millis(wake);
    return plan;
  }

  std::atomic<int> observed{0};

 private:
  const Store<Toy>& toys_;
  const Store<Toy>& children_;
};

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() {
    SetValue("1");
    Sync();
    api_.ForgetRequests();
  }

  static ClientOptions Impatient(testing::ManualClock& clock) {
    ClientOptions options;
    options.sleep = [&clock](Millis time) { clock.Advance(time); };
    options.most_tries = 1;
    options.most_reconnects = 0;
    return options;
  }

  void SetValue(const std::string& value, int wake = 0) {
    nlohmann::json object = api_.Get(Self()).value_or(testing::MakeObject(Self()));
    object["spec"] = {{"value", value}};
    if (wake != 0) object["spec"]["wake"] = wake;
    api_.Put(Self().resource, object);
  }

  // What an informer does: the store catches up with the server, and changes wake the key.
  void Sync() {
    Fill(toys_, Self().resource);
    Fill(children_, testing::ConfigMaps());
  }
  void Fill(Store<Toy>& store, const Resource& resource) {
    std::set<Key> listed;
    for (const nlohmann::json& object : api_.List(resource)) {
      auto toy = std::make_shared<const Toy>(DecodeToy(object));
      listed.insert(toy->meta.key);
      const auto before = store.Get(toy->meta.key);
      store.Upsert(toy);
      if (store.Get(toy->meta.key) != before) queue().Add(toy->meta.key);
    }
    store.ForEach([&](const Toy& toy) {
      if (!listed.contains(toy.meta.key)) queue().Add(toy.meta.key);
    });
    store.FinishList(listed);
  }

  // Looks at what is due now; returns how often it looked.
  int Work() {
    int looks = 0;
    while (const auto key = queue().TryTake()) {
      runner_.Reconcile(*key);
      queue().Done(*key);
      ++looks;
    }
    return looks;
  }
  // Until nothing is due within `time`, the stores always fresh.
  void Settle(Millis time) {
    const Millis end = clock_.Steady() + time;
    while (true) {
      Sync();
      if (Work() > 0) continue;
      const auto next = queue().next_due();
      if (!next || *next > end) break;
      clock_.Advance(*next - clock_.Steady());
    }
    if (end > clock_.Steady()) clock_.Advance(end - clock_.Steady());
  }

  Ref Self() const { return {testing::ModelDeployments(), {"transit", "departures"}}; }
  WorkQueue& queue() { return runner_.queue(); }
  RunnerCounters Counters() { return runner_.core().Counters(); }
  nlohmann::json Status() const {
    return api_.Get(Self())->value("status", nlohmann::json::object());
  }
  std::string ReadyMessage() const {
    const nlohmann::json status = Status();
    return status.contains("conditions") ? status["conditions"][0].value("message", "") : "";
  }
  std::string LastError() { return runner_.core().LastError(Self().key); }

  testing::ManualClock clock_;
  testing::FakeApiServer api_{testing::InProcess()};
  Client client_{api_.transport(), clock_, "perennial-toy", Impatient(clock_)};
  EventRecorder events_{client_, clock_, "perennial.dev/toy", "pod"};
  Store<Toy> toys_;
  Store<Toy> children_;
  ToyReconciler reconciler_{toys_, children_};
  bool permitted_ = true;
  Runner<ToyReconciler, Toy> runner_{reconciler_,
                                     toys_,
                                     testing::ModelDeployments(),
                                     {client_, events_, clock_, [this] { return permitted_; }}};
};

}  // namespace perennial::kube
