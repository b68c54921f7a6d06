// What becomes of the objects that plans ask for.
#include "kube/execute.h"

#include <gtest/gtest.h>

#include "support/execute_fixture.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::ConfigMaps;

TEST_F(ExecuteTest, DoesNothingForAPlanThatAsksForNothing) {
  const auto done = Run(PlanOf({}));
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->writes, 0);
  EXPECT_TRUE(api_.Requests().empty());
}

TEST_F(ExecuteTest, MakesAChildThatIsMissingAndChangesOneThatIsThere) {
  ASSERT_TRUE(Run(PlanOf({Apply({{"a", "1"}, {"b", "2"}})})).ok());
  EXPECT_EQ(Data(), (json{{"a", "1"}, {"b", "2"}}));
  ASSERT_TRUE(Run(PlanOf({Apply({{"a", "3"}})})).ok());
  EXPECT_EQ(Data(), (json{{"a", "3"}})) << "what the intent lacks is gone";
}

TEST_F(ExecuteTest, LeavesFieldsOfOthersInAChildAlone) {
  ASSERT_TRUE(Run(PlanOf({Apply({{"a", "1"}})})).ok());
  Client other(api_.transport(), clock_, "somebody");
  json theirs = testing::MakeObject(Child());
  theirs["data"] = {{"theirs", "x"}};
  ASSERT_TRUE(other.Apply(Child(), theirs.dump()).ok());
  ASSERT_TRUE(Run(PlanOf({Apply({{"b", "2"}})})).ok());
  EXPECT_EQ(Data(), (json{{"b", "2"}, {"theirs", "x"}}));
}

// Our intent names the field, then no longer does: whoever counts from then on finds what was.
TEST_F(ExecuteTest, HandsAFieldOverWithItsValue) {
  ASSERT_TRUE(Run(PlanOf({Apply({{"a", "1"}, {"count", "5"}})})).ok());
  ApplyObject without = Apply({{"a", "2"}});
  without.left_alone = "/data/count";
  ASSERT_TRUE(Run(PlanOf({without})).ok());
  EXPECT_EQ(Data(), (json{{"a", "2"}, {"count", "5"}}));
  // Somebody else counts; what we say later touches nothing.
  Client other(api_.transport(), clock_, "counter");
  ASSERT_TRUE(other.MergePatch(Child(), R"({"data": {"count": "7"}})").ok());
  ApplyObject again = Apply({{"a", "3"}});
  again.left_alone = "/data/count";
  ASSERT_TRUE(Run(PlanOf({again})).ok());
  EXPECT_EQ(Data(), (json{{"a", "3"}, {"count", "7"}}));
  // And nothing is handed over that is not there.
  ApplyObject fresh = Apply({{"a", "1"}}, "fresh");
  fresh.left_alone = "/data/count";
  ASSERT_TRUE(Run(PlanOf({fresh})).ok());
  ASSERT_TRUE(Run(PlanOf({fresh})).ok());
  EXPECT_EQ(Data("fresh"), (json{{"a", "1"}}));
}

TEST_F(ExecuteTest, NeverAdoptsForeignObjects) {
  const json owners[] = {
      json::array(),
      json::array({Owner("another-uid")}),
      json::array({[&] {
        json owner = Owner(subject_.uid);
        owner["controller"] = false;
        return owner;
      }()}),
  };
  for (const json& owner : owners) {
    SCOPED_TRACE(owner.dump());
    json foreign = testing::MakeObject(Child());
    foreign["metadata"]["ownerReferences"] = owner;
    foreign["data"] = {{"theirs", "x"}};
    const json before = api_.Put(ConfigMaps(), foreign);
    api_.ForgetRequests();
    const auto done = Run(PlanOf({Apply({{"a", "1"}})}, R"({"why": "new"})"));
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, Errc::kAlreadyExists);
    EXPECT_EQ(done.error().message,
              "ConfigMap transit/child exists and is not controlled by "
              "ModelDeployment transit/departures");
    EXPECT_EQ(*api_.Get(Child()), before);
    EXPECT_EQ(Writes(), 0u);
    api_.Remove(Child());
  }
}

