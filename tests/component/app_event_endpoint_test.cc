// Events over a real socket, against an API server in this process.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "api/codec.h"
#include "api/names.h"
#include "app/event_endpoint.h"
#include "app/work.h"
#include "base/hash.h"
#include "retrain/event.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"

namespace perennial::app {
namespace {

using nlohmann::json;

constexpr const char* kToken = "0123456789abcdef-token";
constexpr const char* kKey = "0123456789abcdef-signing-key";

int Connect(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}

std::string ReadToEnd(int fd) {
  std::string out;
  char buffer[4096];
  pollfd poller{fd, POLLIN, 0};
  while (::poll(&poller, 1, 8'000) == 1) {
    const ssize_t got = ::recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
      ::close(fd);
      return out;
    }
    out.append(buffer, static_cast<std::size_t>(got));
  }
  ADD_FAILURE() << "the connection stays open";
  ::close(fd);
  return out;
}

std::string Exchange(int port, const std::string& bytes) {
  const int fd = Connect(port);
  // In two parts, as networks do.
  const std::size_t half = bytes.size() / 2;
  ::send(fd, bytes.data(), half, MSG_NOSIGNAL);
  std::this_thread::sleep_for(Millis(5));
  ::send(fd, bytes.data() + half, bytes.size() - half, MSG_NOSIGNAL);
  return ReadToEnd(fd);
}

int StatusOf(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 ") ? std::atoi(answer.c_str() + 9) : 0;
}

class EventEndpointTest : public ::testing::Test {
 protected:
  EventEndpointTest() {
    Put(Triggers());
    auto server = HttpServer::ListenForPosts(
        0, [this](const HttpRequest& request) { return endpoint_.Take(request); }, SystemClock(),
        kEventLimits);
    if (server.ok()) server_ = *std::move(server);
  }

  static json Triggers() {
    return json::array({{{"event",
                          {{"type", "rows.loaded"},
                           {"bearerTokenSecretRef", {{"name", "warehouse"}, {"key", "token"}}}}}},
                        {{"event",
                          {{"type", "data.signed"},
                           {"source", "/lake"},
                           {"signatureSecretRef", {{"name", "lake"}, {"key", "key"}}}}}}});
  }
  void Put(const json& triggers, bool seen = true) {
    json policy = {{"metadata", {{"namespace", "transit"}, {"name", "departures"}}},
                   {"spec",
                    {{"modelDeployment", "departures"},
                     {"job", {{"template", json::object()}}},
                     {"triggers", triggers}}}};
    api_.Put(api::kRetrainPolicies, policy);
    if (!seen) return;
    const auto decoded =
        api::DecodeRetrainPolicy(*api_.Get({api::kRetrainPolicies, {"transit", "departures"}}));
    ASSERT_TRUE(decoded.ok());
    policies_.Upsert(std::make_shared<api::RetrainPolicy>(*decoded));
  }

  std::string Post(std::map<std::string, std::string> headers, const std::string& body = "",
                   const std::string& path = "/events/transit/departures") {
    std::string request = "POST " + path +
                          " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
                          "\r\n";
    for (const auto& [name, value] : headers) request += name + ": " + value + "\r\n";
    return Exchange(server_->port(), request + "\r\n" + body);
  }
  std::map<std::string, std::string> Binary(const std::string& id = "1") const {
    return {{"Authorization", std::string("Bearer ") + kToken},
            {"ce-specversion", "1.0"},
            {"ce-id", id},
            {"ce-source", "/warehouse"},
            {"ce-type", "rows.loaded"},
            {"ce-time", FormatTime(SystemClock().Wall())}};
  }
  std::string Signed(const std::string& body, const char* key = kKey) {
    return Post({{"Content-Type", "application/cloudevents+json"},
                 {"X-Hub-Signature-256", "sha256=" + HmacSha256Hex(key, body)}},
                body);
  }
  static std::string Event(const char* id) {
    return json{{"specversion", "1.0"},
                {"id", id},
                {"source", "/lake"},
                {"type", "data.signed"},
                {"time", FormatTime(SystemClock().Wall())}}
        .dump();
  }
  std::size_t Waiting() {
    return api_.Get({api::kRetrainPolicies, {"transit", "departures"}})
        ->value("status", json::object())
        .value("events", json::array())
        .size();
  }

