#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "stats/distributions.h"
#include "stats/histogram.h"
#include "stats/two_sample.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::CountByValue;
using testing::ExpectMatches;
using testing::Number;
using testing::Numbers;

std::vector<double> Differences(const std::vector<double>& cumulative) {
  std::vector<double> counts;
  double before = 0;
  for (const double value : cumulative) {
    counts.push_back(value - before);
    before = value;
  }
  return counts;
}

TEST(TwoSample, KolmogorovSmirnovMatchesScipy) {
  for (const auto& test : Cases("ks_binned")) {
    SCOPED_TRACE(test["name"]);
    const auto got =
        TestKolmogorovSmirnov(Differences(Numbers(test["inputs"]["reference_cumulative"])),
                              Differences(Numbers(test["inputs"]["current_cumulative"])));
    ExpectMatches(got.distance, test["expected"]["statistic"], test);
    ExpectMatches(got.p_value, test["expected"]["p_value_kolmogorov_limit"], test);
    EXPECT_GE(got.greatest, got.distance);
  }
}

// With a bucket for each distinct value nothing is lost.
TEST(TwoSample, BucketsOfSingleValuesGiveTheExactKolmogorovSmirnovTest) {
  for (const auto& test : Cases("ks_2samp")) {
    SCOPED_TRACE(test["name"]);
    const auto [values, reference, current] =
        CountByValue(test["inputs"]["reference"], test["inputs"]["current"]);
    const auto got = TestKolmogorovSmirnov(reference, current);
    ExpectMatches(got.distance, test["expected"]["statistic"], test);
    ExpectMatches(got.p_value, test["expected"]["p_value_kolmogorov_limit"], test);
  }
}

// From raw samples: what the buckets say brackets the exact distance.
TEST(TwoSample, BucketsBracketTheExactKolmogorovSmirnovDistance) {
  for (const auto& test : Cases("ks_2samp")) {
    SCOPED_TRACE(test["name"]);
    auto reference = Numbers(test["inputs"]["reference"]);
    auto current = Numbers(test["inputs"]["current"]);
    for (auto* samples : {&reference, &current}) {
      std::erase_if(*samples, [](double value) { return std::isnan(value); });
    }
    std::vector<double> sorted = reference;
    std::sort(sorted.begin(), sorted.end());
    std::vector<double> bounds;
    for (std::size_t i = 1; i < 10; ++i) {
      const double bound = sorted[i * (sorted.size() - 1) / 10];
      if (bounds.empty() || bound > bounds.back()) bounds.push_back(bound);
    }
    const auto got = TestKolmogorovSmirnov(CountSamples(reference, bounds).counts,
                                           CountSamples(current, bounds).counts);
    const double exact = Number(test["expected"]["statistic"]);
    EXPECT_LE(got.distance, exact + 1e-12);
    EXPECT_GE(got.greatest, exact - 1e-12);
    EXPECT_GE(got.p_value, Number(test["expected"]["p_value_kolmogorov_limit"]) - 1e-12);
  }
}

TEST(TwoSample, HomogeneityMatchesScipy) {
  for (const auto& test : Cases("chi2_homogeneity")) {
    SCOPED_TRACE(test["name"]);
    const auto a = Numbers(test["inputs"]["reference_counts"]);
    const auto b = Numbers(test["inputs"]["current_counts"]);
    const ChiSquared got = TestHomogeneity(a, b);
    ExpectMatches(got.statistic, test["expected"]["statistic"], test);
    ExpectMatches(got.p_value, test["expected"]["p_value"], test);
    EXPECT_EQ(got.degrees, test["expected"]["dof"].get<int>());
    const double total =
        std::accumulate(a.begin(), a.end(), 0.0) + std::accumulate(b.begin(), b.end(), 0.0);
    ExpectMatches(std::sqrt(got.statistic / total), test["expected"]["cramers_v"], test);
  }
}

// The two-proportion z test is the same test on two columns: z^2 is the statistic.
TEST(TwoSample, TwoProportionsAreTwoColumns) {
  for (const auto& test : Cases("two_proportion_z")) {
    SCOPED_TRACE(test["name"]);
    const auto& in = test["inputs"];
    const double x_a = in["x_a"];
    const double x_b = in["x_b"];
    const std::vector<double> a{x_a, in["n_a"].get<double>() - x_a};
    const std::vector<double> b{x_b, in["n_b"].get<double>() - x_b};
    const ChiSquared got = TestHomogeneity(a, b);
    ExpectMatches(got.p_value, test["expected"]["p_value"], test);
    if (test["expected"]["statistic"].is_null()) continue;
    const double z = Number(test["expected"]["statistic"]);
    if (std::isfinite(z)) ExpectMatches(std::sqrt(got.statistic), std::abs(z), test);
  }
}

TEST(TwoSample, NoColumnsToDifferInIsNoDifference) {
  const std::vector<double> a{0, 70};
  const std::vector<double> b{0, 100};
  const ChiSquared got = TestHomogeneity(a, b);
  EXPECT_EQ(got.statistic, 0);
  EXPECT_EQ(got.p_value, 1);
  EXPECT_EQ(got.degrees, 0);
}

