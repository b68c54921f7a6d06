#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "api/drift_monitor.h"
#include "api/model_version.h"
#include "drift/evaluation.h"
#include "scrape/expression.h"
#include "scrape/window_view.h"
#include "stats/categories.h"
#include "stats/measure.h"

// Reads from a window what a signal judges. Every function answers with the thing itself, or with
// the evaluation that says why there is none.
namespace perennial::drift {

// An evaluation without a value.
Evaluation NoData(std::string message, double samples = 0);
Evaluation Wrong(std::string message);

// A number of samples.
std::string CountText(double value);

// nullptr: the series has no such label.
const std::string* LabelOf(const scrape::SeriesWindow& series, const std::string& name);

std::string TooFewSamples(double samples, std::int64_t min_samples);
// Why a metric is missing: what the scrapes say, if they say anything.
std::string Missing(const std::string& what, const scrape::WindowView& window);

using Gathered = std::variant<stats::Distribution, Evaluation>;

// All label sets of a histogram added up, at their common bounds.
Gathered GatherHistogram(const std::string& metric, const scrape::WindowView& window);

// Counts by the value of `label`, other labels added up. Where the baseline has folded its rare
// categories into stats::kOtherCategory, so are those that it doesn't name.
Gathered GatherCategories(const std::string& metric, const std::string& label,
                          const scrape::WindowView& window, const stats::Categories& baseline);

// A number that a signal bounds, and of how many observations it is made.
struct Quantity {
  double value = 0;
  double samples = 0;
  bool observations = true;  // false: scraped values of a gauge, to which minSamples doesn't apply
  std::string note;
  // What the value is at least (where max bounds it) or at most (min), chance allowed for; a bound
  // that only the value crosses is a warning.
  std::optional<double> certain;
  std::vector<api::BinShift> moved = {};  // what differs most from the baseline
};
using GatheredQuantity = std::variant<Quantity, Evaluation>;

// Increase of the signal's numerator over that of its denominator, both over all label sets.
GatheredQuantity GatherRatio(const api::Signal& signal, const scrape::WindowView& window);

// Mean of a histogram's or summary's observations, or of a gauge's scraped values.
GatheredQuantity GatherMean(const api::Signal& signal, const scrape::WindowView& window);

// The signal with the bounds that versusBaseline makes of what `version` records added to its own:
// the narrower ones count. Or why there are none.
std::variant<api::Signal, Evaluation> WithBounds(const api::Signal& signal,
                                                 const api::ModelVersion* version);

// See scrape::Expression::Evaluate.
GatheredQuantity GatherExpression(const scrape::Expression& expression,
                                  std::span<const scrape::RangeView> views);

}  // namespace perennial::drift
