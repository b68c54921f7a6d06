#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "stats/judgement.h"
#include "stats/measure.h"
#include "stats/two_sample.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

using testing::Cases;
using testing::ExpectMatches;
using testing::Number;
using testing::Numbers;

Histogram Make(std::vector<double> bounds, std::vector<double> counts) {
  auto histogram = MakeHistogram(std::move(bounds), std::move(counts));
  EXPECT_TRUE(histogram.ok());
  return *std::move(histogram);
}

// Every bucket count times `factor`.
Histogram Scaled(Histogram histogram, double factor) {
  for (double& count : histogram.counts) count *= factor;
  return histogram;
}

const std::vector<double> kBounds{1, 2, 3, 4};

TEST(MeasureTable, NamesAreDistinctAndParse) {
  std::set<std::string_view> names;
  for (const MeasureInfo& info : Measures()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(ParseMeasure(info.name), info.measure);
    EXPECT_EQ(InfoOf(info.measure).name, info.name);
    EXPECT_TRUE(info.numeric);
    const bool p_value = info.direction == Direction::kSmallerIsWorse;
    EXPECT_EQ(info.azure_threshold, p_value ? 0.05 : 0.1);
    EXPECT_EQ(info.least_effect > 0, p_value);
  }
  EXPECT_EQ(names.size(), 12u);
  EXPECT_FALSE(ParseMeasure("psi").has_value());
}

// Vectors whose buckets need no pooling go through Evaluate unchanged.
TEST(Evaluate, AgreesWithTheToolsWhereNothingIsPooled) {
  int compared = 0;
  for (const auto& test : Cases("chi2_homogeneity")) {
    SCOPED_TRACE(test["name"]);
    const auto a = Numbers(test["inputs"]["reference_counts"]);
    const auto b = Numbers(test["inputs"]["current_counts"]);
    Distribution baseline;
    Distribution current;
    if (test["inputs"].contains("le")) {
      baseline = Make(Numbers(test["inputs"]["le"]), a);
      current = Make(Numbers(test["inputs"]["le"]), b);
    } else {
      Categories before;
      Categories now;
      for (std::size_t i = 0; i < a.size(); ++i) {
        const auto name = test["inputs"]["categories"][i].get<std::string>();
        before.push_back({name, a[i]});
        now.push_back({name, b[i]});
      }
      baseline = before;
      current = now;
    }
    const PooledCounts pooled = Pool(a, b, test["inputs"].contains("le"));
    if (pooled.baseline.size() != a.size()) continue;
    ++compared;
    const MeasureResult got = Evaluate(Measure::kPearsonsChiSquaredTest, baseline, current);
    ASSERT_TRUE(got.value.has_value()) << got.note;
    ExpectMatches(*got.value, test["expected"]["p_value"], test);
    EXPECT_EQ(got.degrees, test["expected"]["dof"].get<int>());
  }
  EXPECT_GE(compared, 10);
}

TEST(Evaluate, EveryMeasureIsZeroForTheSameShape) {
  const Histogram histogram = Make(kBounds, {100, 200, 300, 200, 100});
  for (const MeasureInfo& info : Measures()) {
    SCOPED_TRACE(info.name);
    const MeasureResult got = Evaluate(info.measure, histogram, Scaled(histogram, 7));
    ASSERT_TRUE(got.value.has_value()) << got.note;
    EXPECT_NEAR(*got.value, info.direction == Direction::kSmallerIsWorse ? 1 : 0, 2e-8);
    EXPECT_EQ(got.baseline_samples, 900);
    EXPECT_EQ(got.current_samples, 6300);
    EXPECT_EQ(Judge(info.measure, got, info.azure_threshold).breach, Breach::kNo);
  }
}

TEST(Evaluate, EveryMeasureSeesDisjointDistributions) {
  const Histogram low = Make(kBounds, {500, 500, 0, 0, 0});
  const Histogram high = Make(kBounds, {0, 0, 0, 500, 500});
  for (const MeasureInfo& info : Measures()) {
    SCOPED_TRACE(info.name);
    const MeasureResult got = Evaluate(info.measure, low, high);
    ASSERT_TRUE(got.value.has_value()) << got.note;
    EXPECT_EQ(Judge(info.measure, got, info.azure_threshold).breach, Breach::kYes);
  }
  EXPECT_DOUBLE_EQ(*Evaluate(Measure::kJensenShannonDistance, low, high).value, 1);
  EXPECT_DOUBLE_EQ(*Evaluate(Measure::kHellingerDistance, low, high).value, 1);
  EXPECT_DOUBLE_EQ(*Evaluate(Measure::kTotalVariationDistance, low, high).value, 1);
  EXPECT_DOUBLE_EQ(*Evaluate(Measure::kTwoSampleKolmogorovSmirnovTest, low, high).effect, 1);
}

