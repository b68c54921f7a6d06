#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "scrape/promql_pool.h"
#include "support/eventually.h"
#include "support/gzip.h"
#include "support/socket_server.h"

namespace perennial::scrape {
namespace {

using perennial::testing::Eventually;
using test::Connection;
using test::Gzip;
using test::HttpAnswer;
using test::SocketServer;

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
// Ten tries, each with a smaller range, of what the kernels of both sides may hold.
constexpr std::size_t kMostSent = std::size_t{240} << 20;

std::string Json(const std::string& body, const char* status = "200 OK") {
  return HttpAnswer(status, "Content-Type: application/json\r\n", body);
}

std::string Matrix(const std::string& series) {
  return R"({"status":"success","data":{"resultType":"matrix","result":[)" + series + "]}}";
}

PromqlOptions Options() {
  PromqlOptions options;
  options.fetch = {.connect = Millis{300},
                   .total = Millis{300},
                   .header_bytes = std::size_t{16} << 10,
                   .wire_bytes = std::size_t{256} << 10,
                   .body_bytes = std::size_t{512} << 10};
  options.addresses.allow_loopback = true;
  return options;
}

Subscription Asking(const std::string& url) {
  Subscription out{.interval = Millis{1'000}, .metrics = {"c_total"}, .targets = {}, .access = {}};
  out.promql.emplace();
  out.promql->url = url;
  out.promql->ns = "ns";
  out.promql->variants = {{"v1", "w"}};
  out.targets.push_back({"w-a-b", "10.0.0.1", 80, "/metrics", "v1"});
  return out;
}

std::string UrlOf(const SocketServer& server) {
  return "http://127.0.0.1:" + std::to_string(server.port());
}

WindowView ViewOf(const SampleStore& store) {
  return store.View("m", "v1", Millis{3'600'000}, Millis{0}, SystemClock().Steady());
}

// Until a round is over, or 10 s have passed.
WindowView AfterRounds(SampleStore& store, std::uint64_t rounds) {
  EXPECT_TRUE(Eventually([&] { return store.Generation("m") >= rounds; }));
  return ViewOf(store);
}

struct Hostile {
  std::string name;
  SocketServer::Handler handler;
  Errc expected;
  std::string says;
};

void PrintTo(const Hostile& hostile, std::ostream* out) {
  *out << hostile.name;
}

SocketServer::Handler Say(std::string text) {
  return [text = std::move(text)](Connection& peer) { peer.Send(text); };
}

SocketServer::Handler Endless(std::string first, std::string again) {
  return [first = std::move(first), again = std::move(again)](Connection& peer) {
    peer.Send(first);
    while (peer.Send(again)) {
    }
  };
}

std::vector<Hostile> AllHostile() {
  const std::string kilobytes(std::size_t{64} << 10, 'a');
  const std::string head(kOk);
  const auto drip = [head](Connection& peer) {
    peer.Send(head + "\r\n{");
    while (peer.Send(" ")) std::this_thread::sleep_for(Millis{10});
  };
  return {
      {"Garbage", Say(Json("not JSON")), Errc::kInvalid, "not JSON"},
      {"NestedWithoutEnd", Say(Json(std::string(100'000, '['))), Errc::kInvalid, "refused"},
      {"OtherServer", Say(Json("{\"kind\":\"Status\"}")), Errc::kInvalid, "check url"},
      {"NotFound", Say(Json("secret text", "404 Not Found")), Errc::kNotFound, "HTTP status 404"},
      {"Unauthorized", Say(Json("{}", "401 Unauthorized")), Errc::kUnauthorized, "status 401"},
      {"Redirect", Say(HttpAnswer("302 Found", "Location: http://169.254.169.254/latest\r\n", "")),
       Errc::kNotFound, "redirects are not followed"},
      {"BadQuery",
       Say(Json(R"({"status":"error","errorType":"bad_data","error":"no such"})",
                "400 Bad Request")),
       Errc::kInvalid, "Prometheus answers bad_data: no such"},
      {"TrailingGarbage", Say(Json(Matrix("") + "x")), Errc::kInvalid, "refused"},
      {"BodyWithoutEnd", Endless(head + "\r\n", kilobytes), Errc::kTooLarge, "limit"},
      {"HeadersWithoutEnd", Endless(head, "X-Y: zzzzzzzzzzz\r\n"), Errc::kTooLarge, "limit"},
      {"ChunkOfMinusOne", Say(head + "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc"),
       Errc::kUnavailable, "framing"},
      {"ChunkOfAllBytes", Say(head + "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nabc"),
       Errc::kUnavailable, "framing"},
      {"GzipBomb",
       Say(HttpAnswer("200 OK", "Content-Encoding: gzip\r\n",
                      Gzip(std::string(std::size_t{16} << 20, ' ')))),
       Errc::kTooLarge, "limit"},
      {"SlowDrip", drip, Errc::kTimeout, "in time"},
      {"CutShort", Say(head + "\r\n" + R"({"status":"success","data":{)"), Errc::kInvalid,
       "not JSON"},
  };
}

class HostilePrometheus : public ::testing::TestWithParam<Hostile> {};

TEST_P(HostilePrometheus, CostsBoundedBytesAndSaysWhatIsWrong) {
  SocketServer server([&](Connection& peer) {
    peer.ReadRequest();
    GetParam().handler(peer);
  });
  SampleStore store(SystemClock());
  PromqlPool pool(store, SystemClock(), Options());
  store.Set("m", Asking(UrlOf(server)));
  pool.Start();
  const WindowView seen = AfterRounds(store, 1);
  pool.Stop();
  EXPECT_EQ(seen.targets_up, 0);
  EXPECT_TRUE(seen.series.empty());
  ASSERT_FALSE(seen.problems.empty());
  EXPECT_NE(seen.problems[0].find(GetParam().says), std::string::npos) << seen.problems[0];
  EXPECT_EQ(seen.problems[0].find("secret"), std::string::npos) << "bodies are not shown";
  EXPECT_EQ(pool.Counters().failures[GetParam().expected], pool.Counters().queries);
  EXPECT_LT(server.sent(), kMostSent);
}

INSTANTIATE_TEST_SUITE_P(Every, HostilePrometheus, ::testing::ValuesIn(AllHostile()),
                         [](const auto& info) { return info.param.name; });

// HTTP/1.0 without a length is an old proxy, not an attack.
TEST(PromqlPoolTest, ReadsAnAnswerThatEndsWithTheConnection) {
  SocketServer server([](Connection& peer) {
    peer.ReadRequest();
    peer.Send("HTTP/1.0 200 OK\r\n\r\n" + Matrix(""));
  });
  SampleStore store(SystemClock());
  PromqlPool pool(store, SystemClock(), Options());
  store.Set("m", Asking(UrlOf(server)));
  pool.Start();
  const WindowView seen = AfterRounds(store, 1);
  EXPECT_EQ(pool.Counters().failures.size(), 0u);
  ASSERT_EQ(seen.problems.size(), 1u);
  EXPECT_EQ(seen.problems[0], "1 of 1 targets failed: the Prometheus has no samples of the pod");
}

TEST(PromqlPoolTest, AsksALargeRangeInPieces) {
  std::mutex mutex;
  std::vector<long> ranges;
  SocketServer server([&](Connection& peer) {
    const std::string form = peer.ReadRequest();
    const std::size_t end = form.find("ms%5D&time");
    const std::size_t begin = form.rfind("%5B", end);
    const long range = end == form.npos ? 0 : std::stol(form.substr(begin + 3));
    {
      const std::lock_guard lock(mutex);
      ranges.push_back(range);
    }
    if (range > 1'000'000) {
      peer.Send(Json(R"({"status":"error","errorType":"execution",)"
                     R"("error":"query processing would load too many samples into memory"})",
                     "422 Unprocessable Entity"));
    } else {
      peer.Send(Json(Matrix("")));
    }
  });
  SampleStore store(SystemClock());
  PromqlPool pool(store, SystemClock(), Options());
  store.Set("m", Asking(UrlOf(server)));
  pool.Start();
  AfterRounds(store, 1);
  pool.Stop();
  const std::lock_guard lock(mutex);
  ASSERT_GE(ranges.size(), 6u);
  EXPECT_EQ(ranges[0], 3'600'000);
  EXPECT_EQ(ranges[1], 1'800'000);
  EXPECT_EQ(ranges[2], 900'000);
  EXPECT_EQ(ranges[3], 960'000) << "goes on where the last one ended, overlapping a minute";
}

TEST(PromqlPoolTest, SendsCredentialsOverTlsOnly) {
  const test::TlsIdentity identity = test::MakeTlsIdentity("prometheus", "DNS:prometheus.example");
  std::mutex mutex;
  std::string asked;
  const auto answer = [&](Connection& peer) {
    const std::lock_guard lock(mutex);
    asked += peer.ReadRequest();
    peer.Send(Json(Matrix("")));
  };
  SocketServer plain(answer);
  SocketServer secure(answer, &identity);
  SampleStore store(SystemClock());
  PromqlPool pool(store, SystemClock(), Options());
  pool.Start();
  Subscription subscription = Asking(UrlOf(plain));
  subscription.access.bearer_token = "token-1";
  store.Set("m", subscription);
  const auto says = [&](std::string_view words) {
    const auto problems = ViewOf(store).problems;
    return !problems.empty() && problems[0].find(words) != std::string::npos;
  };
  const auto hears = [&](std::string_view words) {
    const std::lock_guard lock(mutex);
    return asked.find(words) != std::string::npos;
  };
  EXPECT_TRUE(Eventually([&] { return says("only sent over https"); }));
  EXPECT_EQ(plain.accepted(), 0u);
  subscription.promql->url = "https://127.0.0.1:" + std::to_string(secure.port());
  subscription.access.ca_pem = identity.certificate_pem;
  store.Set("m", subscription);
  EXPECT_TRUE(Eventually([&] { return says("certificate"); }));
  subscription.access.server_name = "prometheus.example";
  store.Set("m", subscription);
  EXPECT_TRUE(Eventually([&] { return hears("Authorization: Bearer token-1\r\n"); })) << asked;
  subscription.access.bearer_token.clear();
  subscription.access.username = "u";
  subscription.access.password = "p";
  store.Set("m", subscription);
  EXPECT_TRUE(Eventually([&] { return hears("Authorization: Basic dTpw\r\n"); })) << asked;
  pool.Stop();
}

TEST(PromqlPoolTest, RefusesAddressesThatUsersMustNotReach) {
  SocketServer server([](Connection& peer) { peer.ReadRequest(); });
  SampleStore store(SystemClock());
  PromqlOptions options = Options();
  const auto api_server = std::make_shared<ApiServerAddresses>();
  api_server->Set({*ParseAddressRange("192.0.2.7")});
  options.addresses = {.api_server = api_server};
  PromqlPool pool(store, SystemClock(), options);
  pool.Start();
  const std::string port = ":" + std::to_string(server.port());
  std::uint64_t round = 0;
  for (const std::string& url :
       {"http://127.0.0.1" + port, "http://localhost" + port, "http://0x7f000001" + port,
        std::string("http://169.254.169.254"), std::string("http://[::ffff:169.254.169.254]"),
        std::string("http://192.0.2.7:6443")}) {
    store.Set("m", Asking(url));
    const WindowView seen = AfterRounds(store, ++round);
    round = store.Generation("m");
    ASSERT_FALSE(seen.problems.empty()) << url;
    EXPECT_EQ(seen.problems[0].rfind("1 of 1 targets failed: address is ", 0), 0u)
        << url << ": " << seen.problems[0];
  }
  EXPECT_EQ(server.accepted(), 0u);
}

}  // namespace
}  // namespace perennial::scrape
