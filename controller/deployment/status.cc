#include "deployment/status.h"

#include <algorithm>

#include "base/text.h"
#include "deployment/fleet.h"
#include "deployment/pending_pods.h"
#include "deployment/render.h"
#include "deployment/weights.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;

constexpr size_t kLongestMessage = 1024;

int WeightInStatus(const Turn& turn, const std::string& version) {
  for (const api::VariantStatus& variant : turn.seen.deployment->status.variants) {
    if (variant.version == version) return variant.weight;
  }
  return 0;
}

api::VariantStatus Row(const Turn& turn, const std::string& name, const std::string& version) {
  const Observed& seen = turn.seen;
  api::VariantStatus row;
  row.name = name;
  row.version = version;
  row.service = ChildName(*seen.deployment, version);
  for (const WantedVariant& variant : turn.intent.variants) {
    if (variant.version != version) continue;
    row.model = variant.model;
    row.replicas = variant.replicas;
  }
  if (const api::ModelVersion* record = FindVersion(seen, version)) row.model = record->spec.model;
  if (const auto* deployment = RunningOf(seen, version).deployment) {
    row.ready_replicas = deployment->ready_replicas;
    if (turn.seen.deployment->spec.autoscaling) row.replicas = deployment->replicas;
  }
  row.weight_wanted = WeightOf(turn.intent.wanted, version);
  // While the route is being taken in, what was in effect before still is.
  row.weight =
      turn.effect.known ? WeightOf(turn.effect.shares, version) : WeightInStatus(turn, version);
  return row;
}

void TellVariants(Turn& turn) {
  api::ModelDeploymentStatus& status = turn.status;
  std::vector<api::VariantStatus> rows;
  if (!turn.seen.deployment->spec.variants.empty()) {
    for (const api::VariantStatus& variant : status.variants) {
      if (variant.version.empty()) continue;
      rows.push_back(Row(turn, variant.name, variant.version));
    }
  } else {
    if (!status.champion.empty()) rows.push_back(Row(turn, "champion", status.champion));
    if (!status.challenger.empty() && status.challenger != status.champion) {
      rows.push_back(Row(turn, "challenger", status.challenger));
    }
  }
  status.variants = std::move(rows);
  status.replicas = 0;
  status.ready_replicas = 0;
  for (const auto& view : turn.seen.deployments) {
    status.replicas += view->replicas;
    status.ready_replicas += view->ready_replicas;
  }
  status.selector = SelectorOf(*turn.seen.deployment);
  status.approximate_split =
      !turn.seen.deployment->spec.traffic.gateway && turn.intent.variants.size() > 1;
}

// Where the three conditions stand (docs/concepts/model-deployment.md has the table).
struct Standing {
  bool ready = false;
  std::string ready_reason;
  std::optional<Blocked> stalled;
  std::optional<Blocked> reconciling;
  std::string promoted = "Unknown";
  std::string promoted_reason;
};

bool AnyServes(const Turn& turn) {
  return std::any_of(turn.intent.wanted.begin(), turn.intent.wanted.end(), [&](const Share& share) {
    return share.weight > 0 && RunningOf(turn.seen, share.version).Serving();
  });
}

// The pods of whoever serves are being replaced, by the ordinary rolling update.
std::optional<Blocked> Updating(const Turn& turn) {
  for (const WantedVariant& variant : turn.intent.variants) {
    if (WeightOf(turn.intent.wanted, variant.version) == 0) continue;
    if (variant.version == turn.status.challenger) continue;
    const Running running = RunningOf(turn.seen, variant.version);
    if (!running.Complete(variant.replicas)) {
      return Blocked{"UpdatingPods", "pods of " + variant.version + " are being updated"};
    }
  }
  return std::nullopt;
}

std::optional<Blocked> FailedUpdate(const Turn& turn) {
  for (const WantedVariant& variant : turn.intent.variants) {
    if (variant.version == turn.status.challenger) continue;
    const Running running = RunningOf(turn.seen, variant.version);
    if (!running.Failed()) continue;
    const std::string waits = WhyPodsWait(turn.seen, variant.version);
    return Blocked{"ProgressDeadlineExceeded",
                   "new pods of " + variant.version +
                       " don't become ready; see the pods' events, and correct spec.template: " +
                       (waits.empty() ? running.deployment->message : waits)};
  }
  return std::nullopt;
}

std::optional<Blocked> Trouble(const Turn& turn, const std::vector<std::string>& problems) {
  if (!problems.empty()) return Blocked{"InvalidSpec", problems.front()};
  if (!turn.effect.unsupported.empty()) {
    return Blocked{"FeatureNotSupported", turn.effect.unsupported};
  }
  if (!turn.seen.foreign.empty()) {
    return Blocked{"NameConflict",
                   kube::ToString(turn.seen.foreign.front()) +
                       " exists and belongs to somebody else; delete or rename it, or give the "
                       "ModelDeployment another name"};
  }
  if (!turn.seen.last_error.empty()) {
    const bool taken = turn.seen.last_error.find("exists and is not") != std::string::npos;
    const bool undone = turn.seen.last_error.find("does not stay as it is") != std::string::npos;
    return Blocked{taken    ? "NameConflict"
                   : undone ? "WriteUndone"
                            : "WriteRefused",
                   turn.seen.last_error +
                       (taken ? "; delete or rename it, or rename the ModelDeployment" : "")};
  }
  if (turn.blocked) return turn.blocked;
  return FailedUpdate(turn);
}

