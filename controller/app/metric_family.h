#pragma once

#include <prometheus/client_metric.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"

// Metrics that are made when they are asked for.
namespace perennial::app {

using Labels = std::vector<prometheus::ClientMetric::Label>;

prometheus::MetricFamily Family(const char* name, const char* help, prometheus::MetricType type);
// One more series of a family of counters or gauges.
void Add(prometheus::MetricFamily& family, Labels labels, double value);
// A family of one series without labels.
prometheus::MetricFamily Single(const char* name, const char* help, prometheus::MetricType type,
                                double value);

// How long things took. A plain value.
class TimeHistogram {
 public:
  // `bounds` are upper ones, in seconds and ascending; they must outlive it.
  explicit TimeHistogram(std::span<const double> bounds)
      : bounds_(bounds), buckets_(bounds.size(), 0) {}

  // What seems to have ended before it began took no time.
  void Observe(Millis took);
  std::uint64_t count() const { return count_; }

  // One more series of a family of histograms.
  void AddTo(prometheus::MetricFamily& family, Labels labels) const;

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> buckets_;  // each alone; what took longer is in none
  std::uint64_t count_ = 0;
  double seconds_ = 0;
};

}  // namespace perennial::app
