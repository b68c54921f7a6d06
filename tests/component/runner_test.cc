#include "kube/runner.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "support/runner_fixture.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::ConfigMaps;

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

// Another controller that wants something else, and answers each of our writes at once.
TEST_F(RunnerTest, RepeatsEverMoreSeldomWhatSomebodyElseUndoes) {
  int undone = 0;
  const Millis end = clock_.Steady() + Millis(600'000);
  while (clock_.Steady() < end) {
    Sync();
    const int looks = Work();
    json child = *api_.Get({ConfigMaps(), Self().key});
    if (child["spec"]["value"] == "1") {
      child["spec"]["value"] = "theirs";
      api_.Put(ConfigMaps(), child);
      ++undone;
    } else if (looks == 0) {
      clock_.Advance(queue().next_due().value_or(end) - clock_.Steady());
    }
  }
  EXPECT_GE(undone, 8) << "it goes on trying";
  EXPECT_LE(undone, 12) << "two controllers drive each other";
  EXPECT_NE(ReadyMessage().find("does not stay as it is applied"), std::string::npos)
      << ReadyMessage();
  // The other one is gone.
  Settle(Millis(400'000));
  EXPECT_EQ(api_.Get({ConfigMaps(), Self().key})->at("spec")["value"], "1");
  EXPECT_EQ(ReadyMessage(), "");
  api_.ForgetRequests();
  Settle(Millis(600'000));
  EXPECT_EQ(api_.Writes(), 0u);
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

// The whole status doesn't go through; its conditions alone do, and say why.
TEST_F(RunnerTest, TellsOfAStatusThatIsTooLargeAndHoldsUpNoOther) {
  testing::Match whole = testing::On("PATCH", "/departures/status");
  whole.body = R"("value":"1")";
  api_.FailNext(whole, testing::Answer(413, "RequestEntityTooLarge"), 1'000'000);
  const Ref other{testing::ModelDeployments(), {"transit", "arrivals"}};
  api_.Put(other.resource, testing::MakeObject(other, R"({"spec":{"value":"2"}})"));
  Settle(Millis(10'000));
  EXPECT_NE(LastError().find("413"), std::string::npos) << LastError();
  EXPECT_EQ(ReadyMessage(), LastError());
  EXPECT_FALSE(Status().contains("value"));
  EXPECT_EQ(api_.Get(other)->at("status")["value"], "2");
  EXPECT_GE(Counters().terminal, 5u);

  Settle(Millis(3'600'000));
  api_.ForgetRequests();
  Settle(Millis(3'600'000));
  EXPECT_LE(api_.Writes(), 13u) << "told once, and tried less and less often";
  EXPECT_GE(api_.Writes(), 9u);

  api_.faults().Clear();
  Settle(Millis(400'000));
  EXPECT_EQ(Status()["value"], "1");
  EXPECT_EQ(ReadyMessage(), "");
  EXPECT_EQ(LastError(), "");
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
