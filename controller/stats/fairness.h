#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace perennial::stats {

// Differences between groups of people or things, from counts that counters carry exactly:
// predictions_total{group, predicted} and, once labels are known, {group, predicted, actual}.
// Definitions as in fairlearn.metrics, but for one: a group without positives has no true positive
// rate, where fairlearn counts 0 and reports a gap made of nothing.

// How often one group met each outcome. Where labels are unknown, only selected and total.
struct GroupOutcomes {
  std::string group;
  double total = 0;
  double selected = 0;  // predicted positive
  // Of those with a known label: predicted and actual.
  double true_positives = 0;
  double false_positives = 0;
  double false_negatives = 0;
  double true_negatives = 0;

  bool operator==(const GroupOutcomes&) const = default;
};

// Of a 2 x 2 table: every outcome has its label.
GroupOutcomes FromConfusion(std::string group, double true_positives, double false_positives,
                            double false_negatives, double true_negatives);

// Rates of one group; absent where nothing was counted that they divide by.
std::optional<double> SelectionRate(const GroupOutcomes& group);
std::optional<double> TruePositiveRate(const GroupOutcomes& group);
std::optional<double> FalsePositiveRate(const GroupOutcomes& group);
std::optional<double> ErrorRate(const GroupOutcomes& group);  // 1 - accuracy

enum class FairnessMeasure {
  kDemographicParityDifference,  // greatest - smallest selection rate
  kDemographicParityRatio,       // smallest / greatest selection rate
  kEqualizedOddsDifference,      // the greater of the spreads of true and false positive rates
  kEqualizedOddsRatio,           // the smaller of their ratios
  kEqualOpportunityDifference,   // spread of the true positive rates
  kErrorRateDifference,          // spread of the error rates
  kErrorRateRatio,               // smallest / greatest error rate
};

// "demographic_parity_difference" and so on. Ratios are worse when smaller, differences when
// greater.
std::string_view ToString(FairnessMeasure measure);
std::optional<FairnessMeasure> ParseFairnessMeasure(std::string_view name);
bool IsRatio(FairnessMeasure measure);

struct FairnessResult {
  // Absent: no group, fewer than two left after some were left out, or 0 / 0 in a ratio. `note`
  // tells which.
  std::optional<double> value;
  // The groups that have fewer than the minimum, of a class where the measure asks for labels, and
  // of what; empty: all are judged.
  std::string left_out;
  // What the difference is at least, or the ratio at most, with 95 % confidence over all pairs of
  // groups that could have been picked: the greatest minus the smallest of several rates is biased
  // up by chance, the more the smaller the groups. Newcombe's interval (hybrid score, 1998, method
  // 10) at 5 % / number of pairs; for ratios Katz's interval of the logarithm with half a count
  // added.
  double certain = 0;
  std::string lowest;    // the group with the smallest rate
  std::string greatest;  // and the one with the greatest
  std::string note;
};

// `min_count`: what each group must have been counted at least, of each class that the rate divides
// by; others are left out. Pure.
FairnessResult MeasureFairness(FairnessMeasure measure, std::span<const GroupOutcomes> groups,
                               double min_count = 30);

}  // namespace perennial::stats
