#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "stats/judgement.h"

namespace perennial::stats {
namespace {

constexpr Measure kEquivalence = Measure::kChiSquaredEquivalenceTest;

const std::vector<double> kBounds{1, 2, 3, 4, 5, 6, 7, 8, 9};

Histogram Of(std::vector<double> counts) {
  std::vector<double> bounds(kBounds.begin(), kBounds.begin() + std::ssize(counts) - 1);
  auto histogram = MakeHistogram(std::move(bounds), std::move(counts));
  EXPECT_TRUE(histogram.ok());
  return *std::move(histogram);
}

// Ten buckets of a tenth each, whose population index against the even law is `index`: half of
// the buckets gain what the others lose.
std::vector<double> Law(double index) {
  const double off = std::sqrt(index) / 10;
  std::vector<double> shares(10, 0.1);
  for (std::size_t i = 0; i < shares.size(); ++i) shares[i] += i % 2 == 0 ? off : -off;
  return shares;
}

Histogram Draw(const std::vector<double>& law, int samples, std::mt19937_64& random) {
  std::discrete_distribution<std::size_t> bucket(law.begin(), law.end());
  std::vector<double> counts(law.size());
  for (int i = 0; i < samples; ++i) counts[bucket(random)] += 1;
  return Of(std::move(counts));
}

struct Rates {
  double drift = 0;
  double calm = 0;
  double open = 0;
  double fixed = 0;  // a population stability index above the tolerated one
};

// How often each answer comes of windows of `m` samples whose law is off by `index`, against
// baselines of 10 m samples, at a tolerated 0.1.
Rates Simulate(double index, int m, int runs) {
  std::mt19937_64 random(static_cast<std::uint64_t>(m) * 1000 +
                         static_cast<std::uint64_t>(index * 1000));
  const std::vector<double> even = Law(0);
  const std::vector<double> law = Law(index);
  Rates rates;
  for (int run = 0; run < runs; ++run) {
    const Histogram baseline = Draw(even, 10 * m, random);
    const Histogram current = Draw(law, m, random);
    const Breach breach =
        Judge(kEquivalence, Evaluate(kEquivalence, baseline, current), 0.1).breach;
    rates.drift += breach == Breach::kYes ? 1.0 / runs : 0;
    rates.calm += breach == Breach::kNo ? 1.0 / runs : 0;
    rates.open += breach == Breach::kUnknown ? 1.0 / runs : 0;
    const auto psi = Evaluate(Measure::kPopulationStabilityIndex, baseline, current);
    rates.fixed += psi.value && *psi.value > 0.1 ? 1.0 / runs : 0;
  }
  return rates;
}

// No drift at all: it never says so wrongly, where the fixed rule does in small windows.
TEST(Equivalence, HasNoFalseAlarmsWithoutDrift) {
  const Rates small = Simulate(0, 100, 500);
  EXPECT_LT(small.drift, 0.01);
  EXPECT_GT(small.open, 0.3);
  EXPECT_GT(small.fixed, 0.2);
  const Rates large = Simulate(0, 1000, 200);
  EXPECT_EQ(large.drift, 0);
  EXPECT_GT(large.calm, 0.99);
}

// At the tolerated difference each of the two answers is wrong, and either comes in at most about
// 5 % of windows (the index of the law is not quite X2 / k, hence the margin).
TEST(Equivalence, ErrsRarelyAtTheToleratedDifference) {
  for (const int m : {100, 300, 1000}) {
    SCOPED_TRACE(m);
    const Rates rates = Simulate(0.1, m, 500);
    EXPECT_LT(rates.drift, 0.08);
    EXPECT_LT(rates.calm, 0.09);
    EXPECT_GT(rates.fixed, 0.4) << "a coin would do";
  }
}

// Beyond it, windows that are large enough tell.
TEST(Equivalence, SeesADriftInALargeWindow) {
  const Rates small = Simulate(0.2, 300, 300);
  const Rates large = Simulate(0.2, 3000, 100);
  EXPECT_LT(small.calm, 0.01);
  EXPECT_GT(large.drift, 0.99);
  EXPECT_GT(small.open, 0.2);
}

// A window of the size that it asks for decides most of the time.
TEST(Equivalence, TheSizeItAsksForIsEnough) {
  std::mt19937_64 random(41);
  const Histogram baseline = Draw(Law(0), 100'000, random);
  const Histogram small = Of({13, 7, 14, 6, 13, 7, 10, 10, 13, 7});
  const MeasureResult result = Evaluate(kEquivalence, baseline, small);
  EXPECT_EQ(Judge(kEquivalence, result, 0.05).breach, Breach::kUnknown);
  const auto needed = ObservationsNeeded(kEquivalence, baseline, result, 0.05);
  ASSERT_TRUE(needed.has_value());
  EXPECT_GT(*needed, 200);
  EXPECT_LT(*needed, 3000);
  int decided = 0;
  for (int run = 0; run < 100; ++run) {
    const Histogram current = Draw(Law(0), static_cast<int>(*needed), random);
    const auto breach = Judge(kEquivalence, Evaluate(kEquivalence, baseline, current), 0.05).breach;
    decided += breach == Breach::kNo ? 1 : 0;
  }
  EXPECT_GE(decided, 75);
}

TEST(Equivalence, OneBucketOnBothSidesIsNoDriftOnceThereAreEnough) {
  const Histogram one = Of({0, 500, 0});
  EXPECT_EQ(Judge(kEquivalence, Evaluate(kEquivalence, one, Of({0, 500, 0})), 0.1).breach,
            Breach::kNo);
  EXPECT_EQ(Judge(kEquivalence, Evaluate(kEquivalence, one, Of({0, 3, 0})), 0.1).breach,
            Breach::kUnknown);
}

TEST(Equivalence, ToleratingNothingNeverFindsNone) {
  const Histogram baseline = Of({1000, 1000, 1000});
  EXPECT_EQ(Judge(kEquivalence, Evaluate(kEquivalence, baseline, baseline), 0).breach, Breach::kNo)
      << "X2 = 0 lies below every difference";
  const auto off = Evaluate(kEquivalence, baseline, Of({1200, 1000, 800}));
  const Judgement verdict = Judge(kEquivalence, off, 0);
  EXPECT_EQ(verdict.breach, Breach::kYes);
  EXPECT_NEAR(*verdict.p_value, *off.p_value, 1e-12) << "then it is the test of homogeneity";
}

// For every measure with a noise floor: with as many observations as it asks for the threshold can
// be judged, with a tenth less it can't.
TEST(ObservationsNeeded, IsWhereTheThresholdCanBeJudged) {
  const Histogram baseline = Of({3000, 2000, 1500, 1000, 900, 700, 400, 300, 150, 50});
  const auto window = [&](double samples) {
    std::vector<double> counts = baseline.counts;
    for (double& count : counts) count *= samples / Total(baseline);
    return Of(std::move(counts));
  };
  for (const MeasureInfo& info : Measures()) {
    if (info.direction == Direction::kSmallerIsWorse || info.measure == kEquivalence) continue;
    SCOPED_TRACE(info.name);
    const MeasureResult few = Evaluate(info.measure, baseline, window(100));
    ASSERT_TRUE(few.noise_floor && *few.noise_floor > 0);
    const double threshold = *few.noise_floor * 0.7;
    ASSERT_EQ(Judge(info.measure, few, threshold).breach, Breach::kUnknown);
    const auto needed = ObservationsNeeded(info.measure, baseline, few, threshold);
    ASSERT_TRUE(needed.has_value());
    const auto judge = [&](double samples) {
      return Judge(info.measure, Evaluate(info.measure, baseline, window(samples)), threshold)
          .breach;
    };
    EXPECT_EQ(judge(*needed * 1.02), Breach::kNo) << *needed;
    EXPECT_EQ(judge(*needed * 0.9), Breach::kUnknown) << *needed;
    EXPECT_FALSE(ObservationsNeeded(info.measure, baseline, few, 0).has_value());
    EXPECT_FALSE(ObservationsNeeded(info.measure, baseline, few, 1e-6).has_value())
        << "the baseline itself is too small";
  }
}

TEST(ObservationsNeeded, CountsWhatItTakesToTellBucketsApart) {
  const Histogram baseline = Of({900, 100});
  const Measure psi = Measure::kPopulationStabilityIndex;
  const MeasureResult few = Evaluate(psi, baseline, Of({18, 2}));
  ASSERT_FALSE(few.value.has_value());
  const auto needed = ObservationsNeeded(psi, baseline, few, 5);
  ASSERT_TRUE(needed.has_value());
  EXPECT_NEAR(*needed, 50, 3);
  EXPECT_TRUE(ObservationsNeeded(Measure::kPearsonsChiSquaredTest, baseline, few, 0.05));
}

// Tests of location see a shift and not a change of spread alone.
TEST(LocationMeasures, SeeShifts) {
  const Histogram baseline = Of({100, 200, 400, 200, 100});
  const Histogram shifted = Of({50, 150, 300, 300, 200});
  const Histogram wider = Of({200, 200, 200, 200, 200});
  for (const Measure measure : {Measure::kWelchsTTest, Measure::kMannWhitneyUTest}) {
    const MeasureResult up = Evaluate(measure, baseline, shifted);
    EXPECT_LT(*up.value, 1e-6);
    EXPECT_GT(*up.effect, 0.2);
    EXPECT_LT(*Evaluate(measure, shifted, baseline).effect, -0.2);
    EXPECT_EQ(Judge(measure, Evaluate(measure, shifted, baseline), 0.05).breach, Breach::kYes)
        << "a fall counts like a rise";
    EXPECT_GT(*Evaluate(measure, baseline, wider).value, 0.05);
  }
  const Histogram constant = Of({0, 500, 0});
  EXPECT_EQ(*Evaluate(Measure::kWelchsTTest, constant, constant).value, 1);
  EXPECT_EQ(
      Judge(Measure::kWelchsTTest, Evaluate(Measure::kWelchsTTest, constant, Of({0, 0, 500})), 0.05)
          .breach,
      Breach::kYes);
}

}  // namespace
}  // namespace perennial::stats
