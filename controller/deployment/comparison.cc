#include "deployment/comparison.h"

#include <algorithm>
#include <utility>

#include "deployment/experiment.h"
#include "deployment/judgement.h"
#include "deployment/moves.h"

namespace perennial::deployment {
namespace {

using api::Comparison;
using api::Verdict;

const Samples& SamplesOf(const Turn& turn, const std::string& version) {
  static const Samples kNone;
  const auto it = turn.seen.samples.find(version);
  return it == turn.seen.samples.end() ? kNone : it->second;
}

const api::FixedVariant* VariantOf(const Turn& turn, const std::string& version) {
  for (const api::VariantStatus& row : turn.seen.deployment->status.variants) {
    if (row.version != version) continue;
    for (const api::FixedVariant& variant : Spec(turn).variants) {
      if (variant.name == row.name) return &variant;
    }
  }
  return nullptr;
}

api::Experiment Corrected(const api::Experiment& experiment, std::size_t comparisons) {
  api::Experiment corrected = experiment;
  corrected.alpha.value /= static_cast<double>(comparisons);
  if (comparisons > 1) {
    corrected.alpha.text = experiment.alpha.text + "/" + std::to_string(comparisons);
  }
  return corrected;
}

// A pair is compared on what it got of the traffic that went to the two; 0 where the split is
// approximate.
double PairShare(const Turn& turn, const api::FixedVariant& control,
                 const api::FixedVariant& variant) {
  // Weights that move have no one ratio that all requests should show.
  const bool moving = Spec(turn).rollout.experiment->weights == api::Allocation::kThompson;
  if (!Spec(turn).traffic.gateway || moving) return 0;
  const int both = control.weight + variant.weight;
  return both == 0 ? 0 : static_cast<double>(variant.weight) / both;
}

const char* ReasonOf(Verdict verdict) {
  return verdict == Verdict::kPass ? "VariantBetter" : "VariantWorse";
}

void Tell(Turn& turn, const Comparison& before, const Comparison& after) {
  const Verdict verdict = after.experiment.verdict;
  if (after.experiment.mismatch && !before.experiment.mismatch) {
    turn.Emit(
        kube::EmitEvent::Type::kWarning, "SampleRatioMismatch",
        "variant " + after.variant + " against " + after.control + ": " + after.experiment.message);
  }
  if (before.experiment.verdict == verdict) return;
  if (verdict != Verdict::kPass && verdict != Verdict::kFail) return;
  turn.Emit(
      verdict == Verdict::kPass ? kube::EmitEvent::Type::kNormal : kube::EmitEvent::Type::kWarning,
      ReasonOf(verdict),
      "variant " + after.variant + " against " + after.control + ": " + after.experiment.message);
}

Comparison Look(Turn& turn, const api::Experiment& experiment, const api::FixedVariant& control,
                const api::FixedVariant& variant, const std::string& version) {
  Comparison fresh{variant.name, control.name, ComparisonIdentity(*turn.seen.deployment), {}};
  const auto& recorded = turn.status.comparisons;
  const auto it = std::find_if(recorded.begin(), recorded.end(), [&](const Comparison& row) {
    return row.variant == fresh.variant && row.control == fresh.control &&
           row.identity == fresh.identity;
  });
  const bool known = it != recorded.end();
  const auto carried = turn.seen.carried.find(version);
  const std::string of_control = ComparedVersions(*turn.seen.deployment).front();
  api::ExperimentStatus look = Judge(
      experiment, known ? std::optional(it->experiment) : std::nullopt,
      carried == turn.seen.carried.end() ? std::vector<api::QuantityCounts>{} : carried->second,
      SamplesOf(turn, of_control), SamplesOf(turn, version), PairShare(turn, control, variant));
  Comparison before = known ? *it : fresh;
  if (known && !TellsMore(it->experiment, look)) return before;
  fresh.experiment = std::move(look);
  Tell(turn, before, fresh);
  return fresh;
}

}  // namespace

std::vector<std::string> ComparedVersions(const api::ModelDeployment& deployment) {
  const api::ModelDeploymentSpec& spec = deployment.spec;
  if (!spec.rollout.experiment || spec.variants.size() < 2) return {};
  std::vector<std::string> versions;
  for (const api::FixedVariant& variant : spec.variants) {
    const auto& rows = deployment.status.variants;
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const auto& item) { return item.name == variant.name; });
    if (row == rows.end() || row->version.empty()) return {};
    versions.push_back(row->version);
  }
  return versions;
}

std::string ComparisonIdentity(const api::ModelDeployment& deployment) {
  const std::vector<std::string> versions = ComparedVersions(deployment);
  const auto& experiment = deployment.spec.rollout.experiment;
  const bool moving = experiment && experiment->weights == api::Allocation::kThompson;
  std::string identity;
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (i > 0) identity += ' ';
    const std::string weight =
        moving ? "Thompson" : std::to_string(deployment.spec.variants[i].weight);
    identity += versions[i] + ':' + weight;
  }
  return identity;
}

void CompareVariants(Turn& turn) {
  const std::vector<std::string> versions = ComparedVersions(*turn.seen.deployment);
  if (versions.empty()) {
    // A variant that is being replaced is compared again when it serves.
    if (!Spec(turn).rollout.experiment || Spec(turn).variants.size() < 2) {
      turn.status.comparisons.clear();
    }
    return;
  }
  const api::FixedVariant* control = VariantOf(turn, versions.front());
  const api::Experiment experiment = Corrected(*Spec(turn).rollout.experiment, versions.size() - 1);
  std::vector<Comparison> rows;
  for (std::size_t i = 1; i < versions.size(); ++i) {
    const api::FixedVariant* variant = VariantOf(turn, versions[i]);
    if (control == nullptr || variant == nullptr) return;
    rows.push_back(Look(turn, experiment, *control, *variant, versions[i]));
  }
  turn.status.comparisons = std::move(rows);
  turn.WakeAt(turn.now + LookInterval(Spec(turn).rollout));
}

}  // namespace perennial::deployment
