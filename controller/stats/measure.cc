#include "stats/measure.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <utility>
#include <vector>

#include "stats/distributions.h"
#include "stats/divergence.h"
#include "stats/location.h"
#include "stats/two_sample.h"

namespace perennial::stats {
namespace {

constexpr double kAlpha = 0.05;
// 95 % point over the mean of the area under a Brownian bridge's absolute value: simulated 1.69 for
// normal, 1.72 for exponential, 1.77 for log-normal and 1.85 for uniform observations.
constexpr double kAreaFactor = 1.8;
// Beyond this share above the last bound a histogram hides more than it shows.
constexpr double kBlindShare = 0.5;

std::string Percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %%", share * 100);
  return text;
}

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

void AddNote(MeasureResult& result, const std::string& sentence) {
  if (!result.note.empty()) result.note += "; ";
  result.note += sentence;
}

// The widest bucket's standard deviation, times the two-sided normal point for that many buckets.
// Two buckets say the same thing twice.
double ChebyshevNoise(const PooledCounts& pooled, double k) {
  const double total =
      pooled.baseline.size() == 2 ? 1 : static_cast<double>(pooled.baseline.size());
  std::vector<double> both = pooled.baseline;
  for (std::size_t i = 0; i < both.size(); ++i) both[i] += pooled.current[i];
  double widest = 0;
  for (const double share : Shares(both)) widest = std::max(widest, share * (1 - share));
  return NormalQuantile(1 - kAlpha / 2 / total) * std::sqrt(widest / k);
}

double ValueOf(Measure measure, const PooledCounts& pooled, const ChiSquared& test) {
  if (measure == Measure::kPearsonsChiSquaredTest) return test.p_value;
  if (measure == Measure::kPopulationStabilityIndex) {
    // Half a count on each side makes shares of different totals differ by nothing but that.
    if (test.statistic == 0) return 0;
    return PopulationStabilityIndex(SmoothedShares(pooled.baseline),
                                    SmoothedShares(pooled.current));
  }
  const std::vector<double> p = Shares(pooled.baseline);
  const std::vector<double> q = Shares(pooled.current);
  switch (measure) {
    case Measure::kJensenShannonDistance:
      return std::sqrt(JensenShannonDivergence(p, q) / std::numbers::ln2);
    case Measure::kHellingerDistance:
      return HellingerDistance(p, q);
    case Measure::kTotalVariationDistance:
      return TotalVariation(p, q);
    default:
      return ChebyshevDistance(p, q);
  }
}

std::optional<double> NoiseOf(Measure measure, const PooledCounts& pooled, int degrees, double k) {
  const double index = ChiSquared95(degrees) / k;
  switch (measure) {
    case Measure::kPopulationStabilityIndex:
      return index;
    case Measure::kJensenShannonDistance:
      return std::sqrt(index / (8 * std::numbers::ln2));
    case Measure::kHellingerDistance:
      return std::sqrt(index / 8);
    case Measure::kTotalVariationDistance:
      return std::sqrt(index) / 2;
    case Measure::kChebyshevDistance:
      return ChebyshevNoise(pooled, k);
    default:
      return std::nullopt;
  }
}

void CompareShares(Measure measure, std::span<const double> baseline,
                   std::span<const double> current, bool ordered, MeasureResult& result) {
  const PooledCounts pooled = Pool(baseline, current, ordered);
  const double k = EffectiveSize(result.baseline_samples, result.current_samples);
  const ChiSquared test = TestHomogeneity(pooled.baseline, pooled.current);
  if (test.degrees == 0 && TestHomogeneity(baseline, current).degrees > 0) {
    result.too_few_samples = true;
    result.note =
        "too few samples to tell buckets apart: two of them need 5 expected samples on each side";
    return;
  }
  if (measure != Measure::kChiSquaredEquivalenceTest) {
    result.value = ValueOf(measure, pooled, test);
  }
  result.p_value = test.p_value;
  result.chi_squared = test.statistic;
  result.degrees = test.degrees;
  result.noise_floor = NoiseOf(measure, pooled, test.degrees, k);
  if (measure == Measure::kPopulationStabilityIndex) {
    result.effect = std::max(0.0, (test.statistic - test.degrees) / k);
  } else if (measure == Measure::kChiSquaredEquivalenceTest) {
    result.value = result.effect = std::max(0.0, (test.statistic - test.degrees) / k);
  } else if (measure == Measure::kPearsonsChiSquaredTest) {
    result.effect = std::sqrt(test.statistic / k) / 2;
  }
  if (pooled.outside > 0) {
    AddNote(result, Percent(pooled.outside) + " of the window lie where the baseline has nothing");
  }
}

void CompareCumulative(const Histogram& baseline, const Histogram& current, MeasureResult& result) {
  const KolmogorovSmirnov test = TestKolmogorovSmirnov(baseline.counts, current.counts);
  result.value = test.p_value;
  result.p_value = test.p_value;
  result.effect = test.distance;
  const double k = EffectiveSize(result.baseline_samples, result.current_samples);
  if (test.p_value >= kAlpha && KolmogorovUpperTail(std::sqrt(k) * test.greatest) < kAlpha &&
      test.greatest > 0.5) {
    AddNote(result, "buckets are too coarse to rule out a distance up to " + Number(test.greatest) +
                        ": use narrower ones where most values lie");
  }
}

// Means that can be compared: both exact, or both from the buckets.
std::optional<std::pair<double, double>> ComparableMeans(Histogram baseline, Histogram current) {
  const bool exact =
      baseline.sum && current.sum && std::isfinite(*baseline.sum) && std::isfinite(*current.sum);
  if (!exact) {
    baseline.sum.reset();
    current.sum.reset();
  }
  const auto from = Mean(baseline);
  const auto to = Mean(current);
  if (!from || !to) return std::nullopt;
  return std::pair(*from, *to);
}

// The distance of the means and what chance alone gives (1.96 standard errors), in the unit of the
// observations.
struct Shift {
  double difference = 0;
  double noise = 0;
};

std::optional<Shift> ShiftOfMeans(const Histogram& baseline, const Histogram& current,
                                  double deviation) {
  const auto means = ComparableMeans(baseline, current);
  if (!means) return std::nullopt;
  const double own = StandardDeviation(current).value_or(deviation);
  const double error =
      std::sqrt(deviation * deviation / Total(baseline) + own * own / Total(current));
  return Shift{means->second - means->first, -NormalQuantile(kAlpha / 2) * error};
}

void CompareMeans(const Histogram& baseline, const Histogram& current, double deviation,
                  MeasureResult& result) {
  const auto shift = ShiftOfMeans(baseline, current, deviation);
  if (!shift) {
    AddNote(result, "the mean is unknown: the histogram has neither a sum nor bounds");
    return;
  }
  result.value = std::abs(shift->difference) / deviation;
  result.effect = shift->difference / deviation;
  result.noise_floor = shift->noise / deviation;
  if (shift->noise > 0) {
    result.p_value =
        NormalTwoSidedTail(shift->difference / (shift->noise / -NormalQuantile(kAlpha / 2)));
  }
}

void CompareAreas(const Histogram& baseline, const Histogram& current, double deviation,
                  MeasureResult& result) {
  double distance = 0;
  double noise = 0;
  if (!baseline.bounds.empty()) {
    const std::vector<double> points = Representatives(baseline.bounds);
    const std::vector<double> p = Shares(baseline.counts);
    distance = Wasserstein(points, p, Shares(current.counts));
    double below = 0;
    double area = 0;
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
      below = std::min(1.0, below + p[i]);
      area += std::sqrt(below * (1 - below)) * (points[i + 1] - points[i]);
    }
    const double k = EffectiveSize(result.baseline_samples, result.current_samples);
    noise = kAreaFactor * std::sqrt(2 / (std::numbers::pi * k)) * area;
  }
  // No two distributions are nearer than their means, and these are exact beyond the last bound.
  if (const auto shift = ShiftOfMeans(baseline, current, deviation)) {
    distance = std::max(distance, std::abs(shift->difference));
    noise = std::max(noise, shift->noise);
  } else if (baseline.bounds.empty()) {
    AddNote(result, "the histogram has neither a sum nor bounds");
    return;
  }
  result.value = distance / deviation;
  result.noise_floor = noise / deviation;
}

