#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "app/cluster_cache.h"
#include "app/kpi.h"
#include "base/clock.h"
#include "kube/events.h"
#include "kube/lease.h"
#include "kube/runner.h"
#include "scrape/sample_store.h"
#include "scrape/scrape_pool.h"

namespace perennial::app {

// Counts runs as they end, by what the policies' statuses show. Runs that had ended before we
// looked are not counted.
inline constexpr std::array<double, 6> kRunBounds{60, 300, 1'800, 7'200, 28'800, 86'400};

class RunTally {
 public:
  // Listens to the store; before its informer starts. The tally must outlive it.
  explicit RunTally(kube::Store<api::RetrainPolicy>& policies);
  RunTally(const RunTally&) = delete;
  RunTally& operator=(const RunTally&) = delete;

  // Of the runs of one trigger's type that ended in one way.
  struct Cell {
    std::uint64_t runs = 0;
    double seconds = 0;  // from their start to their end
    // By the upper bounds of kRunBounds, each alone; what took longer is in none.
    std::array<std::uint64_t, 6> buckets{};
  };
  using Cells = std::map<std::pair<std::string, bool>, Cell>;  // by type and success
  Cells cells() const;
  // Of the runs that got their turn: from their record to then.
  Cell waits() const;
  // Of the runs that ended, those that another policy's Job trained for.
  std::uint64_t shared() const;

 private:
  void Look(const api::Run& run, const api::Run* before);

  mutable std::mutex mutex_;
  Cells cells_;
  Cell waits_;
  std::uint64_t shared_ = 0;
};

// Series of single monitors and deployments are cut off here: what a tenant creates must not make
// /metrics grow without end.
inline constexpr std::size_t kMostObjectSeries = 20'000;

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
  const KpiTally& kpis;
  std::size_t object_series = kMostObjectSeries;
};

// The controller's metrics (docs/reference/metrics.md). Thread-safe as its sources are.
class ControllerMetrics final : public prometheus::Collectable {
 public:
  explicit ControllerMetrics(MetricSources sources) : sources_(std::move(sources)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;
  // Without what belongs to the process.
  std::vector<prometheus::MetricFamily> CollectWork() const;

 private:
  MetricSources sources_;
};

// What belongs to the process, whatever it works on.
std::vector<prometheus::MetricFamily> CollectProcess(const kube::EventRecorder& events);

// The text exposition format of what `metrics` collects.
std::string RenderMetrics(const prometheus::Collectable& metrics);

}  // namespace perennial::app
