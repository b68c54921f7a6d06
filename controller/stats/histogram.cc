#include "stats/histogram.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

namespace perennial::stats {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Error Invalid(const char* message) {
  return Error{Errc::kInvalid, message};
}

struct BinnedMoments {
  long double mean = 0;
  long double variance = 0;
};

std::optional<BinnedMoments> MomentsOfBins(const Histogram& histogram) {
  const double total = Total(histogram);
  if (total <= 0 || histogram.bounds.empty()) return std::nullopt;
  const std::vector<double> points = Representatives(histogram.bounds);
  BinnedMoments moments;
  for (std::size_t i = 0; i < points.size(); ++i) {
    moments.mean += static_cast<long double>(histogram.counts[i]) * points[i];
  }
  moments.mean /= total;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const long double distance = points[i] - moments.mean;
    moments.variance += histogram.counts[i] * distance * distance;
  }
  moments.variance /= total;
  return moments;
}

// Merges the buckets between the bounds that are kept.
Histogram Coarsen(const Histogram& histogram, const std::vector<double>& kept) {
  Histogram coarse = histogram;
  coarse.bounds = kept;
  coarse.counts.assign(kept.size() + 1, 0);
  std::size_t target = 0;
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    coarse.counts[target] += histogram.counts[i];
    if (target < kept.size() && i < histogram.bounds.size() &&
        histogram.bounds[i] == kept[target]) {
      ++target;
    }
  }
  return coarse;
}

// Sorts, sums equal bounds, and raises counts that fall, or differ by rounding only.
void MakeMonotonic(std::vector<CumulativeBucket>& buckets) {
  std::sort(buckets.begin(), buckets.end(),
            [](const auto& a, const auto& b) { return a.le < b.le; });
  std::vector<CumulativeBucket> merged;
  for (const CumulativeBucket& bucket : buckets) {
    if (!merged.empty() && merged.back().le == bucket.le) {
      merged.back().count += bucket.count;
    } else {
      merged.push_back(bucket);
    }
  }
  for (std::size_t i = 1; i < merged.size(); ++i) {
    const double before = merged[i - 1].count;
    double& count = merged[i].count;
    const bool same = std::abs(count - before) <= 1e-12 * (std::abs(count) + std::abs(before));
    if (same || count < before) count = before;
  }
  buckets = std::move(merged);
}

std::optional<double> Sum(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return std::nullopt;
  return *a + *b;
}

}  // namespace

Result<Histogram> MakeHistogram(std::vector<double> bounds, std::vector<double> counts) {
  if (!bounds.empty() && bounds.back() == kInfinity) bounds.pop_back();
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (!std::isfinite(bounds[i])) return Invalid("a bucket bound is not finite");
    if (i > 0 && bounds[i] <= bounds[i - 1]) return Invalid("bucket bounds are not ascending");
  }
  if (counts.size() != bounds.size() + 1) {
    return Invalid("there must be one count for each bound and one beyond the last");
  }
  for (double count : counts) {
    if (!std::isfinite(count) || count < 0)
      return Invalid("a bucket count is negative or not finite");
  }
  Histogram histogram;
  histogram.bounds = std::move(bounds);
  histogram.counts = std::move(counts);
  return histogram;
}

Result<Histogram> FromCumulative(std::vector<CumulativeBucket> buckets) {
  std::sort(buckets.begin(), buckets.end(),
            [](const auto& a, const auto& b) { return a.le < b.le; });
  if (buckets.empty() || buckets.back().le != kInfinity) return Invalid("no +Inf bucket");
  std::vector<double> bounds;
  std::vector<double> counts;
  double before = 0;
  for (const CumulativeBucket& bucket : buckets) {
    if (bucket.count < before) return Invalid("cumulative bucket counts fall");
    bounds.push_back(bucket.le);
    counts.push_back(bucket.count - before);
    before = bucket.count;
  }
  return MakeHistogram(std::move(bounds), std::move(counts));
}

Histogram CountSamples(std::span<const double> samples, std::vector<double> bounds) {
  Histogram histogram;
  histogram.counts.assign(bounds.size() + 1, 0);
  long double sum = 0;
  long double squares = 0;
  for (double sample : samples) {
    if (std::isnan(sample)) continue;
    const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), sample) - bounds.begin();
    histogram.counts[static_cast<std::size_t>(bucket)] += 1;
    sum += sample;
    squares += static_cast<long double>(sample) * sample;
    histogram.min = std::min(histogram.min.value_or(sample), sample);
    histogram.max = std::max(histogram.max.value_or(sample), sample);
  }
  histogram.sum = static_cast<double>(sum);
  histogram.sum_squares = static_cast<double>(squares);
  histogram.bounds = std::move(bounds);
  return histogram;
}