void CompareRanks(const Histogram& baseline, const Histogram& current, MeasureResult& result) {
  const MannWhitney test = TestMannWhitney(baseline.counts, current.counts);
  result.value = test.p_value;
  result.p_value = test.p_value;
  result.effect = test.effect;
}

void CompareMeansByWelch(const Histogram& baseline, const Histogram& current,
                         MeasureResult& result) {
  const auto means = ComparableMeans(baseline, current);
  if (!means || result.baseline_samples < 2 || result.current_samples < 2) {
    AddNote(result, means ? "a mean's test needs two samples on each side"
                          : "the mean is unknown: the histogram has neither a sum nor bounds");
    return;
  }
  const auto moments = [](const Histogram& histogram, double mean) {
    const double n = Total(histogram);
    const double deviation = StandardDeviation(histogram).value_or(0);
    return Moments{n, mean, deviation * deviation * n / (n - 1)};
  };
  const Moments before = moments(baseline, means->first);
  const WelchT test = TestWelch(before, moments(current, means->second));
  // Neither side varies: equal means leave nothing to test.
  result.value = std::isnan(test.p_value) ? 1 : test.p_value;
  result.p_value = result.value;
  const double deviation = StandardDeviation(baseline).value_or(0);
  const double difference = means->second - means->first;
  if (difference == 0) {
    result.effect = 0;
  } else {
    result.effect = difference / deviation;  // infinite for a constant baseline
  }
}

