#include "scrape/scrape_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "scrape/sample_store.h"
#include "support/eventually.h"
#include "support/gzip.h"
#include "support/socket_server.h"

namespace perennial::scrape {
namespace {

using perennial::testing::Eventually;
using test::Connection;
using test::Gzip;
using test::HttpAnswer;
using test::MakeTlsIdentity;
using test::SocketServer;
using test::TlsIdentity;

// A counter that grows by one at every request, and the heads of the requests.
class CountingPage {
 public:
  void operator()(Connection& peer) {
    for (;;) {
      const std::string head = peer.ReadHead();
      if (!head.ends_with("\r\n\r\n")) return;
      {
        const std::lock_guard lock(mutex_);
        heads_.push_back(head);
      }
      const std::string page =
          "# TYPE c counter\nc_total " + std::to_string(++requests_) + "\n# EOF\n";
      if (!peer.Send(HttpAnswer("200 OK", headers_, gzip_ ? Gzip(page) : page))) return;
    }
  }

  void ServeGzip() {
    gzip_ = true;
    headers_ += "Content-Encoding: gzip\r\n";
  }
  int requests() const { return requests_; }
  std::vector<std::string> heads() const {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

 private:
  bool gzip_ = false;
  std::string headers_ = "Content-Type: application/openmetrics-text; version=1.0.0\r\n";
  std::atomic<int> requests_{0};
  mutable std::mutex mutex_;
  std::vector<std::string> heads_;
};

class Pool : public ::testing::Test {
 protected:
  Pool() {
    options_.fetch.connect = options_.fetch.total = Millis{500};
    options_.addresses.allow_loopback = true;
    subscription_.interval = Millis{1'000};
    subscription_.metrics = {"c"};
  }

  void Add(std::uint16_t port, const std::string& id = "pod",
           const std::string& path = "/metrics") {
    subscription_.targets.push_back({id, "127.0.0.1", port, path, "v1"});
  }
  void Start() {
    store_.Set("dm", subscription_);
    pool_.emplace(store_, SystemClock(), options_);
    pool_->Start();
  }
  WindowView View() const {
    return store_.View("dm", "v1", Millis{60'000}, Millis{0}, SystemClock().Steady());
  }
  // Waits for the first failure and gives its kind.
  Errc Failure() {
    if (!Eventually([&] { return !pool_->Counters().failures.empty(); })) return Errc::kCancelled;
    return pool_->Counters().failures.begin()->first;
  }

  CountingPage page_;
  SampleStore store_{SystemClock()};
  Subscription subscription_;
  PoolOptions options_;
  std::optional<ScrapePool> pool_;
};

TEST_F(Pool, ScrapesOnceAnIntervalOverOneConnection) {
  SocketServer server(std::ref(page_));
  Add(server.port());
  Start();
  ASSERT_TRUE(Eventually([&] { return store_.Generation("dm") >= 3; }));
  pool_->Stop();
  ASSERT_EQ(View().series.size(), 1u);
  EXPECT_EQ(View().series[0].increase, page_.requests() - 1);
  EXPECT_EQ(View().targets_up, 1);
  EXPECT_EQ(server.accepted(), 1u);
  const PoolCounters counters = pool_->Counters();
  EXPECT_EQ(counters.scrapes, static_cast<std::uint64_t>(page_.requests()));
  EXPECT_EQ(counters.samples, counters.scrapes);
  EXPECT_EQ(counters.targets, 1u);
  EXPECT_TRUE(counters.failures.empty());
  const std::string head = page_.heads().front();
  EXPECT_TRUE(head.starts_with("GET /metrics HTTP/1.1\r\n")) << head;
  EXPECT_NE(head.find("\r\nAccept: application/openmetrics-text;"), head.npos);
  EXPECT_EQ(head.find("Authorization"), head.npos);
}

TEST_F(Pool, ReadsGzip) {
  page_.ServeGzip();
  SocketServer server(std::ref(page_));
  Add(server.port());
  Start();
  ASSERT_TRUE(Eventually([&] { return store_.Generation("dm") >= 2; }));
  EXPECT_EQ(View().targets_up, 1);
  EXPECT_EQ(View().series.size(), 1u);
}

TEST_F(Pool, FollowsWhatTheSubscriptionsWant) {
  CountingPage second;
  SocketServer first_server(std::ref(page_));
  SocketServer second_server(std::ref(second));
  Add(first_server.port());
  Start();
  ASSERT_TRUE(Eventually([&] { return page_.requests() >= 1; }));
  subscription_.targets.clear();
  Add(second_server.port(), "other");
  store_.Set("dm", subscription_);
  ASSERT_TRUE(Eventually([&] { return pool_->Counters().targets == 1 && second.requests() >= 1; }));
  const int asked = page_.requests();
  ASSERT_TRUE(Eventually([&] { return second.requests() >= 3; }));
  EXPECT_EQ(page_.requests(), asked);
  store_.Remove("dm");
  EXPECT_TRUE(Eventually([&] { return pool_->Counters().targets == 0; }));
}

TEST_F(Pool, ReportsATargetThatHasNoValidUrl) {
  SocketServer server(std::ref(page_));
  Add(server.port(), "pod", "/metrics HTTP/1.1\r\nX: y");
  Start();
  EXPECT_EQ(Failure(), Errc::kInvalid);
  EXPECT_EQ(server.accepted(), 0u);
  EXPECT_EQ(View().problems,
            (std::vector<std::string>{"1 of 1 targets failed: path is not a plain absolute path"}));
}

TEST_F(Pool, NeverConnectsToLoopbackUnlessAllowed) {
  options_.addresses = {};
  SocketServer server(std::ref(page_));
  Add(server.port());
  Start();
  EXPECT_EQ(Failure(), Errc::kForbidden);
  EXPECT_EQ(server.accepted(), 0u);
}

TEST_F(Pool, NeverSendsATokenOverPlainHttp) {
  SocketServer server(std::ref(page_));
  Add(server.port());
  subscription_.access.bearer_token = "hunter2";
  Start();
  EXPECT_EQ(Failure(), Errc::kInvalid);
  EXPECT_EQ(server.accepted(), 0u);
}

TEST_F(Pool, SendsATokenToAPeerThatItTrusts) {
  const TlsIdentity identity = MakeTlsIdentity("pod", "DNS:departures.transit.svc");
  SocketServer server(std::ref(page_), &identity);
  Add(server.port());
  subscription_.access = {.tls = true,
                          .bearer_token = "hunter2",
                          .ca_pem = identity.certificate_pem,
                          .server_name = "departures.transit.svc"};
  Start();
  ASSERT_TRUE(Eventually([&] { return page_.requests() >= 1; }));
  EXPECT_NE(page_.heads().front().find("\r\nAuthorization: Bearer hunter2\r\n"), std::string::npos);
  ASSERT_TRUE(Eventually([&] { return store_.Generation("dm") >= 1; }));
  EXPECT_EQ(View().targets_up, 1);
}

TEST_F(Pool, SendsNothingToAPeerOfAnotherAuthority) {
  const TlsIdentity identity = MakeTlsIdentity("pod", "IP:127.0.0.1");
  const TlsIdentity other = MakeTlsIdentity("pod", "IP:127.0.0.1");
  SocketServer server(std::ref(page_), &identity);
  Add(server.port());
  subscription_.access = {
      .tls = true, .bearer_token = "hunter2", .ca_pem = other.certificate_pem, .server_name = ""};
  Start();
  EXPECT_EQ(Failure(), Errc::kUnauthorized);
  EXPECT_EQ(page_.requests(), 0);
}

TEST_F(Pool, SendsNothingToAPeerOfAnotherName) {
  const TlsIdentity identity = MakeTlsIdentity("pod", "DNS:departures.transit.svc");
  SocketServer server(std::ref(page_), &identity);
  Add(server.port());
  subscription_.access = {.tls = true,
                          .bearer_token = "hunter2",
                          .ca_pem = identity.certificate_pem,
                          .server_name = "departures.other.svc"};
  Start();
  EXPECT_EQ(Failure(), Errc::kUnauthorized);
  EXPECT_EQ(page_.requests(), 0);
}

TEST_F(Pool, GuessesAtNoOtherContentType) {
  SocketServer server([](Connection& peer) {
    peer.ReadHead();
    peer.Send(HttpAnswer("200 OK", "Content-Type: text/html\r\n", "c 1\n"));
  });
  Add(server.port());
  Start();
  EXPECT_EQ(Failure(), Errc::kInvalid);
  EXPECT_TRUE(View().series.empty());
}

TEST_F(Pool, TakesNoPageFromARedirectOrAnError) {
  for (const char* status : {"302 Found", "503 Unavailable"}) {
    SocketServer server([&](Connection& peer) {
      peer.ReadHead();
      peer.Send(HttpAnswer(status, "Location: http://127.0.0.1/\r\n", "c 1\n"));
    });
    Add(server.port());
    Start();
    EXPECT_EQ(Failure(), Errc::kNotFound);
    EXPECT_TRUE(View().series.empty());
    pool_.reset();
    store_.Remove("dm");
    subscription_.targets.clear();
  }
}

TEST_F(Pool, StopsAtOnceWhileATargetHangs) {
  options_.fetch.connect = options_.fetch.total = Millis{60'000};
  subscription_.interval = Millis{60'000};
  std::atomic<bool> asked = false;
  SocketServer server([&](Connection& peer) {
    peer.ReadHead();
    asked = true;
    peer.WaitForPeer();
  });
  // So many that one of them is due soon, whatever their places in the interval are.
  for (int i = 0; i < 200; ++i) Add(server.port(), "pod-" + std::to_string(i));
  Start();
  ASSERT_TRUE(Eventually([&] { return asked.load(); }));
  const Millis before = SystemClock().Steady();
  pool_->Stop();
  EXPECT_LT(SystemClock().Steady() - before, Millis{5'000});
  pool_.reset();  // drops what is in flight
}

TEST_F(Pool, LetsGoOfHangingTargetsForHealthyOnes) {
  options_.in_flight = 4;
  SocketServer hanging([](Connection& peer) { peer.WaitForPeer(); });
  SocketServer server(std::ref(page_));
  for (int i = 0; i < 12; ++i) Add(hanging.port(), "hanging-" + std::to_string(i));
  Add(server.port());
  Start();
  const Millis begin = SystemClock().Steady();
  ASSERT_TRUE(Eventually([&] { return page_.requests() >= 4; }));
  EXPECT_LT(SystemClock().Steady() - begin, Millis{9'000});
  EXPECT_EQ(View().targets_up, 1);
}

}  // namespace
}  // namespace perennial::scrape
