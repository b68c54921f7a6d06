#include "deployment/belief.h"

#include <array>
#include <cmath>
#include <numbers>
#include <span>

#include "stats/bayes.h"
#include "stats/distributions.h"

namespace perennial::deployment {
namespace {

// Of each arm's better rate; empty where an arm holds no proportion.
std::vector<stats::BetaPosterior> PosteriorsOf(api::Goal goal, std::span<const stats::Arm> arms) {
  std::vector<stats::BetaPosterior> posteriors;
  posteriors.reserve(arms.size());
  for (const stats::Arm& arm : arms) {
    if (!(arm.n > 0) || !(arm.sum >= 0) || arm.sum > arm.n) return {};
    // The smaller rate of the one is the greater rate of the other.
    posteriors.push_back(
        stats::PosteriorOf(goal == api::Goal::kIncrease ? arm.sum : arm.n - arm.sum, arm.n));
  }
  return posteriors;
}

std::optional<Belief> OfProportions(api::Goal goal, const stats::Arm& champion,
                                    const stats::Arm& challenger) {
  const auto posteriors = PosteriorsOf(goal, std::array{champion, challenger});
  if (posteriors.empty()) return std::nullopt;
  return Belief{stats::ProbabilitiesToBeBest(posteriors)[1], stats::ExpectedLosses(posteriors)[1]};
}

double NormalDensity(double z) {
  return std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
}

// Of a mean or a ratio.
std::optional<double> VarianceOf(const stats::Arm& arm) {
  const auto of_unit = stats::VarianceOfUnits(arm);
  return of_unit ? std::optional(*of_unit / arm.n) : std::nullopt;
}

// With improvement ~ N(m, s^2): P(> 0) = Phi(m/s), E[max(0, -improvement)] = s (phi(m/s) -
// m/s Phi(-m/s)).
std::optional<Belief> OfMeans(api::Goal goal, const stats::Arm& champion,
                              const stats::Arm& challenger) {
  const auto of_champion = VarianceOf(champion);
  const auto of_challenger = VarianceOf(challenger);
  if (!of_champion || !of_challenger) return std::nullopt;
  const double deviation = std::sqrt(*of_champion + *of_challenger);
  if (!(deviation > 0)) return std::nullopt;
  const double effect = *stats::ValueOf(challenger) - *stats::ValueOf(champion);
  const double z = (goal == api::Goal::kIncrease ? effect : -effect) / deviation;
  return Belief{stats::NormalCdf(z),
                deviation * (NormalDensity(z) - z * stats::NormalUpperTail(z))};
}

struct Normal {
  double mean = 0;
  double deviation = 0;
};

// P(i is the greatest) = integral of f_i times the product of the others' F_j, by Simpson's rule
// over eight standard deviations on both sides.
double ProbabilityOfGreatest(const std::vector<Normal>& laws, std::size_t i) {
  constexpr int kHalfSteps = 400;  // even
  const double width = 16.0 / kHalfSteps;
  double sum = 0;
  for (int k = 0; k <= kHalfSteps; ++k) {
    const double z = -8 + k * width;
    double value = NormalDensity(z);
    const double x = laws[i].mean + z * laws[i].deviation;
    for (std::size_t j = 0; j < laws.size(); ++j) {
      if (j != i) value *= stats::NormalCdf((x - laws[j].mean) / laws[j].deviation);
    }
    sum += value * (k == 0 || k == kHalfSteps ? 1 : k % 2 == 1 ? 4 : 2);
  }
  return sum * width / 3;
}

std::vector<double> BestOfMeans(api::Goal goal, const std::vector<stats::Arm>& arms) {
  std::vector<Normal> laws;
  for (const stats::Arm& arm : arms) {
    const auto variance = VarianceOf(arm);
    if (!variance || !(*variance > 0)) return {};
    const double mean = *stats::ValueOf(arm);
    laws.push_back({goal == api::Goal::kIncrease ? mean : -mean, std::sqrt(*variance)});
  }
  std::vector<double> best;
  double sum = 0;
  for (std::size_t i = 0; i < laws.size(); ++i) {
    best.push_back(ProbabilityOfGreatest(laws, i));
    sum += best.back();
  }
  if (!(sum > 0)) return {};
  for (double& one : best) one /= sum;
  return best;
}

std::vector<double> BestOfProportions(api::Goal goal, const std::vector<stats::Arm>& arms) {
  const auto posteriors = PosteriorsOf(goal, arms);
  return posteriors.empty() ? std::vector<double>() : stats::ProbabilitiesToBeBest(posteriors);
}

}  // namespace

std::optional<Belief> Believe(stats::ArmKind kind, api::Goal goal, const stats::Arm& champion,
                              const stats::Arm& challenger) {
  return kind == stats::ArmKind::kProportion ? OfProportions(goal, champion, challenger)
                                             : OfMeans(goal, champion, challenger);
}

std::vector<double> ProbabilitiesOfBest(stats::ArmKind kind, api::Goal goal,
                                        const std::vector<stats::Arm>& arms) {
  return kind == stats::ArmKind::kProportion ? BestOfProportions(goal, arms)
                                             : BestOfMeans(goal, arms);
}

}  // namespace perennial::deployment
