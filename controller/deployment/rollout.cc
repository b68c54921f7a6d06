#include "deployment/rollout.h"

#include <algorithm>

#include "api/names.h"
#include "deployment/commands.h"
#include "deployment/fleet.h"
#include "deployment/judgement.h"
#include "deployment/moves.h"
#include "deployment/pending_pods.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using api::RolloutStatus;
using Type = kube::EmitEvent::Type;

constexpr const char* kScaledToZero =
    "scaled to zero: the rollout goes on when spec.replicas is above 0";

// What a deadline that passes brings.
constexpr const char* kRollsBack = "it is rolled back";
constexpr const char* kStalls = "Stalled says what is missing";
// What a challenger that has its pods and waits for something else is said to do.
constexpr const char* kNoStep = "ready, but no step is taken: ";

Millis Deadline(const Turn& turn) {
  return Spec(turn).rollout.progress_deadline.value;
}

std::string WhyNotReady(const Turn& turn, const std::string& version) {
  const Running running = RunningOf(turn.seen, version);
  if (running.deployment == nullptr) return "its Deployment does not exist yet";
  const api::DeploymentView& deployment = *running.deployment;
  const std::string ready = std::to_string(deployment.ready_replicas) + " of " +
                            std::to_string(deployment.replicas) + " pods ready";
  const std::string waits = WhyPodsWait(turn.seen, version);
  if (!waits.empty()) return ready + "; " + waits;
  if (!deployment.message.empty()) return ready + "; " + deployment.message;
  if (deployment.ready_replicas < deployment.replicas) {
    return ready + "; see the pods' events (image, resources, readiness probe)";
  }
  // What is missing then lies behind the pods, and comes by itself within seconds.
  if (running.service == nullptr) return ready + ", its Service does not exist yet";
  if (running.ready_endpoints == 0) return ready + ", its Service has no endpoints yet";
  if (deployment.updated_replicas < deployment.replicas) {
    return ready + ", of which some have the template of before";
  }
  return ready + ", and its traffic is about to be set";
}

bool ChampionServes(const Turn& turn) {
  return RunningOf(turn.seen, turn.status.champion).Serving();
}

// The pods and then the gateway have the whole deadline each: neither pays for the other.
void NotePods(Turn& turn, bool ready) {
  RolloutStatus& rollout = Rollout(turn);
  if (ready == rollout.pods_ready) return;
  rollout.pods_ready = ready;
  rollout.step_started = api::Time{turn.now};
}

// Not the version's fault: the traffic stays where it is until people mend the route.
void AwaitRoute(Turn& turn, const std::string& why) {
  const WallTime deadline = Rollout(turn).step_started.value + Deadline(turn);
  if (turn.now < deadline) return EndsAt(turn, deadline, kStalls);
  turn.blocked = Blocked{"RouteNotAccepted", why};
}

// ---- what may end a rollout from outside ----

// True if the version itself ended the rollout.
bool VersionEnds(Turn& turn) {
  const api::ModelVersion* version = FindVersion(turn.seen, Rollout(turn).version);
  if (version == nullptr) {
    Supersede(turn, "its ModelVersion was deleted");
    return true;
  }
  switch (version->status.phase) {
    case api::VersionPhase::kRejected:
      RollBack(turn, version->status.why.empty() ? "rejected" : version->status.why);
      return true;
    case api::VersionPhase::kGatesFailed:
    case api::VersionPhase::kAwaitingApproval:
    case api::VersionPhase::kExpired:
      Supersede(turn, "it is not approved any more: " + version->status.why);
      return true;
    case api::VersionPhase::kPending:  // not judged since its status was lost: hold still
    case api::VersionPhase::kApproved:
      return false;
  }
  return false;
}

bool Interrupted(Turn& turn, const Selection& selection) {
  const RolloutStatus& rollout = Rollout(turn);
  if (rollout.phase == RolloutPhase::kRollingBack) return false;
  if (VersionEnds(turn)) return true;
  if (const auto asked = AskedOf(turn, api::kAnnotationAbort, rollout.version)) {
    Answer(turn, api::kAnnotationAbort, *asked, "rolling back");
    RollBack(turn, "aborted by the annotation " + std::string(api::kAnnotationAbort));
    return true;
  }
  if (rollout.phase == RolloutPhase::kPromoting) return false;  // decided: finish it first
  const std::string target = selection.target == nullptr ? "" : selection.target->meta.key.name;
  if (target == rollout.version) return false;
  // Not selected because its status was lost is not a decision against it.
  const api::ModelVersion* version = FindVersion(turn.seen, rollout.version);
  const bool lost = version->status.phase == api::VersionPhase::kPending;
  if (lost && (target.empty() || NewerThan(*version, *selection.target))) return false;
  Supersede(turn, target.empty() ? "it is not the version that should serve any more"
                                 : target + " should serve instead");
  if (selection.target != nullptr) Begin(turn, *selection.target);
  return true;
}

