#pragma once

#include <span>
#include <vector>

namespace perennial::stats {

// Tests of whether two samples, counted in the same buckets, come from one distribution.

// Kolmogorov-Smirnov from buckets. The greatest distance of the cumulative shares at the bounds is
// a lower bound of the true one, so the p-value is never too small; `greatest` is an upper bound:
// what the distance could be if the observations lay worst inside their buckets.
struct KolmogorovSmirnov {
  double distance = 0;
  double greatest = 0;
  double p_value = 1;  // Kolmogorov's limit law at sqrt(nm/(n+m)) * distance
};
KolmogorovSmirnov TestKolmogorovSmirnov(std::span<const double> baseline,
                                        std::span<const double> current);

// P(K > x) of Kolmogorov's limit law.
double KolmogorovUpperTail(double x);

// Pearson's chi-squared test of homogeneity without continuity correction. Buckets that are empty
// on both sides are left out; with one bucket left there is nothing to differ: 0 and p = 1.
struct ChiSquared {
  double statistic = 0;
  double p_value = 1;
  int degrees = 0;
};
ChiSquared TestHomogeneity(std::span<const double> baseline, std::span<const double> current);

// Buckets put together until chi-squared's law holds for them.
struct PooledCounts {
  std::vector<double> baseline;
  std::vector<double> current;
  // Share of the window in buckets where the baseline has nothing, if that is more than chance:
  // these buckets then make one of their own, since pooling would hide a new range or category.
  double outside = 0;
};

// Pools until each bucket has at least 5 observations in the baseline and 5 expected in the window
// (its share of the baseline times the window's total): neighbours where `ordered`, else the rarest
// categories. What is pooled depends on the baseline alone, so it adds no chance of its own. Both
// totals must be positive. "More than chance": the one-sided 99 % Clopper-Pearson limit of the
// share outside exceeds 3/n, the 95 % limit of a share of which n observations showed none.
PooledCounts Pool(std::span<const double> baseline, std::span<const double> current, bool ordered);

}  // namespace perennial::stats
