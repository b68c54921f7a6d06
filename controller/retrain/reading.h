#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/model_version.h"

namespace perennial::retrain {

// What one version's evaluation says to a gate: a value, or why there is none and what to change.
struct Reading {
  std::string group;
  std::optional<double> value;
  std::string note;  // what a reader should know of the value; or the problem
};

// The gate's metric of one version: one reading; with across: WorstGroup one of each group that was
// evaluated on enough rows. What the result reports is taken; what it doesn't is computed from its
// confusion matrix where that tells it (stats/confusion_matrix.h, stats/fairness.h). Never empty.
// Pure.
std::vector<Reading> ReadMetric(const api::ModelVersionSpec& version, const api::Gate& gate);

}  // namespace perennial::retrain