TEST_F(ExecuteTest, DoesNotTakeAnObjectThatAppearsBetweenReadingAndWriting) {
  json before;
  transport_.After("GET", [&] {
    json foreign = testing::MakeObject(Child());
    foreign["data"] = {{"a", "theirs"}};
    Client other(api_.transport(), clock_, "somebody");
    ASSERT_TRUE(other.Create(Child(), foreign.dump()).ok());
    before = *api_.Get(Child());
  });
  const auto done = Run(PlanOf({Apply({{"a", "1"}})}));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kConflict);
  EXPECT_EQ(*api_.Get(Child()), before);
}

TEST_F(ExecuteTest, DoesNotWriteOverAnObjectThatWasReplacedOrChangedMeanwhile) {
  ASSERT_TRUE(Run(PlanOf({Apply({{"a", "1"}})})).ok());
  json before;
  transport_.After("GET", [&] {
    api_.Remove(Child());
    json foreign = testing::MakeObject(Child());
    foreign["data"] = {{"a", "theirs"}};
    before = api_.Put(ConfigMaps(), foreign);
  });
  EXPECT_FALSE(Run(PlanOf({Apply({{"a", "2"}})})).ok());
  EXPECT_EQ(*api_.Get(Child()), before);

  api_.Remove(Child());
  ASSERT_TRUE(Run(PlanOf({Apply({{"a", "1"}})})).ok());
  transport_.After("GET", [&] {
    json changed = *api_.Get(Child());
    changed["data"]["a"] = "newer";
    before = api_.Put(ConfigMaps(), changed);
  });
  const auto done = Run(PlanOf({Apply({{"a", "2"}})}));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kConflict);
  EXPECT_EQ(*api_.Get(Child()), before);
}

TEST_F(ExecuteTest, MakesWhatIsFreshWithOneRequest) {
  ApplyObject action = Apply({{"a", "1"}});
  action.fresh = true;
  ASSERT_TRUE(Run(PlanOf({action})).ok());
  EXPECT_EQ((*api_.Get(Child()))["data"], (json{{"a", "1"}}));
  EXPECT_EQ(api_.Requests().size(), 1u);
}

TEST_F(ExecuteTest, MakesWhatIsFreshWhereTheServerTakesNoVersionForIt) {
  ApplyObject action = Apply({{"a", "1"}});
  action.fresh = true;
  testing::Match with_version = testing::On("PATCH");
  with_version.body = R"("resourceVersion")";
  api_.FailNext(with_version, testing::Answer(422, "Invalid"));
  ASSERT_TRUE(Run(PlanOf({action})).ok());
  EXPECT_EQ((*api_.Get(Child()))["data"], (json{{"a", "1"}}));
}

TEST_F(ExecuteTest, TakesNothingOverThatWasThoughtToBeFresh) {
  json foreign = testing::MakeObject(Child());
  foreign["data"] = {{"a", "1"}};  // as ours would be
  const json before = api_.Put(ConfigMaps(), foreign);
  ApplyObject action = Apply({{"a", "1"}});
  action.fresh = true;
  const auto done = Run(PlanOf({action}));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kAlreadyExists);
  EXPECT_EQ(*api_.Get(Child()), before);
}

TEST_F(ExecuteTest, FindsItsOwnWhereTheAnswerAboutAFreshOneWasLost) {
  ApplyObject action = Apply({{"a", "1"}});
  action.fresh = true;
  api_.FailNext(testing::On("PATCH"), testing::LoseReply());
  ASSERT_TRUE(Run(PlanOf({action})).ok()) << "the client tries again, and finds it there";
  ASSERT_TRUE(Run(PlanOf({action})).ok());
  EXPECT_EQ((*api_.Get(Child()))["data"], (json{{"a", "1"}}));
  int created = 0;
  for (const auto& [ref, tally] : api_.Tallies()) {
    if (ref.key == Child().key) created += tally.created;
  }
  EXPECT_EQ(created, 1);
}