TEST(Evaluate, NothingToCompareHasNoValueAndSaysWhy) {
  const Histogram histogram = Make(kBounds, {10, 20, 30, 20, 10});
  const Histogram empty = Make(kBounds, {0, 0, 0, 0, 0});
  const Categories categories{{"a", 10}, {"b", 20}};
  for (const MeasureInfo& info : Measures()) {
    for (const auto& [baseline, current] : {std::pair<Distribution, Distribution>{histogram, empty},
                                            {empty, histogram},
                                            {histogram, categories},
                                            {histogram, Make({7, 8}, {1, 2, 3})}}) {
      const MeasureResult got = Evaluate(info.measure, baseline, current);
      EXPECT_FALSE(got.value.has_value());
      EXPECT_NE(got.note, "");
      EXPECT_EQ(Judge(info.measure, got, 0).breach, Breach::kUnknown);
      EXPECT_EQ(Judge(info.measure, got, 0).reason, got.note);
    }
  }
  EXPECT_FALSE(
      Evaluate(Measure::kMeanShift, Distribution(categories), Distribution(categories)).value);
}

TEST(Evaluate, TooFewSamplesToTellBucketsApartIsNoValue) {
  const Histogram baseline = Make(kBounds, {100, 100, 100, 100, 100});
  const MeasureResult got =
      Evaluate(Measure::kPopulationStabilityIndex, baseline, Make(kBounds, {2, 2, 1, 0, 1}));
  EXPECT_FALSE(got.value.has_value());
  EXPECT_NE(got.note.find("too few samples"), std::string::npos) << got.note;
}

TEST(Evaluate, OneBucketInBothIsNoDrift) {
  const Histogram baseline = Make(kBounds, {0, 0, 70, 0, 0});
  const MeasureResult got =
      Evaluate(Measure::kPearsonsChiSquaredTest, baseline, Scaled(baseline, 2));
  EXPECT_EQ(got.value, 1);
  const MeasureResult index =
      Evaluate(Measure::kPopulationStabilityIndex, baseline, Scaled(baseline, 2));
  EXPECT_EQ(index.value, 0);
  EXPECT_EQ(Judge(Measure::kPopulationStabilityIndex, index, 0).breach, Breach::kNo);
}

TEST(Evaluate, ANewCategoryIsSeenThoughItsBaselineCountIsZero) {
  const Categories baseline{{"a", 10'000}, {"b", 10'000}};
  const Categories current{{"a", 480}, {"b", 480}, {"c", 40}};
  const MeasureResult got = Evaluate(Measure::kPopulationStabilityIndex, baseline, current);
  ASSERT_TRUE(got.value.has_value());
  EXPECT_GT(*got.value, 0.25);
  EXPECT_NE(got.note.find("4 % of the window lie where the baseline has nothing"),
            std::string::npos)
      << got.note;
}

TEST(Evaluate, ComparesAtCommonBounds) {
  const Histogram baseline = Make({1, 2, 3, 4}, {100, 200, 300, 200, 100});
  const Histogram current = Make({2, 4}, {300, 500, 100});
  const MeasureResult got = Evaluate(Measure::kJensenShannonDistance, baseline, current);
  EXPECT_NEAR(*got.value, 0, 2e-8);
  EXPECT_NE(got.note.find("2 of 4 bucket bounds"), std::string::npos) << got.note;
}

TEST(Evaluate, TellsWhenMostValuesLieAboveTheLastBound) {
  const Histogram histogram = Make({1, 10}, {10, 20, 500});
  const MeasureResult got = Evaluate(Measure::kHellingerDistance, histogram, histogram);
  EXPECT_NE(got.note.find("above the highest bucket bound"), std::string::npos) << got.note;
}

