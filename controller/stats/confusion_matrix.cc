#include "stats/confusion_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/check.h"

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
    "f1",
    "specificity",
    "false_positive_rate",
    "false_negative_rate",
    "selection_rate",
};

struct ClassTotals {
  double actual = 0;
  double predicted = 0;
  double right = 0;
};

struct Totals {
  double rows = 0;
  double right = 0;
  std::map<std::string_view, ClassTotals> classes;
};

Totals Sum(std::span<const ConfusionCount> matrix) {
  Totals totals;
  for (const ConfusionCount& cell : matrix) {
    totals.rows += cell.count;
    totals.classes[cell.actual].actual += cell.count;
    totals.classes[cell.predicted].predicted += cell.count;
    if (cell.actual != cell.predicted) continue;
    totals.right += cell.count;
    totals.classes[cell.actual].right += cell.count;
  }
  return totals;
}

std::optional<double> Over(double count, double total) {
  if (!(total > 0)) return std::nullopt;
  return count / total;
}

std::optional<double> BalancedAccuracy(const Totals& totals) {
  double sum = 0;
  double occurring = 0;
  for (const auto& [name, of] : totals.classes) {
    if (!(of.actual > 0)) continue;
    sum += of.right / of.actual;
    ++occurring;
  }
  return Over(sum, occurring);
}

// J. Gorodkin, Comparing two K-category assignments by a K-category correlation coefficient (2004);
// for two classes it is Matthews' coefficient.
std::optional<double> Matthews(const Totals& totals) {
  double product = 0;
  double predicted = 0;
  double actual = 0;
  for (const auto& [name, of] : totals.classes) {
    product += of.predicted * of.actual;
    predicted += of.predicted * of.predicted;
    actual += of.actual * of.actual;
  }
  const double all = totals.rows * totals.rows;
  return Over(totals.right * totals.rows - product, std::sqrt((all - predicted) * (all - actual)));
}

std::optional<double> OfClass(ClassificationMeasure measure, const Totals& totals,
                              const ClassTotals& of) {
  const double negatives = totals.rows - of.actual;
  const double false_positives = of.predicted - of.right;
  switch (measure) {
    case ClassificationMeasure::kPrecision:
      return Over(of.right, of.predicted);
    case ClassificationMeasure::kRecall:
      return Over(of.right, of.actual);
    case ClassificationMeasure::kF1:
      return Over(2 * of.right, of.predicted + of.actual);
    case ClassificationMeasure::kSpecificity:
      return Over(negatives - false_positives, negatives);
    case ClassificationMeasure::kFalsePositiveRate:
      return Over(false_positives, negatives);
    case ClassificationMeasure::kFalseNegativeRate:
      return Over(of.actual - of.right, of.actual);
    case ClassificationMeasure::kSelectionRate:
      return Over(of.predicted, totals.rows);
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
  result.value = OfClass(measure, totals, of->second);
  if (!result.value) result.note = "there are no rows to divide by";
  return result;
}

}  // namespace perennial::stats
