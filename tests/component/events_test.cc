#include "kube/events.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "support/fake_api_server.h"
#include "support/in_process.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::FakeApiServer;
using testing::ManualClock;

class EventsTest : public ::testing::Test {
 protected:
  static ClientOptions Impatient(ManualClock& clock) {
    ClientOptions options;
    options.sleep = [&clock](Millis time) { clock.Advance(time); };
    options.deadline = Millis(500);
    return options;
  }
  Ref Model(const std::string& name = "departures") const {
    return {testing::ModelDeployments(), {"transit", name}};
  }
  static EmitEvent Event(const std::string& note, const std::string& reason = "Promoted") {
    return {EmitEvent::Type::kNormal, reason, "Promote", note};
  }
  void Record(const std::string& note, const std::string& uid = "uid-1") {
    recorder_.Record(Model(), uid, Event(note));
  }
  // Writes what is queued; returns how many requests that took.
  int Flush() {
    int written = 0;
    while (recorder_.WriteOne()) ++written;
    return written;
  }
  std::vector<json> Stored() const { return api_.List(testing::Events()); }

  ManualClock clock_;
  FakeApiServer api_{testing::InProcess()};
  Client client_{api_.transport(), clock_, "perennial-test", Impatient(clock_)};
  EventRecorder recorder_{client_, clock_, "perennial.dev/modeldeployment", "controller-0"};
};

TEST_F(EventsTest, HoldWhatTheApiAsksFor) {
  recorder_.Record(Model(), "uid-1",
                   {EmitEvent::Type::kWarning, "RolledBack", "Rollback", "error rate 12 %"});
  EXPECT_EQ(Flush(), 1);
  ASSERT_EQ(Stored().size(), 1u);
  const json event = Stored()[0];
  EXPECT_EQ(event["apiVersion"], "events.k8s.io/v1");
  EXPECT_EQ(event["metadata"]["namespace"], "transit");
  EXPECT_EQ(event["metadata"]["name"].get<std::string>().rfind("departures-", 0), 0u);
  EXPECT_EQ(event["eventTime"], "2026-11-24T12:00:00.000000Z");
  EXPECT_EQ(event["type"], "Warning");
  EXPECT_EQ(event["reason"], "RolledBack");
  EXPECT_EQ(event["action"], "Rollback");
  EXPECT_EQ(event["note"], "error rate 12 %");
  EXPECT_EQ(event["reportingController"], "perennial.dev/modeldeployment");
  EXPECT_EQ(event["reportingInstance"], "controller-0");
  EXPECT_EQ(event["regarding"], (json{{"apiVersion", "perennial.dev/v1alpha1"},
                                      {"kind", "ModelDeployment"},
                                      {"namespace", "transit"},
                                      {"name", "departures"},
                                      {"uid", "uid-1"}}));
  EXPECT_FALSE(event.contains("series"));
}

TEST_F(EventsTest, GoToTheDefaultNamespaceForClusterScopedObjects) {
  recorder_.Record({testing::ModelDeployments(), {"", "node-1"}}, "uid-1", Event("x"));
  Flush();
  ASSERT_EQ(Stored().size(), 1u);
  EXPECT_EQ(Stored()[0]["metadata"]["namespace"], "default");
  EXPECT_FALSE(Stored()[0]["regarding"].contains("namespace"));
}

