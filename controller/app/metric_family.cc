#include "app/metric_family.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace perennial::app {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void Add(MetricFamily& family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily Single(const char* name, const char* help, MetricType type, double value) {
  MetricFamily family = Family(name, help, type);
  Add(family, {}, value);
  return family;
}

void TimeHistogram::Observe(Millis took) {
  const double seconds = static_cast<double>(std::max(took, Millis(0)).count()) / 1000;
  ++count_;
  seconds_ += seconds;
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), seconds);
  if (bound != bounds_.end()) ++buckets_.at(static_cast<std::size_t>(bound - bounds_.begin()));
}

void TimeHistogram::AddTo(MetricFamily& family, Labels labels) const {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.histogram.sample_count = count_;
  metric.histogram.sample_sum = seconds_;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    below += buckets_[i];
    metric.histogram.bucket.push_back({below, bounds_[i]});
  }
  metric.histogram.bucket.push_back({count_, std::numeric_limits<double>::infinity()});
  family.metric.push_back(std::move(metric));
}

}  // namespace perennial::app
