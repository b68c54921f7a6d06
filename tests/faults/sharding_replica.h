#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "app/controller.h"
#include "base/clock.h"
#include "support/controller_world.h"
#include "support/fake_api_server.h"
#include "support/slowdown.h"

namespace perennial::testing {

// Who wrote into which namespace, in order: a namespace has one writer at a time, and once it has
// another one, the first writes there only after it got the shard back.
class WriterJournal {
 public:
  void Wrote(const std::string& replica, const std::string& ns) {
    const std::lock_guard lock(mutex_);
    auto& writers = writers_[ns];
    if (writers.empty() || writers.back() != replica) writers.push_back(replica);
  }
  std::map<std::string, std::vector<std::string>> writers() const {
    const std::lock_guard lock(mutex_);
    return writers_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> writers_;
};

// A replica's way to the API server, which can be cut, for all requests or for those about Leases.
class ReplicaWire final : public kube::Transport {
 public:
  ReplicaWire(kube::Transport& inner, std::string replica, WriterJournal& journal)
      : inner_(inner), replica_(std::move(replica)), journal_(journal) {}

  Result<kube::Response> Send(const kube::Request& request, Millis deadline) override {
    const bool about_leases = request.path.find("/leases") != std::string::npos;
    if (cut || (leases_cut && about_leases)) {
      return Error{Errc::kUnavailable, "connection refused"};
    }
    Note(request);
    return inner_.Send(request, deadline);
  }
  Status Stream(const kube::Request& request, Millis idle,
                const std::function<void(std::string_view)>& on_line,
                std::stop_token stop) override {
    if (cut) return Error{Errc::kUnavailable, "connection refused"};
    return inner_.Stream(
        request, idle,
        [&](std::string_view line) {
          if (!cut) on_line(line);
        },
        stop);
  }
  std::atomic<bool> cut{false};
  std::atomic<bool> leases_cut{false};

 private:
  // Events tell of what happened: they may come later.
  void Note(const kube::Request& request) {
    if (request.method == "GET" || request.path.find("/events") != std::string::npos) return;
    constexpr std::string_view kIn = "/namespaces/team-";
    const std::size_t at = request.path.find(kIn);
    if (at == std::string::npos) return;
    const std::size_t begin = at + std::string_view("/namespaces/").size();
    journal_.Wrote(replica_, request.path.substr(begin, request.path.find('/', begin) - begin));
  }

  kube::Transport& inner_;
  const std::string replica_;
  WriterJournal& journal_;
};

// A machine's clock that shows so many percent of the time that passes.
class RatedClock final : public Clock {
 public:
  explicit RatedClock(int percent) : percent_(percent) {}

  WallTime Wall() const override { return SystemClock().Wall(); }
  Millis Steady() const override { return SystemClock().Steady() * percent_ / 100; }

 private:
  const int percent_;
};

// How long a Lease lasts in tests that don't say so.
inline constexpr Seconds kShardLease{4 * kSlowdown};

// A whole controller that is one of several.
class ShardReplica {
 public:
  struct Times {
    Seconds lease = kShardLease;
    const Clock& clock = SystemClock();
  };

  ShardReplica(FakeApiServer& server, WriterJournal& journal, const std::string& name,
               app::RunOptions options, const Times& times)
      : name_(name), wire_(server.transport(), name, journal), front_(wire_) {
    options.metrics_port = 0;
    options.health_port = 0;
    options.leader_elect = true;
    options.instance = name;
    kube::LeaseOptions lease;
    lease.duration = times.lease;
    lease.renew_deadline = Millis(times.lease) * 5 / 8;
    lease.retry_period = Millis(300);
    controller_ = std::make_unique<app::Controller>(
        options, app::Controller::Dependencies{front_, front_, times.clock, [this] { lost = true; },
                                               Millis(20), lease});
    EXPECT_TRUE(controller_->Listen().ok());
    thread_ = std::jthread([this](std::stop_token stop) { controller_->Run(stop); });
  }
  ~ShardReplica() { Stop(); }

  // As by SIGTERM.
  void Stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  // As by SIGKILL: no request of it reaches the API server any more.
  void Kill() {
    wire_.cut = true;
    Stop();
  }
  // No request about Leases reaches the API server any more, and all others do.
  void CutLeases() { wire_.leases_cut = true; }
  const std::string& name() const { return name_; }
  std::atomic<bool> lost{false};

 private:
  const std::string name_;
  ReplicaWire wire_;
  Front front_;
  std::unique_ptr<app::Controller> controller_;
  std::jthread thread_;
};

}  // namespace perennial::testing
