#pragma once

#include "retrain/run.h"

namespace perennial::retrain {

// A new run as storm control lets it in: Waiting, unless it has a place at once.
void Enqueue(const Observed& seen, WallTime now, api::Run& run);

// The run, which waits, is in its group anew, where its policy has one.
void Regroup(const Observed& seen, api::Run& run, WallTime now);

// It has not begun: it is Waiting, and no Job was ever made that trains for it.
bool IsStillToBegin(const Observed& seen, const api::Run& run);

// One look at a run that is Waiting: it joins a Job that trains for it, waits in its group, takes
// the place that it was given, stands back for a maintenance window or a suspension, or tells how
// far it has come (queue.h, kToldPositions). Pure.
RunStep AwaitTurn(const Observed& seen, const api::Run& run, WallTime now);

kube::EmitEvent StartedEvent(const api::Run& run);

}  // namespace perennial::retrain
