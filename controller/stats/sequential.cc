#include "stats/sequential.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "stats/distributions.h"

namespace perennial::stats {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Prior weight of the expected shares: how many units' worth of trust a correct split has.
constexpr double kSampleRatioConcentration = 10'000;

// Variance of the difference, and of one unit (the mean of the two arms').
struct Variances {
  double difference = 0;
  double unit = 0;
};

Variances Combine(double champion, double champion_n, double challenger, double challenger_n) {
  return {champion / champion_n + challenger / challenger_n, (champion + challenger) / 2};
}

Variances Pooled(const Arm& champion, const Arm& challenger, double added) {
  const double rate =
      (champion.sum + challenger.sum + 2 * added) / (champion.n + challenger.n + 4 * added);
  const double variance = rate * (1 - rate);
  return Combine(variance, champion.n, variance, challenger.n);
}

Variances Unpooled(const Arm& champion, const Arm& challenger, double added) {
  const auto variance = [&](const Arm& arm) {
    const double rate = (arm.sum + added) / (arm.n + 2 * added);
    return rate * (1 - rate);
  };
  return Combine(variance(champion), champion.n, variance(challenger), challenger.n);
}

std::string Flaw(ArmKind kind, const Arm& arm, const char* name) {
  const std::string flaw = FlawOf(kind, arm);
  return flaw.empty() ? flaw : std::string("the ") + name + " has " + flaw;
}

void SetInterval(double variance, double tau_squared, double alpha, SequentialResult& result) {
  const auto look = LookAt(*result.effect, variance, tau_squared, alpha);
  if (!look) return;
  result.lower = *result.effect - look->half_width;
  result.upper = *result.effect + look->half_width;
}

}  // namespace

std::optional<MixtureLook> LookAt(double difference, double variance, double tau_squared,
                                  double alpha) {
  if (!(variance > 0) || !std::isfinite(variance) || !(tau_squared > 0)) return std::nullopt;
  const double spread = variance + tau_squared;
  MixtureLook look;
  look.log_likelihood_ratio = 0.5 * std::log(variance / spread) +
                              tau_squared / spread * (difference * difference / (2 * variance));
  look.p_value = std::min(1.0, std::exp(-look.log_likelihood_ratio));
  look.half_width = std::sqrt(2 * variance * (spread / tau_squared) *
                              (-std::log(alpha) + 0.5 * std::log(spread / variance)));
  return look;
}

double MixtureWidth(double alpha, double expected_samples) {
  const double twice = -2 * std::log(alpha);
  return 4 * (twice + std::log1p(twice)) / expected_samples;
}

SequentialResult CompareArms(ArmKind kind, const Arm& champion, const Arm& challenger,
                             const SequentialOptions& options) {
  PERENNIAL_CHECK(options.alpha > 0 && options.alpha < 1 && options.expected_samples > 0);
  SequentialResult result;
  result.note = Flaw(kind, champion, "champion");
  if (result.note.empty()) result.note = Flaw(kind, challenger, "challenger");
  const double least = std::max(options.min_samples, kLeastSamples);
  result.enough = std::min(champion.n, challenger.n) >= least;
  const auto of_champion = ValueOf(champion);
  const auto of_challenger = ValueOf(challenger);
  if (of_champion && of_challenger) result.effect = *of_challenger - *of_champion;
  if (!result.note.empty()) return result;
  if (!result.enough) {
    result.note =
        "fewer samples than the minimum of " + std::to_string(std::lround(least)) + " in each arm";
    return result;
  }
  const double width = MixtureWidth(options.alpha, options.expected_samples);
  Variances test;
  double interval = 0;
  if (kind != ArmKind::kProportion) {
    test = Combine(VarianceOfUnits(champion).value_or(0), champion.n,
                   VarianceOfUnits(challenger).value_or(0), challenger.n);
    interval = test.difference;
    SetInterval(interval, width * test.unit, options.alpha, result);
  } else {
    test = Pooled(champion, challenger, 0);
    const Variances pooled = Pooled(champion, challenger, 0.5);
    interval = std::max(pooled.difference, Unpooled(champion, challenger, 0.5).difference);
    SetInterval(interval, width * pooled.unit, options.alpha, result);
  }
  const auto look = LookAt(*result.effect, test.difference, width * test.unit, options.alpha);
  if (look) {
    result.p_value = look->p_value;
  } else if (!result.lower) {
    result.note = "the observations of each arm are all equal, so chance can't be estimated";
  }
  return result;
}

double SampleRatioEvidence(std::span<const double> counts, std::span<const double> shares) {
  PERENNIAL_CHECK(counts.size() == shares.size());
  const double all_shares = std::accumulate(shares.begin(), shares.end(), 0.0);
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  if (!(all_shares > 0) || !(total > 0)) return 0;
  long double evidence = static_cast<long double>(LogGamma(kSampleRatioConcentration)) -
                         LogGamma(kSampleRatioConcentration + total);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (shares[i] <= 0) {
      if (counts[i] > 0) return kInfinity;
      continue;
    }
    const double share = shares[i] / all_shares;
    const double prior = kSampleRatioConcentration * share;
    evidence += static_cast<long double>(LogGamma(prior + counts[i])) - LogGamma(prior) -
                static_cast<long double>(counts[i]) * std::log(share);
  }
  return static_cast<double>(evidence);
}

double SampleRatioPValue(std::span<const double> counts, std::span<const double> shares) {
  return std::min(1.0, std::exp(-SampleRatioEvidence(counts, shares)));
}

SampleRatioTest SampleRatioChiSquared(std::span<const double> counts,
                                      std::span<const double> shares) {
  PERENNIAL_CHECK(counts.size() == shares.size());
  const double all_shares = std::accumulate(shares.begin(), shares.end(), 0.0);
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  SampleRatioTest test;
  if (!(all_shares > 0) || !(total > 0)) return test;
  int arms = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (shares[i] <= 0 && counts[i] <= 0) continue;
    ++arms;
    const double expected = total * shares[i] / all_shares;
    const double off = counts[i] - expected;
    test.statistic += expected > 0 ? off * off / expected : kInfinity;
  }
  test.degrees = std::max(arms - 1, 0);
  test.p_value = ChiSquaredUpperTail(test.statistic, test.degrees);
  return test;
}

}  // namespace perennial::stats
