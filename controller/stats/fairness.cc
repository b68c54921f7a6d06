#include "stats/fairness.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "base/check.h"
#include "stats/distributions.h"

namespace perennial::stats {
namespace {

constexpr double kAlpha = 0.05;

// In the order of the enumeration.
constexpr std::array<std::string_view, 7> kNames{
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "equal_opportunity_difference",
    "error_rate_difference",
    "error_rate_ratio",
};

struct Share {
  double count = 0;
  double total = 0;
  double value() const { return count / total; }
};

// A rate that is compared between groups, and what a reader knows its denominator as.
struct Rate {
  Share (*of)(const GroupOutcomes&);
  const char* counted;
};

constexpr Rate kSelection{[](const GroupOutcomes& g) {
                            return Share{g.selected, g.total};
                          },
                          "predictions"};
constexpr Rate kTruePositive{[](const GroupOutcomes& g) {
                               return Share{g.true_positives, g.true_positives + g.false_negatives};
                             },
                             "actual positives"};
constexpr Rate kFalsePositive{
    [](const GroupOutcomes& g) {
      return Share{g.false_positives, g.false_positives + g.true_negatives};
    },
    "actual negatives"};
constexpr Rate kError{[](const GroupOutcomes& g) {
                        const double wrong = g.false_positives + g.false_negatives;
                        return Share{wrong, wrong + g.true_positives + g.true_negatives};
                      },
                      "labelled predictions"};

std::vector<Rate> RatesOf(FairnessMeasure measure) {
  switch (measure) {
    case FairnessMeasure::kDemographicParityDifference:
    case FairnessMeasure::kDemographicParityRatio:
      return {kSelection};
    case FairnessMeasure::kEqualizedOddsDifference:
    case FairnessMeasure::kEqualizedOddsRatio:
      return {kTruePositive, kFalsePositive};
    case FairnessMeasure::kEqualOpportunityDifference:
      return {kTruePositive};
    case FairnessMeasure::kErrorRateDifference:
    case FairnessMeasure::kErrorRateRatio:
      return {kError};
  }
  return {};
}

std::optional<double> ValueOf(const Rate& rate, const GroupOutcomes& group) {
  const Share share = rate.of(group);
  if (!(share.total > 0)) return std::nullopt;
  return share.value();
}

// Wilson's score interval of a proportion at normal point z.
std::pair<double, double> Wilson(const Share& share, double z) {
  const double p = share.value();
  const double n = share.total;
  const double centre = p + z * z / (2 * n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const double scale = 1 + z * z / n;
  return {(centre - half) / scale, (centre + half) / scale};
}

// Lower limit of greatest - smallest.
double LeastDifference(const Share& greatest, const Share& smallest, double z) {
  const double low = Wilson(greatest, z).first;
  const double high = Wilson(smallest, z).second;
  const double p = greatest.value();
  const double q = smallest.value();
  return std::max(0.0, p - q - std::hypot(p - low, high - q));
}

// Upper limit of smallest / greatest.
double GreatestRatio(const Share& greatest, const Share& smallest, double z) {
  const double a = smallest.count + 0.5;
  const double b = greatest.count + 0.5;
  const double n = smallest.total + 0.5;
  const double m = greatest.total + 0.5;
  const double error = std::sqrt(std::max(0.0, 1 / a - 1 / n + 1 / b - 1 / m));
  return std::min(1.0, a / n / (b / m) * std::exp(z * error));
}

// Which of the rates the group can't be compared by; empty: it can by each.
std::string LackOf(std::span<const Rate> rates, const GroupOutcomes& group, double min_count) {
  for (const Rate& rate : rates) {
    const double total = rate.of(group).total;
    if (total > 0 && total >= min_count) continue;
    char count[32];
    std::snprintf(count, sizeof count, "%.0f", total);
    return "group " + group.group + " has " + count + " " + rate.counted +
           ", too few to compare its rate";
  }
  return "";
}

// What is known of the spread of one rate.
struct Spread {
  std::optional<double> value;
  double certain = 0;
  const GroupOutcomes* lowest = nullptr;
  const GroupOutcomes* greatest = nullptr;
};

Spread SpreadOf(const Rate& rate, bool ratio, std::span<const GroupOutcomes> groups) {
  const auto less = [&](const GroupOutcomes& a, const GroupOutcomes& b) {
    return rate.of(a).value() < rate.of(b).value();
  };
  const auto [low, high] = std::minmax_element(groups.begin(), groups.end(), less);
  const Share smallest = rate.of(*low);
  const Share greatest = rate.of(*high);
  const double count = static_cast<double>(groups.size());
  const double pairs = std::max(1.0, count * (count - 1) / 2);
  const double z = -NormalQuantile(kAlpha / 2 / pairs);
  Spread spread{std::nullopt, 0, &*low, &*high};
  if (!ratio) {
    spread.value = greatest.value() - smallest.value();
    spread.certain = LeastDifference(greatest, smallest, z);
  } else if (greatest.count > 0) {
    spread.value = smallest.value() / greatest.value();
    spread.certain = GreatestRatio(greatest, smallest, z);
  }
  return spread;
}

}  // namespace

GroupOutcomes FromConfusion(std::string group, double true_positives, double false_positives,
                            double false_negatives, double true_negatives) {
  const double selected = true_positives + false_positives;
  return {std::move(group), selected + false_negatives + true_negatives,
          selected,         true_positives,
          false_positives,  false_negatives,
          true_negatives};
}

std::optional<double> SelectionRate(const GroupOutcomes& group) {
  return ValueOf(kSelection, group);
}

std::optional<double> TruePositiveRate(const GroupOutcomes& group) {
  return ValueOf(kTruePositive, group);
}

std::optional<double> FalsePositiveRate(const GroupOutcomes& group) {
  return ValueOf(kFalsePositive, group);
}

std::optional<double> ErrorRate(const GroupOutcomes& group) {
  return ValueOf(kError, group);
}

std::string_view ToString(FairnessMeasure measure) {
  const auto index = static_cast<std::size_t>(measure);
  PERENNIAL_CHECK(index < kNames.size());
  return kNames[index];
}

std::optional<FairnessMeasure> ParseFairnessMeasure(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<FairnessMeasure>(found - kNames.begin());
}

bool IsRatio(FairnessMeasure measure) {
  return ToString(measure).ends_with("_ratio");
}

FairnessResult MeasureFairness(FairnessMeasure measure, std::span<const GroupOutcomes> groups,
                               double min_count) {
  FairnessResult result;
  if (groups.empty()) {
    result.note = "no group was counted";
    return result;
  }
  const bool ratio = IsRatio(measure);
  const std::vector<Rate> rates = RatesOf(measure);
  std::vector<GroupOutcomes> judged;
  for (const GroupOutcomes& group : groups) {
    const std::string lack = LackOf(rates, group, min_count);
    if (lack.empty()) {
      judged.push_back(group);
    } else {
      result.left_out += (result.left_out.empty() ? "" : "; ") + lack;
    }
  }
  if (judged.size() < 2 && !result.left_out.empty()) {
    result.note = result.left_out;
    return result;
  }
  for (const Rate& rate : rates) {
    const Spread spread = SpreadOf(rate, ratio, judged);
    if (!spread.value) continue;
    if (result.value && (ratio ? *spread.value >= *result.value : *spread.value <= *result.value)) {
      // The limits belong to the worst value, but each of them holds.
      result.certain = ratio ? std::min(result.certain, spread.certain)
                             : std::max(result.certain, spread.certain);
      continue;
    }
    const bool first = !result.value;
    result.value = spread.value;
    result.lowest = spread.lowest->group;
    result.greatest = spread.greatest->group;
    result.certain = first   ? spread.certain
                     : ratio ? std::min(result.certain, spread.certain)
                             : std::max(result.certain, spread.certain);
  }
  if (!result.value) result.note = "every group's rate is 0: their ratio is not defined";
  return result;
}

}  // namespace perennial::stats
