// Secrets that the controller reads are written nowhere: not into a request, not into the log.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/log.h"
#include "kube/http_transport.h"
#include "support/controller_world.h"
#include "support/fake_api_server.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

// In the order in which they would hurt: our own token, a token for pods, a password.
constexpr const char* kApiToken = "marker-of-the-api-token";
constexpr const char* kPodToken = "marker-of-the-pod-token";
constexpr const char* kPassword = "marker-of-the-password";
// The two of the Secret as the API server holds them.
constexpr const char* kPodToken64 = "bWFya2VyLW9mLXRoZS1wb2QtdG9rZW4=";
constexpr const char* kPassword64 = "bWFya2VyLW9mLXRoZS1wYXNzd29yZA==";

void AddSecret(FakeApiServer& server) {
  server.Put(
      api::kSecrets,
      {{"metadata",
        {{"namespace", "transit"}, {"name", "m"}, {"labels", {{"perennial.dev/use", "metrics"}}}}},
       {"data", {{"token", kPodToken64}, {"username", "dXNlcg=="}, {"password", kPassword64}}}});
}

json Monitor(const std::string& name, const json& source) {
  json object = json::parse(R"({
    "metadata": {"namespace": "transit"},
    "spec": {"target": {"modelDeployment": "departures"}, "interval": "10s", "window": "3m",
             "signals": [{"name": "a", "type": "Custom", "metric": "m", "max": "1"}]}})");
  object["metadata"]["name"] = name;
  object["spec"]["source"] = source;
  return object;
}

TEST(Secrets, AreInNoRequestAndNoLogLine) {
  InitLogging("trace", LogFormat::kJson);
  ::testing::internal::CaptureStderr();
  FakeApiOptions with_token;
  with_token.token = kApiToken;
  FakeApiServer server(with_token);
  const auto transport = kube::MakeHttpTransport(server.Config(), SystemClock());
  ASSERT_TRUE(transport.ok());
  ControllerWorld world(server, transport->get());
  AddSecret(server);
  world.SetModel("http://models/1");
  json model = world.Model();
  model["spec"]["metrics"] = {{"scheme", "HTTPS"},
                              {"port", "http"},
                              {"tls", {{"serverName", "model"}}},
                              {"bearerTokenSecretRef", {{"name", "m"}, {"key", "token"}}}};
  server.Put(api::kModelDeployments, model);
  server.Put(api::kDriftMonitors, Monitor("pods", {{"scrape", json::object()}}));
  server.Put(
      api::kDriftMonitors,
      Monitor("prometheus",
              {{"prometheus",
                {{"url", "https://127.0.0.1:1"}, {"basicAuthSecretRef", {{"name", "m"}}}}}}));
  // Somebody on the way tells us our own token, as error pages of proxies do.
  const std::string page = StatusJson(500, "InternalError", "no: Bearer " + std::string(kApiToken));
  server.FailNext(
      [] {
        Match applies;
        applies.method = "PATCH";
        return applies;
      }(),
      Raw("HTTP/1.1 500 X\r\nContent-Type: application/json\r\nContent-Length: " +
          std::to_string(page.size()) + "\r\n\r\n" + page),
      4, 2);
  app::RunOptions options;
  options.source_allow = {"127.0.0.0/8"};
  world.Start(false, options);
  const auto read = [&] {
    Match secrets;
    secrets.path = "/secrets/m";
    return server.Count(secrets);
  };
  const auto problems = [&](const std::string& monitor) {
    const json object = server.Get({api::kDriftMonitors, {"transit", monitor}}).value_or(json());
    return object.value("status", json::object()).value("why", std::string());
  };
  EXPECT_TRUE(Eventually(
      [&] {
        world.MakePodsReady();
        return read() > 0 && !world.Champion().empty() && !problems("pods").empty() &&
               !problems("prometheus").empty();
      },
      Millis(20'000)));
  std::this_thread::sleep_for(Millis(500));  // what is said after that
  world.Stop();
  const std::string log = ::testing::internal::GetCapturedStderr();
  InitLogging("warn", LogFormat::kText);
  EXPECT_GT(read(), 0u) << "the Secret was needed";
  EXPECT_NE(log.find("all stores are filled"), std::string::npos) << "the log was captured";
  for (const char* marker : {kApiToken, kPodToken, kPassword, kPodToken64, kPassword64}) {
    EXPECT_EQ(log.find(marker), std::string::npos)
        << log.substr(log.find(marker) > 300 ? log.find(marker) - 300 : 0, 700);
    for (const RecordedRequest& recorded : server.Requests()) {
      EXPECT_EQ((recorded.request.path + recorded.request.body).find(marker), std::string::npos)
          << recorded.request.method << " " << recorded.request.path << " "
          << recorded.request.body;
    }
  }
}

}  // namespace
}  // namespace perennial::testing
