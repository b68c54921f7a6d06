#include "kube/runner.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/fake_api_server.h"
#include "support/in_process.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::ConfigMaps;
using testing::FakeApiServer;
using testing::ManualClock;

// A controller as small as can be: spec.value goes into a ConfigMap, then into status.value.
struct Toy {
  Meta meta;
  json spec;
  json status;
};

Toy DecodeToy(const json& object) {
  return {*ParseMeta(object), object.value("spec", json::object()),
          object.value("status", json::object())};
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
    json status = {
        {"value", value},
        {"observedGeneration", toy.meta.generation},
        {"conditions", json::array({{{"type", "Ready"},
                                     {"status", seen.last_error.empty() ? "True" : "False"},
                                     {"message", seen.last_error}}})}};
    // A controller may tell of an error in a plan of its own and act again only in the next one.
    const bool tells = toy.spec.value("tells", false) && !seen.last_error.empty() &&
                       status["conditions"] != toy.status.value("conditions", json::array());
    if (seen.child_value != value && !tells) {
      const Ref child{ConfigMaps(), toy.meta.key};
      json body = testing::MakeObject(child);
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

  static ClientOptions Impatient(ManualClock& clock) {
    ClientOptions options;
    options.sleep = [&clock](Millis time) { clock.Advance(time); };
    options.most_tries = 1;
    options.most_reconnects = 0;
    return options;
  }

  void SetValue(const std::string& value, int wake = 0) {
    json object = api_.Get(Self()).value_or(testing::MakeObject(Self()));
    object["spec"] = {{"value", value}};
    if (wake != 0) object["spec"]["wake"] = wake;
    api_.Put(Self().resource, object);
  }

  // What an informer does: the store catches up with the server, and changes wake the key.
  void Sync() {
    Fill(toys_, Self().resource);
    Fill(children_, ConfigMaps());
  }
  void Fill(Store<Toy>& store, const Resource& resource) {
    std::set<Key> listed;
    for (const json& object : api_.List(resource)) {
      auto toy = std::make_shared<const Toy>(DecodeToy(object));
      listed.insert(toy->meta.key);
      const auto before = store.Get(toy->meta.key);
      store.Upsert(toy);
      if (store.Get(toy->meta.key) != before) queue().Add(toy->meta.key);
    }
    for (const auto& object : store.All()) {
      if (!listed.contains(object->meta.key)) queue().Add(object->meta.key);
    }
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
  json Status() const { return api_.Get(Self())->value("status", json::object()); }
  std::string ReadyMessage() const {
    const json status = Status();
    return status.contains("conditions") ? status["conditions"][0].value("message", "") : "";
  }
  std::string LastError() { return runner_.core().LastError(Self().key); }

  ManualClock clock_;
  FakeApiServer api_{testing::InProcess()};
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

TEST_F(RunnerTest, CarriesAPlanOutAndThenRests) {
  Settle(Millis(1'000));
  EXPECT_EQ(Status()["value"], "1");
  EXPECT_EQ(api_.Get({ConfigMaps(), Self().key})->at("spec")["value"], "1");
  EXPECT_EQ(api_.Writes(), 2u);
  EXPECT_EQ(Counters().writes, 2u);
  EXPECT_EQ(Counters().error + Counters().terminal, 0u);
}

TEST_F(RunnerTest, WritesNothingWhileNothingChanges) {
  Settle(Millis(1'000));
  api_.ForgetRequests();
  for (int i = 0; i < 100; ++i) {
    queue().Add(Self().key, Priority::kResync);
    Settle(Millis(60'000));
  }
  EXPECT_TRUE(api_.Requests().empty());
  EXPECT_GE(Counters().success, 100u);
}

TEST_F(RunnerTest, LooksAgainWhenThePlanSaysSo) {
  SetValue("1", 30'000);
  Settle(Millis(100));
  const int before = reconciler_.observed;
  clock_.Advance(Millis(29'000));
  EXPECT_EQ(Work(), 0);
  clock_.Advance(Millis(1'000));
  EXPECT_EQ(Work(), 1);
  EXPECT_EQ(reconciler_.observed, before + 1);
  EXPECT_GE(Counters().requeue_after, 2u);
}

TEST_F(RunnerTest, DecidesNothingBeforeTheStoreShowsItsOwnWrite) {
  Work();
  ASSERT_EQ(Status()["value"], "1");
  const int before = reconciler_.observed;
  api_.ForgetRequests();
  // The store still shows what was there before: the status would look unwritten.
  for (int i = 0; i < 30; ++i) {
    queue().Add(Self().key);
    Work();
    clock_.Advance(Millis(100));
  }
  EXPECT_EQ(reconciler_.observed, before);
  EXPECT_GE(Counters().skipped, 30u);
  Sync();
  Work();
  EXPECT_EQ(reconciler_.observed, before + 1);
  EXPECT_EQ(api_.Writes(), 0u);
}

TEST_F(RunnerTest, LooksByItselfOnceTheStoreHasCaughtUp) {
  Work();
  queue().Add(Self().key);
  Work();
  const int before = reconciler_.observed;
  toys_.Upsert(std::make_shared<const Toy>(DecodeToy(*api_.Get(Self()))));  // nobody adds the key
  clock_.Advance(Millis(100));
  Work();
  EXPECT_EQ(reconciler_.observed, before + 1);
}

TEST_F(RunnerTest, DecidesAfterFiveSecondsWithoutNewsAndIsHarmlessThen) {
  Work();
  const int before = reconciler_.observed;
  const json stored = *api_.Get(Self());
  clock_.Advance(Millis(4'900));
  queue().Add(Self().key);
  Work();
  EXPECT_EQ(reconciler_.observed, before);
  clock_.Advance(Millis(200));
  Work();
  EXPECT_EQ(reconciler_.observed, before + 1);
  EXPECT_EQ(*api_.Get(Self()), stored) << "the stale status is refused";
  EXPECT_EQ(Counters().error, 1u);
}

TEST_F(RunnerTest, DecidesAgainWithFreshDataAfterAConflict) {
  Settle(Millis(100));
  SetValue("2");
  Sync();
  SetValue("3");  // after the snapshot
  Work();
  EXPECT_EQ(Status()["value"], "1");
  EXPECT_EQ(Counters().error, 1u);
  Settle(Millis(100));
  EXPECT_EQ(Status()["value"], "3");
  EXPECT_EQ(LastError(), "");
}

TEST_F(RunnerTest, DoesNotHammerWithConflicts) {
  Settle(Millis(100));
  SetValue("2");
  Sync();
  api_.ForgetRequests();
  SetValue("3");
  // The store never catches up.
  for (int i = 0; i < 60'000; ++i) {
    Work();
    clock_.Advance(Millis(1));
  }
  EXPECT_LE(api_.Count(testing::On("PATCH", "/status")), 15u);
}

TEST_F(RunnerTest, WaitsAsLongAsAThrottlingServerAsks) {
  api_.FailNext(testing::On("PATCH"), testing::Answer(429, "TooManyRequests", 7));
  Work();
  ASSERT_EQ(api_.Writes(), 1u);
  for (int i = 0; i < 69; ++i) {
    clock_.Advance(Millis(100));
    Work();
  }
  EXPECT_EQ(api_.Writes(), 1u);
  clock_.Advance(Millis(100));
  Work();
  EXPECT_EQ(Status()["value"], "1");
}

TEST_F(RunnerTest, TellsWhyAWriteIsRefusedAndGoesOnTrying) {
  api_.FailNext(testing::On("PATCH", "/configmaps"), testing::Answer(403, "Forbidden"), 1'000'000);
  Settle(Millis(10'000));
  EXPECT_NE(LastError(), "");
  EXPECT_EQ(ReadyMessage(), LastError());
  EXPECT_FALSE(Status().contains("value")) << "what was not done is not claimed";
  EXPECT_GE(Counters().terminal, 5u);

  // Told once, tried less and less often.
  Settle(Millis(3'600'000));
  api_.ForgetRequests();
  Settle(Millis(3'600'000));
  EXPECT_EQ(api_.Count(testing::On("", "/status")), 0u);
  EXPECT_LE(api_.Count(testing::On("PATCH", "/configmaps")), 13u);
  EXPECT_GE(api_.Count(testing::On("PATCH", "/configmaps")), 9u);

  api_.faults().Clear();
  Settle(Millis(400'000));
  EXPECT_EQ(Status()["value"], "1");
  EXPECT_EQ(ReadyMessage(), "");
  EXPECT_EQ(LastError(), "");
  api_.ForgetRequests();
  Settle(Millis(3'600'000));
  EXPECT_EQ(api_.Writes(), 0u);
}

TEST_F(RunnerTest, RemembersAnErrorThatAPlanOnlyTellsOf) {
  json object = *api_.Get(Self());
  object["spec"]["tells"] = true;
  api_.Put(Self().resource, object);
  api_.FailNext(testing::On("PATCH", "/configmaps"), testing::Answer(403, "Forbidden"), 1'000'000);
  for (int i = 0; i < 1'000 && ReadyMessage().empty(); ++i) {
    clock_.Advance(Millis(1));
    Sync();
    Work();
  }
  EXPECT_NE(ReadyMessage(), "");
  EXPECT_EQ(LastError(), ReadyMessage()) << "telling of it is not getting over it";
  Settle(Millis(3'600'000));
  EXPECT_EQ(ReadyMessage(), LastError());
  api_.ForgetRequests();
  Settle(Millis(3'600'000));
  EXPECT_EQ(api_.Count(testing::On("", "/status")), 0u) << "told once";
  EXPECT_LE(api_.Count(testing::On("PATCH", "/configmaps")), 13u) << "and tried less often";
  EXPECT_GE(api_.Count(testing::On("PATCH", "/configmaps")), 9u);

  // What was refused is wanted no more: nothing is left to tell of.
  object = *api_.Get(Self());
  object["spec"]["value"] = "";
  api_.Put(Self().resource, object);
  Settle(Millis(10'000));
  EXPECT_EQ(LastError(), "");
  EXPECT_EQ(ReadyMessage(), "");
}

TEST_F(RunnerTest, TellsOfANameThatSomebodyElseHas) {
  api_.Put(ConfigMaps(), testing::MakeObject({ConfigMaps(), Self().key}));
  Settle(Millis(10'000));
  EXPECT_NE(ReadyMessage().find("exists and is not controlled by"), std::string::npos);
  api_.Remove({ConfigMaps(), Self().key});
  Settle(Millis(10'000));
  EXPECT_EQ(ReadyMessage(), "");
  EXPECT_EQ(Status()["value"], "1");
}

TEST_F(RunnerTest, TriesAgainAtOnceWhenTheSpecChanges) {
  api_.FailNext(testing::On("PATCH", "/configmaps"), testing::Answer(422, "Invalid"), 12);
  Settle(Millis(10'000));
  ASSERT_NE(LastError(), "");
  api_.faults().Clear();
  SetValue("2");
  Settle(Millis(10));
  EXPECT_EQ(Status()["value"], "2");
}

TEST_F(RunnerTest, RetriesWhatMayPassByItself) {
  for (const testing::Fault& fault : {testing::Answer(500, "InternalError"), testing::Drop(),
                                      testing::LoseReply(), testing::Answer(404, "NotFound")}) {
    static int value = 10;
    SetValue(std::to_string(++value));
    api_.FailNext(testing::On("PATCH", "/configmaps"), fault, 3);
    if (fault.status != 404) api_.FailNext(testing::On("PATCH", "/status"), fault, 3);
    Settle(Millis(2'000));
    EXPECT_EQ(Status()["value"], std::to_string(value));
    EXPECT_EQ(LastError(), "");
    EXPECT_EQ(queue().Failures(Self().key), 0);
  }
}

TEST_F(RunnerTest, DoesNothingMoreOnceTheLeaseIsLost) {
  permitted_ = false;
  Settle(Millis(60'000));
  EXPECT_EQ(api_.Writes(), 0u);
  EXPECT_EQ(reconciler_.observed, 1);
}

TEST_F(RunnerTest, ForgetsWhatIsGone) {
  api_.FailNext(testing::On("PATCH"), testing::Answer(422, "Invalid"), 5);
  Settle(Millis(20));
  ASSERT_NE(LastError(), "");
  api_.Remove(Self());
  Settle(Millis(1'000));
  EXPECT_EQ(LastError(), "");
  EXPECT_EQ(queue().Failures(Self().key), 0);
  EXPECT_EQ(queue().delayed(), 0u);
}

TEST_F(RunnerTest, RunsManyObjectsOnThreads) {
  for (int i = 0; i < 50; ++i) {
    const Ref ref{testing::ModelDeployments(), {"transit", "m" + std::to_string(i)}};
    json object = testing::MakeObject(ref);
    object["spec"] = {{"value", std::to_string(i)}};
    api_.Put(ref.resource, object);
  }
  runner_.Start(3);
  const auto all_done = [&] {
    for (const json& object : api_.List(testing::ModelDeployments())) {
      if (object.value("status", json::object()).value("value", "") != object["spec"]["value"]) {
        return false;
      }
    }
    return true;
  };
  const Millis end = SystemClock().Steady() + Millis(30'000);
  while (!all_done() && SystemClock().Steady() < end) {
    Sync();
    clock_.Advance(Millis(10));
    std::this_thread::sleep_for(Millis(1));
  }
  runner_.Stop();
  EXPECT_TRUE(all_done());
  EXPECT_EQ(Counters().terminal, 0u);
}

}  // namespace
}  // namespace perennial::kube
