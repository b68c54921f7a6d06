#pragma once

#include <optional>
#include <string>

#include "api/retrain_policy.h"
#include "retrain/decide.h"

namespace perennial::retrain {

// One step of one run: `run` as it should be recorded now, and what to do in the cluster.
struct RunStep {
  api::Run run;
  std::vector<kube::Action> actions;
  std::optional<WallTime> wake_at;
  bool hindered = false;  // something keeps the Job from being made or its pod from starting
};

// Advances an unfinished run: makes its Job, follows it, retries it, reads its result, makes the
// ModelVersion. Pure.
RunStep AdvanceRun(const Observed& seen, const api::Run& run, WallTime now);

// The end of a run that was begun for another model, or whose Job was made of another kind, than
// the spec has by now; nullopt: the spec still is the run's. Pure.
std::optional<RunStep> EndIfEdited(const Observed& seen, const api::Run& run, WallTime now);

// The kind of what trains by the spec, on record before it is made.
void RecordKind(const api::RetrainPolicySpec& spec, api::Run& run);
bool IsOfOtherKind(const api::RetrainPolicySpec& spec, const api::Run& run);

// Name of the Job of an attempt (0 is the first): the run's own name, then "-1", "-2".
std::string JobName(const api::Run& run);

// How long a finished Job's pod may take to show its termination message.
inline constexpr Millis kResultGrace{60'000};
// How long a Job that was there may be out of sight before it counts as deleted.
inline constexpr Millis kMissingGrace{30'000};
// How long a Job that was made may take to be seen before it is made again. From the run's start,
// so that nothing more has to be remembered.
inline constexpr Millis kShowGrace{10'000};
// How often it is looked whether a workload's kind can be watched by now, and whether its first
// list is over.
inline constexpr Millis kLookAgain{10'000};
inline constexpr Millis kLookSoon{500};
// How long a Job may have no pod, or a pod no running container, before that is worth telling.
inline constexpr Millis kStartGrace{120'000};

}  // namespace perennial::retrain
