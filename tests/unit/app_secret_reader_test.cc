#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "app/secret_reader.h"
#include "support/manual_clock.h"

namespace perennial::app {
namespace {

// Answers every request alike, and remembers it.
class Answering final : public kube::Transport {
 public:
  Result<kube::Response> Send(const kube::Request& request, Millis) override {
    asked.push_back(request.method + " " + request.path);
    return answer;
  }
  Status Stream(const kube::Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Error{Errc::kUnavailable, "not here"};
  }

  kube::Response answer{200, ""};
  std::vector<std::string> asked;
};

std::string Secret(const std::string& labels) {
  return R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"ns",)"
         R"("uid":"u","resourceVersion":"1","labels":{)" +
         labels + R"(}},"data":{"token":"dG9rZW4=","bad":"?"}})";
}

class SecretReaderTest : public ::testing::Test {
 protected:
  std::string Problem(const std::string& key = "token") {
    const auto read = reader_.Read({"ns", "s"}, key);
    return read.ok() ? "read: " + *read : read.error().message;
  }

  perennial::testing::ManualClock clock_;
  Answering transport_;
  kube::Client client_{transport_, clock_, "perennial-secrets", {.most_tries = 1}};
  SecretReader reader_{client_, clock_};
};

TEST_F(SecretReaderTest, ReadsOneSecretByNameAndRemembersItForAMinute) {
  transport_.answer.body = Secret(R"("perennial.dev/use":"metrics")");
  EXPECT_EQ(Problem(), "read: token");
  EXPECT_EQ(Problem("other"), "Secret ns/s has no entry other");
  EXPECT_EQ(Problem("bad"), "Secret ns/s: entry bad is not base64");
  EXPECT_EQ(transport_.asked, (std::vector<std::string>{"GET /api/v1/namespaces/ns/secrets/s"}));
  clock_.Advance(Millis{60'001});
  EXPECT_EQ(Problem(), "read: token");
  EXPECT_EQ(transport_.asked.size(), 2u);
}

TEST_F(SecretReaderTest, UsesNoSecretWithoutItsOwnersConsent) {
  for (const char* labels : {"", R"("perennial.dev/use":"other")", R"("use":"metrics")"}) {
    transport_.answer.body = Secret(labels);
    EXPECT_EQ(Problem(), "Secret ns/s is not for metrics: label it perennial.dev/use=metrics");
    clock_.Advance(Millis{31'000});
  }
}

TEST_F(SecretReaderTest, SaysWhatToChangeAndRemembersFailures) {
  transport_.answer = {403, R"({"kind":"Status","message":"secrets \"s\" is forbidden"})"};
  EXPECT_NE(Problem().find("may not read Secret ns/s: grant it"), std::string::npos);
  EXPECT_NE(Problem().find("may not read"), std::string::npos);
  EXPECT_EQ(transport_.asked.size(), 1u);
  clock_.Advance(Millis{31'000});
  transport_.answer = {404, "{}"};
  EXPECT_EQ(Problem(), "Secret ns/s does not exist");
}

TEST_F(SecretReaderTest, KeepsWhatItReadWhileTheApiServerCannotTell) {
  transport_.answer = {500, "{}"};
  EXPECT_EQ(Problem(), "Secret ns/s could not be read") << "there is nothing to keep";
  clock_.Advance(Millis{31'000});
  transport_.answer = {200, Secret(R"("perennial.dev/use":"metrics")")};
  EXPECT_EQ(Problem(), "read: token");
  transport_.answer = {500, "{}"};
  for (int i = 0; i < 9; ++i) {
    clock_.Advance(Millis{61'000});
    EXPECT_EQ(Problem(), "read: token") << i;
  }
  EXPECT_EQ(transport_.asked.size(), 11u) << "asked again each time";
  clock_.Advance(Millis{61'000});
  EXPECT_EQ(Problem(), "Secret ns/s could not be read") << "ten minutes are over";
  clock_.Advance(Millis{31'000});
  transport_.answer = {200, Secret(R"("perennial.dev/use":"metrics")")};
  EXPECT_EQ(Problem(), "read: token");
  clock_.Advance(Millis{61'000});
  transport_.answer = {404, "{}"};
  EXPECT_EQ(Problem(), "Secret ns/s does not exist") << "that is an answer";
  clock_.Advance(Millis{31'000});
  transport_.answer = {500, "{}"};
  EXPECT_EQ(Problem(), "Secret ns/s could not be read");
}

}  // namespace
}  // namespace perennial::app
