#pragma once

#include <vector>

#include "deployment/rollout.h"

namespace perennial::deployment {

// What brings pods and traffic to the recorded status: children that differ from what is rendered
// are applied, in the order in which they depend on each other; then what the record asks of
// ModelVersions; then pods that nobody needs and that get no traffic any more are deleted. Empty
// when all is as it should be. Sets turn.wake_at where something has to wait.
std::vector<kube::Action> Converge(Turn& turn);

}  // namespace perennial::deployment
