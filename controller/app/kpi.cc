#include "app/kpi.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace perennial::app {
KpiTally::KpiTally(kube::Store<api::ModelVersion>& versions,
                   kube::Store<api::DriftMonitor>& monitors, const Clock& clock) {
  versions.AddListener([this](const auto& before, const auto& after) {
    if (before == nullptr || after == nullptr || api::PromotedAt(*before)) return;
    const auto promoted = api::PromotedAt(*after);
    if (!promoted) return;
    const std::lock_guard lock(mutex_);
    trained_to_deployed_.Observe(*promoted - after->meta.created);
  });
  monitors.AddListener([this, &clock](const auto& before, const auto& after) {
    if (before == nullptr || after == nullptr) return;
    if (!before->status.episode || after->status.episode) return;
    const std::lock_guard lock(mutex_);
    drift_to_recovered_.Observe(clock.Wall() - before->status.episode->started.value);
  });
}

void KpiTally::Histogram::Observe(Millis took) {
  const double value = static_cast<double>(std::max(took, Millis(0)).count()) / 1000;
  ++count;
  seconds += value;
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), value);
  if (bound != kBounds.end()) ++buckets.at(static_cast<std::size_t>(bound - kBounds.begin()));
}

prometheus::MetricFamily KpiTally::Histogram::Family(const char* name, const char* help) const {
  prometheus::ClientMetric metric;
  metric.histogram.sample_count = count;
  metric.histogram.sample_sum = seconds;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    below += buckets[i];
    metric.histogram.bucket.push_back({below, kBounds[i]});
  }
  metric.histogram.bucket.push_back({count, std::numeric_limits<double>::infinity()});
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Histogram;
  family.metric.push_back(std::move(metric));
  return family;
}

std::vector<prometheus::MetricFamily> KpiTally::Collect() const {
  const std::lock_guard lock(mutex_);
  return {trained_to_deployed_.Family("perennial_trained_to_deployed_seconds",
                                      "Time from a ModelVersion's creation to its promotion"),
          drift_to_recovered_.Family("perennial_drift_to_recovered_seconds",
                                     "Time from the beginning of a drift to its end")};
}

}  // namespace perennial::app
