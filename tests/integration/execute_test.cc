// That the real API server means what Execute relies on: preconditions, ownership, the status as a
// whole value, and events that it accepts.
#include "kube/execute.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "api/names.h"
#include "support/cluster_access.h"
#include "support/spec_cases.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::Admin;

const Resource& ConfigMaps() {
  static const Resource resource{"", "v1", "configmaps", "ConfigMap"};
  return resource;
}

json Bare(const Resource& resource, const std::string& ns, const std::string& name) {
  return {{"apiVersion", resource.ApiVersion()},
          {"kind", resource.kind},
          {"metadata", {{"namespace", ns}, {"name", name}}}};
}

// Lets a test act between the reading and the writing of one action.
class Between final : public Transport {
 public:
  explicit Between(Transport& inner) : inner_(inner) {}
  Result<Response> Send(const Request& request, Millis deadline) override {
    auto response = inner_.Send(request, deadline);
    if (after_get && request.method == "GET") std::exchange(after_get, nullptr)();
    return response;
  }
  Status Stream(const Request& request, Millis longest,
                const std::function<void(std::string_view)>& on_line,
                std::stop_token stop) override {
    return inner_.Stream(request, longest, on_line, stop);
  }
  std::function<void()> after_get;

 private:
  Transport& inner_;
};

class ExecuteForReal : public ::testing::Test {
 protected:
  ExecuteForReal() {
    json object = Bare(api::kModelDeployments, ns_.name(), "departures");
    object["spec"] = testing::ValidSpec("ModelDeployment");
    const auto made = Admin().Create(self_, object);
    EXPECT_EQ(made.status, 201) << made.message();
    subject_ = {self_, made.body["metadata"]["uid"], made.body["metadata"]["resourceVersion"]};
  }

  Ref Child(const std::string& name = "child") const { return {ConfigMaps(), {ns_.name(), name}}; }

  ApplyObject Apply(const json& data) const {
    json body = Bare(ConfigMaps(), ns_.name(), "child");
    body["metadata"]["ownerReferences"] = json::array({{{"apiVersion", "perennial.dev/v1alpha1"},
                                                        {"kind", "ModelDeployment"},
                                                        {"name", "departures"},
                                                        {"uid", subject_.uid},
                                                        {"controller", true},
                                                        {"blockOwnerDeletion", true}}});
    body["data"] = data;
    return {Child(), body.dump(), true};
  }

  Result<Executed> Run(std::vector<Action> actions, std::optional<std::string> status = {}) {
    return Execute(client_, events_, subject_, {std::move(actions), std::move(status), {}, ""}, {});
  }
  // As a controller does it: the real one of Deployments writes to them at the same time.
  Status Repeat(const Action& action) {
    for (int i = 0; i < 50; ++i) {
      const auto done = Run({action});
      if (done.ok()) return Ok();
      if (done.error().code != Errc::kConflict) return done.error();
    }
    return Error{Errc::kConflict, "after 50 times"};
  }
  void SeeNewest() {
    subject_.resource_version = Admin().Get(self_).body["metadata"]["resourceVersion"];
  }
  // Without the observedGeneration of -1 that the CRD's default puts there.
  json Stored() const {
    json status = Admin().Get(self_).body.value("status", json::object());
    if (status.value("observedGeneration", 0) == -1) status.erase("observedGeneration");
    return status;
  }
  json Data() const { return Admin().Get(Child()).body["data"]; }

  testing::TestNamespace ns_;
  Ref self_{api::kModelDeployments, {ns_.name(), "departures"}};
  Between transport_{Admin().transport()};
  Client client_{transport_, SystemClock(), "perennial-test"};
  EventRecorder events_{client_, SystemClock(), "perennial.dev/test", "pod-0"};
  Subject subject_;
};

// An autoscaler takes over from fixed replicas, and gives back: nothing falls to the default of 1.
TEST_F(ExecuteForReal, HandsReplicasOverWithTheirValue) {
  const Ref pods{api::kDeployments, {ns_.name(), "child"}};
  json body = Bare(api::kDeployments, ns_.name(), "child");
  body["metadata"]["ownerReferences"] =
      json::parse(Apply(json::object()).body)["metadata"]["ownerReferences"];
  body["spec"] = {{"replicas", 5},
                  {"selector", {{"matchLabels", {{"a", "b"}}}}},
                  {"template",
                   {{"metadata", {{"labels", {{"a", "b"}}}}},
                    {"spec", {{"containers", {{{"name", "c"}, {"image", "c:1"}}}}}}}}};
  const auto replicas = [&] { return Admin().Get(pods).body["spec"]["replicas"]; };
  ASSERT_TRUE(Repeat(ApplyObject{pods, body.dump(), true}).ok());
  EXPECT_EQ(replicas(), 5);
  json without = body;
  without["spec"].erase("replicas");
  without["metadata"]["labels"]["now"] = "autoscaled";
  ASSERT_TRUE(Repeat(ApplyObject{pods, without.dump(), true, "/spec/replicas"}).ok());
  EXPECT_EQ(replicas(), 5);
  ASSERT_EQ(Admin().MergePatch(pods, {{"spec", {{"replicas", 8}}}}).status, 200);
  without["metadata"]["labels"]["now"] = "changed";
  ASSERT_TRUE(Repeat(ApplyObject{pods, without.dump(), true, "/spec/replicas"}).ok());
  EXPECT_EQ(replicas(), 8);
  EXPECT_EQ(Admin().Get(pods).body["metadata"]["labels"]["now"], "changed");
  body["spec"]["replicas"] = 3;
  ASSERT_TRUE(Repeat(ApplyObject{pods, body.dump(), true}).ok());
  EXPECT_EQ(replicas(), 3);
}

