#pragma once

#include <optional>
#include <string>

namespace perennial::stats {

// What an arm's sum is divided by where that is not its number of units: one unit, such as a
// request, has a numerator x and a denominator y (errors and items, cost and tokens).
struct Divisor {
  double sum = 0;                  // of y
  std::optional<double> squares;   // of y^2
  std::optional<double> products;  // of x y

  bool operator==(const Divisor&) const = default;
};

// Sufficient statistics of one arm of a test. Mean: n, sum, sum_squares. Proportion: n, sum =
// successes. Ratio: all, where sum and sum_squares are those of x.
struct Arm {
  double n = 0;
  double sum = 0;
  std::optional<double> sum_squares;
  std::optional<Divisor> divisor{};

  bool operator==(const Arm&) const = default;
};

enum class ArmKind { kMean, kProportion, kRatio };

// The mean, the proportion or the ratio of sums. Absent without units, or if it is not finite.
std::optional<double> ValueOf(const Arm& arm);

// Variance of one unit of a mean or ratio, so that over n it is that of ValueOf. For a ratio R this
// is the delta method: the sample variance of the linearised units (x - R y) / mean(y) (Deng,
// Knoblich, Lu, "Applying the Delta Method in Metric Analytics", KDD 2018, section 3). Rounding
// leaves no negative one; absent where sums are missing or can't be of the same units.
std::optional<double> VarianceOfUnits(const Arm& arm);

// What is wrong with an arm of this kind; empty if nothing is.
std::string FlawOf(ArmKind kind, const Arm& arm);

}  // namespace perennial::stats
