#include "deployment/belief.h"

#include <array>
#include <cmath>
#include <numbers>

#include "stats/bayes.h"
#include "stats/distributions.h"

namespace perennial::deployment {
namespace {

std::optional<Belief> OfProportions(api::Goal goal, const stats::Arm& champion,
                                    const stats::Arm& challenger) {
  const auto posterior = [&](const stats::Arm& arm) {
    // The smaller rate of the one is the greater rate of the other.
    return stats::PosteriorOf(goal == api::Goal::kIncrease ? arm.sum : arm.n - arm.sum, arm.n);
  };
  for (const stats::Arm* arm : {&champion, &challenger}) {
    if (!(arm->n > 0) || !(arm->sum >= 0) || arm->sum > arm->n) return std::nullopt;
  }
  const std::array arms{posterior(champion), posterior(challenger)};
  return Belief{stats::ProbabilitiesToBeBest(arms)[1], stats::ExpectedLosses(arms)[1]};
}

std::optional<double> VarianceOfMean(const stats::Arm& arm) {
  if (!(arm.n > 1) || !arm.sum_squares) return std::nullopt;
  const double mean = arm.sum / arm.n;
  const double variance = (*arm.sum_squares / arm.n - mean * mean) / (arm.n - 1);
  return std::isfinite(variance) ? std::optional(std::max(variance, 0.0)) : std::nullopt;
}

// With improvement ~ N(m, s^2): P(> 0) = Phi(m/s), E[max(0, -improvement)] = s (phi(m/s) -
// m/s Phi(-m/s)).
std::optional<Belief> OfMeans(api::Goal goal, const stats::Arm& champion,
                              const stats::Arm& challenger) {
  const auto of_champion = VarianceOfMean(champion);
  const auto of_challenger = VarianceOfMean(challenger);
  if (!of_champion || !of_challenger) return std::nullopt;
  const double deviation = std::sqrt(*of_champion + *of_challenger);
  if (!(deviation > 0)) return std::nullopt;
  const double effect = challenger.sum / challenger.n - champion.sum / champion.n;
  const double z = (goal == api::Goal::kIncrease ? effect : -effect) / deviation;
  const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
  return Belief{stats::NormalCdf(z), deviation * (density - z * stats::NormalUpperTail(z))};
}

}  // namespace

std::optional<Belief> Believe(stats::ArmKind kind, api::Goal goal, const stats::Arm& champion,
                              const stats::Arm& challenger) {
  return kind == stats::ArmKind::kProportion ? OfProportions(goal, champion, challenger)
                                             : OfMeans(goal, champion, challenger);
}

}  // namespace perennial::deployment
