#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "stats/categories.h"
#include "stats/histogram.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::ExpectMatches;
using testing::Number;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<CumulativeBucket> Buckets(const nlohmann::json& bounds, const nlohmann::json& counts) {
  std::vector<CumulativeBucket> buckets;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    buckets.push_back({Number(bounds[i]), Number(counts[i])});
  }
  return buckets;
}

TEST(Histogram, QuantileMatchesPrometheus) {
  for (const auto& test : Cases("histogram_quantile")) {
    SCOPED_TRACE(test["name"]);
    const auto& in = test["inputs"];
    ExpectMatches(HistogramQuantile(Number(in["q"]), Buckets(in["le"], in["cumulative"])),
                  test["expected"]["value"], test);
  }
}

TEST(Histogram, QuantileRaisesACountThatFalls) {
  // Rank 12 lies in (2, 3], which then holds 10 observations above 10, not 12 above 8.
  EXPECT_DOUBLE_EQ(HistogramQuantile(0.6, {{1, 10}, {2, 8}, {3, 20}, {kInfinity, 20}}), 2.2);
}

TEST(Histogram, QuantileOfAHistogramIsThatOfItsCumulativeBuckets) {
  const Histogram histogram = *MakeHistogram({1, 2, 4}, {10, 20, 10, 0});
  EXPECT_DOUBLE_EQ(HistogramQuantile(0.5, histogram), 1.5);
  EXPECT_DOUBLE_EQ(HistogramQuantile(1, histogram), 4);
}

TEST(Histogram, ChecksWhatItIsMadeOf) {
  EXPECT_TRUE(MakeHistogram({1, 2, kInfinity}, {1, 2, 3}).ok());
  EXPECT_FALSE(MakeHistogram({1, 1}, {1, 2, 3}).ok());
  EXPECT_FALSE(MakeHistogram({1, 2}, {1, 2}).ok());
  EXPECT_FALSE(MakeHistogram({1}, {1, -1}).ok());
  EXPECT_FALSE(MakeHistogram({1}, {1, std::nan("")}).ok());
  EXPECT_FALSE(MakeHistogram({std::nan("")}, {1, 1}).ok());
  const auto made = FromCumulative({{kInfinity, 6}, {1, 2}, {2, 5}});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->bounds, (std::vector<double>{1, 2}));
  EXPECT_EQ(made->counts, (std::vector<double>{2, 3, 1}));
  EXPECT_FALSE(FromCumulative({{1, 2}, {2, 5}}).ok());
  EXPECT_FALSE(FromCumulative({{1, 5}, {kInfinity, 2}}).ok());
  EXPECT_FALSE(FromCumulative({{1, 2}, {1, 2}, {kInfinity, 2}}).ok());
}

TEST(Histogram, CountsSamplesUpToAndIncludingTheBound) {
  const std::vector<double> samples{1, 1.5, 2, 2.5, std::nan("")};
  const Histogram histogram = CountSamples(samples, {1, 2});
  EXPECT_EQ(histogram.counts, (std::vector<double>{1, 2, 1}));
  EXPECT_EQ(Total(histogram), 4);
  EXPECT_EQ(OverflowShare(histogram), 0.25);
  EXPECT_DOUBLE_EQ(*Mean(histogram), 1.75);
  EXPECT_DOUBLE_EQ(*StandardDeviation(histogram), std::sqrt(0.3125));
  EXPECT_EQ(histogram.min, 1);
  EXPECT_EQ(histogram.max, 2.5);
}

TEST(Histogram, MomentsFallBackToTheBuckets) {
  Histogram histogram = *MakeHistogram({2, 4}, {1, 1, 2});
  EXPECT_DOUBLE_EQ(*Mean(histogram), 3);  // 1, 3, 4, 4
  EXPECT_DOUBLE_EQ(*StandardDeviation(histogram), std::sqrt(1.5));
  histogram.sum = std::nan("");
  EXPECT_DOUBLE_EQ(*Mean(histogram), 3);
  EXPECT_FALSE(Mean(*MakeHistogram({2}, {0, 0})).has_value());
  Histogram constant = *MakeHistogram({1}, {0, 3});
  constant.sum = 0.3;
  constant.sum_squares = 0.03;
  EXPECT_EQ(*StandardDeviation(constant), 0) << "rounding is no spread";
}

TEST(Histogram, CommonBoundsMergeNeighboursExactly) {
  const Histogram fine = *MakeHistogram({1, 2, 3, 4}, {1, 2, 3, 4, 5});
  const Histogram coarse = *MakeHistogram({2, 4, 8}, {10, 20, 30, 40});
  const auto both = AtCommonBounds(fine, coarse);
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->first.bounds, (std::vector<double>{2, 4}));
  EXPECT_EQ(both->first.counts, (std::vector<double>{3, 7, 5}));
  EXPECT_EQ(both->second.counts, (std::vector<double>{10, 20, 70}));
  EXPECT_FALSE(AtCommonBounds(fine, *MakeHistogram({0.5, 1.5}, {1, 1, 1})).ok());
}

TEST(Histogram, AddsUpPods) {
  Histogram a = *MakeHistogram({1}, {1, 2});
  a.sum = 5;
  a.min = 0;
  Histogram b = *MakeHistogram({1}, {3, 4});
  b.sum = 7;
  const auto total = Add(a, b);
  ASSERT_TRUE(total.ok());
  EXPECT_EQ(total->counts, (std::vector<double>{4, 6}));
  EXPECT_EQ(total->sum, 12);
  EXPECT_FALSE(total->min.has_value()) << "one pod's minimum is not known";
  EXPECT_FALSE(Add(a, *MakeHistogram({2}, {1, 1})).ok());
}

TEST(Categories, AlignOverTheUnion) {
  const AlignedCategories aligned = Align({{"a", 1}, {"b", 2}, {"a", 3}}, {{"c", 5}, {"b", 1}});
  EXPECT_EQ(aligned.names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(aligned.baseline, (std::vector<double>{4, 2, 0}));
  EXPECT_EQ(aligned.current, (std::vector<double>{0, 1, 5}));
}

}  // namespace
}  // namespace perennial::stats