// ---- phases ----

// Without a gateway a step gives a share to all pods of the model: those that an earlier version
// still has must be gone by then.
bool OthersHavePods(const Turn& turn) {
  const auto& variants = turn.intent.variants;
  const auto left_over = [&](const auto& pods) {
    return pods->ready_replicas > 0 &&
           std::none_of(variants.begin(), variants.end(), [&](const WantedVariant& variant) {
             return ChildName(*turn.seen.deployment, variant.version) == pods->meta.key.name;
           });
  };
  const auto& all = turn.seen.deployments;
  return !Spec(turn).traffic.gateway && std::any_of(all.begin(), all.end(), left_over);
}

// Its pods are ready. No traffic moves on a route that the gateway refuses: nobody could tell what
// it does.
void TakeFirstStep(Turn& turn, const Selection& selection) {
  const auto last = static_cast<int>(StepsOf(Spec(turn).rollout).size()) - 1;
  if (turn.status.champion.empty()) return Promote(turn, "it is the first version and ready");
  if (selection.urgent) return Promote(turn, "the champion is rejected or gone");
  if (turn.effect.settled && last < 0) return Promote(turn, "ready, and no steps to take");
  const std::string start(kNoStep);
  if (!turn.effect.unsupported.empty()) {
    return Wait(turn, RolloutPhase::kStarting, start + turn.effect.unsupported);
  }
  if (!turn.effect.settled) {
    const std::string& message = turn.effect.message;
    const std::string why = message.empty() ? "the champion's traffic is about to be set" : message;
    AwaitRoute(turn, why);
    return Wait(turn, RolloutPhase::kStarting, start + why);
  }
  if (OthersHavePods(turn)) {
    return Wait(turn, RolloutPhase::kStarting, start + "the pods of an earlier version go first");
  }
  EnterStep(turn, std::clamp(Rollout(turn).step, 0, last));
}

// How many pods the version of the rollout is to have now.
int WantedPods(const Turn& turn) {
  for (const WantedVariant& variant : turn.intent.variants) {
    if (variant.version == turn.status.rollout->version) return variant.replicas;
  }
  return Replicas(*turn.seen.deployment);
}

void Start(Turn& turn, const Selection& selection) {
  RolloutStatus& rollout = Rollout(turn);
  const Running running = RunningOf(turn.seen, rollout.version);
  if (Rollout(turn).paused) {
    return Wait(turn, RolloutPhase::kStarting, "paused by annotation: " + HowToResume(rollout));
  }
  const bool ready = running.Complete(WantedPods(turn)) && running.Serving();
  NotePods(turn, ready);
  if (ready) return TakeFirstStep(turn, selection);
  const WallTime deadline = rollout.step_started.value + Deadline(turn);
  const std::string why = WhyNotReady(turn, rollout.version);
  if (running.Failed() || turn.now >= deadline) {
    const std::string late =
        "not ready within progressDeadline " + FormatDuration(Deadline(turn)) + ": " + why;
    if (!turn.status.champion.empty() && !selection.urgent) return RollBack(turn, late);
    turn.blocked = Blocked{"ProgressDeadlineExceeded", rollout.version + " is " + late};
  } else {
    const bool only_one = turn.status.champion.empty() || selection.urgent;
    EndsAt(turn, deadline, only_one ? kStalls : kRollsBack);
  }
  Wait(turn, RolloutPhase::kStarting,
       "waiting until the pods of " + rollout.version + " are ready: " + why);
}

// Whether the step's weight is what the traffic does now, and its pods answer. Where nobody's pods
// are left the route keeps its weights, and says nothing.
bool StepInEffect(const Turn& turn) {
  const RolloutStatus& rollout = *turn.status.rollout;
  const int weight = StepWeight(Spec(turn), rollout.step);
  if (!RunningOf(turn.seen, rollout.version).Serving()) return false;
  return turn.effect.settled && turn.intent.shares == turn.intent.wanted &&
         WeightOf(turn.intent.wanted, rollout.version) == weight &&
         (Spec(turn).traffic.gateway ||
          std::all_of(turn.intent.variants.begin(), turn.intent.variants.end(),
                      [&](const WantedVariant& variant) {
                        return RunningOf(turn.seen, variant.version).Complete(variant.replicas);
                      }));
}

