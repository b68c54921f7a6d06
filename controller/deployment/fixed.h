#pragma once

#include "deployment/decide.h"
#include "deployment/rollout.h"
#include "deployment/weights.h"

namespace perennial::deployment {

// spec.variants: each serves the newest approved version of its own artifact with the weight that
// the spec says, without a rollout. A new artifact takes over when its pods are ready.

// Pods and weights of the recorded variants; `shares` is left to the caller.
Intent FixedIntent(const Observed& seen);

// Which version each variant serves next.
void AdvanceFixed(Turn& turn);

}  // namespace perennial::deployment