// Where the baseline has no spread there is no unit to measure a shift in.
void CompareConstant(const Histogram& baseline, const Histogram& current, MeasureResult& result) {
  const auto means = ComparableMeans(baseline, current);
  const bool same = TestHomogeneity(baseline.counts, current.counts).degrees == 0;
  const double off = means ? std::abs(means->second - means->first) : 0;
  if (same && off <= 1e-9 * std::abs(means ? means->first : 0)) {
    result.value = 0;
    result.noise_floor = 0;
    return;
  }
  AddNote(result,
          "the baseline is constant, so a shift can't be given in its standard "
          "deviations: use population_stability_index or pearsons_chi_squared_test");
}

void CompareHistograms(Measure measure, const Histogram& first, const Histogram& second,
                       MeasureResult& result) {
  const auto common = AtCommonBounds(first, second);
  if (!common.ok()) {
    result.note =
        common.error().message + ": record the profile in the buckets that the serving pods expose";
    return;
  }
  const auto& [baseline, current] = *common;
  if (baseline.bounds.size() < first.bounds.size()) {
    AddNote(result, "compared at the " + std::to_string(baseline.bounds.size()) + " of " +
                        std::to_string(first.bounds.size()) +
                        " bucket bounds that window and baseline share");
  }
  const double above = std::max(OverflowShare(baseline), OverflowShare(current));
  if (above > kBlindShare) {
    AddNote(result, Percent(above) +
                        " of the values lie above the highest bucket bound, where "
                        "shifts are invisible: add buckets");
  }
  switch (measure) {
    case Measure::kTwoSampleKolmogorovSmirnovTest:
      CompareCumulative(baseline, current, result);
      return;
    case Measure::kMannWhitneyUTest:
      CompareRanks(baseline, current, result);
      return;
    case Measure::kWelchsTTest:
      CompareMeansByWelch(baseline, current, result);
      return;
    case Measure::kNormalizedWassersteinDistance:
    case Measure::kMeanShift: {
      const double deviation = StandardDeviation(baseline).value_or(0);
      if (deviation <= 0) {
        CompareConstant(baseline, current, result);
      } else if (measure == Measure::kMeanShift) {
        CompareMeans(baseline, current, deviation, result);
      } else {
        CompareAreas(baseline, current, deviation, result);
      }
      return;
    }
    default:
      CompareShares(measure, baseline.counts, current.counts, true, result);
  }
}

double SamplesOf(const Distribution& distribution) {
  return std::visit([](const auto& value) { return Total(value); }, distribution);
}

}  // namespace

double EffectiveSize(double n, double m) {
  return n / (n + m) * m;
}

MeasureResult Evaluate(Measure measure, const Distribution& baseline, const Distribution& current) {
  const MeasureInfo& info = InfoOf(measure);
  MeasureResult result;
  result.baseline_samples = SamplesOf(baseline);
  result.current_samples = SamplesOf(current);
  if (baseline.index() != current.index()) {
    result.note =
        "baseline and window are of different kinds: one is a histogram, the other "
        "counts categories";
    return result;
  }
  const bool numeric = std::holds_alternative<Histogram>(baseline);
  if (!(numeric ? info.numeric : info.categorical)) {
    result.note = std::string(info.name) + " does not apply to " +
                  (numeric ? "histograms" : "categories: use pearsons_chi_squared_test");
    return result;
  }
  if (!(result.baseline_samples > 0)) {
    result.note = "the baseline has no samples";
    return result;
  }
  if (!(result.current_samples > 0)) {
    result.note = "no samples in the window";
    return result;
  }
  if (numeric) {
    CompareHistograms(measure, std::get<Histogram>(baseline), std::get<Histogram>(current), result);
  } else {
    const AlignedCategories aligned =
        Align(std::get<Categories>(baseline), std::get<Categories>(current));
    CompareShares(measure, aligned.baseline, aligned.current, false, result);
  }
  return result;
}

}  // namespace perennial::stats
