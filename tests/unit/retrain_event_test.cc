// CloudEvents as a reason to train, and whatever else is posted.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "api/codec.h"
#include "retrain/decide.h"
#include "retrain/event.h"
#include "retrain/trigger.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

constexpr WallTime kNow{std::chrono::hours(500'000)};

using Headers = std::map<std::string, std::string>;

Result<CloudEvent> Read(const Headers& headers, const std::string& body = "") {
  return ReadEvent({[&](std::string_view name) -> std::optional<std::string> {
                      const auto it = headers.find(std::string(name));
                      if (it == headers.end()) return std::nullopt;
                      return it->second;
                    },
                    body});
}

Headers Binary(const Headers& changed = {}) {
  Headers headers{{"content-type", "application/json"},
                  {"ce-specversion", "1.0"},
                  {"ce-id", "A-1"},
                  {"ce-source", "/warehouse"},
                  {"ce-type", "rows.loaded"},
                  {"ce-time", "2026-01-02T03:04:05Z"}};
  for (const auto& [name, value] : changed) headers[name] = value;
  return headers;
}

std::string Structured(const nlohmann::json& changed = nlohmann::json::object()) {
  nlohmann::json event = {{"specversion", "1.0"},           {"id", "A-1"},
                          {"source", "/warehouse"},         {"type", "rows.loaded"},
                          {"time", "2026-01-02T03:04:05Z"}, {"data", {{"rows", 17}}}};
  event.merge_patch(changed);
  return event.dump();
}
const Headers kStructured{{"content-type", "application/cloudevents+json; charset=UTF-8"}};

TEST(Event, IsReadInBothModes) {
  const auto binary = Read(Binary(), R"({"rows": 17})");
  ASSERT_TRUE(binary.ok()) << binary.error().message;
  EXPECT_FALSE(binary->structured);
  const auto structured = Read(kStructured, Structured());
  ASSERT_TRUE(structured.ok()) << structured.error().message;
  EXPECT_TRUE(structured->structured);
  for (const auto& event : {*binary, *structured}) {
    EXPECT_EQ(event.id, "A-1");
    EXPECT_EQ(event.source, "/warehouse");
    EXPECT_EQ(event.type, "rows.loaded");
    EXPECT_EQ(event.time, ParseTime("2026-01-02T03:04:05Z"));
  }
  EXPECT_EQ(Read(Binary({{"content-type", "APPLICATION/JSON"}}))->id, "A-1");
  EXPECT_TRUE(Read({{"content-type", "Application/CloudEvents+JSON;x=y"}}, Structured()).ok());
  EXPECT_EQ(Read(kStructured, Structured({{"id", "für"}}))->id, "für");
}

// The binding's own examples (3.1.3.2) are among these.
TEST(Event, HeadersAreDecoded) {
  for (const auto& [value, source] : std::vector<std::pair<std::string, std::string>>{
           {"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro \xe2\x82\xac \xf0\x9f\x98\x80"},
           {"%2fa%2Fb", "/a/b"},
           {"/a%2520", "/a%20"},
           {"/a%20b%22", "/a b\""},
           {"/100%", "/100%"},
           {"/%zz%4", "/%zz%4"},
           {R"("/a b")", "/a b"},
           {R"("/a \"b\" \\ c%20d")", R"(/a "b" \ c d)"},
           {R"(/a"b)", R"(/a"b)"}}) {
    const auto event = Read(Binary({{"ce-source", value}}));
    ASSERT_TRUE(event.ok()) << value << ": " << event.error().message;
    EXPECT_EQ(event->source, source);
  }
  for (const char* value : {"%C0%A0", "%E2%82", "%ED%A0%80", "%c2%85", "%7f", "%00", "\xc3\xbc",
                            R"(")", R"("a)", R"("a\)", R"("a" b)", R"("")"}) {
    EXPECT_FALSE(Read(Binary({{"ce-source", value}})).ok()) << value;
  }
}

TEST(Event, IsRefusedWithAReason) {
  const auto refused = [](const Result<CloudEvent>& event, const char* why) {
    ASSERT_FALSE(event.ok()) << why;
    EXPECT_NE(event.error().message.find(why), std::string::npos) << event.error().message;
  };
  for (const char* name : {"id", "source", "type", "time", "specversion"}) {
    refused(Read(kStructured, Structured({{name, nullptr}})), name);
    refused(Read(kStructured, Structured({{name, 1}})), name);
    refused(Read(kStructured, Structured({{name, ""}})), name);
    refused(Read(kStructured, Structured({{name, std::string(5'000, 'x')}})), name);
    refused(Read(kStructured, Structured({{name, "a\nb"}})), name);
    refused(Read(kStructured, Structured({{name, "a\xc2\x9f"}})), name);
    refused(Read(Binary({{std::string("ce-") + name, ""}})), name);
    refused(Read(Binary({{std::string("ce-") + name, "a%0Ab"}})), name);
    refused(Read(Binary({{std::string("ce-") + name, "a%ff"}})), name);
    refused(Read(Binary({{std::string("ce-") + name, "a\xff"}})), name);
  }
  refused(Read(kStructured, Structured({{"specversion", "0.3"}})), "specversion must be 1.0");
  refused(Read(kStructured, Structured({{"time", "yesterday"}})), "time");
  refused(Read({{"content-type", "application/cloudevents-batch+json"}}, "[]"), "batches");
  refused(Read({{"content-type", "application/cloudevents+avro"}}, ""), "formats");
  refused(Read({}, Structured()), "specversion");
  for (const char* body : {"", "[]", "null", "{", "\"a\"", "{\"id\": \"\xff\"}"}) {
    refused(Read(kStructured, body), "not a JSON object");
  }
  refused(Read(kStructured, R"({"data": )" + std::string(60'000, '[')), "nested too deeply");
}

TEST(Event, WhateverComesInCanBeWritten) {
  std::mt19937 random(3);
  const std::string sound = Structured();
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string body = sound;
    for (int edits = 0; edits <= i % 2; ++edits) {
      body[random() % body.size()] = static_cast<char>(random() % 256);
    }
    const auto event = Read(kStructured, body);
    if (!event.ok()) continue;
    ++read;
    api::RetrainPolicyStatus status;
    status.events = {{event->id, event->source, event->type, api::Time{kNow}}};
    EXPECT_NO_THROW(api::EncodeStatus(status)) << body;
  }
  EXPECT_GT(read, 100);
}

TEST(Event, OldOnesAreRefused) {
  CloudEvent event;
  for (const auto& [age, fresh] : {std::pair{Millis(0), true},
                                   {Millis(3'600'000), true},
                                   {Millis(3'601'000), false},
                                   {Millis(-300'000), true},
                                   {Millis(-301'000), false}}) {
    event.time = kNow - age;
    EXPECT_EQ(CheckTime(event, kNow).ok(), fresh) << age.count();
  }
}

class EventTriggerTest : public ::testing::Test {
 protected:
  EventTriggerTest() {
    policy_.spec.triggers.emplace_back().event =
        api::EventTrigger{"rows.loaded", "/warehouse", api::SecretKey{"sender", "token"}};
  }
  void Take(const char* id, const char* source = "/warehouse", const char* type = "rows.loaded") {
    policy_.status.events.push_back({id, source, type, api::Time{kNow}});
  }
  void Look() {
    Observed seen;
    seen.policy = std::make_shared<api::RetrainPolicy>(policy_);
    seen.deployment = std::make_shared<api::ModelDeployment>();
    seen.versions = versions_;
    const kube::Plan plan = Decide(seen, kNow);
    if (!plan.status) return;
    policy_.status = ::perennial::testing::StatusOf(*plan.status);
  }
  api::RetrainPolicy policy_ = ::perennial::testing::TrainingPolicy({"ns", "p"}, "d");
  std::vector<std::shared_ptr<const api::ModelVersion>> versions_;
};

TEST_F(EventTriggerTest, StartsOneRunForEachEvent) {
  Take("1");
  Take("2");
  Look();
  ASSERT_EQ(policy_.status.runs.size(), 1u);
  EXPECT_EQ(policy_.status.runs[0].trigger_type, "Event");
  EXPECT_EQ(policy_.status.runs[0].trigger, EventIdentity("/warehouse", "1"));
  ASSERT_EQ(policy_.status.events.size(), 1u) << "what has a run waits no more, in one write";
  EXPECT_EQ(policy_.status.events[0].id, "2");
  EXPECT_TRUE(IsKnown(policy_.status, "/warehouse", "1"));
  EXPECT_TRUE(IsKnown(policy_.status, "/warehouse", "2"));
  EXPECT_FALSE(IsKnown(policy_.status, "/another", "1"));
  policy_.status.runs[0].phase = api::RunPhase::kSucceeded;
  policy_.status.runs[0].finished = api::Time{kNow};
  Take("1");  // however it got there
  Look();
  ASSERT_EQ(policy_.status.runs.size(), 2u);
  EXPECT_EQ(policy_.status.runs[0].trigger, EventIdentity("/warehouse", "2"));
  EXPECT_TRUE(policy_.status.events.empty());
}

TEST_F(EventTriggerTest, RemembersEachEventUntilItIsTooOldToBeSentAgain) {
  api::RetrainPolicyStatus& status = policy_.status;
  const auto event = [](int i, WallTime time) {
    return CloudEvent{std::to_string(i), "/warehouse", "rows.loaded", time};
  };
  for (int i = 0; i < static_cast<int>(kMostRecent); ++i) {
    ASSERT_TRUE(Accept(event(i, kNow + Millis(i)), kNow, status)) << i;
    status.events.clear();  // its run has failed and is forgotten
  }
  EXPECT_TRUE(IsKnown(status, "/warehouse", "0"));
  EXPECT_FALSE(Accept(event(1'000, kNow), kNow, status)) << "one would have to be forgotten";
  EXPECT_TRUE(IsKnown(status, "/warehouse", "0"));
  EXPECT_FALSE(IsKnown(status, "/warehouse", "1000"));
  // What is forgotten is refused for its age, by a clock that is behind too.
  const WallTime later = kNow + kOldestEvent + kEarliestEvent + Millis(50);
  ASSERT_TRUE(Accept(event(1'001, later), later, status));
  for (int i = 0; i < static_cast<int>(kMostRecent); ++i) {
    EXPECT_EQ(IsKnown(status, "/warehouse", std::to_string(i)), i >= 50) << i;
    EXPECT_EQ(CheckTime(event(i, kNow + Millis(i)), later - kEarliestEvent).ok(), i >= 50) << i;
  }
}

TEST_F(EventTriggerTest, ForgetsWhatNoTriggerWantsAnyMore) {
  Take("1", "/elsewhere");
  Take("2", "/warehouse", "another.type");
  Look();
  EXPECT_TRUE(policy_.status.runs.empty());
  EXPECT_TRUE(policy_.status.events.empty());
}

TEST_F(EventTriggerTest, IsNotTakenAgainThoughStatusWasLost) {
  Take("1");
  auto version = std::make_shared<api::ModelVersion>();
  version->spec.origin.run = RunName(policy_, EventIdentity("/warehouse", "1"));
  versions_ = {version};
  Look();
  EXPECT_TRUE(policy_.status.runs.empty()) << "its model is there";
  EXPECT_TRUE(policy_.status.events.empty()) << "and it takes no place";
}

TEST_F(EventTriggerTest, WaitsWhileThePolicyIsSuspended) {
  policy_.spec.suspend = true;
  Take("1");
  Look();
  EXPECT_TRUE(policy_.status.runs.empty());
  EXPECT_EQ(policy_.status.events.size(), 1u);
  policy_.spec.suspend = false;
  Look();
  EXPECT_EQ(policy_.status.runs.size(), 1u);
}

}  // namespace
}  // namespace perennial::retrain
