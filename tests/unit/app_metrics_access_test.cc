#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/metrics_access.h"
#include "support/manual_clock.h"

namespace perennial::app {
namespace {

using nlohmann::json;

// An API server that knows two tokens.
class Reviews final : public kube::Transport {
 public:
  Result<kube::Response> Send(const kube::Request& request, Millis) override {
    asked.push_back(request);
    if (!up) return Error{Errc::kUnavailable, "connection refused"};
    if (!answer.empty()) return kube::Response{201, answer, {}};
    const json spec = json::parse(request.body)["spec"];
    if (request.path == "/apis/authentication.k8s.io/v1/tokenreviews") {
      const std::string token = spec["token"];
      if (token != "scraper" && token != "stranger") return Said({{"authenticated", false}});
      return Said({{"authenticated", true},
                   {"user",
                    {{"username", token},
                     {"uid", "u1"},
                     {"groups", {"system:authenticated"}},
                     {"extra", {{"example.org/pod", {"p"}}}}}}});
    }
    EXPECT_EQ(request.path, "/apis/authorization.k8s.io/v1/subjectaccessreviews");
    EXPECT_EQ(spec["nonResourceAttributes"], (json{{"path", "/metrics"}, {"verb", "get"}}));
    EXPECT_EQ(spec["groups"], json({"system:authenticated"}));
    EXPECT_EQ(spec["uid"], "u1");
    EXPECT_EQ(spec["extra"]["example.org/pod"], json({"p"}));
    return Said({{"allowed", spec["user"] == "scraper"}, {"denied", denied}});
  }
  Status Stream(const kube::Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Error{Errc::kCancelled, ""};
  }

  bool up = true;
  bool denied = false;
  std::string answer;  // instead
  std::vector<kube::Request> asked;

 private:
  static kube::Response Said(const json& status) {
    return {201, json{{"status", status}}.dump(), {}};
  }
};

class MetricsAccessTest : public ::testing::Test {
 protected:
  int Check(const std::string& authorization) { return access_.Check(authorization, "/metrics"); }

  testing::ManualClock clock_;
  Reviews api_;
  MetricsAccess access_{api_, clock_};
};

TEST_F(MetricsAccessTest, LetsThoseInWhoMay) {
  EXPECT_EQ(Check("Bearer scraper"), 200);
  EXPECT_EQ(Check("bearer scraper"), 200);
  EXPECT_EQ(Check("Bearer stranger"), 403) << "known, but not allowed";
  EXPECT_EQ(Check("Bearer forged"), 401);
}

TEST_F(MetricsAccessTest, AsksNobodyWithoutAToken) {
  for (const char* header : {"", "Bearer", "Bearer ", "Basic c2NyYXBlcg==", "scraper",
                             "Bearer two words", "Bearer \x01", "Token scraper"}) {
    EXPECT_EQ(Check(header), 401) << header;
  }
  EXPECT_TRUE(api_.asked.empty());
}

TEST_F(MetricsAccessTest, RemembersForAMinuteAndRefusalsForTenSeconds) {
  EXPECT_EQ(Check("Bearer scraper"), 200);
  EXPECT_EQ(Check("Bearer forged"), 401);
  const size_t asked = api_.asked.size();
  clock_.Advance(Millis(9'000));
  EXPECT_EQ(Check("Bearer scraper"), 200);
  EXPECT_EQ(Check("Bearer forged"), 401);
  EXPECT_EQ(api_.asked.size(), asked);
  clock_.Advance(Millis(2'000));
  EXPECT_EQ(Check("Bearer forged"), 401);
  EXPECT_EQ(api_.asked.size(), asked + 1);
  clock_.Advance(Millis(50'000));
  api_.denied = true;
  EXPECT_EQ(Check("Bearer scraper"), 403) << "a right that was taken away ends within a minute";
}

TEST_F(MetricsAccessTest, LetsNobodyInWhileTheApiServerIsAway) {
  api_.up = false;
  EXPECT_EQ(Check("Bearer scraper"), 503);
  api_.up = true;
  EXPECT_EQ(Check("Bearer scraper"), 200) << "that is not remembered";
}

TEST_F(MetricsAccessTest, BelievesNoOtherAnswer) {
  for (const char* answer : {"", "[]", "{}", R"({"status": "Success"})", "not JSON",
                             R"({"status": {"authenticated": "true", "user": {"username": "a"}}})",
                             R"({"status": {"authenticated": true}})",
                             R"({"status": {"authenticated": true, "user": "root"}})"}) {
    api_.answer = *answer == '\0' ? "null" : answer;
    clock_.Advance(Millis(60'000));
    EXPECT_NE(Check("Bearer scraper"), 200) << answer;
  }
}

TEST_F(MetricsAccessTest, IsNoWayToFloodTheApiServer) {
  for (int i = 0; i < 1'000; ++i) Check("Bearer forged" + std::to_string(i));
  EXPECT_LE(api_.asked.size(), 10u);
  clock_.Advance(Millis(1'000));
  EXPECT_EQ(Check("Bearer scraper"), 200) << "who comes again is asked about soon";
}

TEST_F(MetricsAccessTest, KeepsNoReaderWaitingBehindAFlood) {
  EXPECT_EQ(Check("Bearer scraper"), 200);
  for (int minute = 0; minute < 5; ++minute) {
    clock_.Advance(Millis(61'000));
    for (int i = 0; i < 1'000; ++i) Check("Bearer forged" + std::to_string(minute * 1'000 + i));
    EXPECT_EQ(Check("Bearer scraper"), 200) << minute;
  }
  api_.denied = true;
  clock_.Advance(Millis(61'000));
  EXPECT_EQ(Check("Bearer scraper"), 403);
}

}  // namespace
}  // namespace perennial::app
