#pragma once

#include <optional>
#include <vector>

#include "api/model_deployment.h"
#include "stats/sequential.h"

namespace perennial::deployment {

// What a Bayesian would bet, beside the verdict and never instead of it: no guarantee against false
// alarms holds when it is looked at again and again.
struct Belief {
  double probability_better = 0;  // that the challenger's true value is the better one
  // How much worse the challenger is expected to be than the better of the two, in the quantity's
  // unit: what choosing it may cost.
  double expected_loss = 0;
};

// Proportions by Beta posteriors with a flat prior; means and ratios by the normal law of their
// difference with a flat prior, which is how the posterior looks once there are hundreds of
// observations. Absent where nothing is known of the variance. Pure.
std::optional<Belief> Believe(stats::ArmKind kind, api::Goal goal, const stats::Arm& champion,
                              const stats::Arm& challenger);

// For each of several arms the probability that its true value is the best of all, by the same
// posteriors; they add up to 1. Empty where nothing is known of an arm. Pure.
std::vector<double> ProbabilitiesOfBest(stats::ArmKind kind, api::Goal goal,
                                        const std::vector<stats::Arm>& arms);

}  // namespace perennial::deployment
