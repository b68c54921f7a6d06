// Secrets that the controller reads are written nowhere: not into a request, not into the log.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "kube/http_transport.h"
#include "support/controller_world.h"
#include "support/eventually.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"
#include "support/socket_server.h"

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

// What a peer would be told: "user:" and the password, and the header of it.
constexpr const char* kBasic64 = "dXNlcjptYXJrZXItb2YtdGhlLXBhc3N3b3Jk";

void AddSecret(FakeApiServer& server, const std::string& authority) {
  server.Put(
      api::kSecrets,
      {{"metadata",
        {{"namespace", "transit"}, {"name", "m"}, {"labels", {{"perennial.dev/use", "metrics"}}}}},
       {"data",
        {{"token", kPodToken64},
         {"username", "dXNlcg=="},
         {"password", kPassword64},
         {"ca.crt", EncodeBase64(authority)}}}});
}

// Answers with the credentials that it got, wherever an answer has room: as pages of errors, as
// names and labels of metrics, as the error and the warnings of a Prometheus.
class Echo {
 public:
  explicit Echo(const test::TlsIdentity& identity)
      : server_([this](test::Connection& peer) { Serve(peer); }, &identity) {}

  std::uint16_t port() const { return server_.port(); }
  bool Got(const std::string& credential) {
    const std::lock_guard lock(mutex_);
    return got_.find(credential) != std::string::npos;
  }
  int answers() const { return answers_; }

 private:
  void Serve(test::Connection& peer) {
    const std::string head = peer.ReadHead();
    const std::size_t at = head.find("Authorization: ");
    if (at == std::string::npos) return;
    const std::size_t begin = at + std::string_view("Authorization: ").size();
    const std::string credentials = head.substr(begin, head.find("\r\n", begin) - begin);
    const std::string token = credentials.substr(credentials.find(' ') + 1);
    {
      const std::lock_guard lock(mutex_);
      got_ += credentials + "\n";
    }
    const bool query = head.starts_with("POST ");
    const int turn = answers_++ % 3;
    if (query) {
      const std::string clear = DecodeBase64(token).value_or(token);
      const json error = {{"status", "error"},
                          {"errorType", credentials},
                          {"error", credentials + " of " + clear + " is refused"}};
      const json warning = {{"status", "success"},
                            {"data", {{"resultType", "vector"}, {"result", json::array()}}},
                            {"warnings", {credentials + " of " + clear}}};
      const std::string page = turn == 0 ? warning.dump() : error.dump();
      peer.Send(test::HttpAnswer(turn == 0 ? "200 OK" : "400 Bad Request",
                                 "Content-Type: application/json\r\n", page));
    } else if (turn == 0) {
      peer.Send(test::HttpAnswer("403 " + token, "", credentials + " is refused"));
    } else {
      const std::string page = turn == 1 ? token + " 1\n" : "m{" + token + "=\"1\"} 1\n";
      peer.Send(test::HttpAnswer("200 OK", "Content-Type: text/plain\r\n", page));
    }
  }

  std::mutex mutex_;
  std::string got_;
  std::atomic<int> answers_{0};
  test::SocketServer server_;  // last: its threads use the others
};

json Monitor(const std::string& name, const json& source) {
  json object = json::parse(R"({
    "metadata": {"namespace": "transit"},
    "spec": {"target": {"modelDeployment": "departures"}, "interval": "10s", "window": "3m",
             "signals": [{"name": "a", "type": "Custom", "metric": "m", "max": "1"}]}})");
  object["metadata"]["name"] = name;
  object["spec"]["source"] = source;
  return object;
}

// The controller's words in requests (statuses and events among them) and in its log.
void ExpectNowhere(const std::string& log, const FakeApiServer& server) {
  for (const char* marker : {kApiToken, kPodToken, kPassword, kPodToken64, kPassword64, kBasic64}) {
    EXPECT_EQ(log.find(marker), std::string::npos)
        << log.substr(log.find(marker) > 300 ? log.find(marker) - 300 : 0, 700);
    for (const RecordedRequest& recorded : server.Requests()) {
      EXPECT_EQ((recorded.request.path + recorded.request.body).find(marker), std::string::npos)
          << recorded.request.method << " " << recorded.request.path << " "
          << recorded.request.body;
    }
  }
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
  AddSecret(server, "none");
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
  ExpectNowhere(log, server);
}

TEST(Secrets, AreNotRepeatedAfterAPeerThatRepeatsThem) {
  InitLogging("trace", LogFormat::kJson);
  ::testing::internal::CaptureStderr();
  FakeApiServer server(InProcess());
  ControllerWorld world(server);
  const test::TlsIdentity identity = test::MakeTlsIdentity("model", "DNS:model");
  Echo pods(identity), prometheus(identity);
  AddSecret(server, identity.certificate_pem);
  world.SetModel("http://models/1");
  world.pod_port = pods.port();
  const json trust = {{"serverName", "model"}, {"caSecretRef", {{"name", "m"}, {"key", "ca.crt"}}}};
  json model = world.Model();
  model["spec"]["metrics"] = {{"scheme", "HTTPS"},
                              {"port", "http"},
                              {"tls", trust},
                              {"bearerTokenSecretRef", {{"name", "m"}, {"key", "token"}}}};
  server.Put(api::kModelDeployments, model);
  json by_pods = Monitor("pods", {{"scrape", json::object()}});
  json by_query =
      Monitor("prometheus", {{"prometheus",
                              {{"url", "https://127.0.0.1:" + std::to_string(prometheus.port())},
                               {"tls", trust},
                               {"basicAuthSecretRef", {{"name", "m"}}}}}});
  for (json* monitor : {&by_pods, &by_query}) {
    (*monitor)["spec"]["interval"] = "1s";
    server.Put(api::kDriftMonitors, *monitor);
  }
  app::RunOptions options;
  options.source_allow = {"127.0.0.0/8"};
  world.Start(false, options);
  bool quoted = false;
  EXPECT_TRUE(Eventually(
      [&] {
        world.MakePodsReady();
        const auto told = server.Get({api::kDriftMonitors, {"transit", "prometheus"}});
        quoted = quoted || (told && told->dump().find("[redacted]") != std::string::npos);
        return quoted && pods.answers() >= 6 && prometheus.answers() >= 6;
      },
      Millis(60'000)))
      << pods.answers() << " " << prometheus.answers() << (quoted ? "" : ", and it is not quoted");
  std::this_thread::sleep_for(Millis(500));  // what is said after that
  world.Stop();
  const std::string log = ::testing::internal::GetCapturedStderr();
  InitLogging("warn", LogFormat::kText);
  EXPECT_TRUE(pods.Got(kPodToken)) << "the peers were told";
  EXPECT_TRUE(prometheus.Got(kBasic64));
  ExpectNowhere(log, server);
}

}  // namespace
}  // namespace perennial::testing