TEST_F(EventsTest, BecomeASeriesWhenTheyRepeat) {
  Record("same");
  Flush();
  clock_.Advance(Millis(60'000));
  Record("same");
  Flush();
  clock_.Advance(Millis(60'000));
  Record("same");
  Flush();
  ASSERT_EQ(Stored().size(), 1u);
  EXPECT_EQ(Stored()[0]["series"],
            (json{{"count", 3}, {"lastObservedTime", "2026-11-24T12:02:00.000000Z"}}));
  EXPECT_EQ(Stored()[0]["eventTime"], "2026-11-24T12:00:00.000000Z");
}

TEST_F(EventsTest, AreOthersWhenAnythingDiffers) {
  Record("one");
  Record("two");
  Record("one", "uid-2");
  recorder_.Record(Model(), "uid-1", Event("one", "Paused"));
  recorder_.Record(Model(), "uid-1", {EmitEvent::Type::kWarning, "Promoted", "Promote", "one"});
  Flush();
  EXPECT_EQ(Stored().size(), 5u);
  std::set<std::string> names;
  for (const json& event : Stored()) names.insert(event["metadata"]["name"]);
  EXPECT_EQ(names.size(), 5u);
}

TEST_F(EventsTest, BeginANewSeriesAfterSixQuietMinutes) {
  Record("same");
  Flush();
  clock_.Advance(Millis(6 * 60'000));
  Record("same");
  Flush();
  EXPECT_EQ(Stored().size(), 2u);
}

TEST_F(EventsTest, BeginANewSeriesWhenTheOldOneExpiredInTheCluster) {
  Record("same");
  Flush();
  api_.Remove({testing::Events(), {"transit", Stored()[0]["metadata"]["name"]}});
  Record("same");
  Flush();
  Record("same");
  Flush();
  ASSERT_EQ(Stored().size(), 1u);
}

TEST_F(EventsTest, CostARequestForManyRepetitionsThatWait) {
  Record("same");
  for (int i = 0; i < 100; ++i) Record("same");
  EXPECT_EQ(Flush(), 2);
  EXPECT_EQ(Stored()[0]["series"]["count"], 101);
}

TEST_F(EventsTest, HaveABudgetOf25AnObjectAndThenOneIn5Minutes) {
  for (int i = 0; i < 100; ++i) Record("note " + std::to_string(i));
  Flush();
  EXPECT_EQ(Stored().size(), 25u);
  EXPECT_EQ(recorder_.dropped(), 75u);
  Record("of another object", "uid-2");
  Flush();
  EXPECT_EQ(Stored().size(), 26u);
  for (int minute = 0; minute < 60; ++minute) {
    clock_.Advance(Millis(60'000));
    Record("minute " + std::to_string(minute));
    Flush();
  }
  EXPECT_EQ(Stored().size(), 38u) << "one in five minutes";
}

TEST_F(EventsTest, CountRepetitionsThatTheBudgetDoesNotWrite) {
  Record("same");
  Flush();
  int requests = 1;
  for (int i = 0; i < 200; ++i) {
    clock_.Advance(Millis(1'000));
    Record("same");
    requests += Flush();
  }
  EXPECT_LE(requests, 26);
  EXPECT_EQ(recorder_.dropped(), 0u);
  clock_.Advance(Millis(5 * 60'000));
  Record("same");
  Flush();
  EXPECT_EQ(Stored()[0]["series"]["count"], 202);
}

TEST_F(EventsTest, AreDroppedFromAFullQueueAndCounted) {
  for (int i = 0; i < 1'500; ++i) Record("x", "uid-" + std::to_string(i));
  EXPECT_EQ(recorder_.dropped(), 500u);
  EXPECT_EQ(Flush(), 1'000);
}

TEST_F(EventsTest, KeepTheirMemoryBounded) {
  for (int i = 0; i < 6'000; ++i) {
    Record("x", "uid-" + std::to_string(i));
    Flush();
  }
  EXPECT_EQ(recorder_.dropped(), 0u);
  EXPECT_EQ(Stored().size(), 6'000u);
}

TEST_F(EventsTest, AreTriedAgainButNotForEver) {
  api_.FailNext(testing::On("", "/events"), testing::Drop(), 2);
  Record("one");
  EXPECT_EQ(Flush(), 3);
  EXPECT_EQ(Stored().size(), 1u);
  api_.FailNext(testing::On("", "/events"), testing::Drop(), 1'000);
  Record("two");
  Flush();
  EXPECT_EQ(recorder_.dropped(), 1u);
  api_.faults().Clear();
  Record("three");
  Flush();
  EXPECT_EQ(Stored().size(), 2u);
}

TEST_F(EventsTest, AreNotDoubledByALostAnswer) {
  api_.FailNext(testing::On("", "/events"), testing::LoseReply(), 1);
  Record("one");
  Flush();
  EXPECT_EQ(Stored().size(), 1u);
  EXPECT_EQ(recorder_.dropped(), 0u);
}

TEST_F(EventsTest, AreDroppedWhereTheyAreNotAllowed) {
  api_.FailNext(testing::On("", "/events"), testing::Answer(403, "Forbidden"), 1);
  Record("one");
  EXPECT_EQ(Flush(), 1);
  EXPECT_EQ(recorder_.dropped(), 1u);
}

TEST_F(EventsTest, CarryNoSecretsNoControlBytesAndNoHalfCharacters) {
  Record("Bearer abc\nsecond " + std::string(1'000, 'x') + "ääääääääää");
  Flush();
  ASSERT_EQ(Stored().size(), 1u);
  const std::string note = Stored()[0]["note"];
  EXPECT_EQ(note.find("abc"), std::string::npos);
  EXPECT_EQ(note.find('\n'), std::string::npos);
  EXPECT_LE(note.size(), 1'024u);
  EXPECT_EQ(note.find("\xEF\xBF\xBD"), std::string::npos) << "a replacement character";
}

TEST_F(EventsTest, HaveValidNamesForLongObjects) {
  const std::string name(253, 'a');
  recorder_.Record(Model(name), "uid-1", Event("x"));
  Flush();
  ASSERT_EQ(Stored().size(), 1u);
  EXPECT_LE(Stored()[0]["metadata"]["name"].get<std::string>().size(), 253u);
}

TEST(EventsThread, WritesWhatManyThreadsRecordAndWhatIsLeftAtTheEnd) {
  FakeApiServer api(testing::InProcess());
  Client client(api.transport(), SystemClock(), "perennial-test");
  {
    EventRecorder recorder(client, SystemClock(), "perennial.dev/test", "pod");
    recorder.Start();
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&recorder, t] {
        for (int i = 0; i < 20; ++i) {
          recorder.Record({testing::ModelDeployments(), {"ns", "m" + std::to_string(t)}},
                          "uid-" + std::to_string(t),
                          {EmitEvent::Type::kNormal, "R", "A", std::to_string(i)});
        }
      });
    }
  }
  EXPECT_EQ(api.List(testing::Events()).size(), 80u);
}

}  // namespace
}  // namespace perennial::kube