std::string WhyNotInEffect(const Turn& turn) {
  if (!turn.effect.message.empty()) return turn.effect.message;
  return WhyNotReady(turn, turn.status.rollout->version);
}

// Whether the version has the pods that it needs now: what is missing then lies behind them.
bool HasItsPods(const Turn& turn) {
  const Running running = RunningOf(turn.seen, turn.status.rollout->version);
  return running.Serving() && running.Complete(WantedPods(turn));
}

void AwaitEffect(Turn& turn) {
  RolloutStatus& rollout = Rollout(turn);
  const bool has_pods = HasItsPods(turn);
  NotePods(turn, has_pods);
  const WallTime deadline = rollout.step_started.value + Deadline(turn);
  const std::string why = WhyNotInEffect(turn);
  // Where it answers in the champion's place, its pods are all there is, however few.
  const bool may_return = ChampionServes(turn) || !RunningOf(turn.seen, rollout.version).Serving();
  if (has_pods) {
    AwaitRoute(turn, why);
  } else if (turn.now < deadline) {
    EndsAt(turn, deadline, may_return ? kRollsBack : kStalls);
  } else if (may_return) {
    return RollBack(turn, "its pods are not ready for " + FormatDuration(Deadline(turn)) + ": " +
                              WhyNotReady(turn, rollout.version));
  } else {
    turn.blocked = Blocked{"ProgressDeadlineExceeded", WhyNotReady(turn, rollout.version)};
  }
  Wait(turn, RolloutPhase::kProgressing,
       "waiting until step " + std::to_string(rollout.step + 1) + " is in effect: " + why);
}

// The step is over and nothing stands against the next one.
void NextStep(Turn& turn) {
  const auto steps = StepsOf(Spec(turn).rollout);
  const int next = Rollout(turn).step + 1;
  if (next < static_cast<int>(steps.size())) return EnterStep(turn, next);
  const Gatekeeping gate = JudgePromotion(turn);
  switch (gate.answer) {
    case Gatekeeping::Answer::kPromote:
      return Promote(turn, gate.why);
    case Gatekeeping::Answer::kRollBack:
      return RollBack(turn, gate.why);
    case Gatekeeping::Answer::kPause:
      return Wait(turn, RolloutPhase::kPaused, gate.why);
    case Gatekeeping::Answer::kWait:
      if (gate.until) EndsAt(turn, *gate.until, gate.then);
      return Wait(turn, RolloutPhase::kProgressing, gate.why);
  }
}

// Nothing stands against the next step but a person.
void LeaveStep(Turn& turn) {
  const RolloutStatus& rollout = Rollout(turn);
  const int step = rollout.step + 1;
  if (!StepsOf(Spec(turn).rollout)[static_cast<size_t>(rollout.step)].approval) {
    return NextStep(turn);
  }
  const api::ModelVersion* version = FindVersion(turn.seen, rollout.version);
  const auto& approved = version->status.approved_steps;
  if (std::find(approved.begin(), approved.end(), step) != approved.end()) return NextStep(turn);
  Wait(turn, RolloutPhase::kPaused, HowToApproveStep(*turn.seen.deployment, *version, step));
}

void Hold(Turn& turn) {
  RolloutStatus& rollout = Rollout(turn);
  const auto steps = StepsOf(Spec(turn).rollout);
  const api::RolloutStep& step = steps[static_cast<size_t>(rollout.step)];
  const std::string name =
      "step " + std::to_string(rollout.step + 1) + " of " + std::to_string(steps.size());
  const WallTime end = rollout.step_started.value + step.hold.value;
  if (turn.now < end) {
    const bool last = rollout.step + 1 == static_cast<int>(steps.size());
    EndsAt(turn, end,
           step.pause ? "it waits until somebody resumes it"
           : last     ? "the steps are done"
                      : "step " + std::to_string(rollout.step + 2) + " begins");
    return Wait(turn, RolloutPhase::kProgressing,
                name + ": " + Percent(step.weight) + " of the traffic goes to " + rollout.version +
                    " until " + FormatTime(end));
  }
  if (step.pause) {
    return Wait(turn, RolloutPhase::kPaused, name + " is a pause: " + HowToGoOn(rollout));
  }
  LeaveStep(turn);
}