void StandPromoted(const Turn& turn, Standing& standing) {
  const auto& rollout = turn.status.rollout;
  if (turn.status.champion.empty()) {
    standing.promoted_reason = "NothingServes";
  } else if (rollout && rollout->phase == RolloutPhase::kRolledBack) {
    standing.promoted = "False";
    standing.promoted_reason = "RolledBack";
  } else if (rollout && Active(*rollout)) {
    standing.promoted = "False";
    standing.promoted_reason = rollout->phase == RolloutPhase::kPaused || rollout->paused ? "Paused"
                               : rollout->phase == RolloutPhase::kRollingBack ? "RollingBack"
                                                                              : "Progressing";
  } else {
    const bool awaiting =
        std::any_of(turn.seen.versions.begin(), turn.seen.versions.end(), [&](const auto& version) {
          const api::ModelVersion* champion = FindVersion(turn.seen, turn.status.champion);
          return version->status.phase == api::VersionPhase::kAwaitingApproval &&
                 champion != nullptr && NewerThan(*version, *champion);
        });
    standing.promoted = awaiting ? "False" : "True";
    standing.promoted_reason = awaiting ? "AwaitingApproval" : "Promoted";
  }
}

Standing Stand(const Turn& turn, const std::vector<std::string>& problems) {
  Standing standing;
  StandPromoted(turn, standing);
  standing.stalled = Trouble(turn, problems);
  const bool zero = Replicas(*turn.seen.deployment) == 0;
  const bool served_before = !turn.status.champion.empty();
  standing.ready = AnyServes(turn) || zero;
  standing.ready_reason = zero             ? "ScaledToZero"
                          : standing.ready ? "Serving"
                          : served_before  ? "NoReadyPod"
                                           : "Starting";
  if (!problems.empty()) {
    standing.ready = false;
    standing.ready_reason = "InvalidSpec";
  }
  const auto& rollout = turn.status.rollout;
  const bool aborted =
      rollout && served_before &&
      (rollout->phase == RolloutPhase::kRolledBack || rollout->phase == RolloutPhase::kRollingBack);
  if (!standing.stalled && aborted) {
    standing.stalled =
        Blocked{"RolloutAborted", rollout->version + " was rolled back: " + rollout->message};
  }
  if (standing.stalled) return standing;
  if (!standing.ready) {
    standing.reconciling = Blocked{standing.ready_reason, turn.why};
  } else if (!zero) {
    standing.reconciling = Updating(turn);
  }
  const bool settled_down = !rollout || !Active(*rollout);
  if (!standing.reconciling && settled_down && !turn.effect.settled && !zero) {
    standing.reconciling =
        Blocked{"RouteNotAccepted",
                turn.effect.message.empty() ? "traffic is being moved" : turn.effect.message};
  }
  return standing;
}

void SetOrRemove(Turn& turn, const char* type, const std::optional<Blocked>& blocked) {
  if (!blocked) return kube::RemoveCondition(turn.status.conditions, type);
  kube::SetCondition(turn.status.conditions,
                     {type, "True", blocked->reason, CutText(blocked->message, kLongestMessage),
                      turn.seen.deployment->meta.generation, ""},
                     turn.now);
}

// Counted from 1, as people and commands count steps.
void TellProgress(Turn& turn) {
  if (!turn.status.rollout) return;
  api::RolloutStatus& rollout = *turn.status.rollout;
  const bool steps =
      rollout.phase == RolloutPhase::kProgressing || rollout.phase == RolloutPhase::kPaused;
  rollout.progress = steps ? std::to_string(rollout.step + 1) + "/" +
                                 std::to_string(StepsOf(turn.seen.deployment->spec.rollout).size())
                           : "";
}

}  // namespace

void TellStatus(Turn& turn, const std::vector<std::string>& problems) {
  if (problems.empty()) {
    TellVariants(turn);
    TellProgress(turn);
  }
  if (!problems.empty()) turn.why = "invalid spec, nothing is changed: " + problems.front();
  turn.why = CutText(turn.why, kLongestMessage);
  turn.status.why = turn.why;
  const Standing standing = Stand(turn, problems);
  const std::int64_t generation = turn.seen.deployment->meta.generation;
  const std::string& message = standing.stalled ? standing.stalled->message : turn.why;
  kube::SetCondition(
      turn.status.conditions,
      {"Ready", standing.ready ? "True" : "False", standing.ready_reason,
       CutText(standing.ready ? turn.why : message, kLongestMessage), generation, ""},
      turn.now);
  kube::SetCondition(
      turn.status.conditions,
      {"Promoted", standing.promoted, standing.promoted_reason, turn.why, generation, ""},
      turn.now);
  SetOrRemove(turn, "Reconciling", standing.reconciling);
  SetOrRemove(turn, "Stalled", standing.stalled);
}

}  // namespace perennial::deployment
