#include "stats/counter.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace perennial::stats {
namespace {

Status Check(const HistogramSnapshot& snapshot) {
  const auto& buckets = snapshot.buckets;
  if (buckets.empty() || buckets.back().le != std::numeric_limits<double>::infinity()) {
    return Error{Errc::kInvalid, "no +Inf bucket"};
  }
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    if (!std::isfinite(buckets[i].count) || buckets[i].count < 0) {
      return Error{Errc::kInvalid, "a bucket count is negative or not finite"};
    }
    if (i > 0 && !(buckets[i].le > buckets[i - 1].le)) {
      return Error{Errc::kInvalid, "bucket bounds are not ascending"};
    }
    if (i > 0 && buckets[i].count < buckets[i - 1].count) {
      return Error{Errc::kInvalid, "cumulative bucket counts fall"};
    }
  }
  return Ok();
}

}  // namespace

std::optional<CounterIncrease> Increase(std::span<const double> scrapes) {
  if (scrapes.size() < 2) return std::nullopt;
  CounterIncrease rise;
  for (std::size_t i = 1; i < scrapes.size(); ++i) {
    if (scrapes[i] < scrapes[i - 1]) {
      rise.increase += scrapes[i];
      ++rise.resets;
    } else {
      rise.increase += scrapes[i] - scrapes[i - 1];
    }
  }
  return rise;
}

Result<HistogramDelta> Delta(const HistogramSnapshot& previous, const HistogramSnapshot& current) {
  PERENNIAL_TRY_STATUS(Check(previous));
  PERENNIAL_TRY_STATUS(Check(current));
  if (!std::equal(previous.buckets.begin(), previous.buckets.end(), current.buckets.begin(),
                  current.buckets.end(),
                  [](const auto& a, const auto& b) { return a.le == b.le; })) {
    return Error{Errc::kInvalid, "the bucket bounds changed between two scrapes"};
  }
  bool reset = false;
  for (std::size_t i = 0; i < current.buckets.size(); ++i) {
    reset = reset || current.buckets[i].count < previous.buckets[i].count;
  }
  std::vector<double> bounds;
  std::vector<double> counts;
  double below = 0;
  for (std::size_t i = 0; i < current.buckets.size(); ++i) {
    const double base = reset ? 0 : previous.buckets[i].count;
    const double cumulative = current.buckets[i].count - base;
    // Without a reset a lower bucket can still have risen by more than the one above it, if the
    // process miscounted or began anew at higher values: no observations give such a difference.
    if (cumulative < below) {
      return Error{Errc::kInvalid, "bucket differences contradict each other"};
    }
    bounds.push_back(current.buckets[i].le);
    counts.push_back(cumulative - below);
    below = cumulative;
  }
  PERENNIAL_TRY(Histogram histogram, MakeHistogram(std::move(bounds), std::move(counts)));
  if (current.sum && std::isfinite(*current.sum)) {
    if (reset) {
      histogram.sum = *current.sum;
    } else if (previous.sum && std::isfinite(*previous.sum)) {
      histogram.sum = *current.sum - *previous.sum;
    }
  }
  return HistogramDelta{std::move(histogram), reset};
}

}  // namespace perennial::stats
