#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "app/cluster_cache.h"
#include "base/clock.h"
#include "kube/events.h"
#include "kube/lease.h"
#include "kube/runner.h"
#include "scrape/sample_store.h"
#include "scrape/scrape_pool.h"

namespace perennial::app {

// Counts runs as they end, by what the policies' statuses show. Runs that had ended before we
// looked are not counted.
class RunTally {
 public:
  // Listens to the store; before its informer starts. The tally must outlive it.
  explicit RunTally(kube::Store<api::RetrainPolicy>& policies);
  RunTally(const RunTally&) = delete;
  RunTally& operator=(const RunTally&) = delete;

  std::uint64_t succeeded() const { return succeeded_; }
  std::uint64_t failed() const { return failed_; }

 private:
  std::atomic<std::uint64_t> succeeded_{0};
  std::atomic<std::uint64_t> failed_{0};
};

// Everything that metrics are read from, when they are asked for: no object leaves a series behind
// that outlives it.
struct MetricSources {
  const ClusterCache& cache;
  const RunTally& runs;
  const scrape::SampleStore& samples;
  const scrape::ScrapePool& pool;
  const kube::EventRecorder& events;
  std::vector<kube::RunnerCore*> runners;
  int workers = 0;
  const kube::LeaderElection* election = nullptr;  // nullptr: without leader election
  std::string lease_name;
  const Clock& clock;
};

// The controller's metrics (docs/reference/metrics.md). Thread-safe as its sources are.
class ControllerMetrics final : public prometheus::Collectable {
 public:
  explicit ControllerMetrics(MetricSources sources) : sources_(std::move(sources)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  MetricSources sources_;
};

// Series of single monitors and deployments are cut off here: what a tenant creates must not make
// /metrics grow without end.
inline constexpr std::size_t kMostObjectSeries = 20'000;

// The text exposition format of what `metrics` collects.
std::string RenderMetrics(const prometheus::Collectable& metrics);

}  // namespace perennial::app
