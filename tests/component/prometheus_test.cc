#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>

#include "scrape/promql_pool.h"
#include "scrape/scrape_pool.h"
#include "support/socket_server.h"

namespace perennial::scrape {
namespace {

using test::Connection;
using test::HttpAnswer;
using test::SocketServer;

constexpr Millis kSecond{1'000};
// Longer than an interval of both scrapers and the time that a scrape takes.
constexpr Millis kQuiet{2'500};

// A pod: one histogram and one counter by label, which begin at zero when it restarts.
class Pod {
 public:
  explicit Pod(std::string name)
      : name_(std::move(name)), server_([this](Connection& peer) { Serve(peer); }) {}

  const std::string& name() const { return name_; }
  std::uint16_t port() const { return server_.port(); }

  void Count(int bucket, int times) {
    const std::lock_guard lock(mutex_);
    buckets_[static_cast<std::size_t>(bucket)] += times;
    total_ += times;
  }
  void Restart() {
    const std::lock_guard lock(mutex_);
    buckets_ = {};
    total_ = 0;
  }

 private:
  void Serve(Connection& peer) {
    while (!peer.ReadHead().empty()) {
      if (!peer.Send(HttpAnswer("200 OK", "Content-Type: text/plain; version=0.0.4\r\n", Page()))) {
        return;
      }
    }
  }
  std::string Page() {
    const std::lock_guard lock(mutex_);
    std::string page = "# TYPE x histogram\n";
    constexpr std::array<const char*, 3> kBounds{"1", "2", "+Inf"};
    int cumulative = 0;
    for (std::size_t i = 0; i < kBounds.size(); ++i) {
      cumulative += buckets_[i];
      page += std::string("x_bucket{job=\"own\",le=\"") + kBounds[i] + "\"} " +
              std::to_string(cumulative) + "\n";
    }
    page += "x_sum{job=\"own\"} 0\nx_count{job=\"own\"} " + std::to_string(cumulative) + "\n";
    return page + "# TYPE c counter\nc_total{kind=\"a\"} " + std::to_string(total_) + "\n";
  }

  const std::string name_;
  std::mutex mutex_;
  std::array<int, 3> buckets_{};
  int total_ = 0;
  SocketServer server_;
};

std::uint16_t FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

// Debian's Prometheus on loopback, with a folder of its own.
class Prometheus {
 public:
  explicit Prometheus(const std::vector<Pod*>& pods) {
    char folder[] = "/tmp/perennial-prometheus-XXXXXX";
    EXPECT_NE(::mkdtemp(folder), nullptr);
    folder_ = folder;
    std::ofstream config(folder_ / "prometheus.yml");
    config << "global: {scrape_interval: 1s, scrape_timeout: 900ms}\n"
              "scrape_configs:\n- job_name: pods\n  static_configs:\n";
    for (const Pod* pod : pods) {
      config << "  - targets: ['127.0.0.1:" << pod->port()
             << "']\n    labels: {namespace: transit, pod: " << pod->name() << "}\n";
    }
    config.close();
    const std::string file = "--config.file=" + (folder_ / "prometheus.yml").string();
    const std::string data = "--storage.tsdb.path=" + (folder_ / "data").string();
    const std::string listen = "--web.listen-address=127.0.0.1:" + std::to_string(port_);
    const char* arguments[] = {"prometheus",   file.c_str(),        data.c_str(),
                               listen.c_str(), "--log.level=error", nullptr};
    EXPECT_EQ(::posix_spawnp(&pid_, "prometheus", nullptr, nullptr,
                             const_cast<char* const*>(arguments), environ),
              0)
        << "is the package prometheus installed? hack/deps";
  }
  ~Prometheus() {
    if (pid_ > 0) {
      ::kill(pid_, SIGTERM);
      ::waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  const std::uint16_t port_ = FreePort();
  std::filesystem::path folder_;
  pid_t pid_ = -1;
};

// Our scraper and the Prometheus read the same pods, which restart meanwhile. Each counts from one
// scrape to the next, at moments of its own; what is counted while neither scrapes a change is the
// same for both, to the last unit.
class PrometheusAgreement : public ::testing::Test {
 protected:
  PrometheusAgreement() {
    for (Pod* pod : {&a_, &b_, &c_}) {
      direct_.targets.push_back({pod->name(), "127.0.0.1", pod->port(), "/metrics", "v1"});
    }
    queried_ = direct_;
    queried_.promql.emplace();
    queried_.promql->url = prometheus_.url();
    queried_.promql->ns = "transit";
    queried_.promql->variants = {{"v1", "departures-v1"}};
    scrape_.addresses.allow_loopback = true;
    query_.addresses.allow_loopback = true;
  }

  WindowView View(const SampleStore& store, const char* id) const {
    return store.View(id, "v1", Millis{120'000}, Millis{0}, SystemClock().Steady());
  }
  template <class Condition>
  static bool Wait(Condition condition) {
    const Millis end = SystemClock().Steady() + Millis{20'000};
    while (!condition()) {
      if (SystemClock().Steady() > end) return false;
      std::this_thread::sleep_for(Millis{50});
    }
    return true;
  }
  void Load() {
    for (int i = 0; i < 20; ++i) {
      a_.Count(0, 3);
      b_.Count(1, 2);
      c_.Count(2, 1);
      c_.Count(0, 1);
      std::this_thread::sleep_for(Millis{100});
    }
  }

  Pod a_{"departures-v1-5d9c-aaaaa"}, b_{"departures-v1-5d9c-bbbbb"},
      c_{"departures-v1-5d9c-ccccc"};
  Prometheus prometheus_{{&a_, &b_, &c_}};
  Subscription direct_{.interval = kSecond,
                       .retention = Millis{120'000},
                       .metrics = {"x", "c_total"},
                       .targets = {},
                       .access = {}};
  Subscription queried_;
  PoolOptions scrape_;
  PromqlOptions query_;
};

void ExpectAllCounted(const WindowView& view, const char* who) {
  SCOPED_TRACE(who);
  EXPECT_EQ(view.targets_up, 3);
  EXPECT_TRUE(view.problems.empty()) << view.problems.front();
  ASSERT_EQ(view.series.size(), 2u);
  EXPECT_EQ(view.series[0].metric, "c_total");
  EXPECT_EQ(view.series[0].labels, (Labels{{"kind", "a"}}));
  EXPECT_EQ(view.series[0].increase, 2 * 20 * 7);
  EXPECT_EQ(view.series[1].labels, (Labels{{"job", "own"}}));
  EXPECT_EQ(view.series[1].counts, (std::vector<double>{2 * 20 * 4, 2 * 20 * 2, 2 * 20 * 1}));
}

TEST_F(PrometheusAgreement, CountsWhatWeCount) {
  SampleStore store(SystemClock());
  ScrapePool pool(store, SystemClock(), scrape_);
  PromqlPool queries(store, SystemClock(), query_);
  store.Set("direct", direct_);
  store.Set("queried", queried_);
  pool.Start();
  queries.Start();
  ASSERT_TRUE(Wait([&] {
    return View(store, "direct").targets_up == 3 && View(store, "queried").targets_up == 3;
  })) << View(store, "queried").targets_up
      << (View(store, "queried").problems.empty() ? "" : View(store, "queried").problems.front());
  std::this_thread::sleep_for(kQuiet);
  Load();
  std::this_thread::sleep_for(kQuiet);
  b_.Restart();  // seen at zero
  c_.Restart();  // seen when it has counted again
  Load();
  std::this_thread::sleep_for(kQuiet);
  const auto all_counted = [&](const char* id) {
    const WindowView view = View(store, id);
    return !view.series.empty() && view.series[0].increase >= 2 * 20 * 7;
  };
  Wait([&] { return all_counted("direct") && all_counted("queried"); });
  ExpectAllCounted(View(store, "direct"), "scraped");
  ExpectAllCounted(View(store, "queried"), "asked");

  // A controller that starts now has no scrapes of its own, but the Prometheus' memory.
  SampleStore later(SystemClock());
  PromqlPool again(later, SystemClock(), query_);
  later.Set("queried", queried_);
  again.Start();
  ASSERT_TRUE(Wait([&] { return View(later, "queried").targets_up == 3; }));
  ExpectAllCounted(View(later, "queried"), "asked after a restart");
}

}  // namespace
}  // namespace perennial::scrape