TEST_F(ExecuteTest, WaitsForAChildThatIsBeingDeleted) {
  json child = Body(Child(), {{"a", "1"}});
  child["metadata"]["finalizers"] = {"example.org/hold"};
  child["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z";
  api_.Put(ConfigMaps(), child);
  api_.ForgetRequests();
  const auto done = Run(PlanOf({Apply({{"a", "2"}})}));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kConflict);
  EXPECT_EQ(Writes(), 0u);
}

TEST_F(ExecuteTest, AnnotatesOnlyWhatExists) {
  const Ref target = Child("version");
  json body = testing::MakeObject(target);
  body["metadata"]["annotations"] = {{"perennial.dev/promoted-at", "now"}};
  const Plan plan = PlanOf({ApplyObject{target, body.dump(), false}});
  const auto missing = Run(plan);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, Errc::kNotFound);
  EXPECT_EQ(Writes(), 0u);

  json theirs = testing::MakeObject(target);
  theirs["data"] = {{"a", "1"}};
  api_.Put(ConfigMaps(), theirs);
  ASSERT_TRUE(Run(plan).ok());
  const json after = *api_.Get(target);
  EXPECT_EQ(after["metadata"]["annotations"]["perennial.dev/promoted-at"], "now");
  EXPECT_EQ(after["data"], (json{{"a", "1"}}));
}

TEST_F(ExecuteTest, GivesLabelsBackToTheVeryObjectThatLostThem) {
  json object = testing::MakeObject(Child());
  object["metadata"]["labels"] = {{"theirs", "x"}};
  const std::string uid = api_.Put(ConfigMaps(), object)["metadata"]["uid"];
  ASSERT_TRUE(Run(PlanOf({RelabelObject{Child(), uid, R"({"ours": "y"})"}})).ok());
  const json wanted = {{"theirs", "x"}, {"ours", "y"}};
  EXPECT_EQ((*api_.Get(Child()))["metadata"]["labels"], wanted);
  const json before = *api_.Get(Child());
  ASSERT_TRUE(Run(PlanOf({RelabelObject{Child(), "another", R"({"ours": "z"})"}})).ok());
  EXPECT_EQ(*api_.Get(Child()), before);
  api_.Remove(Child());
  ASSERT_TRUE(Run(PlanOf({RelabelObject{Child(), uid, R"({"ours": "z"})"}})).ok());
  EXPECT_FALSE(api_.Get(Child()).has_value());
}

TEST_F(ExecuteTest, RefusesToMakeOrphans) {
  json body = Body(Child(), {{"a", "1"}});
  body["metadata"]["ownerReferences"][0]["uid"] = "typo";
  const auto done = Run(PlanOf({ApplyObject{Child(), body.dump(), true}}));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kInvalid);
  EXPECT_TRUE(api_.Requests().empty());
}

TEST_F(ExecuteTest, CreatesOnceHoweverOftenItIsAsked) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Run(PlanOf({Create("run-1")})).ok());
  EXPECT_EQ(api_.List(ConfigMaps()).size(), 1u);
}

TEST_F(ExecuteTest, CreatesOnceWhenTheAnswerIsLost) {
  api_.FailNext(testing::On("POST"), testing::LoseReply());
  const auto lost = Run(PlanOf({Create("run-1")}));
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, Errc::kUnavailable);
  const json made = *api_.Get(Child("job"));
  ASSERT_TRUE(Run(PlanOf({Create("run-1")})).ok());
  EXPECT_EQ(*api_.Get(Child("job")), made);
}

TEST_F(ExecuteTest, TakesNoOtherObjectForTheOneToBeCreated) {
  json other = Body(Child("job"), {{"a", "1"}});
  const auto refused = [&](const std::string& part) {
    const json before = api_.Put(ConfigMaps(), other);
    const auto done = Run(PlanOf({Create("run-1")}));
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, Errc::kAlreadyExists);
    EXPECT_NE(done.error().message.find(part), std::string::npos) << done.error().message;
    EXPECT_EQ(*api_.Get(Child("job")), before);
  };
  refused("identity");
  other["metadata"]["labels"] = {{kIdentityLabel, "run-2"}};
  refused("identity");
  other["metadata"]["labels"] = {{kIdentityLabel, "run-1"}};  // forged
  other["metadata"]["ownerReferences"][0]["uid"] = "somebody";
  refused("controlled by");
  other["metadata"].erase("ownerReferences");
  refused("controlled by");
}

