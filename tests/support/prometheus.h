#pragma once

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
#include <utility>
#include <vector>

#include "support/socket_server.h"

namespace perennial::test {

// A pod that is scraped: one histogram and one counter by label, which begin at zero when it
// restarts.
class ScrapedPod {
 public:
  explicit ScrapedPod(std::string name)
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

inline std::uint16_t FreePort() {
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
  explicit Prometheus(const std::vector<ScrapedPod*>& pods) {
    char folder[] = "/tmp/perennial-prometheus-XXXXXX";
    EXPECT_NE(::mkdtemp(folder), nullptr);
    folder_ = folder;
    std::ofstream config(folder_ / "prometheus.yml");
    config << "global: {scrape_interval: 1s, scrape_timeout: 900ms}\n"
              "scrape_configs:\n- job_name: pods\n  static_configs:\n";
    for (const ScrapedPod* pod : pods) {
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

}  // namespace perennial::test
