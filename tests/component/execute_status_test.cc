// How plans' statuses and conditions are written, and when nothing may be written any more.
#include <gtest/gtest.h>

#include "kube/execute.h"
#include "support/execute_fixture.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::ConfigMaps;

TEST_F(ExecuteTest, WritesTheStatusAsAWhole) {
  ASSERT_TRUE(Run(PlanOf({}, R"({"champion": "v2", "why": "new", "conditions":
      [{"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "True"}]})"))
                  .ok());
  subject_.resource_version = (*api_.Get(subject_.ref))["metadata"]["resourceVersion"];
  const auto done =
      Run(PlanOf({}, R"({"why": "newer", "conditions": [{"type": "Ready", "status": "True"}]})"));
  ASSERT_TRUE(done.ok());
  const json after = *api_.Get(subject_.ref);
  EXPECT_EQ(after["status"],
            (json{{"why", "newer"}, {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}))
      << "the champion and the condition Stalled are gone with the value that held them";
  EXPECT_EQ(after["spec"], (json{{"replicas", 3}}));
  EXPECT_EQ(done->resource_version, after["metadata"]["resourceVersion"].get<std::string>());
  EXPECT_EQ(done->writes, 1);
}

TEST_F(ExecuteTest, WritesNoStatusOverANewerObject) {
  json changed = *api_.Get(subject_.ref);
  changed["spec"]["replicas"] = 4;
  api_.Put(subject_.ref.resource, changed);
  const auto done = Run(PlanOf({Event("Decided")}, R"({"why": "new"})"));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kConflict);
  EXPECT_EQ(Status()["why"], "old");
  EXPECT_EQ(EventsQueued(), 0) << "what is not recorded did not happen";
}

TEST_F(ExecuteTest, TakesTheStatusOfAGoneObjectForWritten) {
  api_.Remove(subject_.ref);
  const auto done = Run(PlanOf({}, R"({"why": "new"})"));
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->resource_version, std::nullopt);
  EXPECT_FALSE(api_.Get(subject_.ref).has_value()) << "applying must not create it again";
}

TEST_F(ExecuteTest, GivesNoStatusToAnotherObjectOfTheSameName) {
  api_.Remove(subject_.ref);
  api_.Put(subject_.ref.resource, testing::MakeObject(subject_.ref));
  EXPECT_FALSE(Run(PlanOf({}, R"({"why": "new"})")).ok());
  EXPECT_FALSE(api_.Get(subject_.ref)->contains("status"));
}

TEST_F(ExecuteTest, RecordsEventsAfterTheStatusThatTheyTellOf) {
  bool told_before = false;
  transport_.After("PATCH", [&] { told_before = events_.WriteOne(); });
  ASSERT_TRUE(Run(PlanOf({Event("Decided")}, R"({"why": "new"})")).ok());
  EXPECT_FALSE(told_before);
  EXPECT_EQ(EventsQueued(), 1);
}

TEST_F(ExecuteTest, WritesNothingWithoutAPermit) {
  permit_ = [] { return false; };
  const auto done = Run(PlanOf({Apply({{"a", "1"}}), Event("Decided")}, R"({"why": "new"})"));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kCancelled);
  EXPECT_EQ(Writes(), 0u);
  EXPECT_EQ(EventsQueued(), 0);
}

TEST_F(ExecuteTest, StopsWritingAtTheMomentWhenThePermitEnds) {
  const json old = api_.Put(ConfigMaps(), Body(Child("old"), json::object()));
  const Plan plan = PlanOf({Apply({{"a", "1"}}, "first"), Create("run-1"),
                            DeleteObject{Child("old"), old["metadata"]["uid"]}},
                           R"({"why": "new"})");
  for (std::size_t allowed = 0; allowed < 4; ++allowed) {
    SCOPED_TRACE(allowed);
    api_.ForgetRequests();
    permit_ = [&] { return Writes() < allowed; };
    const auto done = Run(plan);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, Errc::kCancelled);
    EXPECT_EQ(Writes(), allowed);
  }
  permit_ = nullptr;
  EXPECT_TRUE(Run(plan).ok());
}

TEST_F(ExecuteTest, AsksForThePermitAfterReadingToo) {
  bool allowed = true;
  permit_ = [&] { return allowed; };
  transport_.After("GET", [&] { allowed = false; });
  const auto done = Run(PlanOf({Apply({{"a", "1"}})}));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kCancelled);
  EXPECT_EQ(Writes(), 0u);
}

TEST_F(ExecuteTest, TellsConditionsWithoutClaimingTheRest) {
  const std::string wanted = R"({"champion": "v2", "observedGeneration": 7, "conditions":
      [{"type": "Ready", "status": "False", "message": "refused"}]})";
  const auto told = TellConditions(client_, subject_, wanted, permit_);
  ASSERT_TRUE(told.ok());
  const json after = *api_.Get(subject_.ref);
  EXPECT_EQ(*told, std::optional(after["metadata"]["resourceVersion"].get<std::string>()));
  EXPECT_EQ(after["status"]["champion"], "v1");
  EXPECT_EQ(after["status"]["why"], "old");
  EXPECT_EQ(after["status"]["observedGeneration"], 7);
  EXPECT_EQ(after["status"]["conditions"][0]["message"], "refused");

  subject_.resource_version = after["metadata"]["resourceVersion"];
  api_.ForgetRequests();
  const auto again = TellConditions(client_, subject_, wanted, permit_);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, std::nullopt);
  EXPECT_EQ(Writes(), 0u) << "told already";
}

TEST_F(ExecuteTest, TellsNothingOnAnObjectThatChanged) {
  json changed = *api_.Get(subject_.ref);
  changed["spec"]["replicas"] = 4;
  api_.Put(subject_.ref.resource, changed);
  api_.ForgetRequests();
  const auto told =
      TellConditions(client_, subject_, R"({"conditions": [{"type": "Ready"}]})", permit_);
  ASSERT_TRUE(told.ok());
  EXPECT_EQ(*told, std::nullopt);
  EXPECT_EQ(Writes(), 0u);
}

}  // namespace
}  // namespace perennial::kube
