#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "app/cluster_cache.h"
#include "app/kpi.h"
#include "app/run_tally.h"
#include "base/clock.h"
#include "kube/events.h"
#include "kube/lease.h"
#include "kube/runner.h"
#include "scrape/sample_store.h"
#include "scrape/scrape_pool.h"

namespace perennial::app {

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
