#include "stats/bayes.h"

#include <algorithm>
#include <array>
#include <boost/math/quadrature/gauss.hpp>
#include <cmath>

#include "base/check.h"
#include "stats/distributions.h"

namespace perennial::stats {
namespace {

// Where some arm's density lives: pieces on which a Gauss rule is precise whatever the scale, since
// with a million trials a density is a thousandth wide.
std::vector<double> Breakpoints(std::span<const BetaPosterior> arms) {
  constexpr std::array kDeviations{0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 12.0, 20.0, 40.0};
  std::vector<double> points{0, 1};
  for (const BetaPosterior& arm : arms) {
    const double deviation = std::sqrt(arm.Variance());
    for (const double factor : kDeviations) {
      points.push_back(std::clamp(arm.Mean() - factor * deviation, 0.0, 1.0));
      points.push_back(std::clamp(arm.Mean() + factor * deviation, 0.0, 1.0));
    }
  }
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  return points;
}

// Integrates over [0, 1] one function for each arm, all of them at the same points: `at(x, out)`.
template <class At>
std::vector<double> Integrate(std::span<const BetaPosterior> arms, At at) {
  using Rule = boost::math::quadrature::gauss<double, 15>;
  const std::vector<double> points = Breakpoints(arms);
  std::vector<double> sums(arms.size(), 0);
  std::vector<double> values(arms.size());
  const auto add = [&](double x, double weight) {
    at(x, values);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += weight * values[i];
  };
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    const double middle = (points[i] + points[i + 1]) / 2;
    const double half = (points[i + 1] - points[i]) / 2;
    for (std::size_t node = 0; node < Rule::abscissa().size(); ++node) {
      const double off = half * Rule::abscissa()[node];
      const double weight = half * Rule::weights()[node];
      add(middle + off, weight);
      if (off > 0) add(middle - off, weight);
    }
  }
  return sums;
}

// Product of all but the i-th, without dividing: factors may be 0.
void ProductsOfOthers(std::span<const double> factors, std::vector<double>& out) {
  out.assign(factors.size(), 1);
  double product = 1;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    out[i] *= product;
    product *= factors[i];
  }
  product = 1;
  for (std::size_t i = factors.size(); i > 0; --i) {
    out[i - 1] *= product;
    product *= factors[i - 1];
  }
}

}  // namespace

BetaPosterior PosteriorOf(double successes, double trials, double prior_alpha, double prior_beta) {
  PERENNIAL_CHECK(successes >= 0 && successes <= trials && prior_alpha >= 1 && prior_beta >= 1);
  return {prior_alpha + successes, prior_beta + trials - successes};
}

std::vector<double> ProbabilitiesToBeBest(std::span<const BetaPosterior> arms) {
  std::vector<double> below(arms.size());
  std::vector<double> others;
  return Integrate(arms, [&](double x, std::vector<double>& out) {
    for (std::size_t i = 0; i < arms.size(); ++i)
      below[i] = BetaCdf(x, arms[i].alpha, arms[i].beta);
    ProductsOfOthers(below, others);
    for (std::size_t i = 0; i < arms.size(); ++i) {
      out[i] = others[i] > 0 ? others[i] * BetaDensity(x, arms[i].alpha, arms[i].beta) : 0;
    }
  });
}

std::vector<double> ExpectedLosses(std::span<const BetaPosterior> arms) {
  std::vector<double> below(arms.size());
  std::vector<double> others;
  return Integrate(arms, [&](double x, std::vector<double>& out) {
    for (std::size_t i = 0; i < arms.size(); ++i)
      below[i] = BetaCdf(x, arms[i].alpha, arms[i].beta);
    ProductsOfOthers(below, others);
    for (std::size_t i = 0; i < arms.size(); ++i) out[i] = below[i] * (1 - others[i]);
  });
}

}  // namespace perennial::stats
