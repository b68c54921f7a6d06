#pragma once

#include <optional>

namespace perennial::stats {

// part / whole; absent where the whole is 0.
std::optional<double> Share(double part, double whole);

// What came of predictions whose truth is known. Of more than two classes, "positive" is one of
// them.
struct Classified {
  double total = 0;
  double correct = 0;  // predicted what was true
  double true_positives = 0;
  double predicted_positives = 0;
  double actual_positives = 0;
};

// As scikit-learn defines them (sklearn.metrics, precision_recall_fscore_support); absent where the
// denominator is 0.
std::optional<double> Accuracy(const Classified& counted);
std::optional<double> Precision(const Classified& counted);
std::optional<double> Recall(const Classified& counted);
// The harmonic mean of precision and recall: 2 TP / (predicted + actual positives).
std::optional<double> F1Score(const Classified& counted);

}  // namespace perennial::stats
