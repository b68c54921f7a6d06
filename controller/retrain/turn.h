#pragma once

#include "retrain/run.h"

namespace perennial::retrain {

// A new run as storm control lets it in: Waiting, unless it has a place at once.
void Enqueue(const Observed& seen, WallTime now, api::Run& run);

// One look at a run that is Waiting: it takes the place that it was given, stands back for a
// maintenance window or a suspension, or tells how far it has come (queue.h, kToldPositions). Pure.
RunStep AwaitTurn(const Observed& seen, const api::Run& run, WallTime now);

kube::EmitEvent StartedEvent(const api::Run& run);

}  // namespace perennial::retrain