// That version 1 is a condition for absence is nowhere written down.
TEST_F(ExecuteForReal, MakesWhatIsFreshAndTakesNothingOver) {
  ApplyObject action = Apply({{"a", "1"}});
  action.fresh = true;
  ASSERT_TRUE(Repeat(action).ok());
  EXPECT_EQ(Data(), (json{{"a", "1"}}));
  ASSERT_TRUE(Repeat(action).ok()) << "it is there, and ours";
  ASSERT_EQ(Admin().Delete(Child()).status, 200);
  json theirs = Bare(ConfigMaps(), ns_.name(), "child");
  theirs["data"] = {{"a", "1"}};
  ASSERT_EQ(Admin().Create(Child(), theirs).status, 201);
  const json before = Admin().Get(Child()).body;
  const auto done = Repeat(action);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kAlreadyExists);
  EXPECT_EQ(Admin().Get(Child()).body, before);
}

TEST_F(ExecuteForReal, OwnsItsFieldsOfAChildAndNoOthers) {
  ASSERT_TRUE(Run({Apply({{"a", "1"}, {"b", "2"}})}).ok());
  json theirs = Bare(ConfigMaps(), ns_.name(), "child");
  theirs["data"] = {{"theirs", "x"}};
  ASSERT_TRUE(Admin().Apply(Child(), theirs).ok());
  ASSERT_TRUE(Run({Apply({{"b", "3"}})}).ok());
  EXPECT_EQ(Data(), (json{{"b", "3"}, {"theirs", "x"}}));

  const std::string version = Admin().Get(Child()).body["metadata"]["resourceVersion"];
  ASSERT_TRUE(Run({Apply({{"b", "3"}})}).ok());
  EXPECT_EQ(Admin().Get(Child()).body["metadata"]["resourceVersion"], version)
      << "applying the same again changes nothing";
}

TEST_F(ExecuteForReal, TakesNoObjectThatAppearsOrIsReplacedBeforeItWrites) {
  json foreign = Bare(ConfigMaps(), ns_.name(), "child");
  foreign["data"] = {{"a", "theirs"}};
  transport_.after_get = [&] { ASSERT_TRUE(Admin().Create(Child(), foreign).ok()); };
  auto done = Run({Apply({{"a", "1"}})});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kConflict) << done.error().message;
  EXPECT_EQ(Data(), (json{{"a", "theirs"}}));

  done = Run({Apply({{"a", "1"}})});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kAlreadyExists);

  ASSERT_TRUE(Admin().Delete(Child()).ok());
  ASSERT_TRUE(Run({Apply({{"a", "1"}})}).ok());
  transport_.after_get = [&] {
    ASSERT_TRUE(Admin().Delete(Child()).ok());
    ASSERT_TRUE(Admin().Create(Child(), foreign).ok());
  };
  done = Run({Apply({{"a", "2"}})});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kConflict) << done.error().message;
  EXPECT_EQ(Data(), (json{{"a", "theirs"}}));
}

TEST_F(ExecuteForReal, MakesNothingInPlaceOfAnObjectThatGoesBeforeItWrites) {
  ASSERT_TRUE(Run({Apply({{"a", "1"}})}).ok());
  transport_.after_get = [&] { ASSERT_TRUE(Admin().Delete(Child()).ok()); };
  const auto done = Run({Apply({{"a", "2"}})});
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kConflict) << done.error().message;
  EXPECT_EQ(Admin().Get(Child()).status, 404);
}