double Total(const Histogram& histogram) {
  return std::accumulate(histogram.counts.begin(), histogram.counts.end(), 0.0);
}

double OverflowShare(const Histogram& histogram) {
  const double total = Total(histogram);
  return total > 0 ? histogram.counts.back() / total : 0;
}

std::vector<double> Representatives(std::span<const double> bounds) {
  std::vector<double> points;
  if (bounds.empty()) return points;
  points.reserve(bounds.size() + 1);
  points.push_back(bounds[0] > 0 ? bounds[0] / 2 : bounds[0]);
  for (std::size_t i = 1; i < bounds.size(); ++i) {
    points.push_back(bounds[i - 1] + (bounds[i] - bounds[i - 1]) / 2);
  }
  points.push_back(bounds.back());
  return points;
}

std::optional<double> Mean(const Histogram& histogram) {
  const double total = Total(histogram);
  if (total <= 0) return std::nullopt;
  if (histogram.sum && std::isfinite(*histogram.sum)) return *histogram.sum / total;
  const auto moments = MomentsOfBins(histogram);
  if (!moments) return std::nullopt;
  return static_cast<double>(moments->mean);
}

std::optional<double> StandardDeviation(const Histogram& histogram) {
  const double total = Total(histogram);
  if (total <= 0) return std::nullopt;
  if (histogram.sum && histogram.sum_squares && std::isfinite(*histogram.sum) &&
      std::isfinite(*histogram.sum_squares)) {
    const long double mean = static_cast<long double>(*histogram.sum) / total;
    const long double square = static_cast<long double>(*histogram.sum_squares) / total;
    const long double variance = square - mean * mean;
    // What rounding of the two sums leaves of a constant is no spread.
    if (variance <= 1e-14L * square) return 0.0;
    return static_cast<double>(std::sqrt(variance));
  }
  return BinnedStandardDeviation(histogram);
}

std::optional<double> BinnedStandardDeviation(const Histogram& histogram) {
  const auto moments = MomentsOfBins(histogram);
  if (!moments) return std::nullopt;
  return static_cast<double>(std::sqrt(moments->variance));
}

double HistogramQuantile(double q, std::vector<CumulativeBucket> buckets) {
  if (std::isnan(q)) return kNaN;
  if (q < 0) return -kInfinity;
  if (q > 1) return kInfinity;
  MakeMonotonic(buckets);
  if (buckets.size() < 2 || buckets.back().le != kInfinity) return kNaN;
  const double observations = buckets.back().count;
  if (!(observations > 0)) return kNaN;

  const double rank = q * observations;
  std::size_t i = 0;
  while (i + 1 < buckets.size() && buckets[i].count < rank) ++i;
  if (i + 1 == buckets.size()) return buckets[i - 1].le;
  if (i == 0 && buckets[0].le <= 0) return buckets[0].le;
  const double start = i == 0 ? 0 : buckets[i - 1].le;
  const double below = i == 0 ? 0 : buckets[i - 1].count;
  const double inside = buckets[i].count - below;
  if (inside <= 0) return start;  // q = 0 and an empty first bucket
  return start + (buckets[i].le - start) * ((rank - below) / inside);
}

double HistogramQuantile(double q, const Histogram& histogram) {
  std::vector<CumulativeBucket> buckets;
  buckets.reserve(histogram.counts.size());
  double cumulative = 0;
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    cumulative += histogram.counts[i];
    buckets.push_back({i < histogram.bounds.size() ? histogram.bounds[i] : kInfinity, cumulative});
  }
  return HistogramQuantile(q, std::move(buckets));
}

Result<std::pair<Histogram, Histogram>> AtCommonBounds(const Histogram& a, const Histogram& b) {
  if (a.bounds == b.bounds) return std::pair(a, b);
  std::vector<double> shared;
  std::set_intersection(a.bounds.begin(), a.bounds.end(), b.bounds.begin(), b.bounds.end(),
                        std::back_inserter(shared));
  if (shared.empty()) return Invalid("the two histograms share no bucket bound");
  return std::pair(Coarsen(a, shared), Coarsen(b, shared));
}

Result<Histogram> Add(const Histogram& a, const Histogram& b) {
  if (a.bounds != b.bounds || a.counts.size() != b.counts.size()) {
    return Invalid("histograms of different bucket bounds can't be added");
  }
  Histogram total = a;
  for (std::size_t i = 0; i < total.counts.size(); ++i) total.counts[i] += b.counts[i];
  total.sum = Sum(a.sum, b.sum);
  total.sum_squares = Sum(a.sum_squares, b.sum_squares);
  total.min = a.min && b.min ? std::optional(std::min(*a.min, *b.min)) : std::nullopt;
  total.max = a.max && b.max ? std::optional(std::max(*a.max, *b.max)) : std::nullopt;
  return total;
}

}  // namespace perennial::stats
