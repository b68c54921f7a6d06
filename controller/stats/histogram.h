#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"

namespace perennial::stats {

// A distribution over buckets whose bounds are frozen: a baseline and everything that is compared
// with it are counted in the same buckets, because re-cutting them to fit each window lets one
// outlier hide a shift. Bucket i holds the observations in (bounds[i-1], bounds[i]], the last one
// those above every bound, as Prometheus' `le` has it.
struct Histogram {
  std::vector<double> bounds;  // finite, strictly ascending, without +Inf; may be empty
  std::vector<double> counts;  // per bucket, not cumulative; one more than bounds; >= 0, finite

  // Exact moments and range of the observations where the source knows them. Unit of the
  // observations (squared for sum_squares).
  std::optional<double> sum;
  std::optional<double> sum_squares;
  std::optional<double> min;
  std::optional<double> max;

  bool operator==(const Histogram&) const = default;
};

// One `_bucket` sample: how many observations were at most `le`.
struct CumulativeBucket {
  double le = 0;  // +Inf for the last
  double count = 0;

  bool operator==(const CumulativeBucket&) const = default;
};

// A checked histogram. `bounds` may end in +Inf, which is dropped. kInvalid: bounds not ascending
// or not finite, wrong number of counts, a negative or non-finite count.
Result<Histogram> MakeHistogram(std::vector<double> bounds, std::vector<double> counts);

// From Prometheus' cumulative buckets, in any order. kInvalid: no +Inf bucket, the same bound
// twice, or a count that falls from one bound to the next.
Result<Histogram> FromCumulative(std::vector<CumulativeBucket> buckets);

// A histogram of `samples` in the given buckets, with exact sum, sum of squares, minimum and
// maximum. NaN samples are left out: nulls are a signal of their own.
Histogram CountSamples(std::span<const double> samples, std::vector<double> bounds);

// Number of observations.
double Total(const Histogram& histogram);

// Share of the observations above the last bound, where nothing can be measured but their number;
// 0 without observations.
double OverflowShare(const Histogram& histogram);

// One point for each bucket: its middle; for the first bucket the middle of [0, bound] if the bound
// is positive, else the bound; for the last one the greatest bound. Shifts beyond the last bound
// are invisible to whatever is computed from these. Empty if there are no bounds.
std::vector<double> Representatives(std::span<const double> bounds);

// Mean of the observations: exact from `sum`, else of the representatives. Absent without
// observations.
std::optional<double> Mean(const Histogram& histogram);

// Population standard deviation (divided by n): exact from `sum` and `sum_squares`, else of the
// representatives. Absent without observations.
std::optional<double> StandardDeviation(const Histogram& histogram);

// The same with the representatives only, whatever else is known.
std::optional<double> BinnedStandardDeviation(const Histogram& histogram);

// PromQL's histogram_quantile for classic histograms (prometheus docs, querying/functions): linear
// within the bucket; the first bucket begins at 0 if its bound is positive, else its bound is the
// answer; beyond the last finite bound that bound is the answer. Buckets in any order; equal bounds
// are summed; a falling count is raised to the one before. NaN: no +Inf bucket, fewer than two
// buckets, no observations, or q is NaN. -Inf for q < 0, +Inf for q > 1.
double HistogramQuantile(double q, std::vector<CumulativeBucket> buckets);
double HistogramQuantile(double q, const Histogram& histogram);

// Both histograms with the bounds that they share and no others: exact, since merging neighbours
// loses resolution but moves nothing. Bounds are compared as numbers, so "1" and "1.0" are equal.
// kInvalid with fewer than one shared bound, unless neither has any.
Result<std::pair<Histogram, Histogram>> AtCommonBounds(const Histogram& a, const Histogram& b);

// Adds up two histograms of the same bounds, such as two pods'. Moments that one of them lacks are
// lost. kInvalid if the bounds differ.
Result<Histogram> Add(const Histogram& a, const Histogram& b);

}  // namespace perennial::stats
