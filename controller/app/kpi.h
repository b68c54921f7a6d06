#pragma once

#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "api/drift_monitor.h"
#include "api/model_version.h"
#include "base/clock.h"
#include "kube/store.h"

namespace perennial::app {

// How long it takes from a trained model to its promotion, and from a drift's beginning to its end:
// observed as the objects change. What had happened before we looked is not counted.
class KpiTally {
 public:
  // Listens to the stores; before their informers start. The tally must outlive them.
  KpiTally(kube::Store<api::ModelVersion>& versions, kube::Store<api::DriftMonitor>& monitors,
           const Clock& clock);
  KpiTally(const KpiTally&) = delete;
  KpiTally& operator=(const KpiTally&) = delete;

  // perennial_trained_to_deployed_seconds and perennial_drift_to_recovered_seconds.
  std::vector<prometheus::MetricFamily> Collect() const;

 private:
  // 1 minute to 30 days.
  static constexpr std::array<double, 9> kBounds{60,     600,     3'600,   14'400,   43'200,
                                                 86'400, 259'200, 604'800, 2'592'000};
  struct Histogram {
    std::uint64_t count = 0;
    double seconds = 0;
    std::array<std::uint64_t, kBounds.size()> buckets{};
    void Observe(Millis took);
    prometheus::MetricFamily Family(const char* name, const char* help) const;
  };

  mutable std::mutex mutex_;
  Histogram trained_to_deployed_;
  Histogram drift_to_recovered_;
};

}  // namespace perennial::app