void Progress(Turn& turn, const Selection& selection) {
  RolloutStatus& rollout = Rollout(turn);
  const auto steps = StepsOf(Spec(turn).rollout);
  // Steps may have been taken out of the spec meanwhile.
  if (steps.empty()) return Promote(turn, "ready, and no steps to take");
  rollout.step = std::clamp(rollout.step, 0, static_cast<int>(steps.size()) - 1);
  if (const auto asked = AskedOf(turn, api::kAnnotationPromote, rollout.version)) {
    Answer(turn, api::kAnnotationPromote, *asked, "promoting");
    return Promote(turn, "promoted by the annotation " + std::string(api::kAnnotationPromote));
  }
  if (selection.urgent && RunningOf(turn.seen, rollout.version).Serving()) {
    return Promote(turn, "the champion is rejected or gone");
  }
  const bool in_effect = StepInEffect(turn);
  if (in_effect != rollout.in_effect) {
    rollout.in_effect = in_effect;
    rollout.pods_ready = false;
    rollout.step_started = api::Time{turn.now};
    // Measured from when the record says so: a step without hold would end before the first look.
    if (in_effect && !rollout.paused) {
      return Wait(turn, RolloutPhase::kProgressing,
                  "step " + std::to_string(rollout.step + 1) + " is in effect");
    }
  }
  const Measurement measured = TakeMeasurements(turn);
  if (measured.failed) return RollBack(turn, measured.why);
  if (measured.next_look) turn.WakeAt(*measured.next_look);
  if (rollout.paused) {
    return Wait(turn, RolloutPhase::kPaused, "paused by annotation: " + HowToResume(rollout));
  }
  if (!in_effect) return AwaitEffect(turn);
  if (rollout.released == rollout.step + 1) return LeaveStep(turn);
  if (measured.waits) {
    const WallTime end =
        rollout.step_started.value + steps[static_cast<size_t>(rollout.step)].hold.value;
    if (turn.now >= end) {
      return Wait(turn, measured.pauses ? RolloutPhase::kPaused : RolloutPhase::kProgressing,
                  measured.why);
    }
  }
  Hold(turn);
}

void FinishPromotion(Turn& turn) {
  RolloutStatus& rollout = Rollout(turn);
  const std::vector<Share> all{{rollout.version, 100}};
  const bool serving = RunningOf(turn.seen, rollout.version).Serving();
  // The champion's pods go then: not while they are the ones that are ready.
  const bool may_take_over = serving || !ChampionServes(turn);
  if (turn.effect.settled && turn.intent.shares == all && may_take_over) {
    const std::string before = turn.status.champion;
    const std::string message =
        before.empty() || before == rollout.version
            ? "first version in service"
            : "has all traffic, in place of " + before + " (" + rollout.message + ")";
    Record(turn, "Promoted", rollout.message);
    turn.status.champion = rollout.version;
    turn.status.challenger.clear();
    Enter(turn, RolloutPhase::kPromoted, message);
    rollout.in_effect = true;
    turn.Emit(Type::kNormal, "Promoted", rollout.version + " " + message);
    turn.why = rollout.version + " " + message;
    return;
  }
  // Where the traffic may move, some pod that is missing is no reason to take it back.
  const bool has_pods = turn.intent.shares == all ? serving : HasItsPods(turn);
  NotePods(turn, has_pods);
  const WallTime deadline = rollout.step_started.value + Deadline(turn);
  const std::string why = has_pods ? WhyNotInEffect(turn) : WhyNotReady(turn, rollout.version);
  const bool may_return = !has_pods && ChampionServes(turn);
  if (turn.now < deadline) {
    EndsAt(turn, deadline, may_return ? kRollsBack : kStalls);
  } else if (may_return) {
    return RollBack(turn, "not ready to take all traffic within " + FormatDuration(Deadline(turn)) +
                              ": " + why);
  } else {
    turn.blocked = Blocked{has_pods ? "RouteNotAccepted" : "ProgressDeadlineExceeded", why};
  }
  turn.why = "promoting " + rollout.version + ": all traffic is about to move; " + why;
}

