#include "stats/classification.h"

namespace perennial::stats {

std::optional<double> Share(double part, double whole) {
  if (!(whole > 0)) return std::nullopt;
  return part / whole;
}

std::optional<double> Accuracy(const Classified& counted) {
  return Share(counted.correct, counted.total);
}

std::optional<double> Precision(const Classified& counted) {
  return Share(counted.true_positives, counted.predicted_positives);
}

std::optional<double> Recall(const Classified& counted) {
  return Share(counted.true_positives, counted.actual_positives);
}

std::optional<double> F1Score(const Classified& counted) {
  return Share(2 * counted.true_positives, counted.predicted_positives + counted.actual_positives);
}

}  // namespace perennial::stats
