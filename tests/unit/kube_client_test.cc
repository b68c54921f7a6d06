#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "kube/client.h"
#include "support/faults.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using perennial::testing::ManualClock;
using perennial::testing::StatusJson;

const Resource kDeployments{"apps", "v1", "deployments", "Deployment"};
const Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
const Ref kRef{kDeployments, {"ns", "web"}};
const std::string kObject =
    R"({"metadata":{"name":"web","uid":"u","resourceVersion":"5","generation":3}})";

// Answers from a script; remembers what it was asked.
class Script final : public Transport {
 public:
  explicit Script(ManualClock& clock) : clock_(clock) {}
  Result<Response> Send(const Request& request, Millis deadline) override {
    requests.push_back(request);
    deadlines.push_back(deadline);
    if (answers.empty()) return Response{200, kObject, {}};
    auto answer = answers.front();
    answers.pop_front();
    clock_.Advance(takes);
    return answer;
  }
  Status Stream(const Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Ok();
  }

  std::deque<Result<Response>> answers;
  std::vector<Request> requests;
  std::vector<Millis> deadlines;
  Millis takes{0};

 private:
  ManualClock& clock_;
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest()
      : script_(clock_),
        client_(script_, clock_, "tester",
                ClientOptions{.deadline = Millis{30'000},
                              .most_tries = 10,
                              .most_reconnects = 2,
                              .sleep = [this](Millis time) {
                                slept_.push_back(time);
                                clock_.Advance(time);
                              }}) {}

  void Fail(int status, std::string reason, std::optional<Millis> after = {}) {
    script_.answers.push_back(Response{status, StatusJson(status, reason, "why"), after});
  }
  void Lose() { script_.answers.push_back(Error{Errc::kUnavailable, "reset", {}}); }

  ManualClock clock_;
  Script script_;
  std::vector<Millis> slept_;
  Client client_;
};

TEST(PathTest, NamesResourcesAsTheirUrlsDo) {
  EXPECT_EQ(PathOf(kRef), "/apis/apps/v1/namespaces/ns/deployments/web");
  EXPECT_EQ(PathOf(kRef, Subresource::kStatus),
            "/apis/apps/v1/namespaces/ns/deployments/web/status");
  EXPECT_EQ(PathOf(kConfigMaps, "ns"), "/api/v1/namespaces/ns/configmaps");
  EXPECT_EQ(PathOf(kConfigMaps, ""), "/api/v1/configmaps");
  EXPECT_EQ(PathOf(Ref{{"", "v1", "nodes", "Node"}, {"", "n1"}}), "/api/v1/nodes/n1");
}

TEST(PathTest, NoNameLeavesItsPlace) {
  EXPECT_EQ(PathOf(Ref{kConfigMaps, {"a/b", "../x?y#z%"}}),
            "/api/v1/namespaces/a%2Fb/configmaps/..%2Fx%3Fy%23z%25");
}

TEST(ErrorFromStatusTest, TellsWhatCallersDecideOn) {
  const struct {
    int status;
    const char* reason;
    Errc code;
  } kCases[] = {
      {400, "BadRequest", Errc::kInvalid},
      {401, "Unauthorized", Errc::kUnauthorized},
      {403, "Forbidden", Errc::kForbidden},
      {404, "NotFound", Errc::kNotFound},
      {405, "MethodNotAllowed", Errc::kInvalid},
      {409, "AlreadyExists", Errc::kAlreadyExists},
      {409, "Conflict", Errc::kConflict},
      {410, "Gone", Errc::kGone},
      {410, "Expired", Errc::kGone},
      {413, "RequestEntityTooLarge", Errc::kTooLarge},
      {415, "UnsupportedMediaType", Errc::kInvalid},
      {422, "Invalid", Errc::kInvalid},
      {429, "TooManyRequests", Errc::kThrottled},
      {500, "InternalError", Errc::kUnavailable},
      {500, "ServerTimeout", Errc::kTimeout},
      {503, "ServiceUnavailable", Errc::kUnavailable},
      {504, "Timeout", Errc::kTimeout},
      {307, "", Errc::kUnavailable},
  };
  for (const auto& c : kCases) {
    const Error error = ErrorFromStatus({c.status, StatusJson(c.status, c.reason, "why"), {}});
    EXPECT_EQ(error.code, c.code) << c.status << " " << c.reason;
    EXPECT_NE(error.message.find(std::to_string(c.status)), std::string::npos);
  }
}

TEST(ErrorFromStatusTest, ReadsBodiesThatAreNoStatus) {
  EXPECT_EQ(ErrorFromStatus({404, "404 page not found\n", {}}).code, Errc::kNotFound);
  EXPECT_EQ(ErrorFromStatus({503, "", {}}).code, Errc::kUnavailable);
  EXPECT_EQ(ErrorFromStatus({502, R"({"kind":3})", {}}).code, Errc::kUnavailable);
  EXPECT_LT(ErrorFromStatus({500, std::string(1 << 20, 'x'), {}}).message.size(), 1100u);
}

TEST(ErrorFromStatusTest, KnowsEtcdsLimitsOnSize) {
  for (const char* message : {"etcdserver: request is too large",
                              "rpc error: code = ResourceExhausted desc = trying to send message "
                              "larger than max (2179622 vs. 2097152)"}) {
    EXPECT_EQ(ErrorFromStatus({500, StatusJson(500, "", message), {}}).code, Errc::kTooLarge)
        << message;
  }
}

TEST(ErrorFromStatusTest, TakesTheTimeToRetryFromHeaderOrDetails) {
  const std::string body =
      R"({"kind":"Status","code":500,"reason":"ServerTimeout","details":{"retryAfterSeconds":2}})";
  EXPECT_EQ(ErrorFromStatus({500, body, {}}).retry_after, Millis{2'000});
  EXPECT_EQ(ErrorFromStatus({429, body, Millis{7'000}}).retry_after, Millis{7'000});
}

TEST_F(ClientTest, AppliesWithItsManager) {
  const auto written = client_.Apply(kRef, R"({"a":1})");
  ASSERT_TRUE(written.ok());
  EXPECT_EQ(written->resource_version, "5");
  EXPECT_EQ(written->uid, "u");
  EXPECT_EQ(written->generation, 3);
  const Request& sent = script_.requests.at(0);
  EXPECT_EQ(sent.method, "PATCH");
  EXPECT_EQ(sent.path,
            "/apis/apps/v1/namespaces/ns/deployments/web?fieldManager=tester&force=true");
  EXPECT_EQ(sent.content_type, "application/apply-patch+yaml");
  EXPECT_EQ(sent.body, R"({"a":1})");
  ASSERT_TRUE(client_.Apply(kRef, "{}", Subresource::kStatus, false).ok());
  EXPECT_EQ(script_.requests.at(1).path,
            "/apis/apps/v1/namespaces/ns/deployments/web/status?fieldManager=tester");
}

TEST_F(ClientTest, WaitsAsLongAsTheServerSays) {
  Fail(429, "TooManyRequests", Millis{3'000});
  Fail(503, "ServiceUnavailable", Millis{1'000});
  EXPECT_TRUE(client_.Create(kRef, "{}").ok());
  EXPECT_EQ(slept_, (std::vector<Millis>{Millis{3'000}, Millis{1'000}}));
  EXPECT_EQ(script_.requests.size(), 3u);
}

TEST_F(ClientTest, GivesUpAfterTenTriesOrAtTheDeadline) {
  for (int i = 0; i < 20; ++i) Fail(429, "TooManyRequests", Millis{1'000});
  const auto result = client_.Get(kRef);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Errc::kThrottled);
  EXPECT_EQ(script_.requests.size(), 10u);

  script_.requests.clear();
  script_.answers.clear();
  script_.deadlines.clear();
  for (int i = 0; i < 20; ++i) Fail(429, "TooManyRequests", Millis{12'000});
  EXPECT_EQ(client_.Get(kRef).error().retry_after, Millis{12'000});
  EXPECT_EQ(script_.requests.size(), 3u);  // at 0, 12 and 24 s of 30
  EXPECT_EQ(script_.deadlines,
            (std::vector<Millis>{Millis{30'000}, Millis{18'000}, Millis{6'000}}));
}

TEST_F(ClientTest, DoesNotComeBackWhereTheServerDoesNotSayWhen) {
  Fail(429, "TooManyRequests");
  EXPECT_EQ(client_.Get(kRef).error().code, Errc::kThrottled);
  Fail(500, "InternalError");
  EXPECT_EQ(client_.Get(kRef).error().code, Errc::kUnavailable);
  EXPECT_EQ(script_.requests.size(), 2u);
}

TEST_F(ClientTest, ReadsAgainAfterALostConnection) {
  Lose();
  Lose();
  EXPECT_TRUE(client_.Get(kRef).ok());
  EXPECT_EQ(script_.requests.size(), 3u);
  for (int i = 0; i < 9; ++i) Lose();
  EXPECT_EQ(client_.Get(kRef).error().code, Errc::kUnavailable);
  EXPECT_EQ(script_.requests.size(), 6u);
}

TEST_F(ClientTest, NeverRepeatsAWriteWhoseOutcomeIsUnknown) {
  Lose();
  EXPECT_EQ(client_.Create(kRef, "{}").error().code, Errc::kUnavailable);
  EXPECT_EQ(script_.requests.size(), 1u);
  Lose();
  EXPECT_EQ(client_.MergePatch(kRef, "{}").error().code, Errc::kUnavailable);
  EXPECT_EQ(script_.requests.size(), 2u);
  Fail(500, "InternalError", Millis{1'000});
  EXPECT_EQ(client_.Create(kRef, "{}").error().code, Errc::kUnavailable);
  EXPECT_EQ(script_.requests.size(), 3u);
}

TEST_F(ClientTest, RepeatsWritesThatComeToTheSame) {
  Lose();
  EXPECT_TRUE(client_.Apply(kRef, "{}").ok());
  Lose();
  EXPECT_TRUE(client_.Delete(kRef, "u").ok());
  EXPECT_EQ(script_.requests.size(), 4u);
}

TEST_F(ClientTest, DoesNotTryAgainAfterItsDeadline) {
  script_.takes = Millis{30'000};
  Lose();
  EXPECT_FALSE(client_.Get(kRef).ok());
  EXPECT_EQ(script_.requests.size(), 1u);
}

TEST_F(ClientTest, DeletesOneObjectAndNoOther) {
  EXPECT_TRUE(client_.Delete(kRef, "u", "5").ok());
  const auto body = nlohmann::json::parse(script_.requests.at(0).body);
  EXPECT_EQ(body["preconditions"], (nlohmann::json{{"uid", "u"}, {"resourceVersion", "5"}}));
  EXPECT_EQ(body["propagationPolicy"], "Background");
  Fail(404, "NotFound");
  EXPECT_TRUE(client_.Delete(kRef, "u").ok());
  script_.answers.push_back(
      Response{409,
               StatusJson(409, "Conflict",
                          "Precondition failed: UID in precondition: u, UID in object meta: v"),
               {}});
  EXPECT_TRUE(client_.Delete(kRef, "u").ok());
  script_.answers.push_back(
      Response{409, StatusJson(409, "Conflict", "Precondition failed: ResourceVersion"), {}});
  EXPECT_EQ(client_.Delete(kRef, "u", "5").error().code, Errc::kConflict);
}

TEST_F(ClientTest, DoesNotBelieveAnAnswerThatIsCutOff) {
  for (size_t i = 0; i < kObject.size(); ++i) {
    script_.answers.push_back(Response{200, kObject.substr(0, i), {}});
    EXPECT_EQ(client_.Get(kRef).error().code, Errc::kUnavailable) << i;
    script_.answers.push_back(Response{200, kObject.substr(0, i), {}});
    EXPECT_EQ(client_.Create(kRef, "{}").error().code, Errc::kUnavailable) << i;
  }
}

TEST_F(ClientTest, ListsAPage) {
  script_.answers.push_back(Response{
      200,
      R"({"kind":"DeploymentList","metadata":{"resourceVersion":"77","continue":"abc=="},"items":[
        {"metadata":{"name":"a"}},{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"b"}}]})",
      {}});
  const auto page = client_.List(kDeployments, {.ns = "ns",
                                                .label_selector = "a=b",
                                                .resource_version = "",
                                                .continue_token = "t=1",
                                                .limit = 2,
                                                .field_selector = "d.e=f"});
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->continue_token, "abc==");
  EXPECT_EQ(page->resource_version, "77");
  ASSERT_EQ(page->items.size(), 2u);
  for (const std::string& item : page->items) {
    const auto object = nlohmann::json::parse(item);
    EXPECT_EQ(object["kind"], "Deployment");
    EXPECT_EQ(object["apiVersion"], "apps/v1");
    // No member twice.
    EXPECT_EQ(item.find("apiVersion"), item.rfind("apiVersion"));
  }
  EXPECT_EQ(script_.requests.at(0).path,
            "/apis/apps/v1/namespaces/ns/deployments?limit=2&labelSelector=a%3Db&"
            "fieldSelector=d.e%3Df&continue=t%3D1");
}

TEST_F(ClientTest, AListWithoutAVersionIsNone) {
  for (const char* body : {R"({"items":[]})", R"({"metadata":{},"items":[]})", "", "[]",
                           R"({"metadata":{"resourceVersion":"1"},"items":[{"a":1})"}) {
    script_.answers.push_back(Response{200, body, {}});
    const auto page = client_.List(kDeployments, {});
    ASSERT_FALSE(page.ok()) << body;
    EXPECT_EQ(page.error().code, Errc::kUnavailable);
  }
  script_.answers.push_back(
      Response{200, R"({"metadata":{"resourceVersion":"1"},"items":null})", {}});
  EXPECT_TRUE(client_.List(kDeployments, {}).ok());
}

}  // namespace
}  // namespace perennial::kube
