// What it costs to scrape 300 targets a second, and how late the scrapes are. The targets are
// addresses of one server in a process of its own, whose time is not counted.
// PERENNIAL_BENCH_SECONDS: how long (60). PERENNIAL_BENCH_TARGETS: how many a second (300).
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>

#include "bench_setting.h"
#include "scrape/sample_store.h"
#include "scrape/scrape_pool.h"

namespace perennial::scrape {
namespace {

// Ten histograms of 20 buckets, and what a client library adds about its process.
std::string MakeAnswer() {
  std::string page;
  for (int f = 0; f < 10; ++f) {
    const std::string name = "feature_" + std::to_string(f) + "_value";
    page += "# TYPE " + name + " histogram\n";
    for (int b = 1; b < 20; ++b) {
      page += name + "_bucket{le=\"" + std::to_string(b) + "\"} " + std::to_string(b * 100) + "\n";
    }
    page += name + "_bucket{le=\"+Inf\"} 2000\n" + name + "_sum 12345.5\n" + name + "_count 2000\n";
  }
  for (int i = 0; i < 60; ++i) {
    page += "python_gc_objects_total{generation=\"" + std::to_string(i) + "\"} 1234\n";
  }
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: " +
         std::to_string(page.size()) + "\r\n\r\n" + page;
}

// Answers every request on every address of the loopback network, until its parent ends.
[[noreturn]] void Serve(int listener) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_IGN);
  const std::string answer = MakeAnswer();
  const int poll = epoll_create1(0);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener;
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  char buffer[4096];
  for (;;) {
    epoll_event ready[64];
    const int count = epoll_wait(poll, ready, 64, -1);
    for (int i = 0; i < count; ++i) {
      const int socket = ready[i].data.fd;
      if (socket == listener) {
        event.data.fd = accept(listener, nullptr, nullptr);
        if (event.data.fd >= 0) epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event);
      } else if (read(socket, buffer, sizeof(buffer)) <= 0 ||
                 write(socket, answer.data(), answer.size()) < 0) {
        close(socket);
      }
    }
  }
}

// Returns the port, or 0.
std::uint16_t StartServer(pid_t& child) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof(address);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 4096) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return 0;
  }
  child = fork();
  if (child == 0) Serve(listener);
  close(listener);
  return child > 0 ? ntohs(address.sin_port) : 0;
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The upper bound of the bucket of lateness that 99 % of the scrapes are in.
double P99Lateness(const PoolCounters& counters) {
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < PoolCounters::kLatenessBounds.size(); ++i) {
    seen += counters.lateness[i];
    if (seen * 100 >= counters.scrapes * 99) {
      return static_cast<double>(PoolCounters::kLatenessBounds[i]);
    }
  }
  return 1e9;
}

// Each target once in `interval` seconds. With the interval of a minute no connection lasts until
// it is needed again, as with 18,000 pods; with that of a second some do.
void Sustain(benchmark::State& state) {
  const int interval = static_cast<int>(state.range(0));
  const int targets = bench::Setting("PERENNIAL_BENCH_TARGETS", 300) * interval;
  pid_t child = -1;
  const std::uint16_t port = StartServer(child);
  if (port == 0) return state.SkipWithError("no server");
  SampleStore store(SystemClock());
  PoolOptions options;
  options.addresses.allow_loopback = true;
  ScrapePool pool(store, SystemClock(), options);
  for (int i = 0; i < targets; ++i) {
    Subscription subscription;
    subscription.interval = Millis{1'000 * interval};
    for (int f = 0; f < 10; ++f) {
      subscription.metrics.push_back("feature_" + std::to_string(f) + "_value");
    }
    const std::string id = "target-" + std::to_string(i);
    const std::string address = "127." + std::to_string(1 + i / 250 / 250) + "." +
                                std::to_string(i / 250 % 250) + "." + std::to_string(1 + i % 250);
    subscription.targets.push_back({id, address, port, "/metrics", "v1"});
    store.Set(id, std::move(subscription));
  }
  for (auto _ : state) {
    const double before = CpuSeconds();
    const Millis start = SystemClock().Steady();
    pool.Start();
    std::this_thread::sleep_for(
        std::chrono::seconds(bench::Setting("PERENNIAL_BENCH_SECONDS", 60)));
    pool.Stop();
    const double seconds = static_cast<double>((SystemClock().Steady() - start).count()) / 1'000;
    const PoolCounters counters = pool.Counters();
    if (!counters.failures.empty() || counters.scrapes == 0) {
      state.SkipWithError("scrapes failed");
      break;
    }
    state.counters["scrapes_per_second"] = static_cast<double>(counters.scrapes) / seconds;
    state.counters["core_percent"] = 100 * (CpuSeconds() - before) / seconds;
    state.counters["lateness_p99_ms"] = P99Lateness(counters);
    state.counters["lateness_mean_ms"] =
        counters.lateness_sum_ms / static_cast<double>(counters.scrapes);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}
BENCHMARK(Sustain)->ArgName("interval")->Arg(1)->Arg(60)->Iterations(1)->UseRealTime();

}  // namespace
}  // namespace perennial::scrape

BENCHMARK_MAIN();
