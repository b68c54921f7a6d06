#pragma once

#include <string>
#include <vector>

#include "api/retrain_policy.h"
#include "base/clock.h"

namespace perennial::retrain {

// A name for the trigger that changes with the times at which it fires.
std::string ScheduleName(const api::ScheduleTrigger& trigger);

// From when on each of the policy's schedules starts runs. One of a new policy, since the policy
// was made; one that is added or edited later, since `now`: it makes up for no time before it was
// there. Where status was lost a policy is like a new one, and a time that had its run is known by
// what that run made. Pure.
std::vector<api::ScheduleStatus> FollowSchedules(const api::RetrainPolicy& policy, WallTime now);

}  // namespace perennial::retrain
