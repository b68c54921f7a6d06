// Names that no name server answers for. What libcurl sees of it is a resolver of the C library
// that blocks until it gives up, so that is what happens here, without a network and without
// changing the machine's resolv.conf.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "scrape/http_fetch.h"
#include "scrape/promql_pool.h"
#include "scrape/sample_store.h"
#include "scrape/scrape_pool.h"
#include "support/socket_server.h"

namespace perennial::scrape {
namespace {

constexpr std::string_view kUnanswered = ".unanswered.test";
// Two tries of five seconds each, resolv.conf(5)'s defaults for one name server.
constexpr Millis kResolverGivesUp{10'000};
std::atomic<int> unanswered_questions{0};

bool Unanswered(const char* name) {
  if (name == nullptr || !std::string_view(name).ends_with(kUnanswered)) return false;
  ++unanswered_questions;
  std::this_thread::sleep_for(kResolverGivesUp);
  return true;
}

}  // namespace
}  // namespace perennial::scrape

// Comes before the C library's, also for libcurl.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return perennial::scrape::Unanswered(name) ? EAI_AGAIN : real(name, service, hints, found);
}

namespace perennial::scrape {
namespace {

using test::Connection;
using test::HttpAnswer;
using test::SocketServer;

constexpr FetchLimits kPatience{.connect = Millis{300}, .total = Millis{300}};
constexpr int kDeadServers = 6;

std::string UnansweredUrl(int i) {
  return "http://prometheus-" + std::to_string(i) + std::string(kUnanswered) + ":9090";
}

Subscription OnceASecond(const std::string& metric) {
  return {.interval = Millis{1'000}, .metrics = {metric}, .targets = {}, .access = {}};
}

Subscription ReadFrom(const std::string& prometheus) {
  Subscription out = OnceASecond("c_total");
  out.promql.emplace();
  out.promql->url = prometheus;
  out.promql->ns = "ns";
  out.promql->variants = {{"v1", "w"}};
  out.targets.push_back({"w-a-b", "10.0.0.1", 80, "/metrics", "v1"});
  return out;
}

// A Prometheus without a sample.
void AnswerQuery(Connection& peer) {
  const std::string head = peer.ReadHead();
  const std::size_t length = head.find("Content-Length: ");
  if (length != head.npos) peer.ReadBytes(std::stoul(head.substr(length + 16)));
  peer.Send(HttpAnswer("200 OK", "Content-Type: application/json\r\n",
                       R"({"status":"success","data":{"resultType":"matrix","result":[]}})"));
}

void AnswerScrape(Connection& peer) {
  peer.ReadHead();
  peer.Send(HttpAnswer("200 OK", "", "# TYPE c counter\nc 1\n"));
}

TEST(UnansweredNames, EndAnExchangeInItsTime) {
  FetchRequest request;
  request.url = UnansweredUrl(0);
  request.limits = kPatience;
  const int before = unanswered_questions;
  const Millis begin = SystemClock().Steady();
  const Result<FetchedBody> fetched = Fetch(request);
  EXPECT_LT(SystemClock().Steady() - begin, kResolverGivesUp / 2);
  ASSERT_FALSE(fetched.ok());
  EXPECT_EQ(fetched.error().code, Errc::kTimeout) << fetched.error().message;
  EXPECT_EQ(unanswered_questions, before + 1);
}

// Pods are scraped by their addresses; whoever names a Prometheus by its host has it looked up.
TEST(UnansweredNames, HoldUpNeitherAnotherPrometheusNorPods) {
  SocketServer prometheus(AnswerQuery);
  SocketServer pod(AnswerScrape);
  SampleStore store(SystemClock());
  for (int i = 0; i < kDeadServers; ++i) {
    store.Set("dead-" + std::to_string(i), ReadFrom(UnansweredUrl(i)));
  }
  store.Set("answered", ReadFrom("http://127.0.0.1:" + std::to_string(prometheus.port())));
  Subscription scraped = OnceASecond("c");
  scraped.targets.push_back({"pod", "127.0.0.1", pod.port(), "/metrics", "v1"});
  store.Set("scraped", scraped);
  PoolOptions scrapes;
  scrapes.addresses.allow_loopback = true;
  PromqlOptions queries;
  queries.fetch.connect = queries.fetch.total = Millis{300};
  queries.addresses.allow_loopback = true;
  const int before = unanswered_questions;
  ScrapePool pods(store, SystemClock(), scrapes);
  std::optional<PromqlPool> servers;
  servers.emplace(store, SystemClock(), queries);
  const Millis begin = SystemClock().Steady();
  pods.Start();
  servers->Start();
  while ((store.Generation("answered") < 4 || store.Generation("scraped") < 4) &&
         SystemClock().Steady() - begin < 2 * kResolverGivesUp) {
    std::this_thread::sleep_for(Millis{20});
  }
  // Four turns of a second each. A thread that waits for one of the names would miss all of them.
  EXPECT_LT(SystemClock().Steady() - begin, kResolverGivesUp * 4 / 5);
  EXPECT_GE(unanswered_questions - before, kDeadServers);
  for (int i = 0; i < kDeadServers; ++i) {
    const WindowView dead = store.View("dead-" + std::to_string(i), "v1", Millis{3'600'000},
                                       Millis{0}, SystemClock().Steady());
    ASSERT_FALSE(dead.problems.empty()) << i;
    EXPECT_NE(dead.problems[0].find("no complete answer in time"), std::string::npos)
        << dead.problems[0];
  }
  // Nor does the end of the process wait.
  const Millis end = SystemClock().Steady();
  servers.reset();
  EXPECT_LT(SystemClock().Steady() - end, kResolverGivesUp / 2);
  pods.Stop();
}

}  // namespace
}  // namespace perennial::scrape