// From raw samples in fine buckets: within a bucket's width of the exact distance.
TEST(Evaluate, WassersteinComesCloseToTheExactOne) {
  int compared = 0;
  for (const auto& test : Cases("wasserstein")) {
    SCOPED_TRACE(test["name"]);
    std::vector<double> reference;
    std::vector<double> current;
    for (const auto& value : test["inputs"]["reference"]) {
      reference.push_back(value.is_null() ? std::nan("") : Number(value));
    }
    for (const auto& value : test["inputs"]["current"]) {
      current.push_back(value.is_null() ? std::nan("") : Number(value));
    }
    double least = 1e300;
    double most = -1e300;
    for (const auto* samples : {&reference, &current}) {
      for (const double sample : *samples) {
        if (std::isnan(sample)) continue;
        least = std::min(least, sample);
        most = std::max(most, sample);
      }
    }
    const double width = (most - least) / 300;
    std::vector<double> bounds;
    for (int i = 0; i <= 302; ++i) bounds.push_back(least + (i - 1) * width);
    if (width == 0) bounds = {least};
    const Histogram baseline = CountSamples(reference, bounds);
    const MeasureResult got =
        Evaluate(Measure::kNormalizedWassersteinDistance, baseline, CountSamples(current, bounds));
    const double deviation = *StandardDeviation(baseline);
    if (deviation == 0) {
      // The tool divides by 0.001; we say that there is nothing to divide by.
      const bool same = Number(test["expected"]["statistic"]) == 0;
      EXPECT_EQ(got.value.has_value(), same);
      EXPECT_EQ(got.note.find("constant") != std::string::npos, !same) << got.note;
      continue;
    }
    ++compared;
    EXPECT_NEAR(deviation, Number(test["expected"]["reference_std_used"]), 1e-9 * deviation);
    EXPECT_NEAR(*got.value * deviation, Number(test["expected"]["statistic"]), width * 1.001);
  }
  EXPECT_GE(compared, 10);
}

TEST(Evaluate, MeansAreExactBeyondTheLastBound) {
  Histogram baseline = Make({1, 2}, {100, 100, 100});
  baseline.sum = 450;
  baseline.sum_squares = 800;
  Histogram current = baseline;
  current.sum_squares = 6000;
  current.sum = 1050;  // what lies above 2 moved further away: no bucket count changed
  const MeasureResult area = Evaluate(Measure::kNormalizedWassersteinDistance, baseline, current);
  const double deviation = *StandardDeviation(baseline);
  EXPECT_NEAR(*area.value, 2 / deviation, 1e-12);
  const MeasureResult shift = Evaluate(Measure::kMeanShift, current, baseline);
  EXPECT_LT(*shift.effect, 0) << "signed";
  // With one sum unknown both means come from the buckets: an exact one against a binned one would
  // be a shift of its own.
  current.sum.reset();
  EXPECT_NEAR(*Evaluate(Measure::kMeanShift, baseline, current).value, 0, 1e-12);
}

// What a fixed threshold misses: samples from one and the same law.
TEST(NoiseFloor, IsWhatChanceStaysUnderInNinetyFivePercentOfWindows) {
  std::mt19937_64 random(11);
  std::normal_distribution<double> law;
  std::vector<double> bounds;
  for (int i = -12; i <= 12; ++i) bounds.push_back(i / 5.0);
  const auto draw = [&](int samples) {
    std::vector<double> values(static_cast<std::size_t>(samples));
    for (double& value : values) value = law(random);
    return CountSamples(values, bounds);
  };
  constexpr int kRuns = 600;
  std::map<Measure, int> above;
  for (int run = 0; run < kRuns; ++run) {
    const Histogram baseline = draw(800);
    const Histogram current = draw(300);
    for (const MeasureInfo& info : Measures()) {
      const MeasureResult got = Evaluate(info.measure, baseline, current);
      if (!got.noise_floor) continue;
      above[info.measure] += *got.value > *got.noise_floor ? 1 : 0;
    }
  }
  EXPECT_EQ(above.size(), 7u);
  for (const auto& [measure, count] : above) {
    SCOPED_TRACE(InfoOf(measure).name);
    EXPECT_LE(count, kRuns * (measure == Measure::kNormalizedWassersteinDistance ? 0.055 : 0.08));
    // The bounds by Cauchy-Schwarz and Bonferroni are loose, the others are not.
    const bool loose =
        measure == Measure::kTotalVariationDistance || measure == Measure::kChebyshevDistance;
    EXPECT_GE(count, loose ? 0 : kRuns * 0.02);
  }
}

MeasureResult Result(double value, double noise) {
  MeasureResult result;
  result.value = value;
  result.noise_floor = noise;
  result.baseline_samples = 1000;
  result.current_samples = 1000;
  return result;
}

