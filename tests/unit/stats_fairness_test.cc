#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "stats/fairness.h"
#include "stats/ranking.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::ExpectMatches;
using testing::Numbers;

std::vector<GroupOutcomes> Groups(const nlohmann::json& inputs) {
  std::map<std::string, std::array<double, 4>> counts;
  for (std::size_t i = 0; i < inputs["group"].size(); ++i) {
    const bool predicted = inputs["y_pred"][i] == 1;
    const bool actual = inputs["y_true"][i] == 1;
    counts[inputs["group"][i].get<std::string>()]
          [predicted ? (actual ? 0 : 1) : (actual ? 2 : 3)] += 1;
  }
  std::vector<GroupOutcomes> groups;
  for (const auto& [name, c] : counts) {
    groups.push_back(FromConfusion(name, c[0], c[1], c[2], c[3]));
  }
  return groups;
}

TEST(Fairness, MatchesFairlearn) {
  for (const auto& test : Cases("fairness")) {
    SCOPED_TRACE(test["name"]);
    const auto groups = Groups(test["inputs"]);
    const auto& expected = test["expected"];
    for (const auto measure :
         {FairnessMeasure::kDemographicParityDifference, FairnessMeasure::kDemographicParityRatio,
          FairnessMeasure::kEqualizedOddsDifference, FairnessMeasure::kEqualizedOddsRatio}) {
      const std::string name(ToString(measure));
      const FairnessResult got = MeasureFairness(measure, groups, 1);
      if (std::isnan(testing::Number(expected[name]))) {
        EXPECT_FALSE(got.value.has_value()) << name << " of nothing";
        continue;
      }
      ASSERT_TRUE(got.value.has_value()) << name << ": " << got.note;
      ExpectMatches(*got.value, expected[name], test);
      EXPECT_EQ(ParseFairnessMeasure(name), measure);
      if (IsRatio(measure)) {
        EXPECT_GE(got.certain, *got.value) << name;
      } else {
        EXPECT_LE(got.certain, *got.value) << name;
      }
    }
    ExpectMatches(*MeasureFairness(FairnessMeasure::kErrorRateDifference, groups, 1).value,
                  expected["accuracy_difference"], test);
    for (const GroupOutcomes& group : groups) {
      ExpectMatches(1 - *ErrorRate(group), expected["accuracy_by_group"][group.group], test);
      ExpectMatches(*SelectionRate(group), expected["selection_rate_by_group"][group.group], test);
    }
  }
}

TEST(Fairness, NamesTheGroupsThatDiffer) {
  const std::vector<GroupOutcomes> groups{FromConfusion("a", 40, 10, 10, 40),
                                          FromConfusion("b", 20, 5, 30, 45),
                                          FromConfusion("c", 30, 5, 20, 45)};
  const FairnessResult got = MeasureFairness(FairnessMeasure::kEqualizedOddsDifference, groups);
  EXPECT_DOUBLE_EQ(*got.value, 0.4);
  EXPECT_EQ(got.lowest, "b");
  EXPECT_EQ(got.greatest, "a");
  EXPECT_DOUBLE_EQ(*MeasureFairness(FairnessMeasure::kEqualOpportunityDifference, groups).value,
                   0.4);
  EXPECT_DOUBLE_EQ(*MeasureFairness(FairnessMeasure::kErrorRateRatio, groups).value, 20.0 / 35);
}

TEST(Fairness, LeavesOutAndNamesGroupsOfWhichAClassIsSmall) {
  std::vector<GroupOutcomes> groups{FromConfusion("a", 40, 10, 10, 40),
                                    FromConfusion("b", 5, 40, 4, 31),
                                    FromConfusion("c", 30, 5, 20, 45)};
  FairnessResult got = MeasureFairness(FairnessMeasure::kEqualOpportunityDifference, groups);
  EXPECT_DOUBLE_EQ(*got.value, 0.2);
  EXPECT_EQ(got.greatest, "a");
  EXPECT_EQ(got.left_out, "group b has 9 actual positives, too few to compare its rate");
  EXPECT_EQ(MeasureFairness(FairnessMeasure::kErrorRateDifference, groups).left_out, "");
  groups.pop_back();
  got = MeasureFairness(FairnessMeasure::kEqualOpportunityDifference, groups);
  EXPECT_FALSE(got.value.has_value());
  EXPECT_EQ(got.note, got.left_out);
}

