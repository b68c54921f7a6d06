#include "stats/arm.h"

#include <cmath>

namespace perennial::stats {
namespace {

// Of the sums that are subtracted from each other: below the first a rest is rounding, below minus
// the second it is no rounding any more. Counters are read while requests are under way, so sums of
// one page may miss each other by a few units, but not by this much.
constexpr long double kRounding = 1e-14L;
constexpr long double kImpossible = 1e-6L;

bool Known(const std::optional<double>& sum) {
  return sum && std::isfinite(*sum);
}

}  // namespace

std::optional<double> ValueOf(const Arm& arm) {
  const double by = arm.divisor ? arm.divisor->sum : arm.n;
  if (!(arm.n > 0) || !(by > 0)) return std::nullopt;
  const double value = arm.sum / by;
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::optional<double> VarianceOfUnits(const Arm& arm) {
  const auto value = ValueOf(arm);
  if (!value || !(arm.n > 1) || !Known(arm.sum_squares)) return std::nullopt;
  // A mean is the ratio whose denominators are all 1.
  const Divisor by = arm.divisor.value_or(Divisor{arm.n, arm.n, arm.sum});
  if (!Known(by.squares) || !Known(by.products)) return std::nullopt;
  const long double ratio = static_cast<long double>(arm.sum) / by.sum;
  const long double of_x = *arm.sum_squares;
  const long double of_y = ratio * ratio * *by.squares;
  // The units x - R y add up to 0 by definition of R, so this is their sum of squares.
  const long double rest = of_x - 2 * ratio * *by.products + of_y;
  const long double whole = of_x + of_y;
  if (rest < -kImpossible * whole) return std::nullopt;
  if (rest <= kRounding * whole) return 0;
  const long double mean = static_cast<long double>(by.sum) / arm.n;
  return static_cast<double>(rest / (arm.n - 1) / (mean * mean));
}

std::string FlawOf(ArmKind kind, const Arm& arm) {
  if (!std::isfinite(arm.n) || !std::isfinite(arm.sum)) return "a sum that is not a number";
  if (!(arm.n > 0)) return "no samples yet";
  if (kind == ArmKind::kProportion && (arm.sum < 0 || arm.sum > arm.n)) {
    return "more successes than samples: numerator and denominator don't count the same";
  }
  if (kind == ArmKind::kMean && !Known(arm.sum_squares)) {
    return "no sum of squares, so its variance is unknown";
  }
  if (kind == ArmKind::kMean && arm.n > 1 && !VarianceOfUnits(arm)) {
    return "a sum of squares that can't be of the same samples as its sum";
  }
  if (kind != ArmKind::kRatio) return "";
  if (!arm.divisor || !(arm.divisor->sum > 0)) return "a denominator of zero";
  if (!Known(arm.sum_squares) || !Known(arm.divisor->squares) || !Known(arm.divisor->products)) {
    return "no sums of squares and products, so its variance is unknown";
  }
  if (arm.n > 1 && !VarianceOfUnits(arm)) {
    return "sums of squares and products that can't be of the same units as its numerator and "
           "denominator";
  }
  return "";
}

}  // namespace perennial::stats
