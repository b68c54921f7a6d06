#include "deployment/moves.h"

#include "base/text.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using api::RolloutStatus;
using Type = kube::EmitEvent::Type;

constexpr size_t kMaxHistory = 10;

}  // namespace

const api::ModelDeploymentSpec& Spec(const Turn& turn) {
  return turn.seen.deployment->spec;
}

RolloutStatus& Rollout(Turn& turn) {
  return *turn.status.rollout;
}

std::string Percent(int weight) {
  return std::to_string(weight) + " %";
}

void Enter(Turn& turn, RolloutPhase phase, std::string message) {
  RolloutStatus& rollout = Rollout(turn);
  rollout.phase = phase;
  rollout.step_started = api::Time{turn.now};
  rollout.message = std::move(message);
  rollout.pods_ready = false;
  rollout.scaled_to_zero = false;
  ForgetEnd(rollout);
  if (phase != RolloutPhase::kProgressing) rollout.experiment_ends.reset();
  turn.why = rollout.message;
  turn.decided = true;
}

void ForgetEnd(RolloutStatus& rollout) {
  rollout.until.reset();
  rollout.then.clear();
}

void EndsAt(Turn& turn, WallTime at, std::string then) {
  turn.WakeAt(at);
  RolloutStatus& rollout = Rollout(turn);
  if (rollout.until && rollout.until->value <= at) return;
  rollout.until = api::Time{at};
  rollout.then = std::move(then);
}

void Wait(Turn& turn, RolloutPhase phase, std::string message) {
  RolloutStatus& rollout = Rollout(turn);
  if (phase == RolloutPhase::kPaused && rollout.phase != phase) {
    turn.Emit(Type::kNormal, "RolloutPaused", rollout.version + ": " + message);
  }
  rollout.phase = phase;
  rollout.message = std::move(message);
  turn.why = rollout.message;
}

void Begin(Turn& turn, const api::ModelVersion& version) {
  RolloutStatus rollout;
  rollout.version = version.meta.key.name;
  rollout.champion = turn.status.champion;
  rollout.started = api::Time{turn.now};
  turn.status.rollout = rollout;
  turn.status.challenger = rollout.version;
  const std::string against =
      rollout.champion.empty() ? " as the first version" : " against champion " + rollout.champion;
  Enter(turn, RolloutPhase::kStarting, "starting the pods of " + rollout.version + against);
  turn.Emit(Type::kNormal, "RolloutStarted", turn.why);
}

void Record(Turn& turn, const char* outcome, const std::string& message) {
  Remember(turn.status, {Rollout(turn).version, outcome, api::Time{turn.now}, message});
}

void Supersede(Turn& turn, const std::string& reason) {
  const std::string version = Rollout(turn).version;
  Record(turn, "Superseded", reason);
  turn.Emit(Type::kNormal, "RolloutSuperseded", version + ": " + reason);
  turn.status.rollout.reset();
  turn.status.challenger.clear();
  turn.decided = true;
  turn.why = "the rollout of " + version + " ended: " + reason;
}

void RollBack(Turn& turn, const std::string& reason) {
  Enter(turn, RolloutPhase::kRollingBack, reason);
  turn.Emit(Type::kWarning, "RollbackStarted", Rollout(turn).version + ": " + reason);
  turn.why = "rolling back " + Rollout(turn).version + ": " + reason;
}

void Promote(Turn& turn, const std::string& reason) {
  Enter(turn, RolloutPhase::kPromoting, reason);
  turn.why = "promoting " + Rollout(turn).version + ": " + reason;
}

void EnterStep(Turn& turn, int step) {
  const auto steps = StepsOf(Spec(turn).rollout);
  RolloutStatus& rollout = Rollout(turn);
  rollout.step = step;
  // Each step's requests are compared with its own weights.
  if (rollout.experiment) rollout.experiment->mismatch = false;
  rollout.in_effect = false;
  rollout.released = 0;
  const int weight = steps[static_cast<size_t>(step)].weight;
  Enter(turn, RolloutPhase::kProgressing,
        "step " + std::to_string(step + 1) + " of " + std::to_string(steps.size()) + ": moving " +
            Percent(weight) + " of the traffic to " + rollout.version);
  turn.Emit(Type::kNormal, "WeightChanged", turn.why);
}

void Turn::WakeAt(WallTime at) {
  if (!wake_at || at < *wake_at) wake_at = at;
}

void Turn::Emit(kube::EmitEvent::Type type, const char* reason, const std::string& note) {
  events.push_back({type, reason, "Rollout", CutText(note, 1000)});
}

void Remember(api::ModelDeploymentStatus& status, api::HistoryEntry entry) {
  entry.message = CutText(entry.message, 512);
  status.history.insert(status.history.begin(), std::move(entry));
  if (status.history.size() > kMaxHistory) status.history.resize(kMaxHistory);
}

}  // namespace perennial::deployment
