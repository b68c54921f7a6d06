#include "deployment/fixed.h"

#include <algorithm>

#include "deployment/allocation.h"
#include "deployment/comparison.h"
#include "deployment/fleet.h"

namespace perennial::deployment {
namespace {

const api::VariantStatus* Recorded(const Observed& seen, const std::string& name) {
  for (const api::VariantStatus& variant : seen.deployment->status.variants) {
    if (variant.name == name) return &variant;
  }
  return nullptr;
}

// The version that the variant serves now, as recorded; empty if it is none of this variant's.
std::string Current(const Observed& seen, const std::string& name) {
  const api::VariantStatus* recorded = Recorded(seen, name);
  if (recorded == nullptr) return "";
  const api::ModelVersion* version = FindVersion(seen, recorded->version);
  return version != nullptr && version->spec.origin.variant == name ? recorded->version : "";
}

int ReplicasOf(const Observed& seen, const api::FixedVariant& variant) {
  const int n = Replicas(*seen.deployment);
  if (seen.deployment->spec.traffic.gateway || n == 0) return n;
  if (variant.weight == 0) return 0;
  return std::max(1, (n * variant.weight + 50) / 100);
}

}  // namespace

Intent FixedIntent(const Observed& seen) {
  Intent intent;
  const std::vector<int> weights = VariantWeights(*seen.deployment);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const api::FixedVariant& variant = seen.deployment->spec.variants[i];
    const std::string current = Current(seen, variant.name);
    if (current.empty()) continue;
    const int replicas = ReplicasOf(seen, variant);
    intent.variants.push_back({current, FindVersion(seen, current)->spec.model, replicas});
    intent.wanted.push_back({current, weights[i]});
  }
  for (const api::FixedVariant& variant : seen.deployment->spec.variants) {
    const api::ModelVersion* next = VersionOfVariant(seen, variant.name);
    const std::string current = Current(seen, variant.name);
    if (next == nullptr || current.empty() || next->meta.key.name == current) continue;
    intent.variants.push_back({next->meta.key.name, next->spec.model, ReplicasOf(seen, variant)});
  }
  return intent;
}

void AdvanceFixed(Turn& turn) {
  turn.status.rollout.reset();
  turn.status.challenger.clear();
  const api::ModelDeploymentSpec& spec = turn.seen.deployment->spec;
  std::vector<api::VariantStatus> variants;
  std::string waiting;
  const api::FixedVariant* heaviest = nullptr;
  for (const api::FixedVariant& variant : spec.variants) {
    api::VariantStatus row;
    if (const api::VariantStatus* before = Recorded(turn.seen, variant.name)) row = *before;
    row.name = variant.name;
    row.version = Current(turn.seen, variant.name);
    const api::ModelVersion* next = VersionOfVariant(turn.seen, variant.name);
    const std::string wanted = next == nullptr ? "" : next->meta.key.name;
    const Running running = RunningOf(turn.seen, wanted);
    const int replicas = ReplicasOf(turn.seen, variant);
    if (wanted.empty()) {
      waiting = "variant " + variant.name + " has no approved version yet";
    } else if (wanted != row.version &&
               (row.version.empty() ||
                (running.Complete(replicas) && (running.Serving() || replicas == 0)))) {
      row.version = wanted;
      turn.decided = true;
      turn.Emit(kube::EmitEvent::Type::kNormal, "VariantChanged",
                "variant " + variant.name + " serves " + wanted);
    } else if (wanted != row.version) {
      waiting = "variant " + variant.name + " goes on with " + row.version + " until the pods of " +
                wanted + " are ready";
    }
    if (heaviest == nullptr || variant.weight > heaviest->weight) {
      heaviest = &variant;
      turn.status.champion = row.version;
    }
    variants.push_back(std::move(row));
  }
  turn.status.variants = std::move(variants);
  CompareVariants(turn);
  turn.why = waiting.empty() ? "a fixed split between " + std::to_string(spec.variants.size()) +
                                   " variants serves"
                             : waiting;
}

}  // namespace perennial::deployment