TEST(Judge, StrictlyBeyondTheThresholdIsABreach) {
  const Measure measure = Measure::kMeanShift;
  EXPECT_EQ(Judge(measure, Result(0.1, 0.05), 0.1).breach, Breach::kNo);
  EXPECT_EQ(Judge(measure, Result(0.1001, 0.05), 0.1).breach, Breach::kYes);
  EXPECT_EQ(Judge(measure, Result(0, 0), 0).breach, Breach::kNo);
}

TEST(Judge, NoVerdictBelowTheNoiseUnlessTheDifferenceIsBeyondIt) {
  const Measure measure = Measure::kMeanShift;
  const Judgement unknown = Judge(measure, Result(0.2, 0.15), 0.1);
  EXPECT_EQ(unknown.breach, Breach::kUnknown);
  EXPECT_NE(unknown.reason.find("chance alone reaches 0.15"), std::string::npos) << unknown.reason;
  EXPECT_EQ(Judge(measure, Result(0.05, 0.15), 0.1).breach, Breach::kUnknown);
  EXPECT_EQ(Judge(measure, Result(0.5, 0.15), 0.1).breach, Breach::kYes);
  EXPECT_EQ(Judge(measure, Result(0.5, 0.15), 0).breach, Breach::kYes) << "0 is a threshold";
}

// The example of the design: 10 buckets and 200 samples reach an index of 0.1 in 38 % of windows.
TEST(Judge, AnswersUnknownWhereTheIndexCannotBeJudged) {
  const Histogram baseline = Make({1, 2, 3, 4, 5, 6, 7, 8, 9}, std::vector<double>(10, 20));
  const Histogram current =
      Make({1, 2, 3, 4, 5, 6, 7, 8, 9}, {29, 11, 26, 13, 28, 11, 26, 14, 27, 15});
  const MeasureResult got = Evaluate(Measure::kPopulationStabilityIndex, baseline, current);
  EXPECT_GT(*got.value, 0.1);
  EXPECT_NEAR(*got.noise_floor, 16.919 / 100, 1e-3);
  EXPECT_EQ(Judge(Measure::kPopulationStabilityIndex, got, 0.1).breach, Breach::kUnknown);
  EXPECT_EQ(Judge(Measure::kPopulationStabilityIndex, got, 0.25).breach, Breach::kNo);
  const MeasureResult far =
      Evaluate(Measure::kPopulationStabilityIndex, baseline,
               Make({1, 2, 3, 4, 5, 6, 7, 8, 9}, {60, 50, 30, 20, 10, 10, 5, 5, 5, 5}));
  EXPECT_EQ(Judge(Measure::kPopulationStabilityIndex, far, 0.1).breach, Breach::kYes)
      << "so far off that the sample size doesn't matter";
}

TEST(Judge, ATinyPValueOfATinyEffectIsNoBreach) {
  const Histogram baseline = Make({1}, {5'000'000, 5'000'000});
  const Histogram current = Make({1}, {5'020'000, 4'980'000});
  const MeasureResult got = Evaluate(Measure::kPearsonsChiSquaredTest, baseline, current);
  EXPECT_LT(*got.value, 1e-10);
  const Judgement judged = Judge(Measure::kPearsonsChiSquaredTest, got, 0.05);
  EXPECT_EQ(judged.breach, Breach::kNo);
  EXPECT_NE(judged.reason.find("significant but small"), std::string::npos) << judged.reason;
  const Histogram moved = Make({1}, {6'000'000, 4'000'000});
  EXPECT_EQ(Judge(Measure::kPearsonsChiSquaredTest,
                  Evaluate(Measure::kPearsonsChiSquaredTest, baseline, moved), 0.05)
                .breach,
            Breach::kYes);
}

// A longer history of the baseline must not make a drift look smaller.
TEST(Judge, TheChiSquaredEffectDoesNotShrinkWithTheBaseline) {
  const Histogram small = Make({1, 2}, {500, 300, 200});
  const Histogram current = Make({1, 2}, {300, 300, 400});
  const double effect = *Evaluate(Measure::kPearsonsChiSquaredTest, small, current).effect;
  const double large =
      *Evaluate(Measure::kPearsonsChiSquaredTest, Scaled(small, 1000), current).effect;
  EXPECT_GT(effect, 0.05);
  EXPECT_NEAR(large, effect, effect * 0.3);
}

}  // namespace
}  // namespace perennial::stats
