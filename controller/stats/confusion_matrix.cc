#include "stats/confusion_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/check.h"
#include "stats/classification.h"

namespace perennial::stats {
namespace {

// In the order of the enumeration.
constexpr std::array<std::string_view, 11> kNames{
    "accuracy",
    "error_rate",
    "balanced_accuracy",
    "matthews_correlation",
    "precision",
    "recall",
    "f1_score",
    "specificity",
    "false_positive_rate",
    "false_negative_rate",
    "selection_rate",
};

struct Totals {
  double rows = 0;
  double right = 0;
  std::map<std::string_view, Classified> classes;  // each as the positive one
};

Totals Sum(std::span<const ConfusionCount> matrix) {
  Totals totals;
  for (const ConfusionCount& cell : matrix) {
    totals.rows += cell.count;
    totals.classes[cell.actual].actual_positives += cell.count;
    totals.classes[cell.predicted].predicted_positives += cell.count;
    if (cell.actual != cell.predicted) continue;
    totals.right += cell.count;
    totals.classes[cell.actual].true_positives += cell.count;
  }
  return totals;
}

std::optional<double> BalancedAccuracy(const Totals& totals) {
  double sum = 0;
  double occurring = 0;
  for (const auto& [name, of] : totals.classes) {
    const auto recall = Recall(of);
    if (!recall) continue;
    sum += *recall;
    ++occurring;
  }
  return Share(sum, occurring);
}

// J. Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient (2004);
// for two classes it is Matthews' coefficient.
std::optional<double> Matthews(const Totals& totals) {
  double product = 0;
  double predicted = 0;
  double actual = 0;
  for (const auto& [name, of] : totals.classes) {
    product += of.predicted_positives * of.actual_positives;
    predicted += of.predicted_positives * of.predicted_positives;
    actual += of.actual_positives * of.actual_positives;
  }
  const double all = totals.rows * totals.rows;
  return Share(totals.right * totals.rows - product, std::sqrt((all - predicted) * (all - actual)));
}

std::optional<double> OfClass(ClassificationMeasure measure, double rows, const Classified& of) {
  const double negatives = rows - of.actual_positives;
  const double false_positives = of.predicted_positives - of.true_positives;
  switch (measure) {
    case ClassificationMeasure::kPrecision:
      return Precision(of);
    case ClassificationMeasure::kRecall:
      return Recall(of);
    case ClassificationMeasure::kF1:
      return F1Score(of);
    case ClassificationMeasure::kSpecificity:
      return Share(negatives - false_positives, negatives);
    case ClassificationMeasure::kFalsePositiveRate:
      return Share(false_positives, negatives);
    case ClassificationMeasure::kFalseNegativeRate:
      return Share(of.actual_positives - of.true_positives, of.actual_positives);
    case ClassificationMeasure::kSelectionRate:
      return Share(of.predicted_positives, rows);
    default:
      return std::nullopt;
  }
}

std::string NamesOf(const Totals& totals) {
  std::string out;
  for (const auto& [name, of] : totals.classes) {
    if (!out.empty()) out += ", ";
    out += name;
  }
  return out;
}

}  // namespace

std::string_view ToString(ClassificationMeasure measure) {
  const auto index = static_cast<std::size_t>(measure);
  PERENNIAL_CHECK(index < kNames.size());
  return kNames[index];
}

std::optional<ClassificationMeasure> ParseClassificationMeasure(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<ClassificationMeasure>(found - kNames.begin());
}

bool NeedsPositive(ClassificationMeasure measure) {
  return measure >= ClassificationMeasure::kPrecision;
}

ClassificationResult MeasureClassification(ClassificationMeasure measure,
                                           std::span<const ConfusionCount> matrix,
                                           std::string_view positive) {
  const Totals totals = Sum(matrix);
  ClassificationResult result;
  result.rows = totals.rows;
  if (!(totals.rows > 0)) {
    result.note = "the confusion matrix counts no rows";
    return result;
  }
  switch (measure) {
    case ClassificationMeasure::kAccuracy:
      result.value = totals.right / totals.rows;
      return result;
    case ClassificationMeasure::kErrorRate:
      result.value = 1 - totals.right / totals.rows;
      return result;
    case ClassificationMeasure::kBalancedAccuracy:
      result.value = BalancedAccuracy(totals);
      return result;
    case ClassificationMeasure::kMatthewsCorrelation:
      result.value = Matthews(totals);
      if (!result.value) result.note = "all rows are of one class, or predicted as one";
      return result;
    default:
      break;
  }
  const auto of = totals.classes.find(positive);
  if (of == totals.classes.end()) {
    result.note = positive.empty() ? "positive is not set: set it to one of " + NamesOf(totals)
                                   : "there is no class \"" + std::string(positive) +
                                         "\": set positive to one of " + NamesOf(totals);
    return result;
  }
  result.value = OfClass(measure, totals.rows, of->second);
  if (!result.value) result.note = "there are no rows to divide by";
  return result;
}

}  // namespace perennial::stats
