#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace perennial::stats {

// Rows of one actual class that were predicted as one class.
struct ConfusionCount {
  std::string actual;
  std::string predicted;
  double count = 0;
};

// What can be computed from a confusion matrix alone. Names and definitions are scikit-learn's
// (sklearn.metrics) where it has them, but for 0 / 0: there is no value, where it counts 0.
enum class ClassificationMeasure {
  kAccuracy,             // right / all, any number of classes
  kErrorRate,            // 1 - accuracy
  kBalancedAccuracy,     // mean recall of the classes that occur
  kMatthewsCorrelation,  // any number of classes: Gorodkin's R_K (2004)
  // Of one class, which is called positive, against all others.
  kPrecision,
  kRecall,  // true positive rate
  kF1,
  kSpecificity,  // true negative rate
  kFalsePositiveRate,
  kFalseNegativeRate,
  kSelectionRate,  // predicted positive / all
};

// "accuracy", "error_rate", "balanced_accuracy", "matthews_correlation", "precision", "recall",
// "f1_score", "specificity", "false_positive_rate", "false_negative_rate", "selection_rate".
std::string_view ToString(ClassificationMeasure measure);
std::optional<ClassificationMeasure> ParseClassificationMeasure(std::string_view name);
// Whether it is about one class.
bool NeedsPositive(ClassificationMeasure measure);

struct ClassificationResult {
  std::optional<double> value;
  double rows = 0;
  std::string note;  // why there is no value
};

// `positive` is read only where NeedsPositive(). Pure.
ClassificationResult MeasureClassification(ClassificationMeasure measure,
                                           std::span<const ConfusionCount> matrix,
                                           std::string_view positive);

}  // namespace perennial::stats
