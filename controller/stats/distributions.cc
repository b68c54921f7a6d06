#include "stats/distributions.h"

#include <algorithm>
#include <array>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/non_central_chi_squared.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <limits>
#include <numbers>

namespace perennial::stats {
namespace {

namespace policies = boost::math::policies;

using Quiet = policies::policy<policies::domain_error<policies::ignore_error>,
                               policies::pole_error<policies::ignore_error>,
                               policies::overflow_error<policies::ignore_error>,
                               policies::underflow_error<policies::ignore_error>,
                               policies::denorm_error<policies::ignore_error>,
                               policies::evaluation_error<policies::ignore_error>,
                               policies::rounding_error<policies::ignore_error>,
                               policies::indeterminate_result_error<policies::ignore_error>>;
using Normal = boost::math::normal_distribution<double, Quiet>;
// Asked at every look at every signal: long double inside costs three times as much, for digits
// that no verdict needs.
using QuietDouble = policies::normalise<Quiet, policies::promote_double<false>>::type;
using ChiSquared = boost::math::chi_squared_distribution<double, QuietDouble>;
using NonCentral = boost::math::non_central_chi_squared_distribution<double, Quiet>;
using Beta = boost::math::beta_distribution<double, Quiet>;

using Student = boost::math::students_t_distribution<double, Quiet>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kLargeNonCentrality = 1e6;

// How far sqrt(x) lies above the centre of the non-central chi law, in standard deviations.
double LargeNonCentralZ(double x, double degrees, double lambda) {
  const double root = std::sqrt(lambda);
  return std::sqrt(x) - (root + (degrees - 1) / (2 * root));
}

}  // namespace

double NormalCdf(double z) {
  return std::erfc(-z / std::numbers::sqrt2) / 2;
}

double NormalUpperTail(double z) {
  return std::erfc(z / std::numbers::sqrt2) / 2;
}

double NormalQuantile(double probability) {
  return boost::math::quantile(Normal(), probability);
}

double NormalTwoSidedTail(double z) {
  return std::erfc(std::abs(z) / std::numbers::sqrt2);
}

double ChiSquaredUpperTail(double x, double degrees) {
  if (std::isnan(x) || degrees < 0) return kNaN;
  if (degrees == 0 || x <= 0) return 1;
  if (std::isinf(x)) return 0;
  return boost::math::cdf(boost::math::complement(ChiSquared(degrees), x));
}

double ChiSquaredQuantile(double probability, double degrees) {
  if (degrees == 0) return 0;
  return boost::math::quantile(ChiSquared(degrees), probability);
}

double ChiSquared95(int degrees) {
  static const std::array<double, 128> kTable = [] {
    std::array<double, 128> table{};
    for (std::size_t i = 1; i < table.size(); ++i) {
      table[i] = ChiSquaredQuantile(0.95, static_cast<double>(i));
    }
    return table;
  }();
  if (degrees < 0) return kNaN;
  const auto index = static_cast<std::size_t>(degrees);
  return index < kTable.size() ? kTable[index] : ChiSquaredQuantile(0.95, degrees);
}

double NonCentralChiSquaredUpperTail(double x, double degrees, double lambda) {
  if (std::isnan(x) || !(degrees > 0) || !(lambda >= 0)) return kNaN;
  if (x <= 0) return 1;
  if (std::isinf(x)) return 0;
  if (lambda > kLargeNonCentrality) return NormalUpperTail(LargeNonCentralZ(x, degrees, lambda));
  if (lambda == 0) return ChiSquaredUpperTail(x, degrees);
  const double tail = boost::math::cdf(boost::math::complement(NonCentral(degrees, lambda), x));
  return std::clamp(tail, 0.0, 1.0);
}

double NonCentralChiSquaredLowerTail(double x, double degrees, double lambda) {
  if (std::isnan(x) || !(degrees > 0) || !(lambda >= 0)) return kNaN;
  if (x <= 0) return 0;
  if (std::isinf(x)) return 1;
  if (lambda > kLargeNonCentrality) return NormalCdf(LargeNonCentralZ(x, degrees, lambda));
  if (lambda == 0) return boost::math::cdf(ChiSquared(degrees), x);
  return std::clamp(boost::math::cdf(NonCentral(degrees, lambda), x), 0.0, 1.0);
}

double StudentTwoSidedTail(double t, double degrees) {
  if (std::isnan(t) || !(degrees > 0)) return kNaN;
  if (std::isinf(t)) return 0;
  return std::min(1.0,
                  2 * boost::math::cdf(boost::math::complement(Student(degrees), std::abs(t))));
}

double BetaDensity(double x, double alpha, double beta) {
  return boost::math::pdf(Beta(alpha, beta), x);
}

double BetaCdf(double x, double alpha, double beta) {
  return boost::math::cdf(Beta(alpha, beta), x);
}

double ClopperPearsonLower(double successes, double trials, double alpha) {
  if (successes <= 0) return 0;
  return boost::math::quantile(Beta(successes, trials - successes + 1), alpha);
}

double LogGamma(double x) {
  return boost::math::lgamma(x, Quiet());
}

}  // namespace perennial::stats