void FinishRollback(Turn& turn, const Selection& selection) {
  RolloutStatus& rollout = Rollout(turn);
  const Running running = RunningOf(turn.seen, rollout.version);
  const api::ModelVersion* version = FindVersion(turn.seen, rollout.version);
  if (running.deployment != nullptr || running.service != nullptr) {
    turn.why = "rolling back " + rollout.version + " (" + rollout.message +
               "): its traffic is withdrawn, its pods follow";
    if (!turn.effect.settled && !turn.effect.message.empty()) {
      turn.why += " when the route without it is accepted: " + turn.effect.message;
      AwaitRoute(turn, turn.why);
    }
    turn.WakeAt(std::max(rollout.step_started.value + kDrain, turn.now + Seconds(1)));
    return;
  }
  if (version != nullptr && !Rejected(version)) {
    // A newer version need not wait for the record, if the record can't be written.
    if (selection.target != nullptr && NewerThan(*selection.target, *version)) {
      Record(turn, "RolledBack", rollout.message);
      return Begin(turn, *selection.target);
    }
    turn.why = "rolled back " + rollout.version + " (" + rollout.message +
               "); waiting for its rejection to be on record";
    return;
  }
  Record(turn, "RolledBack", rollout.message);
  turn.status.challenger.clear();
  const std::string reason = rollout.message;
  Enter(turn, RolloutPhase::kRolledBack, reason);
  turn.Emit(Type::kWarning, "RolledBack", rollout.version + ": " + reason);
  turn.why = rollout.version + " was rolled back: " + reason + "; " +
             (turn.status.champion.empty() ? "nothing" : turn.status.champion) + " serves";
}

// While nothing is to run nothing can be judged: deadlines begin anew afterwards.
bool Frozen(Turn& turn) {
  RolloutStatus& rollout = Rollout(turn);
  const bool moves = rollout.phase == RolloutPhase::kStarting ||
                     rollout.phase == RolloutPhase::kProgressing ||
                     rollout.phase == RolloutPhase::kPaused;
  if (!moves) return false;
  if (Replicas(*turn.seen.deployment) > 0) {
    if (rollout.scaled_to_zero) {
      auto& experiment = rollout.experiment_started;
      if (experiment) experiment->value += turn.now - rollout.step_started.value;
      rollout.step_started = api::Time{turn.now};
    }
    rollout.scaled_to_zero = false;
    return false;
  }
  if (!rollout.scaled_to_zero) rollout.step_started = api::Time{turn.now};
  rollout.experiment_ends.reset();
  rollout.phase = RolloutPhase::kStarting;
  rollout.in_effect = false;
  rollout.pods_ready = false;
  rollout.scaled_to_zero = true;
  rollout.message = kScaledToZero;
  turn.why = kScaledToZero;
  return true;
}

void Idle(Turn& turn, const Selection& selection) {
  if (selection.target != nullptr) {
    // The first version gets its Deployment and Service all the same: they can be looked at, and
    // scaling up has nothing left to make.
    const bool first = turn.status.champion.empty();
    if (first || Replicas(*turn.seen.deployment) > 0) return Begin(turn, *selection.target);
    turn.why = kScaledToZero;
    return;
  }
  if (selection.urgent) turn.blocked = Blocked{"NoApprovedVersion", selection.why};
  if (!selection.why.empty()) {
    turn.why = selection.why;
  } else if (turn.status.rollout && turn.status.rollout->phase == RolloutPhase::kRolledBack) {
    turn.why = turn.status.champion + " serves; " + turn.status.rollout->version +
               " was rolled back: " + turn.status.rollout->message;
  } else {
    turn.why = turn.status.champion + " serves";
  }
}

}  // namespace

void AdvanceRollout(Turn& turn) {
  if (turn.status.champion.empty() && ActiveRollout(turn.status) == nullptr) {
    turn.status.champion = RebuildChampion(turn.seen);
    turn.decided = !turn.status.champion.empty();
  }
  if (turn.status.rollout) ForgetEnd(Rollout(turn));
  HeedRestorations(turn);
  const Selection selection = Select(turn.seen, turn.status.champion);
  if (ActiveRollout(turn.status) == nullptr) return Idle(turn, selection);
  if (Interrupted(turn, selection) || Frozen(turn) || HeedPauses(turn)) return;
  switch (Rollout(turn).phase) {
    case RolloutPhase::kStarting:
      return Start(turn, selection);
    case RolloutPhase::kProgressing:
    case RolloutPhase::kPaused:
      return Progress(turn, selection);
    case RolloutPhase::kPromoting:
      return FinishPromotion(turn);
    case RolloutPhase::kRollingBack:
      return FinishRollback(turn, selection);
    case RolloutPhase::kPromoted:
    case RolloutPhase::kRolledBack:
      return;
  }
}

}  // namespace perennial::deployment