TEST(Pool, PutsNeighboursTogetherUntilEachHasFive) {
  const std::vector<double> a{2, 3, 50, 4, 41, 0};
  const std::vector<double> b{1, 4, 45, 5, 44, 1};
  const PooledCounts pooled = Pool(a, b, true);
  EXPECT_EQ(pooled.baseline, (std::vector<double>{5, 50, 45}));
  EXPECT_EQ(pooled.current, (std::vector<double>{5, 45, 50}));
  EXPECT_EQ(pooled.outside, 0);
}

TEST(Pool, AsksForFiveExpectedInASmallWindowToo) {
  const std::vector<double> a{100, 100, 100, 700};
  const std::vector<double> b{3, 2, 3, 17};  // 25 samples: a bucket needs a share of a fifth
  const PooledCounts pooled = Pool(a, b, true);
  EXPECT_EQ(pooled.baseline, (std::vector<double>{200, 800}));
  EXPECT_EQ(pooled.current, (std::vector<double>{5, 20}));
}

TEST(Pool, FoldsRareCategories) {
  const std::vector<double> a{3, 60, 2, 35};
  const std::vector<double> b{4, 55, 1, 40};
  const PooledCounts folded = Pool(a, b, false);
  EXPECT_EQ(folded.baseline, (std::vector<double>{60, 35, 5}));
  EXPECT_EQ(folded.current, (std::vector<double>{55, 40, 5}));
  const std::vector<double> one{2, 60, 38};
  const std::vector<double> other{1, 60, 39};
  const PooledCounts joined = Pool(one, other, false);
  EXPECT_EQ(joined.baseline, (std::vector<double>{60, 40})) << "the rest joins the rarest";
}

TEST(Pool, KeepsWhatTheBaselineNeverSawApartIfItIsMoreThanChance) {
  const std::vector<double> a{100, 100, 0};
  const PooledCounts fresh = Pool(a, std::vector<double>{90, 95, 15}, false);
  EXPECT_EQ(fresh.baseline, (std::vector<double>{100, 100, 0}));
  EXPECT_EQ(fresh.current, (std::vector<double>{90, 95, 15}));
  EXPECT_DOUBLE_EQ(fresh.outside, 0.075);
  const PooledCounts chance = Pool(a, std::vector<double>{90, 95, 1}, false);
  EXPECT_EQ(chance.current, (std::vector<double>{91, 95}));
  EXPECT_EQ(chance.outside, 0);
}

// The reason for pooling: without drift the test rejects as often as it says, in windows that leave
// many buckets nearly empty.
TEST(Pool, LeavesChiSquaredItsLevel) {
  std::mt19937_64 random(7);
  std::geometric_distribution<int> law(0.2);
  const auto draw = [&](int samples) {
    std::vector<double> counts(30);
    for (int i = 0; i < samples; ++i) {
      counts[static_cast<std::size_t>(std::min(law(random), 29))] += 1;
    }
    return counts;
  };
  constexpr int kRuns = 1000;
  int rejected = 0;
  for (int run = 0; run < kRuns; ++run) {
    const PooledCounts pooled = Pool(draw(1000), draw(100), true);
    rejected += TestHomogeneity(pooled.baseline, pooled.current).p_value < 0.05 ? 1 : 0;
  }
  EXPECT_GT(rejected, kRuns * 0.03);
  EXPECT_LT(rejected, kRuns * 0.07);
}

TEST(Distributions, HaveTheirTabulatedValues) {
  EXPECT_NEAR(ChiSquared95(1), 3.841458820694124, 1e-12);
  EXPECT_NEAR(ChiSquared95(9), 16.918977604620448, 1e-11);
  EXPECT_NEAR(ChiSquared95(200), 233.99426917, 1e-6);
  EXPECT_EQ(ChiSquared95(0), 0);
  EXPECT_NEAR(NormalQuantile(0.975), 1.959963984540054, 1e-13);
  EXPECT_NEAR(NormalTwoSidedTail(1.959963984540054), 0.05, 1e-14);
  EXPECT_NEAR(ClopperPearsonLower(5, 100, 0.025), 0.01643, 1e-5);
  EXPECT_EQ(ClopperPearsonLower(0, 100, 0.025), 0);
  EXPECT_NEAR(ClopperPearsonLower(100, 100, 0.05), std::pow(0.05, 0.01), 1e-12);
  EXPECT_NEAR(KolmogorovUpperTail(1.3580986), 0.05, 1e-6);
  EXPECT_NEAR(KolmogorovUpperTail(1.18 - 1e-12), KolmogorovUpperTail(1.18), 1e-9);
}

TEST(Distributions, NonCentralChiSquaredMeetsItsLimits) {
  EXPECT_NEAR(NonCentralChiSquaredUpperTail(3.841458820694124, 1, 0), 0.05, 1e-12);
  // One degree of freedom is the square of a normal with mean sqrt(lambda).
  const double want = NormalUpperTail(3 - 2) + NormalUpperTail(3 + 2);
  EXPECT_NEAR(NonCentralChiSquaredUpperTail(9, 1, 4), want, 1e-12);
  const double lambda = 999'999;
  EXPECT_NEAR(NonCentralChiSquaredUpperTail(lambda + 3000, 5, lambda),
              NonCentralChiSquaredUpperTail(lambda + 3002, 5, lambda + 2), 1e-3);
}

}  // namespace
}  // namespace perennial::stats
