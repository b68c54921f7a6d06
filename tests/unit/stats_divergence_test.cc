#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "stats/divergence.h"
#include "stats/histogram.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::CountByValue;
using testing::ExpectMatches;
using testing::Numbers;

struct Both {
  std::vector<double> p;
  std::vector<double> q;
};

Both SharesOf(const nlohmann::json& test) {
  return {Shares(Numbers(test["inputs"]["reference_counts"])),
          Shares(Numbers(test["inputs"]["current_counts"]))};
}

// Evidently's rule for empty buckets, which the vectors' `evidently` values follow and we don't:
// each side alone, 0 becomes 0.0001, or a millionth of the smallest share if that is as small.
std::vector<double> FilledAsEvidently(std::vector<double> shares) {
  double least = 1;
  for (const double share : shares) {
    if (share > 0) least = std::min(least, share);
  }
  const double fill = least <= 1e-4 ? least / 1e6 : 1e-4;
  for (double& share : shares) {
    if (share == 0) share = fill;
  }
  return shares;
}

std::vector<double> Normalized(const std::vector<double>& shares) {
  return Shares(shares);
}

TEST(Divergence, JensenShannonMatchesScipy) {
  for (const auto& test : Cases("jensen_shannon")) {
    SCOPED_TRACE(test["name"]);
    const auto [p, q] = SharesOf(test);
    const double divergence = JensenShannonDivergence(p, q);
    ExpectMatches(std::sqrt(divergence), test["expected"]["distance_base_e"], test);
    ExpectMatches(std::sqrt(divergence / std::numbers::ln2), test["expected"]["distance_base2"],
                  test);
    ExpectMatches(divergence / std::numbers::ln2, test["expected"]["divergence_base2"], test);
  }
}

TEST(Divergence, StabilityIndexMatchesWithEitherRuleForEmptyBuckets) {
  for (const auto& test : Cases("psi_binned")) {
    SCOPED_TRACE(test["name"]);
    const auto [p, q] = SharesOf(test);
    ExpectMatches(PopulationStabilityIndex(FilledAsEvidently(p), FilledAsEvidently(q)),
                  test["expected"]["statistic"], test);
    ExpectMatches(
        PopulationStabilityIndex(SmoothedShares(Numbers(test["inputs"]["reference_counts"])),
                                 SmoothedShares(Numbers(test["inputs"]["current_counts"]))),
        test["expected"]["statistic_jeffreys_half"], test);
  }
}

TEST(Divergence, KullbackLeiblerMatchesScipy) {
  for (const auto& test : Cases("kl")) {
    SCOPED_TRACE(test["name"]);
    const auto [p, q] = SharesOf(test);
    ExpectMatches(KullbackLeibler(p, q), test["expected"]["kl_ref_given_cur_raw"], test);
    // scipy renormalises what was filled.
    const auto filled_p = Normalized(FilledAsEvidently(p));
    const auto filled_q = Normalized(FilledAsEvidently(q));
    ExpectMatches(KullbackLeibler(filled_p, filled_q),
                  test["expected"]["kl_ref_given_cur_evidently"], test);
    ExpectMatches(KullbackLeibler(filled_q, filled_p),
                  test["expected"]["kl_cur_given_ref_evidently"], test);
  }
}

TEST(Divergence, HellingerMatchesNumpy) {
  for (const auto& test : Cases("hellinger")) {
    SCOPED_TRACE(test["name"]);
    const auto [p, q] = SharesOf(test);
    ExpectMatches(HellingerDistance(p, q), test["expected"]["statistic"], test);
  }
}

TEST(Divergence, TotalVariationAndChebyshevMatchNumpy) {
  for (const auto& test : Cases("tvd_linf")) {
    SCOPED_TRACE(test["name"]);
    const auto [p, q] = SharesOf(test);
    ExpectMatches(TotalVariation(p, q), test["expected"]["total_variation"], test);
    ExpectMatches(ChebyshevDistance(p, q), test["expected"]["l_infinity"], test);
  }
}

TEST(Divergence, WassersteinMatchesScipy) {
  for (const auto& test : Cases("wasserstein_binned")) {
    SCOPED_TRACE(test["name"]);
    const auto histogram =
        MakeHistogram(Numbers(test["inputs"]["le"]), Numbers(test["inputs"]["reference_counts"]));
    ASSERT_TRUE(histogram.ok()) << histogram.error().message;
    const std::vector<double> points = Representatives(histogram->bounds);
    const auto& want_points = test["expected"]["representatives"];
    ASSERT_EQ(points.size(), want_points.size());
    for (std::size_t i = 0; i < points.size(); ++i) ExpectMatches(points[i], want_points[i], test);
    const auto [p, q] = SharesOf(test);
    const double distance = Wasserstein(points, p, q);
    ExpectMatches(distance, test["expected"]["statistic"], test);
    const double deviation = BinnedStandardDeviation(*histogram).value_or(-1);
    ExpectMatches(deviation, test["expected"]["reference_std"], test);
    // The tool divides by at least 0.001.
    ExpectMatches(distance / std::max(deviation, 0.001), test["expected"]["normalised"], test);
  }
}

// Raw samples, with a point for each distinct value.
TEST(Divergence, WassersteinOfSamplesMatchesScipy) {
  for (const auto& test : Cases("wasserstein")) {
    SCOPED_TRACE(test["name"]);
    const auto [points, reference, current] =
        CountByValue(test["inputs"]["reference"], test["inputs"]["current"]);
    ExpectMatches(Wasserstein(points, Shares(reference), Shares(current)),
                  test["expected"]["statistic"], test);
  }
}

TEST(Divergence, ZerosHaveTheirDefinedValues) {
  const std::vector<double> left{1, 0};
  const std::vector<double> right{0, 1};
  EXPECT_EQ(KullbackLeibler(left, right), std::numeric_limits<double>::infinity());
  EXPECT_EQ(PopulationStabilityIndex(left, right), std::numeric_limits<double>::infinity());
  EXPECT_EQ(PopulationStabilityIndex(left, left), 0);
  EXPECT_DOUBLE_EQ(JensenShannonDivergence(left, right), std::numbers::ln2);
  EXPECT_DOUBLE_EQ(HellingerDistance(left, right), 1);
}

}  // namespace
}  // namespace perennial::stats
