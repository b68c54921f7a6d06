#pragma once

#include <span>
#include <vector>

namespace perennial::stats {

// Bayesian comparison of proportions: what is believed of each arm's rate after what was counted.
// It answers "how likely is this arm the best" and "what do I lose if I take it and am wrong". It
// is no guarantee against false alarms when looked at again and again: sequential.h is.

// Beta(alpha, beta): what is believed of a rate.
struct BetaPosterior {
  double alpha = 1;
  double beta = 1;

  double Mean() const { return alpha / (alpha + beta); }
  double Variance() const {
    const double sum = alpha + beta;
    return alpha / sum * (beta / sum) / (sum + 1);
  }
};

// After `successes` of `trials`; the default prior takes every rate for equally likely. 0 <=
// successes <= trials; each prior parameter at least 1, so that the density is finite.
BetaPosterior PosteriorOf(double successes, double trials, double prior_alpha = 1,
                          double prior_beta = 1);

// For each arm the probability that its rate is the greatest of all: the integral of f_i times the
// product of the others' F_j. They add up to 1.
std::vector<double> ProbabilitiesToBeBest(std::span<const BetaPosterior> arms);

// For each arm what its rate is expected to lie below the greatest one, E[max theta - theta_i]: the
// integral of F_i (1 - product of the others' F_j). An arm may be chosen once this is below what
// doesn't matter.
std::vector<double> ExpectedLosses(std::span<const BetaPosterior> arms);

}  // namespace perennial::stats