TEST_F(ExecuteForReal, CreatesOnceAndDeletesByUid) {
  json body = Bare(ConfigMaps(), ns_.name(), "job");
  body["metadata"]["labels"] = {{kIdentityLabel, "run-1"}};
  const CreateObject create{Child("job"), body.dump()};
  ASSERT_TRUE(Run({create}).ok());
  const std::string uid = Admin().Get(Child("job")).body["metadata"]["uid"];
  ASSERT_TRUE(Run({create}).ok());
  EXPECT_EQ(Admin().Get(Child("job")).body["metadata"]["uid"], uid);
  body["metadata"]["labels"][std::string(kIdentityLabel)] = "run-2";
  const auto other = Run({CreateObject{Child("job"), body.dump()}});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, Errc::kAlreadyExists);

  ASSERT_TRUE(Run({DeleteObject{Child("job"), "11111111-1111-1111-1111-111111111111"}}).ok());
  EXPECT_EQ(Admin().Get(Child("job")).status, 200);
  ASSERT_TRUE(Run({DeleteObject{Child("job"), uid}}).ok());
  EXPECT_EQ(Admin().Get(Child("job")).status, 404);
  EXPECT_TRUE(Run({DeleteObject{Child("job"), uid}}).ok());
}

json Condition(const char* type, const char* status) {
  return {
      {"type", type},  {"status", status},        {"reason", "Test"},
      {"message", ""}, {"observedGeneration", 1}, {"lastTransitionTime", "2026-11-24T12:00:00Z"}};
}

TEST_F(ExecuteForReal, WritesTheStatusAsAWhole) {
  const json first = {
      {"champion", "v1"},
      {"why", "one"},
      {"replicas", 3},
      {"conditions", json::array({Condition("Ready", "False"), Condition("Stalled", "True")})}};
  auto done = Run({}, first.dump());
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(Stored(), first);
  EXPECT_EQ(Admin().Get(self_).body["metadata"]["resourceVersion"], *done->resource_version);

  SeeNewest();
  const json second = {{"why", "two"}, {"conditions", json::array({Condition("Ready", "True")})}};
  done = Run({}, second.dump());
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(Stored(), second) << "what the new value lacks is gone, conditions too";
}

TEST_F(ExecuteForReal, WritesNoStatusOverANewerObjectOrAnotherOne) {
  ASSERT_TRUE(Admin().MergePatch(self_, {{"spec", {{"replicas", 2}}}}).ok());
  auto done = Run({}, R"({"why": "stale"})");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, Errc::kConflict) << done.error().message;
  EXPECT_EQ(Stored(), json::object());

  ASSERT_TRUE(Admin().Delete(self_).ok());
  done = Run({}, R"({"why": "gone"})");
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(done->resource_version, std::nullopt);
  EXPECT_EQ(Admin().Get(self_).status, 404);

  json object = Bare(api::kModelDeployments, ns_.name(), "departures");
  object["spec"] = testing::ValidSpec("ModelDeployment");
  ASSERT_TRUE(Admin().Create(self_, object).ok());
  EXPECT_FALSE(Run({}, R"({"why": "of another"})").ok());
  EXPECT_EQ(Stored(), json::object());
}

TEST_F(ExecuteForReal, TellsConditionsBesideTheStatusOfBefore) {
  ASSERT_TRUE(
      Run({}, json{{"champion", "v1"}, {"conditions", json::array({Condition("Promoted", "True")})}}
                  .dump())
          .ok());
  SeeNewest();
  const json wanted = {{"champion", "v2"},
                       {"conditions", json::array({Condition("Ready", "False")})}};
  const auto told = TellConditions(client_, subject_, wanted.dump(), {});
  ASSERT_TRUE(told.ok()) << told.error().message;
  EXPECT_TRUE(told->has_value());
  EXPECT_EQ(Stored(), (json{{"champion", "v1"}, {"conditions", wanted["conditions"]}}));
}

TEST_F(ExecuteForReal, RecordsEventsThatTheServerTakes) {
  const EmitEvent event{EmitEvent::Type::kWarning, "RolledBack", "Rollback",
                        "error rate 12 % \"above\" 5 %\nfor ten minutes"};
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Run({event}).ok());
    while (events_.WriteOne()) {
    }
  }
  EXPECT_EQ(events_.dropped(), 0u);
  const auto listed =
      Admin().List({"events.k8s.io", "v1", "events", "Event"}, ns_.name(), "limit=10");
  ASSERT_EQ(listed.body["items"].size(), 1u);
  const json stored = listed.body["items"][0];
  EXPECT_EQ(stored["series"]["count"], 3);
  EXPECT_EQ(stored["regarding"]["uid"], subject_.uid);
  EXPECT_EQ(stored["type"], "Warning");
  EXPECT_EQ(stored["reportingController"], "perennial.dev/test");

  // About an object without a namespace.
  events_.Record({{"", "v1", "namespaces", "Namespace"}, {"", ns_.name()}}, "uid-1", event);
  while (events_.WriteOne()) {
  }
  EXPECT_EQ(events_.dropped(), 0u);
}

}  // namespace
}  // namespace perennial::kube
