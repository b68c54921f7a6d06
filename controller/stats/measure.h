#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "stats/categories.h"
#include "stats/histogram.h"

namespace perennial::stats {

// The measures of drift between a baseline and a window. The same name means different numbers in
// different tools, so each is defined here, and its definition is printed beside its value.
enum class Measure {
  kJensenShannonDistance,
  kPopulationStabilityIndex,
  kNormalizedWassersteinDistance,
  kTwoSampleKolmogorovSmirnovTest,
  kPearsonsChiSquaredTest,
  kHellingerDistance,
  kTotalVariationDistance,
  kChebyshevDistance,
  kMeanShift,
  kWelchsTTest,
  kMannWhitneyUTest,
  kChiSquaredEquivalenceTest,
};

// Which side of the threshold is drift.
enum class Direction { kGreaterIsWorse, kSmallerIsWorse };

// One row of the table of measures: the only place where names, definitions and presets stand.
struct MeasureInfo {
  Measure measure;
  std::string_view name;  // as in a DriftMonitor's spec: Azure ML's names, and ours in that style
  bool numeric;           // applies to histograms
  bool categorical;       // applies to categories
  Direction direction;
  double azure_threshold;  // preset `azure`: 0.1 for each distance, 0.05 for each p-value
  // Tests whose value is a p-value: with enough data it is small for differences that matter to
  // nobody, so the effect must reach this too. 0 for measures whose value is a size itself.
  double least_effect;
  std::string_view definition;  // one sentence, for status and documentation
};

std::span<const MeasureInfo> Measures();
const MeasureInfo& InfoOf(Measure measure);
std::optional<Measure> ParseMeasure(std::string_view name);

// What is compared. Both sides of a comparison are of the same kind.
using Distribution = std::variant<Histogram, Categories>;

// What one measure says about a baseline and a window.
struct MeasureResult {
  // Absent when nothing can be said: no observations on one side, the measure doesn't apply to this
  // kind of data, or the bounds have too little in common. `note` tells which.
  std::optional<double> value;
  // Probability of such a difference or a greater one by chance alone; in [0, 1]. For the measures
  // that are p-values it is the value itself. Absent where there is no such test.
  std::optional<double> p_value;
  // Size of the difference, free of the sample size: D for Kolmogorov-Smirnov; for chi-squared
  // sqrt(X2 / k) / 2, which is Cramer's V where both sides have equally many samples and doesn't
  // shrink as a baseline grows; X2/k freed of its bias for the population stability index and the
  // equivalence test; the signed shift in standard deviations for the mean and Welch's t;
  // P(greater) - P(smaller) for Mann-Whitney. k = nm / (n + m).
  std::optional<double> effect;
  // What chance alone stays under in 95 % of windows of this size, in the unit of `value`. Absent
  // for p-values and the equivalence test, which account for chance. With B pooled buckets and c
  // the 95 % point of chi-squared with B - 1 degrees of freedom:
  // - population stability index: c / k, since it follows chi-squared / k without drift, with mean
  //   (B - 1)(1/n + 1/m) (Yurdakul 2018);
  // - Jensen-Shannon distance (base 2): sqrt(c / (8 k ln 2)), Hellinger: sqrt(c / (8 k)), both
  //   being the index / 8 for small differences; total variation: sqrt(c / k) / 2, by Cauchy and
  //   Schwarz;
  // - Chebyshev: the widest bucket's standard deviation times the normal point for B buckets;
  // - Wasserstein: 1.8 times its mean, sqrt(2 / (pi k)) times the area under sqrt(F (1 - F)) (the
  //   Brownian bridge); mean shift: 1.96 standard errors.
  std::optional<double> noise_floor;
  // Pearson's statistic over the pooled buckets, where the measure uses them, and its degrees of
  // freedom.
  double chi_squared = 0;
  int degrees = 0;
  bool too_few_samples = false;  // there is no value because buckets can't be told apart
  double baseline_samples = 0;
  double current_samples = 0;
  std::string note;  // a sentence for the status, or empty

  bool operator==(const MeasureResult&) const = default;
};

// n m / (n + m): the size of one sample that is as uncertain as both of them together.
double EffectiveSize(double n, double m);

// Compares `current` with `baseline`. Never fails: what can't be computed has no value and says
// why. Histograms of different bounds are compared at their common bounds. Pure.
MeasureResult Evaluate(Measure measure, const Distribution& baseline, const Distribution& current);

}  // namespace perennial::stats
