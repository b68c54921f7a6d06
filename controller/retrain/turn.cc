#include "retrain/turn.h"

#include <algorithm>

#include "base/text.h"
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

// Out of the queue, with the place in time kept.
RunStep StandBack(RunStep step, std::optional<WallTime> until, std::string why) {
  step.run.position = 0;
  step.run.held_until.reset();
  if (until) step.run.held_until = api::Time{*until};
  step.run.message = std::move(why);
  step.wake_at = until;
  return step;
}

// That the run has its place is in status before the Job is made, so that a restart counts it.
RunStep TakePlace(RunStep step, WallTime now) {
  step.run.phase = RunPhase::kPending;
  step.run.started = api::Time{now};
  step.run.position = 0;
  step.run.message = kFollows;
  step.actions.emplace_back(StartedEvent(step.run));
  return step;
}

}  // namespace

kube::EmitEvent StartedEvent(const api::Run& run) {
  return {kube::EmitEvent::Type::kNormal, "RunStarted", "Retrain",
          CutText("run " + run.name + " by " + run.trigger_type + " " + run.evidence, 1000)};
}

void Enqueue(const Observed& seen, WallTime now, api::Run& run) {
  run.enqueued = api::Time{now};
  run.phase = seen.queue.granted ? RunPhase::kPending : RunPhase::kWaiting;
  if (seen.queue.room && seen.queue.waiting_in_namespace == 0) {
    run.message = kFollows;
  } else {
    // By order of arrival; where priority puts it elsewhere, the next look says so.
    Tell(seen.queue, seen.queue.waiting_in_namespace + 1, run);
  }
}

RunStep AwaitTurn(const Observed& seen, const api::Run& run, WallTime now) {
  RunStep step;
  step.run = run;
  if (HasJob(seen, run)) {
    // The run's own, from before its status was lost.
    step.run.phase = RunPhase::kPending;
    step.run.position = 0;
    return AdvanceRun(seen, step.run, now);
  }
  if (seen.policy->spec.suspend) return StandBack(std::move(step), std::nullopt, kSuspended);
  const bool by_hand = run.trigger_type == "Manual";
  const auto hold = by_hand ? std::nullopt : OutsideWindows(*seen.policy, now);
  if (hold && (seen.queue.granted || run.held_until)) {
    return StandBack(std::move(step), hold->until, "waits for " + hold->why);
  }
  if (run.held_until) {
    // Back into the queue first; the next look finds the turn.
    step.run.held_until.reset();
    step.run.message = "the maintenance window has opened; waits for its turn";
    return step;
  }
  if (seen.queue.granted) return TakePlace(std::move(step), now);
  const std::size_t position = seen.queue.position;
  const bool moved =
      run.position == 0 || StageOf(position) < StageOf(static_cast<std::size_t>(run.position));
  if (position > 0 && moved) Tell(seen.queue, position, step.run);
  return step;
}

}  // namespace perennial::retrain
