#pragma once

#include <prometheus/metric_family.h>

#include <mutex>
#include <vector>

#include "api/drift_monitor.h"
#include "api/model_version.h"
#include "app/metric_family.h"
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
  mutable std::mutex mutex_;
  TimeHistogram trained_to_deployed_;
  TimeHistogram drift_to_recovered_;
};

}  // namespace perennial::app
