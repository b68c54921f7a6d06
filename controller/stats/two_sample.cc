#include "stats/two_sample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "base/check.h"
#include "stats/distributions.h"

namespace perennial::stats {
namespace {

constexpr double kLeastCount = 5;
constexpr double kOutsideAlpha = 0.01;

double Sum(std::span<const double> counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

struct Pair {
  double baseline = 0;
  double current = 0;
};

// Neighbours from the left; what is left over at the end joins the last one.
std::vector<Pair> PoolNeighbours(const std::vector<Pair>& buckets, double least) {
  std::vector<Pair> pooled;
  Pair open;
  for (const Pair& bucket : buckets) {
    open.baseline += bucket.baseline;
    open.current += bucket.current;
    if (open.baseline < least) continue;
    pooled.push_back(open);
    open = {};
  }
  if (open.baseline == 0 && open.current == 0) return pooled;
  if (pooled.empty()) return {open};
  pooled.back().baseline += open.baseline;
  pooled.back().current += open.current;
  return pooled;
}

// All that is too rare becomes one; if that is still too rare, it joins the rarest of the rest.
std::vector<Pair> PoolRare(const std::vector<Pair>& categories, double least) {
  std::vector<Pair> pooled;
  Pair rare;
  for (const Pair& category : categories) {
    if (category.baseline >= least) {
      pooled.push_back(category);
    } else {
      rare.baseline += category.baseline;
      rare.current += category.current;
    }
  }
  if (rare.baseline == 0 && rare.current == 0) return pooled;
  if (pooled.empty() || rare.baseline >= least) {
    pooled.push_back(rare);
    return pooled;
  }
  const auto rarest =
      std::min_element(pooled.begin(), pooled.end(),
                       [](const Pair& a, const Pair& b) { return a.baseline < b.baseline; });
  rarest->baseline += rare.baseline;
  rarest->current += rare.current;
  return pooled;
}

}  // namespace

double KolmogorovUpperTail(double x) {
  if (!(x > 0)) return 1;
  if (x < 1.18) {
    // The theta-function form converges where the alternating series cancels.
    const double base = -std::numbers::pi * std::numbers::pi / (8 * x * x);
    double sum = 0;
    for (int j = 1; j <= 9; j += 2) sum += std::exp(j * j * base);
    return std::clamp(1 - std::sqrt(2 * std::numbers::pi) / x * sum, 0.0, 1.0);
  }
  double sum = 0;
  for (int j = 1; j <= 6; ++j) sum += (j % 2 == 1 ? 1 : -1) * std::exp(-2.0 * j * j * x * x);
  return std::clamp(2 * sum, 0.0, 1.0);
}

KolmogorovSmirnov TestKolmogorovSmirnov(std::span<const double> baseline,
                                        std::span<const double> current) {
  PERENNIAL_CHECK(baseline.size() == current.size());
  const double n = Sum(baseline);
  const double m = Sum(current);
  PERENNIAL_CHECK(n > 0 && m > 0);
  KolmogorovSmirnov test;
  double below = 0;
  double below_current = 0;
  for (std::size_t i = 0; i < baseline.size(); ++i) {
    const double to = below + baseline[i];
    const double to_current = below_current + current[i];
    // At the last bound both are everything, whatever rounding says.
    if (i + 1 < baseline.size()) {
      test.distance = std::max(test.distance, std::abs(to / n - to_current / m));
    }
    test.greatest =
        std::max({test.greatest, to / n - below_current / m, to_current / m - below / n});
    below = to;
    below_current = to_current;
  }
  test.greatest = std::min(test.greatest, 1.0);
  test.p_value = KolmogorovUpperTail(std::sqrt(n / (n + m) * m) * test.distance);
  return test;
}

ChiSquared TestHomogeneity(std::span<const double> baseline, std::span<const double> current) {
  PERENNIAL_CHECK(baseline.size() == current.size());
  const double n = Sum(baseline);
  const double m = Sum(current);
  PERENNIAL_CHECK(n > 0 && m > 0);
  ChiSquared test;
  int columns = 0;
  long double sum = 0;
  for (std::size_t i = 0; i < baseline.size(); ++i) {
    const double both = baseline[i] + current[i];
    if (both <= 0) continue;
    ++columns;
    // The two cells of a column are off their expectations by the same amount; written like this
    // it stays precise when one side is a billion times the other.
    const long double share = static_cast<long double>(both) / (n + m);
    const long double off =
        (static_cast<long double>(baseline[i]) * m - static_cast<long double>(current[i]) * n) /
        (n + m);
    sum += off * off / (n * share) + off * off / (m * share);
  }
  test.statistic = columns > 1 ? static_cast<double>(sum) : 0;
  test.degrees = std::max(columns - 1, 0);
  test.p_value = ChiSquaredUpperTail(test.statistic, test.degrees);
  return test;
}

PooledCounts Pool(std::span<const double> baseline, std::span<const double> current, bool ordered) {
  PERENNIAL_CHECK(baseline.size() == current.size());
  const double n = Sum(baseline);
  const double m = Sum(current);
  PERENNIAL_CHECK(n > 0 && m > 0);
  double outside = 0;
  for (std::size_t i = 0; i < baseline.size(); ++i) {
    if (baseline[i] <= 0) outside += current[i];
  }
  const bool apart = ClopperPearsonLower(std::min(outside, m), m, kOutsideAlpha) > 3 / n;
  std::vector<Pair> buckets;
  for (std::size_t i = 0; i < baseline.size(); ++i) {
    if (apart && baseline[i] <= 0) continue;
    buckets.push_back({baseline[i], current[i]});
  }
  const double least = std::max(kLeastCount, kLeastCount * n / m);
  std::vector<Pair> pooled = ordered ? PoolNeighbours(buckets, least) : PoolRare(buckets, least);
  PooledCounts counts;
  if (apart) {
    pooled.push_back({0, outside});
    counts.outside = outside / m;
  }
  for (const Pair& pair : pooled) {
    counts.baseline.push_back(pair.baseline);
    counts.current.push_back(pair.current);
  }
  return counts;
}

}  // namespace perennial::stats
