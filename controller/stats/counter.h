#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "stats/histogram.h"

namespace perennial::stats {

// How much a counter rose over consecutive scrapes of one process.
struct CounterIncrease {
  double increase = 0;
  int resets = 0;

  bool operator==(const CounterIncrease&) const = default;
};

// The increase without the extrapolation to the window's edges that PromQL's increase() adds, which
// makes fractions of whole numbers: a value below the one before means that the process began anew,
// and counts in full. Absent for fewer than two scrapes: one sample says nothing about a rise.
std::optional<CounterIncrease> Increase(std::span<const double> scrapes);

// One scrape of a histogram of one process.
struct HistogramSnapshot {
  std::vector<CumulativeBucket> buckets;  // ascending, the last is +Inf
  std::optional<double> sum;

  bool operator==(const HistogramSnapshot&) const = default;
};

// What was observed between two scrapes.
struct HistogramDelta {
  Histogram histogram;
  bool reset = false;  // the process began anew: all of the newer scrape counts

  bool operator==(const HistogramDelta&) const = default;
};

// The observations between two scrapes of one process. If any bucket fell, the whole histogram was
// reset: bucket by bucket, as PromQL's increase() goes, the differences contradict each other. A
// falling sum alone is no reset, since observations may be negative. A reset to higher values can't
// be seen here. kInvalid if the bounds changed (another binary: the window must start anew) or if
// either snapshot is no histogram.
Result<HistogramDelta> Delta(const HistogramSnapshot& previous, const HistogramSnapshot& current);

}  // namespace perennial::stats
