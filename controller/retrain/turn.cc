#include "retrain/turn.h"

#include <algorithm>

#include "base/text.h"
#include "retrain/group.h"
#include "retrain/hold.h"

namespace perennial::retrain {
namespace {

using api::RunPhase;

constexpr const char* kFollows = "recorded; the Job follows";
constexpr const char* kSuspended = "waits until spec.suspend is false";

bool HasJob(const Observed& seen, const api::Run& run) {
  return std::any_of(seen.jobs.begin(), seen.jobs.end(),
                     [&](const auto& job) { return job->meta.key.name == JobName(run); });
}

void Tell(const RunQueue::View& queue, std::size_t position, api::Run& run) {
  run.position = static_cast<int>(position);
  const int active = queue.namespace_is_full ? queue.active_in_namespace : queue.active;
  run.message = "waits for its turn at position " + std::to_string(position) +
                " in the namespace: " + std::to_string(active) + " runs are under way in the " +
                (queue.namespace_is_full ? "namespace" : "cluster") + ", which is the most allowed";
}

// Out of the queue and its group, with the place in time kept.
RunStep StandBack(RunStep step, std::optional<WallTime> until, std::string why) {
  step.run.position = 0;
  step.run.held_until.reset();
  step.run.gather_until.reset();
  step.run.follows.clear();
  if (until) step.run.held_until = api::Time{*until};
  step.run.message = std::move(why);
  // One that has begun keeps its deadline.
  if (until) step.wake_at = std::min(step.wake_at.value_or(*until), *until);
  return step;
}

// That the run has its place is in status before the Job is made, so that a restart counts it.
RunStep TakePlace(const Observed& seen, RunStep step, WallTime now) {
  step.run.phase = RunPhase::kPending;
  RecordKind(seen.policy->spec, step.run);
  step.run.position = 0;
  step.run.message = kFollows;
  // The deadline bounds all attempts together.
  if (step.run.attempt > 0) return step;
  step.run.started = api::Time{now};
  step.actions.emplace_back(StartedEvent(step.run));
  return step;
}

// A Job of another policy trains for the run: from now on it goes by that one.
RunStep Join(const Observed& seen, RunStep step, const api::JobView& job, WallTime now) {
  api::Run& run = step.run;
  run.phase = RunPhase::kRunning;
  run.follows = job.meta.key.name;
  RecordKind(seen.policy->spec, run);
  run.gather_until.reset();
  run.held_until.reset();
  run.position = 0;
  const bool begins = run.attempt == 0;
  if (begins) run.started = api::Time{now};
  step = AdvanceRun(seen, run, now);
  if (begins) step.actions.insert(step.actions.begin(), StartedEvent(step.run));
  return step;
}

// The run's stand in its group, as it is now. True: it goes on by itself, and did so before.
bool StandsAlone(const Observed& seen, RunStep& step, WallTime now) {
  api::Run& run = step.run;
  const bool alone = run.follows.empty() && !run.gather_until;
  const Place place = PlaceOf(seen, run, now);
  if (place.leads()) {
    if (alone) return true;
    run.message = "waits for its turn";
  } else {
    run.position = 0;
    run.message = place.message;
    if (place.look_again) {
      step.wake_at = std::min(step.wake_at.value_or(*place.look_again), *place.look_again);
    }
  }
  run.follows = place.follows;
  run.gather_until.reset();
  if (place.gather_until) run.gather_until = api::Time{*place.gather_until};
  return false;
}

// A run that tries again within its group is still bounded.
bool IsTooLate(const Observed& seen, const api::Run& run, WallTime now) {
  return run.attempt > 0 && now >= run.started.value + seen.policy->spec.deadline.value;
}

}  // namespace

kube::EmitEvent StartedEvent(const api::Run& run) {
  return {kube::EmitEvent::Type::kNormal, "RunStarted", "Retrain",
          CutText("run " + run.name + " by " + run.trigger_type + " " + run.evidence, 1000)};
}

void Enqueue(const Observed& seen, WallTime now, api::Run& run) {
  run.enqueued = api::Time{now};
  if (seen.policy->spec.group) {
    run.phase = RunPhase::kWaiting;
    Regroup(seen, run, now);
    return;
  }
  run.phase = seen.queue.granted ? RunPhase::kPending : RunPhase::kWaiting;
  if (seen.queue.granted) RecordKind(seen.policy->spec, run);
  if (seen.queue.room && seen.queue.waiting_in_namespace == 0) {
    run.message = kFollows;
  } else {
    // By order of arrival; where priority puts it elsewhere, the next look says so.
    Tell(seen.queue, seen.queue.waiting_in_namespace + 1, run);
  }
}

void Regroup(const Observed& seen, api::Run& run, WallTime now) {
  if (!seen.policy->spec.group) return;
  run.follows.clear();
  run.gather_until = api::Time{now + seen.policy->spec.group->window.value};
  RunStep step;
  step.run = run;
  StandsAlone(seen, step, now);
  run = std::move(step.run);
}

bool IsStillToBegin(const Observed& seen, const api::Run& run) {
  return run.phase == RunPhase::kWaiting && run.attempt == 0 && !HasJob(seen, run) &&
         SharedJob(seen, run) == nullptr;
}

RunStep AwaitTurn(const Observed& seen, const api::Run& run, WallTime now) {
  if (auto ended = EndIfEdited(seen, run, now)) return *std::move(ended);
  RunStep step;
  step.run = run;
  if (HasJob(seen, run) || IsTooLate(seen, run, now)) {
    // The run's own, from before its status was lost.
    step.run.phase = RunPhase::kPending;
    step.run.position = 0;
    step.run.follows.clear();
    step.run.gather_until.reset();
    RecordKind(seen.policy->spec, step.run);
    return AdvanceRun(seen, step.run, now);
  }
  if (const api::JobView* job = SharedJob(seen, run)) return Join(seen, step, *job, now);
  if (run.attempt > 0) step.wake_at = run.started.value + seen.policy->spec.deadline.value;
  if (seen.policy->spec.suspend) return StandBack(std::move(step), std::nullopt, kSuspended);
  // A window is for beginning: one that tries again has begun.
  const bool heeds_windows = run.attempt == 0 && !ByHand(run);
  const auto hold = heeds_windows ? OutsideWindows(*seen.policy, now) : std::nullopt;
  const bool grouped = !run.follows.empty() || run.gather_until;
  if (hold && (seen.queue.granted || run.held_until || grouped)) {
    return StandBack(std::move(step), hold->until, "waits for " + hold->why);
  }
  if (run.held_until) {
    // Back into the queue first; the next look finds the turn.
    step.run.held_until.reset();
    step.run.message = heeds_windows ? "the maintenance window has opened; waits for its turn"
                                     : "needs no maintenance window; waits for its turn";
    Regroup(seen, step.run, now);
    return step;
  }
  if (!StandsAlone(seen, step, now)) return step;
  if (seen.queue.granted) return TakePlace(seen, std::move(step), now);
  const std::size_t position = seen.queue.position;
  const bool moved =
      run.position == 0 || StageOf(position) < StageOf(static_cast<std::size_t>(run.position));
  if (position > 0 && moved) Tell(seen.queue, position, step.run);
  return step;
}

}  // namespace perennial::retrain
