#pragma once

#include <optional>
#include <string>

#include "stats/measure.h"

namespace perennial::stats {

// Whether a result breaches a threshold.
enum class Breach {
  kNo,
  kYes,
  // No value, a threshold that chance alone reaches at this sample size, or data that show neither
  // a difference beyond the tolerated one nor one below it.
  kUnknown,
};

struct Judgement {
  Breach breach = Breach::kUnknown;
  std::string reason;  // why it is unknown, or why a small p-value is no breach; else empty
  // Of the equivalence test: probability of such a difference or a greater one if the true one is
  // the tolerated one.
  std::optional<double> p_value;
};

// Strictly beyond the threshold, in the measure's direction, is a breach; a threshold of 0 counts.
// No data is never a verdict.
//
// A threshold at or below the noise floor gives no verdict, unless the window shows a difference
// beyond it all the same: for the measures that follow chi-squared if that of a true difference of
// just the threshold (non-central, arXiv 2307.11878) would be reached in less than 5 % of windows,
// for the other distances, which obey the triangle inequality, if the value exceeds threshold and
// noise of both sides together.
//
// A p-value breaches only with an effect of at least `min_effect` (default: the measure's own).
//
// The equivalence test takes its threshold as the tolerated difference tau, in units of the
// population stability index (X2 / k). With X2 over B pooled buckets and ncx2 the non-central
// chi-squared law of B - 1 degrees of freedom and non-centrality k tau (the test of "practical
// equivalence" of arXiv 2307.11878, for two samples): a breach if P(ncx2 >= X2) <= 0.05, so the
// difference is greater than tau; none if P(ncx2 <= X2) <= 0.05, so it is smaller; else unknown.
// Each wrong answer has a probability of at most 5 %, whatever the sample sizes.
Judgement Judge(Measure measure, const MeasureResult& result, double threshold,
                std::optional<double> min_effect = std::nullopt);

// How many observations a window needs before the threshold can be judged against this baseline;
// for the equivalence test if the difference stays what it is. Absent if no window is enough: the
// baseline is too small, the threshold is 0, or the difference lies at the tolerated one. Costs
// more than a look; meant for the message when a judgement is unknown.
std::optional<double> ObservationsNeeded(Measure measure, const Distribution& baseline,
                                         const MeasureResult& result, double threshold);

}  // namespace perennial::stats
