#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kube/client.h"
#include "kube/http_transport.h"
#include "support/fake_api_server.h"

// The client over the real transport against faults at the wire: what reaches the server, how
// often, and what the caller is told.

namespace perennial::testing {
namespace {

using kube::Client;
using kube::ClientOptions;
using kube::Ref;
using kube::Subresource;
using nlohmann::json;

const Ref kModel{ModelDeployments(), {"ns", "web"}};

class ClientRetryTest : public ::testing::Test {
 protected:
  ClientRetryTest()
      : http_(*kube::MakeHttpTransport(server_.Config(), SystemClock())),
        client_(*http_, SystemClock(), "tester",
                ClientOptions{.deadline = Millis{10'000},
                              .most_tries = 10,
                              .most_reconnects = 2,
                              .sleep = [this](Millis time) { slept_.push_back(time); }}) {}

  static std::string Body(int replicas) {
    return MakeObject(kModel, R"({"spec":{"replicas":)" + std::to_string(replicas) + "}}").dump();
  }
  static Match Writes(const std::string& method) {
    return {.method = method, .path = "", .watch = {}, .body = ""};
  }

  FakeApiServer server_;
  std::unique_ptr<kube::Transport> http_;
  std::vector<Millis> slept_;
  Client client_;
};

TEST_F(ClientRetryTest, ARoundOfVerbs) {
  const auto created = client_.Create(kModel, Body(1));
  ASSERT_TRUE(created.ok()) << created.error().message;
  EXPECT_EQ(created->generation, 1);
  EXPECT_EQ(client_.Create(kModel, Body(1)).error().code, Errc::kAlreadyExists);
  const auto applied = client_.Apply(kModel, Body(3));
  ASSERT_TRUE(applied.ok()) << applied.error().message;
  EXPECT_EQ(applied->generation, 2);
  const auto again = client_.Apply(kModel, Body(3));
  EXPECT_EQ(again->resource_version, applied->resource_version) << "applying the same is no change";
  const auto status = client_.MergePatch(kModel, R"({"status":{"ready":2}})", Subresource::kStatus);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->generation, 2);
  const auto got = client_.Get(kModel);
  EXPECT_EQ(json::parse(*got)["status"]["ready"], 2);
  EXPECT_EQ(json::parse(*got)["spec"]["replicas"], 3);
  EXPECT_TRUE(client_.Delete(kModel, "another-uid").ok());
  EXPECT_TRUE(server_.Get(kModel).has_value()) << "an object of another UID was deleted";
  EXPECT_EQ(client_.Delete(kModel, created->uid, "1").error().code, Errc::kConflict);
  EXPECT_TRUE(client_.Delete(kModel, created->uid).ok());
  EXPECT_FALSE(server_.Get(kModel).has_value());
  EXPECT_EQ(client_.Get(kModel).error().code, Errc::kNotFound);
}

TEST_F(ClientRetryTest, AnAppliedWriteWithALostReplyHappensOnce) {
  server_.FailNext(Writes("PATCH"), LoseReply());
  const auto applied = client_.Apply(kModel, Body(3));
  ASSERT_TRUE(applied.ok()) << applied.error().message;
  EXPECT_EQ(applied->generation, 1);
  EXPECT_EQ(server_.Count(Writes("PATCH")), 2u);
}

TEST_F(ClientRetryTest, ACreateWithALostReplyIsToldAsUnknownAndNotRepeated) {
  for (const Fault& fault : {LoseReply(), Drop(), Cut(10)}) {
    server_.ForgetRequests();
    ASSERT_TRUE(http_->Send({"GET", "/api/v1/configmaps", "", ""}, Millis{5'000}).ok());
    server_.FailNext(Writes("POST"), fault);
    const Ref ref{ModelDeployments(),
                  {"ns", "once" + std::to_string(static_cast<int>(fault.kind))}};
    const auto created = client_.Create(ref, MakeObject(ref).dump());
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(created.error().code, Errc::kUnavailable);
    EXPECT_EQ(server_.Count(Writes("POST")), 1u);
    EXPECT_EQ(server_.Get(ref).has_value(), fault.kind != Fault::Kind::kDrop);
  }
}

TEST_F(ClientRetryTest, AThrottledWriteComesBackWhenTheServerSays) {
  server_.FailNext(Writes("POST"), Answer(429, "TooManyRequests", 2), 3);
  EXPECT_TRUE(client_.Create(kModel, Body(1)).ok());
  EXPECT_EQ(slept_, (std::vector<Millis>(3, Millis{2'000})));
  EXPECT_EQ(server_.Count(Writes("POST")), 4u);
}

TEST_F(ClientRetryTest, AReadSurvivesTwoLostConnections) {
  server_.Put(ModelDeployments(), json::parse(Body(1)));
  server_.FailNext(Writes("GET"), Drop(), 2);
  const auto got = client_.Get(kModel);
  ASSERT_TRUE(got.ok()) << got.error().message;
}

TEST_F(ClientRetryTest, ConflictsAreTheCallersToDecide) {
  server_.Put(ModelDeployments(), json::parse(Body(1)));
  json stale = json::parse(Body(2));
  stale["metadata"]["resourceVersion"] = "1";
  EXPECT_EQ(client_.Apply(kModel, stale.dump()).error().code, Errc::kConflict);
  Client other(*http_, SystemClock(), "other");
  ASSERT_TRUE(other.Apply(kModel, Body(5)).ok());
  EXPECT_EQ(client_.Apply(kModel, Body(6), Subresource::kNone, false).error().code,
            Errc::kConflict);
  EXPECT_EQ((*server_.Get(kModel))["spec"]["replicas"], 5);
  EXPECT_TRUE(client_.Apply(kModel, Body(6)).ok());
  EXPECT_EQ((*server_.Get(kModel))["spec"]["replicas"], 6);
  EXPECT_EQ(server_.Count(Writes("PATCH")), 4u);
}

TEST_F(ClientRetryTest, WhatAManagerLeavesOutIsRemovedAndTheRestIsNot) {
  ASSERT_TRUE(client_.Apply(kModel, MakeObject(kModel, R"({"spec":{"a":1,"b":2}})").dump()).ok());
  Client other(*http_, SystemClock(), "other");
  ASSERT_TRUE(other.Apply(kModel, MakeObject(kModel, R"({"spec":{"c":3}})").dump()).ok());
  ASSERT_TRUE(client_.Apply(kModel, MakeObject(kModel, R"({"spec":{"a":1}})").dump()).ok());
  EXPECT_EQ((*server_.Get(kModel))["spec"], (json{{"a", 1}, {"c", 3}}));
}

}  // namespace
}  // namespace perennial::testing
