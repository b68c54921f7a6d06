#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "app/options.h"
#include "base/clock.h"
#include "kube/lease.h"
#include "kube/transport.h"

namespace perennial::app {

// The whole controller: informers, scrape pool, reconcilers, leader election, servers.
class Controller {
 public:
  struct Dependencies {
    kube::Transport& transport;        // for work and watches
    kube::Transport& lease_transport;  // apart, so that throttled work delays no renewal
    const Clock& clock;
    // Another process may write from now on. Called once, from the election's thread; in production
    // it ends the process and doesn't return.
    std::function<void()> on_lost;
    Millis first_retry{1'000};   // of the checks before the start; doubles up to 30 s
    kube::LeaseOptions lease{};  // its times; whose and which it is comes from RunOptions
    std::string server{};        // URL at which the transports reach the API server
  };

  Controller(RunOptions options, Dependencies dependencies);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Opens the ports of /metrics, /healthz and /readyz.
  Status Listen();
  int metrics_port() const;
  int health_port() const;

  // Works until `stop` is requested: waits until the API server knows us and our kinds, fills the
  // stores, waits for the Lease, reconciles; at the end finishes what is under way and gives the
  // Lease up. With shards, all of this but the first for each shard by itself.
  void Run(std::stop_token stop);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::app
