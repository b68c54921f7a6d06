#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/cluster_cache.h"
#include "app/kpi.h"
#include "app/metrics.h"
#include "app/options.h"
#include "app/watchdog.h"
#include "app/work.h"
#include "base/clock.h"
#include "kube/events.h"
#include "kube/execute.h"
#include "kube/fenced_transport.h"
#include "kube/transport.h"
#include "scrape/instant_query_pool.h"
#include "scrape/promql_pool.h"
#include "scrape/sample_store.h"
#include "scrape/scrape_pool.h"

namespace perennial::app {

// All that works on the objects of one shard: informers, reconcilers, scrapes. It shares nothing
// with other shards' stacks but connections, so that it can come and go alone.
class Stack {
 public:
  struct Dependencies {
    kube::Transport& transport;
    const Clock& clock;
    kube::EventRecorder& events;
    kube::WritePermit permit;
    api::SecretLookup secrets;
    // Never scraped, whatever users ask for.
    std::shared_ptr<const scrape::ApiServerAddresses> api_server;
  };
  // Shard `shard` of `options.shards`.
  Stack(const RunOptions& options, int shard, Dependencies dependencies);
  ~Stack();  // stops
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Begins to fill the stores. `identity`: our user name at the API server.
  void Watch(const std::string& identity);
  std::vector<std::string> Unsynced() const { return cache_.Unsynced(); }
  // Once all stores are filled.
  void Begin();
  // Finishes what is under way. Once.
  void Stop();
  // Lets Stop() wait no longer than for the requests that are being answered.
  void Hurry() { fenced_.Shutdown(); }

  const kube::Store<api::RetrainPolicy>& policies() const {
    return cache_.retrain_policies.store();
  }

  // For other threads, at any time.
  bool Synced() const { return cache_.Unsynced().empty(); }
  std::vector<std::string> Hanging();
  MetricSources Sources();

 private:
  const RunOptions options_;
  const int shard_;
  const Dependencies dependencies_;
  kube::FencedTransport fenced_;
  std::mutex mutex_;
  std::atomic<bool> working_{false};
  bool stopped_ = false;
  Watchdog watchdog_;
  ClusterCache cache_;
  RunTally runs_;
  KpiTally kpis_;
  scrape::SampleStore samples_;
  scrape::ScrapePool pool_;
  scrape::PromqlPool queries_;
  scrape::InstantQueryPool probes_;
  std::optional<Work> work_;
};

}  // namespace perennial::app
