#pragma once

#include <string>
#include <vector>

#include "deployment/rollout.h"

namespace perennial::deployment {

// The A/B/n test of a fixed split: every variant against the first, which is the control. It
// reports and moves no traffic: which share a variant gets is what the spec says.

// Versions that are compared, the control first; empty where nothing is: without an experiment,
// with fewer than two variants, or before each of them serves.
std::vector<std::string> ComparedVersions(const api::ModelDeployment& deployment);

// What makes counts comparable: the compared versions and their weights, unless the counts
// themselves move those. Another text begins anew.
std::string ComparisonIdentity(const api::ModelDeployment& deployment);

// Takes one look at all variants and records it. With N variants each comparison is made at
// alpha / (N - 1), so that the probability that any of them is wrong stays at alpha (Bonferroni;
// always-valid p-values may be corrected like any others).
void CompareVariants(Turn& turn);

}  // namespace perennial::deployment
