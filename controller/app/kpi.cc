#include "app/kpi.h"

#include <array>
#include <optional>

namespace perennial::app {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// 1 minute to 30 days.
constexpr std::array<double, 9> kBounds{60,     600,     3'600,   14'400,   43'200,
                                        86'400, 259'200, 604'800, 2'592'000};

}  // namespace

KpiTally::KpiTally(kube::Store<api::ModelVersion>& versions,
                   kube::Store<api::DriftMonitor>& monitors, const Clock& clock)
    : trained_to_deployed_(kBounds), drift_to_recovered_(kBounds) {
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

std::vector<MetricFamily> KpiTally::Collect() const {
  MetricFamily deployed =
      Family("perennial_trained_to_deployed_seconds",
             "Time from a ModelVersion's creation to its promotion", MetricType::Histogram);
  MetricFamily recovered =
      Family("perennial_drift_to_recovered_seconds",
             "Time from the beginning of a drift to its end", MetricType::Histogram);
  const std::lock_guard lock(mutex_);
  trained_to_deployed_.AddTo(deployed, {});
  drift_to_recovered_.AddTo(recovered, {});
  return {deployed, recovered};
}

}  // namespace perennial::app
