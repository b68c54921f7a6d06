#pragma once

#include <span>

namespace perennial::stats {

// Tests of whether one sample tends to greater values than another.

// What a sample's mean test needs of it. Variance with n - 1.
struct Moments {
  double n = 0;
  double mean = 0;
  double variance = 0;
};

// NaN samples are left out. No mean without samples, and no variance with fewer than two: NaN.
Moments MomentsOf(std::span<const double> samples);

// Welch's t test of equal means with unequal variances, two-sided: degrees of freedom after Welch
// and Satterthwaite (1947, Biometrika 34). Fewer than two samples on a side, or no variance on
// either side with equal means, says nothing: NaN. No variance and different means: +-Inf, p = 0.
struct WelchT {
  double statistic = 0;  // positive where the current mean is greater
  double degrees = 0;
  double p_value = 1;
};
WelchT TestWelch(const Moments& baseline, const Moments& current);

// Mann-Whitney's U test, two-sided, of two samples counted in the same ascending buckets or at the
// same ascending values; what shares a bucket is tied. Exact where one side has at most 8 samples
// and nothing is tied, else by the normal law with correction for ties and for continuity (Mann and
// Whitney 1947; Lehmann, "Nonparametrics", 1.5). Both totals must be positive.
struct MannWhitney {
  double statistic = 0;  // U of the current sample: pairs in which its value is greater, ties half
  // 2 U / (n m) - 1: P(current greater) - P(current smaller), -1 to 1 (rank-biserial correlation).
  double effect = 0;
  double p_value = 1;
};
MannWhitney TestMannWhitney(std::span<const double> baseline, std::span<const double> current);

}  // namespace perennial::stats
