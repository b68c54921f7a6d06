#pragma once

#include <string>
#include <vector>

#include "deployment/decide.h"
#include "deployment/rollout.h"
#include "deployment/weights.h"

namespace perennial::deployment {

// spec.variants: each serves the newest approved version of its own artifact with the weight that
// the spec says, without a rollout. A new artifact takes over when its pods are ready
// and the gateway has found them. Until then the champion from before there were variants, or from
// before they had other names, goes on with their share.

// Pods and weights of the recorded variants; `shares` is left to the caller.
Intent FixedIntent(const Observed& seen);

// Versions that are to take over from what their variants serve now, or from the champion from
// before there were variants, and have pods for that.
std::vector<std::string> NextOfVariants(const Observed& seen);

// Which version each variant serves next.
void AdvanceFixed(Turn& turn);

}  // namespace perennial::deployment
