#include "deployment/allocation.h"

#include <algorithm>
#include <cmath>

#include "deployment/belief.h"
#include "deployment/comparison.h"
#include "deployment/counts.h"
#include "deployment/weights.h"

namespace perennial::deployment {
namespace {

// Shares move in steps, so that noise moves nothing.
constexpr double kStep = 0.05;
constexpr int kParts = 100'000;  // of the whole, before rounding to percent

// Counts of the primary, the control's first; empty unless each comparison has them.
std::vector<stats::Arm> ArmsOf(const api::ModelDeployment& deployment) {
  const api::Experiment& experiment = *deployment.spec.rollout.experiment;
  const std::string identity = ComparisonIdentity(deployment);
  std::vector<stats::Arm> arms;
  for (std::size_t i = 1; i < deployment.spec.variants.size(); ++i) {
    for (const api::Comparison& row : deployment.status.comparisons) {
      if (row.variant != deployment.spec.variants[i].name || row.identity != identity) continue;
      for (const api::QuantityCounts& counts : row.experiment.counts) {
        if (counts.name != experiment.primary.quantity.name) continue;
        if (arms.empty()) arms.push_back(ArmOf(counts.champion));
        arms.push_back(ArmOf(counts.challenger));
      }
    }
  }
  if (arms.size() != deployment.spec.variants.size()) return {};
  const auto enough = [&](const stats::Arm& arm) {
    return arm.n >=
           std::max<double>(static_cast<double>(experiment.min_samples), stats::kLeastSamples);
  };
  return std::all_of(arms.begin(), arms.end(), enough) ? arms : std::vector<stats::Arm>{};
}

// Whoever is shown to be worse than the control, in the primary or a guardrail, gets no more than
// the floor, whatever else is believed of it.
void Exclude(const api::ModelDeployment& deployment, std::vector<double>& best) {
  for (std::size_t i = 1; i < best.size(); ++i) {
    for (const api::Comparison& row : deployment.status.comparisons) {
      if (row.variant != deployment.spec.variants[i].name) continue;
      if (row.experiment.verdict == api::Verdict::kFail) best[i] = 0;
    }
  }
  double sum = 0;
  for (const double one : best) sum += one;
  if (!(sum > 0)) best.front() = sum = 1;
  for (double& one : best) one /= sum;
}

}  // namespace

std::vector<int> Allocate(const std::vector<double>& best, int floor, int ceiling) {
  const auto n = static_cast<int>(best.size());
  std::vector<double> shares;
  shares.reserve(best.size());
  for (const double one : best) shares.push_back(floor + (100.0 - n * floor) * one);
  // At most one can be above a ceiling of half or more; below that each passes its excess on.
  for (int round = 0; round < n; ++round) {
    const auto over = std::max_element(shares.begin(), shares.end());
    const double excess = *over - ceiling;
    if (excess <= 0 || n < 2) break;
    *over = ceiling;
    std::vector<std::size_t> others;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      if (shares[i] < ceiling) others.push_back(i);
    }
    if (others.empty()) break;
    for (const std::size_t i : others) {
      shares[i] += excess / static_cast<double>(others.size());
    }
  }
  std::vector<int> parts;
  parts.reserve(shares.size());
  for (const double share : shares) parts.push_back(static_cast<int>(share * kParts / 100));
  return Percentages(parts);
}

std::vector<int> VariantWeights(const api::ModelDeployment& deployment) {
  std::vector<int> weights;
  for (const api::FixedVariant& variant : deployment.spec.variants) {
    weights.push_back(variant.weight);
  }
  const auto& experiment = deployment.spec.rollout.experiment;
  if (!experiment || experiment->weights != api::Allocation::kThompson || weights.size() < 2) {
    return weights;
  }
  const std::vector<stats::Arm> arms = ArmsOf(deployment);
  if (arms.empty()) return weights;
  std::vector<double> best =
      ProbabilitiesOfBest(ArmKindOf(experiment->primary.quantity), experiment->primary.goal, arms);
  if (best.size() != weights.size()) return weights;
  Exclude(deployment, best);
  double sum = 0;
  for (double& one : best) sum += one = std::round(one / kStep) * kStep;
  if (!(sum > 0)) return weights;
  for (double& one : best) one /= sum;
  return Allocate(best, experiment->floor, experiment->ceiling);
}

}  // namespace perennial::deployment
