#include "drift/fairness.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "stats/fairness.h"

namespace perennial::drift {
namespace {

using scrape::SeriesKind;
using scrape::SeriesWindow;
using stats::GroupOutcomes;

std::string Percent(const char* what, std::optional<double> rate) {
  if (!rate) return "";
  char text[64];
  std::snprintf(text, sizeof text, "%s %.1f %%", what, *rate * 100);
  return text;
}

bool NeedsActual(stats::FairnessMeasure measure) {
  return measure != stats::FairnessMeasure::kDemographicParityDifference &&
         measure != stats::FairnessMeasure::kDemographicParityRatio;
}

// "south (selection rate 12.0 %)", with the rates that the measure compares.
std::string Describe(stats::FairnessMeasure measure, const std::vector<GroupOutcomes>& groups,
                     const std::string& name) {
  const auto group = std::find_if(groups.begin(), groups.end(),
                                  [&](const auto& candidate) { return candidate.group == name; });
  if (group == groups.end()) return name;
  switch (measure) {
    case stats::FairnessMeasure::kDemographicParityDifference:
    case stats::FairnessMeasure::kDemographicParityRatio:
      return name + " (" + Percent("selection rate", SelectionRate(*group)) + ")";
    case stats::FairnessMeasure::kErrorRateDifference:
    case stats::FairnessMeasure::kErrorRateRatio:
      return name + " (" + Percent("error rate", ErrorRate(*group)) + ")";
    case stats::FairnessMeasure::kEqualOpportunityDifference:
      return name + " (" + Percent("true positive rate", TruePositiveRate(*group)) + ")";
    case stats::FairnessMeasure::kEqualizedOddsDifference:
    case stats::FairnessMeasure::kEqualizedOddsRatio:
      return name + " (" + Percent("true positive rate", TruePositiveRate(*group)) + ", " +
             Percent("false positive rate", FalsePositiveRate(*group)) + ")";
  }
  return name;
}

// Adds one series' count to its group; false: a label is missing.
bool Count(const api::Fairness& fairness, bool labelled, const SeriesWindow& series,
           std::map<std::string, GroupOutcomes>& groups) {
  const std::string* group = LabelOf(series, fairness.group_label);
  const std::string* predicted = LabelOf(series, fairness.predicted_label);
  const std::string* actual = labelled ? LabelOf(series, fairness.actual_label) : nullptr;
  if (group == nullptr || predicted == nullptr || (labelled && actual == nullptr)) return false;
  GroupOutcomes& outcomes = groups[*group];
  outcomes.group = *group;
  const bool selected = *predicted == fairness.positive;
  outcomes.total += series.increase;
  if (selected) outcomes.selected += series.increase;
  if (!labelled) return true;
  const bool positive = *actual == fairness.positive;
  (positive ? (selected ? outcomes.true_positives : outcomes.false_negatives)
            : (selected ? outcomes.false_positives : outcomes.true_negatives)) += series.increase;
  return true;
}

}  // namespace

GatheredQuantity GatherFairness(const api::Signal& signal, const scrape::WindowView& window) {
  const api::Fairness& fairness = *signal.fairness;
  const auto measure = stats::ParseFairnessMeasure(fairness.measure);
  if (!measure) return Wrong("there is no measure " + fairness.measure);
  const bool labelled = NeedsActual(*measure);
  std::map<std::string, GroupOutcomes> counted;
  bool any = false;
  bool fits = false;
  for (const SeriesWindow& series : window.series) {
    if (series.metric != fairness.metric) continue;
    any = true;
    if (series.kind != SeriesKind::kCounter && series.kind != SeriesKind::kUnknown) {
      return Wrong(fairness.metric + " is a " + scrape::ToString(series.kind) +
                   ": groups are counted by a counter");
    }
    fits = Count(fairness, labelled, series, counted) || fits;
  }
  if (!any) return NoData(Missing("the counter " + fairness.metric, window));
  if (!fits) {
    return Wrong(fairness.metric + " lacks a label of " + fairness.group_label + ", " +
                 fairness.predicted_label + (labelled ? ", " + fairness.actual_label : "") +
                 ": set groupLabel, predictedLabel and actualLabel");
  }
  const auto least = static_cast<double>(fairness.min_group_samples);
  std::vector<GroupOutcomes> groups;
  std::string small;
  Quantity quantity;
  for (auto& [name, outcomes] : counted) {
    quantity.samples += outcomes.total;
    if (outcomes.total < least) {
      small += (small.empty() ? "" : ", ") + name;
    } else {
      groups.push_back(std::move(outcomes));
    }
  }
  if (!small.empty()) {
    small = "too few samples of " + small + ", fewer than minGroupSamples " +
            std::to_string(fairness.min_group_samples);
  }
  if (groups.size() < 2) {
    return NoData("fewer than two groups to compare" + (small.empty() ? "" : ": " + small),
                  quantity.samples);
  }
  const stats::FairnessResult result = stats::MeasureFairness(*measure, groups, least);
  if (!result.value) {
    return NoData(result.note + (small.empty() ? "" : "; " + small), quantity.samples);
  }
  quantity.value = *result.value;
  quantity.certain = result.certain;
  quantity.note = "lowest: " + Describe(*measure, groups, result.lowest) +
                  ", greatest: " + Describe(*measure, groups, result.greatest);
  if (!result.left_out.empty()) small += (small.empty() ? "" : "; ") + result.left_out;
  if (!small.empty()) quantity.note += "; left out: " + small;
  return quantity;
}

}  // namespace perennial::drift
