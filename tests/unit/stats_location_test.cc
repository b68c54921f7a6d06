#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "stats/false_discovery.h"
#include "stats/location.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::CountByValue;
using testing::ExpectMatches;
using testing::Number;
using testing::Numbers;

TEST(Welch, MatchesScipy) {
  for (const auto& test : Cases("welch_t")) {
    SCOPED_TRACE(test["name"]);
    const Moments reference = MomentsOf(Numbers(test["inputs"]["reference"]));
    const Moments current = MomentsOf(Numbers(test["inputs"]["current"]));
    const WelchT got = TestWelch(reference, current);
    const auto& expected = test["expected"];
    ExpectMatches(got.statistic, expected["statistic"], test);
    ExpectMatches(got.p_value, expected["p_value"], test);
    ExpectMatches(got.degrees, expected["df"], test);
    ExpectMatches(reference.mean, expected["means"][0], test);
    ExpectMatches(current.mean, expected["means"][1], test);
    ExpectMatches(reference.variance, expected["sample_variances"][0], test);
    ExpectMatches(current.variance, expected["sample_variances"][1], test);
    const double p = Number(expected["p_value"]);
    // In its own size too.
    EXPECT_TRUE(!(p > 0 && p < 1e-12) || std::abs(got.p_value / p - 1) < 1e-8);
  }
}

TEST(Welch, SaysNothingWhereThereIsNothingToSay) {
  const std::vector<double> one{7};
  const Moments single = MomentsOf(one);
  EXPECT_EQ(single.mean, 7);
  EXPECT_TRUE(std::isnan(single.variance));
  EXPECT_TRUE(std::isnan(MomentsOf({}).mean));
  EXPECT_TRUE(std::isnan(TestWelch(single, {30, 3, 1}).statistic));
  EXPECT_TRUE(std::isnan(TestWelch({1, 2, 0}, {100, 3, 1}).p_value));
  const WelchT apart = TestWelch({10, 2, 0}, {10, 3, 0});
  EXPECT_EQ(apart.p_value, 0);
  EXPECT_TRUE(std::isinf(apart.statistic));
}

TEST(MannWhitney, MatchesScipy) {
  int exact = 0;
  for (const auto& test : Cases("mann_whitney")) {
    SCOPED_TRACE(test["name"]);
    const auto [values, reference, current] =
        CountByValue(test["inputs"]["reference"], test["inputs"]["current"]);
    const MannWhitney got = TestMannWhitney(reference, current);
    ExpectMatches(got.statistic, test["expected"]["statistic_U_current"], test);
    ExpectMatches(got.p_value, test["expected"]["p_value"], test);
    exact += test["expected"]["p_value"] != test["expected"]["p_value_asymptotic"] ? 1 : 0;
    const double p = Number(test["expected"]["p_value"]);
    // In its own size too.
    EXPECT_TRUE(p >= 1e-12 || std::abs(got.p_value / p - 1) < 1e-8);
  }
  EXPECT_GE(exact, 2) << "cases that only the exact law gets right";
}

TEST(MannWhitney, SeesBothDirectionsAlike) {
  const std::vector<double> low{30, 20, 5, 1};
  const std::vector<double> high{2, 8, 22, 40};
  const MannWhitney up = TestMannWhitney(low, high);
  const MannWhitney down = TestMannWhitney(high, low);
  EXPECT_DOUBLE_EQ(up.p_value, down.p_value);
  EXPECT_DOUBLE_EQ(up.effect, -down.effect);
  EXPECT_GT(up.effect, 0.5);
}

// Buckets tie much, and the correction keeps the level all the same.
TEST(MannWhitney, KeepsItsLevelOnBuckets) {
  std::mt19937_64 random(17);
  std::discrete_distribution<std::size_t> law({40, 30, 15, 10, 5});
  constexpr int kRuns = 4000;
  int rejected = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> a(5);
    std::vector<double> b(5);
    for (int i = 0; i < 300; ++i) a[law(random)] += 1;
    for (int i = 0; i < 100; ++i) b[law(random)] += 1;
    rejected += TestMannWhitney(a, b).p_value < 0.05 ? 1 : 0;
  }
  EXPECT_GT(rejected, kRuns * 0.038);
  EXPECT_LT(rejected, kRuns * 0.062);
}

TEST(FalseDiscovery, MatchesScipy) {
  for (const auto& test : Cases("bh_fdr")) {
    SCOPED_TRACE(test["name"]);
    const auto p = Numbers(test["inputs"]["p_values"]);
    const auto got = AdjustForFalseDiscoveries(p);
    ASSERT_EQ(got.size(), p.size());
    for (std::size_t i = 0; i < p.size(); ++i) {
      ExpectMatches(got[i], test["expected"]["adjusted_bh"][i], test);
      EXPECT_EQ(got[i] <= 0.05, test["expected"]["rejected_0p05"][i].get<bool>());
      // Between no correction and the harsher ones.
      EXPECT_GE(got[i], p[i]);
      EXPECT_LE(got[i], Number(test["expected"]["holm"][i]) + 1e-12);
      EXPECT_LE(got[i], Number(test["expected"]["bonferroni"][i]) + 1e-12);
      EXPECT_LE(got[i], Number(test["expected"]["adjusted_by"][i]) + 1e-12);
    }
  }
  EXPECT_TRUE(AdjustForFalseDiscoveries({}).empty());
}

// 20 features of which none drifts: some discovery in at most 5 % of looks, where without
// adjustment it is two looks of three.
TEST(FalseDiscovery, HoldsTheRateOfFalseAlarms) {
  std::mt19937_64 random(23);
  std::uniform_real_distribution<double> uniform(0, 1);
  constexpr int kRuns = 4000;
  int plain = 0;
  int adjusted = 0;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> p(20);
    for (double& value : p) value = uniform(random);
    const auto q = AdjustForFalseDiscoveries(p);
    plain += *std::min_element(p.begin(), p.end()) <= 0.05 ? 1 : 0;
    adjusted += *std::min_element(q.begin(), q.end()) <= 0.05 ? 1 : 0;
  }
  EXPECT_GT(plain, kRuns * 0.6);
  EXPECT_LT(adjusted, kRuns * 0.06);
}

}  // namespace
}  // namespace perennial::stats