TEST_F(ExecuteTest, DeletesByUidOnly) {
  const json stored = api_.Put(ConfigMaps(), Body(Child(), json::object()));
  const std::string uid = stored["metadata"]["uid"];
  ASSERT_TRUE(Run(PlanOf({DeleteObject{Child(), "another-uid"}})).ok());
  EXPECT_TRUE(api_.Get(Child()).has_value()) << "another object of that name stays";
  ASSERT_TRUE(Run(PlanOf({DeleteObject{Child(), uid}})).ok());
  EXPECT_FALSE(api_.Get(Child()).has_value());
  EXPECT_TRUE(Run(PlanOf({DeleteObject{Child(), uid}})).ok()) << "gone is what was wanted";
}

TEST_F(ExecuteTest, DeletesOnlyWhatIsAsItWasSeen) {
  json stored = api_.Put(ConfigMaps(), Body(Child(), json::object()));
  const std::string uid = stored["metadata"]["uid"];
  const std::string seen = stored["metadata"]["resourceVersion"];
  stored["data"] = {{"serves", "again"}};
  api_.Put(ConfigMaps(), stored);
  EXPECT_FALSE(Run(PlanOf({DeleteObject{Child(), uid, seen}})).ok());
  ASSERT_TRUE(api_.Get(Child()).has_value());
  const std::string now = (*api_.Get(Child()))["metadata"]["resourceVersion"];
  ASSERT_TRUE(Run(PlanOf({DeleteObject{Child(), uid, now}})).ok());
  EXPECT_FALSE(api_.Get(Child()).has_value());
}

TEST_F(ExecuteTest, EndsAtTheFirstFailure) {
  api_.FailNext(testing::On("PATCH", "/second"), testing::Answer(403, "Forbidden"));
  const auto done = Run(PlanOf({Apply({{"a", "1"}}, "first"), Event("First"),
                                Apply({{"a", "1"}}, "second"), Apply({{"a", "1"}}, "third")},
                               R"({"why": "new"})"));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kForbidden);
  EXPECT_TRUE(api_.Get(Child("first")).has_value());
  EXPECT_FALSE(api_.Get(Child("third")).has_value());
  EXPECT_EQ(Status()["why"], "old");
  EXPECT_EQ(EventsQueued(), 0);
}

TEST_F(ExecuteTest, HandsEachKindOfFailureOn) {
  const std::pair<testing::Fault, Errc> cases[] = {
      {testing::Answer(403, "Forbidden"), Errc::kForbidden},
      {testing::Answer(422, "Invalid"), Errc::kInvalid},
      {testing::Answer(409, "Conflict"), Errc::kConflict},
      {testing::Answer(429, "TooManyRequests"), Errc::kThrottled},
      {testing::Answer(413, "RequestEntityTooLarge"), Errc::kTooLarge},
      {testing::Answer(500, "InternalError"), Errc::kUnavailable},
      {testing::Drop(), Errc::kUnavailable},
      {testing::LoseReply(), Errc::kUnavailable},
  };
  for (const auto& [fault, code] : cases) {
    SCOPED_TRACE(static_cast<int>(fault.kind) * 1000 + fault.status);
    // More often than the client tries again.
    api_.FailNext(testing::On("PATCH", "/child"), fault, 20);
    const auto done = Run(PlanOf({Apply({{"a", "1"}})}, R"({"why": "new"})"));
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, code);
    EXPECT_EQ(Status()["why"], "old");
    api_.faults().Clear();
    if (api_.Get(Child())) api_.Remove(Child());
  }
}

}  // namespace
}  // namespace perennial::kube
