#pragma once

#include <optional>
#include <span>
#include <string>

#include "stats/arm.h"

namespace perennial::stats {

// Always-valid inference for two arms that a controller looks at again and again. A fixed-horizon
// p-value that is looked at at every reconcile rejects a true null far more often than alpha says;
// these stay below alpha over all looks together, however many there are and whenever one stops.
//
// The test is the mixture sequential probability ratio test: a normal mixture N(0, tau^2) over the
// difference (Johari, Koomen, Pekelis, Walsh, "Always Valid Inference", Operations Research 2022,
// eq. 8). With tau^2 in units of the observations' variance it is the asymptotic confidence
// sequence of Waudby-Smith et al. (arXiv 2103.06476, theorem 2.2 and eq. 10), so one number, the
// sample size at which the interval shall be tightest, fixes the mixture in advance.
//
// What it assumes: units are independent (requests of one user are not: intervals are then too
// narrow), and enough of them for their mean to be normal. Variances are estimated, and early
// estimates are poor (simulated from the first look on: 11 % at alpha 5 %), hence kLeastSamples.

// No decision with fewer units in an arm, whatever the options say.
inline constexpr double kLeastSamples = 100;

struct SequentialOptions {
  double alpha = 0.05;
  double min_samples = 500;  // per arm; below kLeastSamples that counts
  // Total of both arms at which the test is most sensitive. Fixed before the first look: a mixture
  // chosen after looking is not valid.
  double expected_samples = 5000;
};

struct SequentialResult {
  // Challenger minus champion, and its confidence interval, valid at every look: the probability
  // that it ever misses the true difference is at most alpha. The effect is there as soon as both
  // arms have units, the interval once they are enough.
  std::optional<double> effect;
  std::optional<double> lower;
  std::optional<double> upper;
  double p_value = 1;   // of no difference, as of now; the caller keeps the running minimum
  bool enough = false;  // both arms have the minimum of units
  std::string note;     // why nothing can be said; else empty
};

// Proportions: the p-value uses the pooled variance (the unpooled one rejects too often early on),
// the interval the greater of pooled and unpooled variance with half a success and half a failure
// added to each arm, so that it is finite when nothing has failed yet. So the interval can still
// hold 0 while the p-value is below alpha, never the other way round by much. Means and ratios: the
// variance of the units (stats/arm.h) serves both, a ratio's being that of the units linearised at
// its own value. Pure.
SequentialResult CompareArms(ArmKind kind, const Arm& champion, const Arm& challenger,
                             const SequentialOptions& options);

// One look of the mixture test at a difference of known variance:
// log L = ln(V / (V + tau^2)) / 2 + tau^2 d^2 / (2 V (V + tau^2)), p = min(1, 1 / L), and the
// differences that it would not reject lie within half_width of d. Absent if V is not positive:
// then nothing can be said.
struct MixtureLook {
  double log_likelihood_ratio = 0;
  double p_value = 1;
  double half_width = 0;
};
std::optional<MixtureLook> LookAt(double difference, double variance, double tau_squared,
                                  double alpha);

// tau^2 / (variance of one unit) that makes the interval of two equal arms tightest at a total of
// `expected_samples`: 4 rho^2, rho^2 = (-2 ln(alpha) + ln(1 - 2 ln(alpha))) / N
// (arXiv 2103.06476, eq. 10).
double MixtureWidth(double alpha, double expected_samples);

// Sample-ratio mismatch: are the arms' numbers of units what the traffic split should have given?
// The evidence against it is the logarithm of a Bayes factor, Dirichlet(10000 * shares) against the
// shares themselves (Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data",
// NeurIPS 2022; 10000 as in Optimizely's ssrm). It may be looked at at any time: the probability
// that it ever exceeds ln(1 / alpha) is at most alpha. Where the split changed between steps, the
// evidence of the steps adds up. Shares need not sum to 1; an arm with share 0 and units gives
// +Inf. 0 for fewer than two arms or without units.
double SampleRatioEvidence(std::span<const double> counts, std::span<const double> shares);

// min(1, exp(-evidence)): always valid.
double SampleRatioPValue(std::span<const double> counts, std::span<const double> shares);

// The same question asked once, by Pearson's chi-squared. Not valid when looked at repeatedly.
struct SampleRatioTest {
  double statistic = 0;
  double p_value = 1;
  int degrees = 0;
};
SampleRatioTest SampleRatioChiSquared(std::span<const double> counts,
                                      std::span<const double> shares);

}  // namespace perennial::stats