  ::perennial::testing::FakeApiServer api_{::perennial::testing::InProcess()};
  kube::Store<api::RetrainPolicy> policies_;
  kube::Client client_{api_.transport(), SystemClock(), Work::kPolicyManager};
  std::map<std::string, std::string> secrets_{{"warehouse/token", std::string(kToken) + "\n"},
                                              {"lake/key", kKey}};
  EventEndpoint endpoint_{
      {policies_, client_,
       [this](const kube::Key& secret, const std::string& key) -> Result<std::string> {
         const auto it = secrets_.find(secret.name + "/" + key);
         if (secret.ns == "transit" && it != secrets_.end()) return it->second;
         return Error{Errc::kNotFound, "no such Secret"};
       },
       SystemClock()}};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(EventEndpointTest, TakesAnEventOnce) {
  ASSERT_NE(server_, nullptr);
  EXPECT_EQ(StatusOf(Post(Binary(), R"({"rows": 3})")), 202);
  EXPECT_EQ(StatusOf(Post(Binary(), R"({"rows": 3})")), 200) << "a replay is no second event";
  EXPECT_EQ(Waiting(), 1u);
  EXPECT_EQ(StatusOf(Signed(Event("1"))), 202) << "another source is another event";
  EXPECT_EQ(StatusOf(Signed(Event("1"))), 200);
  EXPECT_EQ(Waiting(), 2u);
  EXPECT_EQ(api_.Get({api::kRetrainPolicies, {"transit", "departures"}})
                ->at("status")["events"][1]["source"],
            "/lake");
}

TEST_F(EventEndpointTest, ASchemeHasNoCase) {
  auto headers = Binary();
  headers["Authorization"] = std::string("bEARER ") + kToken;
  EXPECT_EQ(StatusOf(Post(headers)), 202);
}

// What the store shows can be older than the API server's: another policy of the same name, or the
// same one that trusts somebody else now.
TEST_F(EventEndpointTest, CredentialsOfThePastOpenNothing) {
  const json trigger = {{"type", "rows.loaded"},
                        {"bearerTokenSecretRef", {{"name", "successor"}, {"key", "token"}}}};
  Put(json::array({{{"event", trigger}}}), /*seen=*/false);
  EXPECT_EQ(StatusOf(Post(Binary())), 503);
  auto another = std::make_shared<api::RetrainPolicy>(*policies_.Get({"transit", "departures"}));
  Put(Triggers(), /*seen=*/false);
  another->meta.uid = "another";
  policies_.Upsert(another);
  EXPECT_EQ(StatusOf(Post(Binary())), 503);
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(EventEndpointTest, LogsNoSecret) {
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  const auto all = std::make_shared<spdlog::logger>(
      "all", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  all->set_level(spdlog::level::trace);
  spdlog::set_default_logger(all);
  Post(Binary("taken"));
  Signed(Event("taken"));
  auto wrong = Binary();
  wrong["Authorization"] = "Bearer guessed-by-a-stranger";
  Post(wrong);
  secrets_["warehouse/token"] = "too-short";
  Post(Binary("refused"));
  server_.reset();
  spdlog::set_default_logger(before);
  EXPECT_NE(log.str().find("took event event/"), std::string::npos) << log.str();
  EXPECT_NE(log.str().find("shorter than 16"), std::string::npos) << log.str();
  for (const char* secret : {kToken, kKey, "guessed", "too-short", "taken", "sha256="}) {
    EXPECT_EQ(log.str().find(secret), std::string::npos) << log.str();
  }
}

TEST_F(EventEndpointTest, TellsStrangersNothing) {
  auto wrong = Binary();
  wrong["Authorization"] = "Bearer 0123456789abcdef-tokem";
  auto none = Binary();
  none.erase("Authorization");
  auto basic = Binary();
  basic["Authorization"] = std::string("Basic ") + kToken;
  const std::string nobody = Post(Binary(), "", "/events/transit/nobody");
  EXPECT_EQ(StatusOf(nobody), 401);
  for (const auto& headers : {wrong, none, basic}) EXPECT_EQ(Post(headers), nobody);
  EXPECT_EQ(Signed(Event("1"), "another-key-that-is-long-enough"), nobody);
  EXPECT_EQ(Post({{"X-Hub-Signature-256", "sha256="}}, Event("1")), nobody);
  EXPECT_EQ(Post(Binary(), "", "/events/elsewhere/departures"), nobody);
  secrets_.clear();
  EXPECT_EQ(Post(Binary()), nobody);
  secrets_["warehouse/token"] = "short";
  auto shorts = Binary();
  shorts["Authorization"] = "Bearer short";
  EXPECT_EQ(Post(shorts), nobody) << "a secret that can be guessed is none";
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(EventEndpointTest, ACredentialOpensItsOwnTriggerOnly) {
  auto other = Binary();
  other["ce-type"] = "data.signed";
  other["ce-source"] = "/lake";
  EXPECT_EQ(StatusOf(Post(other)), 422);
  const std::string body = Event("1");
  EXPECT_EQ(StatusOf(Post({{"X-Hub-Signature-256", "sha256=" + HmacSha256Hex(kKey, body)},
                           {"ce-specversion", "1.0"},
                           {"ce-id", "forged"},
                           {"ce-source", "/lake"},
                           {"ce-type", "data.signed"},
                           {"ce-time", FormatTime(SystemClock().Wall())}},
                          body)),
            400)
      << "a signature does not cover headers";
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(EventEndpointTest, RefusesOldAndBrokenEvents) {
  auto old = Binary();
  old["ce-time"] = FormatTime(SystemClock().Wall() - std::chrono::hours(2));
  EXPECT_EQ(StatusOf(Post(old)), 400);
  EXPECT_EQ(StatusOf(Signed("{")), 400);
  EXPECT_EQ(StatusOf(Signed(std::string(60'000, '['))), 400);
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(EventEndpointTest, BoundsWhatWaits) {
  for (std::size_t i = 0; i < retrain::kMostEvents; ++i) {
    EXPECT_EQ(StatusOf(Post(Binary("e" + std::to_string(i)))), 202);
  }
  EXPECT_EQ(StatusOf(Post(Binary("one-more"))), 429);
  EXPECT_EQ(Waiting(), retrain::kMostEvents);
}

TEST_F(EventEndpointTest, AnswersEveryKindOfRequest) {
  const std::string line = "POST /events/transit/departures HTTP/1.1\r\n";
  for (const auto& [request, status] : std::vector<std::pair<std::string, int>>{
           {"GET /events/transit/departures HTTP/1.1\r\n\r\n", 405},
           {"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404},
           {"POST /events/a/b/c HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404},
           {"POST /events/a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 404},
           {line + "\r\n", 411},
           {line + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
           {line + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", 411},
           {line + "Content-Length: -1\r\n\r\n", 400},
           {line + "Content-Length: 1x\r\n\r\n", 400},
           {line + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
           {line + "Content-Length : 1\r\n\r\na", 411},
           {line + "Content-Length: 65537\r\n\r\n", 413},
           {line + "Content-Length: 99999999999999999999999\r\n\r\n", 413},
           {line + "A: " + std::string(20'000, 'a'), 431},
           {line +
                "Content-Length: 0\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
            401},
           {std::string("\0\0\0\r\n\r\n", 7), 400},
       }) {
    EXPECT_EQ(StatusOf(Exchange(server_->port(), request)), status) << request.substr(0, 120);
  }
}

// Those who begin a request and never end it keep nobody out, and are sent away.
TEST(PostServer, WaitsForNobody) {
  std::atomic<int> asked{0};
  const auto server = HttpServer::ListenForPosts(
      0,
      [&](const HttpRequest&) {
        ++asked;
        return HttpReply{202, "taken\n"};
      },
      SystemClock(), {.connections = 4, .body_bytes = 100, .request_timeout = Millis(300)});
  ASSERT_TRUE(server.ok());
  const std::string head = "POST /events/a/b HTTP/1.1\r\nContent-Length: 10\r\n\r\n";
  std::vector<int> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(Connect((*server)->port()));
    const std::string part = head + "12345";
    ::send(slow.back(), part.data(), part.size(), MSG_NOSIGNAL);
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(StatusOf(Exchange((*server)->port(), head + "1234567890")), 202);
  }
  for (const int fd : slow) EXPECT_EQ(ReadToEnd(fd), "");
  EXPECT_EQ(asked, 5);
}

}  // namespace
}  // namespace perennial::app
