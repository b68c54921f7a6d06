#include "stats/judgement.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <vector>

#include "stats/distributions.h"
#include "stats/two_sample.h"

namespace perennial::stats {
namespace {

constexpr double kAlpha = 0.05;
constexpr double kPower = 0.8;
constexpr double kMostSamples = 1e12;

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

// Population stability index to which a threshold of the measure corresponds for small
// differences; absent for measures that don't follow chi-squared.
std::optional<double> AsIndex(Measure measure, double threshold) {
  switch (measure) {
    case Measure::kPopulationStabilityIndex:
      return threshold;
    case Measure::kJensenShannonDistance:
      return 8 * std::numbers::ln2 * threshold * threshold;
    case Measure::kHellingerDistance:
      return 8 * threshold * threshold;
    default:
      return std::nullopt;
  }
}

// True if the difference is beyond the threshold whatever chance contributed (95 %).
bool CertainlyBeyond(Measure measure, const MeasureResult& result, double threshold) {
  if (*result.value <= threshold) return false;
  if (const auto index = AsIndex(measure, threshold)) {
    if (result.degrees == 0) return false;
    const double k = EffectiveSize(result.baseline_samples, result.current_samples);
    const double lambda = std::max(0.0, *index) * k;
    return NonCentralChiSquaredUpperTail(result.chi_squared, result.degrees, lambda) <= kAlpha;
  }
  // sqrt(1/n) + sqrt(1/m) is at most sqrt(2) sqrt(1/n + 1/m).
  return *result.value > threshold + std::numbers::sqrt2 * *result.noise_floor;
}

Judgement JudgePValue(const MeasureResult& result, double threshold, double min_effect) {
  if (*result.value >= threshold) return {Breach::kNo, "", {}};
  const double effect = std::abs(result.effect.value_or(0));
  if (effect < min_effect) {
    return {Breach::kNo,
            "the difference is significant but small: effect " + Number(effect) + ", below " +
                Number(min_effect),
            {}};
  }
  return {Breach::kYes, "", {}};
}

// P(ncx2 <= x), also for a single pooled bucket, where X2 is 0 unless the difference is not.
double LowerTail(double x, int degrees, double lambda) {
  if (degrees > 0) return NonCentralChiSquaredLowerTail(x, degrees, lambda);
  return std::exp(-lambda / 2);
}

Judgement JudgeEquivalence(const MeasureResult& result, double tolerated) {
  const double k = EffectiveSize(result.baseline_samples, result.current_samples);
  const double lambda = std::max(0.0, tolerated) * k;
  const double exceeds = result.degrees == 0 ? 1
                                             : NonCentralChiSquaredUpperTail(
                                                   result.chi_squared, result.degrees, lambda);
  if (exceeds <= kAlpha) return {Breach::kYes, "", exceeds};
  if (LowerTail(result.chi_squared, result.degrees, lambda) <= kAlpha) {
    return {Breach::kNo, "", exceeds};
  }
  return {Breach::kUnknown,
          "inconclusive: with " + Number(result.current_samples) +
              " samples the difference may lie on either side of the tolerated " +
              Number(tolerated),
          exceeds};
}

// Effective size at which the equivalence test decides about an effect in four windows of five:
// where the tolerated one and this one lie 1.645 + 0.842 standard deviations of the non-central
// chi-squared law apart, variance 2 (B - 1 + 2 k tau).
std::optional<double> SizeToDecide(double effect, double tolerated, int degrees) {
  const double off = std::abs(tolerated - effect);
  if (!(off > 0.01 * tolerated)) return std::nullopt;
  const double z = NormalQuantile(1 - kAlpha) + NormalQuantile(kPower);
  const double b = 4 * z * z * tolerated;
  return (b + std::sqrt(b * b + 8 * z * z * degrees * off * off)) / (2 * off * off);
}

// The two-sided normal point for as many buckets, of which two say the same.
double BucketsPoint(int degrees) {
  const double buckets = degrees == 1 ? 1 : degrees + 1;
  return NormalQuantile(1 - kAlpha / 2 / buckets);
}

// Effective size at which the noise floor falls to the threshold, over that many degrees of
// freedom.
std::optional<double> SizeToJudge(Measure measure, const MeasureResult& result, double threshold,
                                  int degrees) {
  switch (measure) {
    case Measure::kChiSquaredEquivalenceTest:
      return SizeToDecide(result.effect.value_or(0), threshold, degrees);
    case Measure::kPopulationStabilityIndex:
    case Measure::kJensenShannonDistance:
    case Measure::kHellingerDistance:
      return ChiSquared95(degrees) / *AsIndex(measure, threshold);
    case Measure::kTotalVariationDistance:
      return ChiSquared95(degrees) / (4 * threshold * threshold);
    default: {
      if (!result.noise_floor) return std::nullopt;
      double ratio = *result.noise_floor / threshold;
      if (measure == Measure::kChebyshevDistance) {
        ratio *= BucketsPoint(degrees) / BucketsPoint(result.degrees);
      }
      return EffectiveSize(result.baseline_samples, result.current_samples) * ratio * ratio;
    }
  }
}

// Degrees of freedom that a window of `samples` leaves: what is pooled depends on the baseline and
// on the window's size alone.
int DegreesWith(const Distribution& baseline, double samples) {
  std::vector<double> counts;
  const auto* histogram = std::get_if<Histogram>(&baseline);
  if (histogram != nullptr) {
    counts = histogram->counts;
  } else {
    for (const auto& category : std::get<Categories>(baseline)) counts.push_back(category.count);
  }
  std::vector<double> expected = counts;
  double total = 0;
  for (const double count : counts) total += count;
  if (!(total > 0)) return 0;
  for (double& count : expected) count *= samples / total;
  return static_cast<int>(Pool(counts, expected, histogram != nullptr).baseline.size()) - 1;
}

}  // namespace

Judgement Judge(Measure measure, const MeasureResult& result, double threshold,
                std::optional<double> min_effect) {
  if (!result.value) return {Breach::kUnknown, result.note, {}};
  if (measure == Measure::kChiSquaredEquivalenceTest) return JudgeEquivalence(result, threshold);
  const MeasureInfo& info = InfoOf(measure);
  if (info.direction == Direction::kSmallerIsWorse) {
    return JudgePValue(result, threshold, min_effect.value_or(info.least_effect));
  }
  if (*result.noise_floor > 0 && threshold <= *result.noise_floor) {
    if (CertainlyBeyond(measure, result, threshold)) return {Breach::kYes, "", {}};
    return {Breach::kUnknown,
            "with " + Number(result.current_samples) + " samples chance alone reaches " +
                Number(*result.noise_floor) + ", so a threshold of " + Number(threshold) +
                " can't be judged: widen the window or raise the threshold",
            {}};
  }
  return {*result.value > threshold ? Breach::kYes : Breach::kNo, "", {}};
}

std::optional<double> ObservationsNeeded(Measure measure, const Distribution& baseline,
                                         const MeasureResult& result, double threshold) {
  if (!result.value && !result.too_few_samples) return std::nullopt;
  const double n = result.baseline_samples;
  double m = std::max(result.current_samples, 1.0);
  int degrees = DegreesWith(baseline, m);
  while (!result.value && degrees == 0) {
    if (m > kMostSamples) return std::nullopt;
    m = std::ceil(m * 1.05);
    degrees = DegreesWith(baseline, m);
  }
  if (InfoOf(measure).direction == Direction::kSmallerIsWorse) {
    return result.value ? std::nullopt : std::optional(m);
  }
  if (!(threshold > 0)) return std::nullopt;
  // More samples leave more buckets apart, which ask for more samples: upwards to where it holds.
  while (m < kMostSamples) {
    const auto size = SizeToJudge(measure, result, threshold, degrees);
    if (!size || *size >= n) return std::nullopt;
    const double next = std::ceil(*size * n / (n - *size)) + 1;
    if (next <= m) return m;
    m = next;
    degrees = DegreesWith(baseline, m);
  }
  return std::nullopt;
}

}  // namespace perennial::stats
