// What the API server in this process must do as a real one, since the stories depend on it.
#include "support/fake_api_server.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/names.h"
#include "kube/client.h"
#include "support/in_process.h"
#include "support/manual_clock.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

class FakeApiServerTest : public ::testing::Test {
 protected:
  kube::Ref Map() const { return {ConfigMaps(), {"transit", "a"}}; }
  std::string With(const char* data) const {
    return MakeObject(Map(), R"({"data":)" + std::string(data) + "}").dump();
  }
  json Data() const { return api_.Get(Map())->at("data"); }

  ManualClock clock_;
  FakeApiServer api_{InProcess()};
  kube::Client client_{api_.transport(), clock_, "one"};
};

// A create is an Update in managedFields, a manager of its own beside the Apply of the same name:
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
TEST_F(FakeApiServerTest, WhatACreateSetStaysWhenItsManagerAppliesLess) {
  ASSERT_TRUE(client_.Create(Map(), With(R"({"x":"1","y":"2"})")).ok());
  ASSERT_TRUE(client_.Apply(Map(), With(R"({"z":"3"})")).ok());
  EXPECT_EQ(Data(), (json{{"x", "1"}, {"y", "2"}, {"z", "3"}}));
  ASSERT_TRUE(client_.Apply(Map(), With(R"({"x":"1"})")).ok());
  EXPECT_EQ(Data(), (json{{"x", "1"}, {"y", "2"}})) << "what it applied goes, as ever";
}

// Leaves go in any order, the one that names the element too.
TEST_F(FakeApiServerTest, AnElementThatIsAppliedNoMoreIsGoneAsAWhole) {
  const kube::Ref ref{api::kDeployments, {"transit", "eta"}};
  const auto with = [&](const std::string& env) {
    json object = MakeObject(ref);
    object["spec"]["template"]["spec"]["containers"] =
        json::parse(R"([{"name": "model", "image": "m", "env": )" + env + "}]");
    return object.dump();
  };
  ASSERT_TRUE(
      client_.Apply(ref, with(R"([{"name":"A","value":"1"},{"name":"B","value":"2"}])")).ok());
  ASSERT_TRUE(client_.Apply(ref, with(R"([{"name":"A","value":"1"}])")).ok());
  const json now = api_.Get(ref).value_or(json());
  EXPECT_EQ(now["spec"]["template"]["spec"]["containers"],
            json::parse(R"([{"name": "model", "image": "m", "env": [{"name":"A","value":"1"}]}])"));
}

TEST_F(FakeApiServerTest, CountsWhatIsMadeAndRemovedWhoeverDidIt) {
  ASSERT_TRUE(client_.Create(Map(), With("{}")).ok());
  EXPECT_FALSE(client_.Create(Map(), With("{}")).ok());
  api_.Remove(Map());
  api_.Put(Map().resource, json::parse(With("{}")));
  const auto tallies = api_.Tallies();
  ASSERT_EQ(tallies.size(), 1u);
  EXPECT_EQ(tallies.begin()->second.created, 2);
  EXPECT_EQ(tallies.begin()->second.deleted, 1);
}

}  // namespace
}  // namespace perennial::testing
