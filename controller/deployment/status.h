#pragma once

#include <string>
#include <vector>

#include "deployment/rollout.h"

namespace perennial::deployment {

// The part of status that tells what was observed: variants with weights wanted and in effect,
// replicas, conditions. `problems` are what is wrong with the spec.
void TellStatus(Turn& turn, const std::vector<std::string>& problems);

}  // namespace perennial::deployment