TEST(Fairness, SaysWhyThereIsNoValue) {
  const FairnessMeasure odds = FairnessMeasure::kEqualizedOddsDifference;
  // No positives in b: fairlearn would report a gap of 0.8.
  const std::vector<GroupOutcomes> none{FromConfusion("a", 40, 10, 10, 40),
                                        FromConfusion("b", 0, 50, 0, 50)};
  FairnessResult got = MeasureFairness(odds, none);
  EXPECT_FALSE(got.value.has_value());
  EXPECT_EQ(got.note, "group b has 0 actual positives, too few to compare its rate");
  EXPECT_TRUE(MeasureFairness(FairnessMeasure::kDemographicParityDifference, none).value);
  const std::vector<GroupOutcomes> unselected{FromConfusion("a", 0, 0, 50, 50),
                                              FromConfusion("b", 0, 0, 50, 50)};
  got = MeasureFairness(FairnessMeasure::kDemographicParityRatio, unselected);
  EXPECT_FALSE(got.value.has_value());
  EXPECT_NE(got.note.find("not defined"), std::string::npos) << got.note;
  EXPECT_EQ(*MeasureFairness(FairnessMeasure::kDemographicParityDifference, unselected).value, 0);
  EXPECT_FALSE(MeasureFairness(odds, {}).value.has_value());
}

// Newcombe 1998, table II, method 10, contrast 56/70 against 48/80: 0.0524 to 0.3339.
TEST(Fairness, TheCertainDifferenceIsNewcombesLimit) {
  GroupOutcomes a{.group = "a", .total = 70, .selected = 56};
  GroupOutcomes b{.group = "b", .total = 80, .selected = 48};
  const std::vector<GroupOutcomes> groups{a, b};
  const FairnessResult got = MeasureFairness(FairnessMeasure::kDemographicParityDifference, groups);
  EXPECT_DOUBLE_EQ(*got.value, 0.2);
  EXPECT_NEAR(got.certain, 0.0524, 5e-5);
}

// Of equal groups the spread is never 0, but seldom certainly more than 0.
TEST(Fairness, ChanceAloneIsSeldomCertain) {
  std::mt19937_64 random(11);
  std::binomial_distribution<int> selected(60, 0.3);
  constexpr int kRuns = 2000;
  int differences = 0;
  int ratios = 0;
  double spread = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<GroupOutcomes> groups;
    for (int i = 0; i < 5; ++i) {
      const double count = selected(random);
      groups.push_back({.group = std::to_string(i), .total = 60, .selected = count});
    }
    const auto difference = MeasureFairness(FairnessMeasure::kDemographicParityDifference, groups);
    spread += *difference.value / kRuns;
    differences += difference.certain > 0 ? 1 : 0;
    ratios += MeasureFairness(FairnessMeasure::kDemographicParityRatio, groups).certain < 1 ? 1 : 0;
  }
  EXPECT_GT(spread, 0.1);
  EXPECT_LT(differences, kRuns * 0.05);
  EXPECT_LT(ratios, kRuns * 0.05);
}

TEST(Ranking, MatchesScikitLearn) {
  for (const auto& test : Cases("ndcg")) {
    SCOPED_TRACE(test["name"]);
    const auto reference = Numbers(test["inputs"]["reference_importance"]);
    const auto current = Numbers(test["inputs"]["current_importance"]);
    ExpectMatches(NormalizedDiscountedCumulativeGain(reference, current), test["expected"]["ndcg"],
                  test);
    ExpectMatches(NormalizedDiscountedCumulativeGain(reference, current, 3),
                  test["expected"]["ndcg_at_3"], test);
    // Null where there are ties: how they fall is the tool's accident.
    if (test["expected"]["ndcg_ignore_ties"].is_null()) continue;
    ExpectMatches(NormalizedDiscountedCumulativeGain(reference, current),
                  test["expected"]["ndcg_ignore_ties"], test);
  }
}

TEST(Ranking, TakesImportancesByTheirSize) {
  const std::vector<double> reference{-0.5, 0.3, -0.1};
  const std::vector<double> current{0.4, -0.3, 0.05};
  EXPECT_DOUBLE_EQ(NormalizedDiscountedCumulativeGain(reference, current), 1);
  const std::vector<double> reversed{0.1, 0.2, 0.3};
  EXPECT_LT(NormalizedDiscountedCumulativeGain(reference, reversed), 0.9);
}

}  // namespace
}  // namespace perennial::stats
