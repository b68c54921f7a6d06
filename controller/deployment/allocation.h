#pragma once

#include <vector>

#include "api/model_deployment.h"

namespace perennial::deployment {

// The weights of spec.variants, in their order: what the spec says, or, with experiment.weights
// Thompson, what follows from the comparisons on record. They sum to 100. As a function of the
// record they survive any restart, and move only when the record does: a number of times that grows
// with the logarithm of the samples.
//
// Thompson's rule (W. R. Thompson, Biometrika 25, 1933, "On the likelihood that one unknown
// probability exceeds another") gives each arm the probability that it is the best; here as a
// share of the traffic, above a floor that keeps every arm measurable.
std::vector<int> VariantWeights(const api::ModelDeployment& deployment);

// `best`: probabilities that sum to 1. Each gets `floor` percent and its part of the rest, none
// more than `ceiling` while others can take it.
std::vector<int> Allocate(const std::vector<double>& best, int floor, int ceiling);

}  // namespace perennial::deployment
