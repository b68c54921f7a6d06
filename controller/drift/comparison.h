#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "api/drift_monitor.h"
#include "drift/evaluation.h"
#include "scrape/window_view.h"
#include "stats/measure.h"

// The drift signals: a window's distribution against the baseline's, measured first for all signals
// of a look and judged then, since the p-values of many features are judged together.
namespace perennial::drift {

// One test of a signal with what its measure says.
struct MeasuredTest {
  api::DriftTest test;
  std::optional<stats::Measure> measure;  // absent: there is none of that name
  stats::MeasureResult result;
  std::optional<double> adjusted_p_value;  // of a p-value, if the look's tests share a rate
};

struct Comparison {
  stats::Distribution baseline;
  stats::Distribution current;
  double samples = 0;
  std::vector<MeasuredTest> tests;
};

// A comparison, or the evaluation that says why there is none.
using Compared = std::variant<Comparison, Evaluation>;

// What the profile says of a metric, under either name of a counter; with the label, if both name
// one. nullptr: nothing.
const api::MetricProfile* FindMetric(const api::Profile& profile, const std::string& metric,
                                     const std::string& label);

// Measures one drift signal of `spec`, by its preset's tests where it has none. `live`, if it isn't
// null, is what to compare it with; else the profile's metric of that name.
Compared Compare(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                 const scrape::WindowView& window, const api::Profile* profile,
                 const api::MetricProfile* live);

// Adjusts the p-values of all comparisons together (stats/false_discovery.h).
void AdjustTogether(std::span<Compared> compared);

Evaluation JudgeComparison(const api::DriftMonitorSpec& spec, const Compared& compared);

}  // namespace perennial::drift
