#include "stats/location.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "stats/distributions.h"

namespace perennial::stats {
namespace {

constexpr double kExactSamples = 8;
constexpr double kMostExact = 1000;  // samples on both sides together

// P(U >= u) of `few` samples among few + many different values: counts the ways to choose their
// ranks by size of the choice and its U.
double ExactUpperTail(int few, int many, double u) {
  const std::size_t most = static_cast<std::size_t>(few) * static_cast<std::size_t>(many);
  const auto size = static_cast<std::size_t>(few);
  // ways[j][v]: choices of j ranks so far with U = v. Rank r chosen as the j-th has r - j smaller
  // values of the other sample.
  std::vector<std::vector<long double>> ways(size + 1, std::vector<long double>(most + 1, 0));
  ways[0][0] = 1;
  for (int rank = 0; rank < few + many; ++rank) {
    for (int j = std::min(few, rank + 1); j >= 1; --j) {
      const int below = rank - (j - 1);
      if (below > many) continue;
      const auto shift = static_cast<std::size_t>(below);
      auto& to = ways[static_cast<std::size_t>(j)];
      const auto& from = ways[static_cast<std::size_t>(j) - 1];
      for (std::size_t v = most + 1; v-- > shift;) to[v] += from[v - shift];
    }
  }
  const auto& counts = ways[size];
  long double all = 0;
  long double tail = 0;
  for (std::size_t v = 0; v <= most; ++v) {
    all += counts[v];
    if (static_cast<double>(v) >= u) tail += counts[v];
  }
  return static_cast<double>(tail / all);
}

}  // namespace

Moments MomentsOf(std::span<const double> samples) {
  Moments moments;
  long double sum = 0;
  for (const double sample : samples) {
    if (std::isnan(sample)) continue;
    sum += sample;
    moments.n += 1;
  }
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (moments.n == 0) return {0, kNaN, kNaN};
  moments.mean = static_cast<double>(sum / moments.n);
  long double squares = 0;
  for (const double sample : samples) {
    if (std::isnan(sample)) continue;
    const long double off = sample - sum / moments.n;
    squares += off * off;
  }
  moments.variance = moments.n > 1 ? static_cast<double>(squares / (moments.n - 1)) : kNaN;
  return moments;
}

WelchT TestWelch(const Moments& baseline, const Moments& current) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  // scipy's answer to what has no variance, degrees too.
  if (baseline.n < 2 || current.n < 2) return {kNaN, 1, kNaN};
  const double a = baseline.variance / baseline.n;
  const double b = current.variance / current.n;
  WelchT test;
  test.statistic = (current.mean - baseline.mean) / std::sqrt(a + b);
  if (a + b == 0) {
    test.degrees = 1;
    test.p_value = std::isinf(test.statistic) ? 0 : kNaN;
    return test;
  }
  test.degrees = (a + b) * (a + b) / (a * a / (baseline.n - 1) + b * b / (current.n - 1));
  test.p_value = StudentTwoSidedTail(test.statistic, test.degrees);
  return test;
}

MannWhitney TestMannWhitney(std::span<const double> baseline, std::span<const double> current) {
  PERENNIAL_CHECK(baseline.size() == current.size());
  const double n = std::accumulate(baseline.begin(), baseline.end(), 0.0);
  const double m = std::accumulate(current.begin(), current.end(), 0.0);
  PERENNIAL_CHECK(n > 0 && m > 0);
  long double u = 0;
  long double ties = 0;
  long double below = 0;
  bool tied = false;
  for (std::size_t i = 0; i < baseline.size(); ++i) {
    u += current[i] * (below + static_cast<long double>(baseline[i]) / 2);
    below += baseline[i];
    const long double both = static_cast<long double>(baseline[i]) + current[i];
    ties += both * (both * both - 1);
    tied = tied || both > 1;
  }
  MannWhitney test;
  test.statistic = static_cast<double>(u);
  test.effect = static_cast<double>(2 * u / n / m - 1);
  const double greater = std::max(test.statistic, n * m - test.statistic);
  if (!tied && std::min(n, m) <= kExactSamples && n + m <= kMostExact) {
    const int few = static_cast<int>(std::min(n, m));
    const int many = static_cast<int>(std::max(n, m));
    test.p_value = std::min(1.0, 2 * ExactUpperTail(few, many, greater));
    return test;
  }
  const long double total = static_cast<long double>(n) + m;
  const double variance =
      static_cast<double>(n * (m / 12.0L) * (total + 1 - ties / (total * (total - 1))));
  // All values tied: nothing is greater than anything.
  if (!(variance > 0)) return test;
  const double z = (greater - n * m / 2 - 0.5) / std::sqrt(variance);
  test.p_value = std::min(1.0, 2 * NormalUpperTail(z));
  return test;
}

}  // namespace perennial::stats
