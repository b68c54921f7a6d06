#include <algorithm>
#include <array>

#include "base/check.h"
#include "stats/measure.h"

namespace perennial::stats {
namespace {

// In the order of the enumeration.
constexpr std::array kMeasures{
    MeasureInfo{Measure::kJensenShannonDistance, "jensen_shannon_distance", true, true,
                Direction::kGreaterIsWorse, 0.1, 0,
                "square root of the Jensen-Shannon divergence in base 2, 0 to 1, over pooled "
                "buckets (Azure ML, NannyML; Evidently uses base e)"},
    MeasureInfo{Measure::kPopulationStabilityIndex, "population_stability_index", true, true,
                Direction::kGreaterIsWorse, 0.1, 0,
                "sum of (p - q) ln(p / q) in nats over pooled buckets, shares (count + 1/2) / "
                "(total + buckets/2)"},
    MeasureInfo{Measure::kNormalizedWassersteinDistance, "normalized_wasserstein_distance", true,
                false, Direction::kGreaterIsWorse, 0.1, 0,
                "area between the cumulative shares at the buckets' middles, at least the distance "
                "of the means, divided by the baseline's standard deviation"},
    MeasureInfo{Measure::kTwoSampleKolmogorovSmirnovTest, "two_sample_kolmogorov_smirnov_test",
                true, false, Direction::kSmallerIsWorse, 0.05, 0.05,
                "p-value by Kolmogorov's limit law of the greatest distance of the cumulative "
                "shares at the bucket bounds"},
    MeasureInfo{Measure::kPearsonsChiSquaredTest, "pearsons_chi_squared_test", true, true,
                Direction::kSmallerIsWorse, 0.05, 0.05,
                "p-value of Pearson's chi-squared test of homogeneity over pooled buckets"},
    MeasureInfo{Measure::kHellingerDistance, "hellinger_distance", true, true,
                Direction::kGreaterIsWorse, 0.1, 0,
                "sqrt(sum (sqrt p - sqrt q)^2 / 2), 0 to 1, over pooled buckets"},
    MeasureInfo{Measure::kTotalVariationDistance, "total_variation_distance", true, true,
                Direction::kGreaterIsWorse, 0.1, 0,
                "half the sum of |p - q|, 0 to 1, over pooled buckets"},
    MeasureInfo{Measure::kChebyshevDistance, "chebyshev_distance", true, true,
                Direction::kGreaterIsWorse, 0.1, 0,
                "greatest |p - q| of any bucket, 0 to 1, over pooled buckets (L-infinity)"},
    MeasureInfo{Measure::kMeanShift, "mean_shift", true, false, Direction::kGreaterIsWorse, 0.1, 0,
                "distance of the means in standard deviations of the baseline"},
    MeasureInfo{Measure::kWelchsTTest, "welchs_t_test", true, false, Direction::kSmallerIsWorse,
                0.05, 0.05, "two-sided p-value of Welch's t test of equal means"},
    MeasureInfo{Measure::kMannWhitneyUTest, "mann_whitney_u_test", true, false,
                Direction::kSmallerIsWorse, 0.05, 0.05,
                "two-sided p-value of Mann and Whitney's U test, values of one bucket tied"},
    MeasureInfo{Measure::kChiSquaredEquivalenceTest, "chi_squared_equivalence_test", true, true,
                Direction::kGreaterIsWorse, 0.1, 0,
                "Pearson's chi-squared statistic over pooled buckets less its degrees of freedom, "
                "divided by nm / (n + m): about the population stability index without what "
                "chance adds; judged against the threshold as tolerated difference"},
};

}  // namespace

std::span<const MeasureInfo> Measures() {
  return kMeasures;
}

const MeasureInfo& InfoOf(Measure measure) {
  const auto index = static_cast<std::size_t>(measure);
  PERENNIAL_CHECK(index < kMeasures.size() && kMeasures[index].measure == measure);
  return kMeasures[index];
}

std::optional<Measure> ParseMeasure(std::string_view name) {
  const auto found = std::find_if(kMeasures.begin(), kMeasures.end(),
                                  [&](const MeasureInfo& info) { return info.name == name; });
  if (found == kMeasures.end()) return std::nullopt;
  return found->measure;
}

}  // namespace perennial::stats
