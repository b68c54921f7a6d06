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

// The version that is to take over from what the variant serves, or nullptr.
const api::ModelVersion* NextOf(const Observed& seen, const api::FixedVariant& variant) {
  const api::ModelVersion* next = VersionOfVariant(seen, variant.name);
  const std::string current = Current(seen, variant.name);
  const bool other = next != nullptr && !current.empty() && next->meta.key.name != current;
  return other ? next : nullptr;
}

// Whether `next` can do at once what `current` does. Who has no ready pod is not worth waiting for.
bool MayFollow(const Observed& seen, const std::string& current, const std::string& next,
               int replicas) {
  if (!RunningOf(seen, next).Complete(replicas)) return false;
  if (replicas == 0 || CanTake(seen, next)) return true;
  return RunningOf(seen, next).Serving() && !RunningOf(seen, current).Serving();
}

bool ReadyFor(const Observed& seen, const api::FixedVariant& variant) {
  const std::string current = Current(seen, variant.name);
  return !current.empty() && RunningOf(seen, current).Complete(ReplicasOf(seen, variant)) &&
         CanTake(seen, current);
}

// The champion from before the spec had these variants. It stands in for those that can't take
// their share yet, as long as it has a ready pod itself. Empty: it is not needed.
std::string Predecessor(const Observed& seen) {
  const std::string& champion = seen.deployment->status.champion;
  const auto& variants = seen.deployment->spec.variants;
  const bool among = std::any_of(variants.begin(), variants.end(), [&](const auto& variant) {
    return Current(seen, variant.name) == champion;
  });
  if (among || FindVersion(seen, champion) == nullptr || !RunningOf(seen, champion).Serving()) {
    return "";
  }
  const bool ready = std::all_of(variants.begin(), variants.end(), [&](const auto& variant) {
    return variant.weight == 0 || ReadyFor(seen, variant);
  });
  return ready ? "" : champion;
}

}  // namespace

Intent FixedIntent(const Observed& seen) {
  Intent intent;
  const std::vector<int> weights = VariantWeights(*seen.deployment);
  const std::string before = Predecessor(seen);
  if (!before.empty()) {
    intent.variants.push_back(
        {before, FindVersion(seen, before)->spec.model, Replicas(*seen.deployment)});
    intent.wanted.push_back({before, 0});
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (!ReadyFor(seen, seen.deployment->spec.variants[i])) {
        intent.wanted.front().weight += weights[i];
      }
    }
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const api::FixedVariant& variant = seen.deployment->spec.variants[i];
    const std::string current = Current(seen, variant.name);
    if (current.empty()) continue;
    const int replicas = ReplicasOf(seen, variant);
    intent.variants.push_back({current, FindVersion(seen, current)->spec.model, replicas});
    const bool takes = before.empty() || ReadyFor(seen, variant);
    intent.wanted.push_back({current, takes ? weights[i] : 0});
  }
  for (const api::FixedVariant& variant : seen.deployment->spec.variants) {
    if (const api::ModelVersion* next = NextOf(seen, variant)) {
      intent.variants.push_back({next->meta.key.name, next->spec.model, ReplicasOf(seen, variant)});
    }
  }
  return intent;
}

std::vector<std::string> NextOfVariants(const Observed& seen) {
  std::vector<std::string> versions;
  const bool first = !Predecessor(seen).empty();
  for (const api::FixedVariant& variant : seen.deployment->spec.variants) {
    if (const api::ModelVersion* next = NextOf(seen, variant)) {
      versions.push_back(next->meta.key.name);
    }
    const std::string current = Current(seen, variant.name);
    if (first && !current.empty() && variant.weight > 0) versions.push_back(current);
  }
  return versions;
}

void AdvanceFixed(Turn& turn) {
  turn.status.rollout.reset();
  turn.status.challenger.clear();
  const api::ModelDeploymentSpec& spec = turn.seen.deployment->spec;
  std::vector<api::VariantStatus> variants;
  std::string waiting;
  const std::string before = Predecessor(turn.seen);
  const api::FixedVariant* heaviest = nullptr;
  for (const api::FixedVariant& variant : spec.variants) {
    api::VariantStatus row;
    if (const api::VariantStatus* before = Recorded(turn.seen, variant.name)) row = *before;
    row.name = variant.name;
    row.version = Current(turn.seen, variant.name);
    const api::ModelVersion* next = VersionOfVariant(turn.seen, variant.name);
    const std::string wanted = next == nullptr ? "" : next->meta.key.name;
    const int replicas = ReplicasOf(turn.seen, variant);
    if (wanted.empty()) {
      waiting = "variant " + variant.name + " has no approved version yet";
    } else if (wanted != row.version &&
               (row.version.empty() || MayFollow(turn.seen, row.version, wanted, replicas))) {
      row.version = wanted;
      turn.decided = true;
      turn.Emit(kube::EmitEvent::Type::kNormal, "VariantChanged",
                "variant " + variant.name + " serves " + wanted);
    } else if (wanted != row.version) {
      const bool ready = RunningOf(turn.seen, wanted).Complete(replicas);
      waiting = "variant " + variant.name + " goes on with " + row.version + " until " +
                (ready ? "the gateway has found the Service of " + wanted
                       : "the pods of " + wanted + " are ready");
    }
    if (heaviest == nullptr || variant.weight > heaviest->weight) {
      heaviest = &variant;
      if (before.empty()) turn.status.champion = row.version;
    }
    variants.push_back(std::move(row));
  }
  if (!before.empty()) {
    turn.why = before + " stands in for variants whose pods are not ready";
    if (!waiting.empty()) turn.why += ": " + waiting;
  }
  turn.status.variants = std::move(variants);
  CompareVariants(turn);
  if (!before.empty()) return;
  turn.why = waiting.empty() ? "a fixed split between " + std::to_string(spec.variants.size()) +
                                   " variants serves"
                             : waiting;
}

}  // namespace perennial::deployment
