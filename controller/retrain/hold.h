#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/retrain_policy.h"
#include "retrain/trigger.h"

namespace perennial::retrain {

// Why a trigger that has fired starts no run yet, and when to look again.
struct Hold {
  std::string why;
  WallTime until;
};

// What the policy itself holds a run back by: cooldown, maintenance windows, maxPerDay. What is
// asked for by hand waits for none of them. Pure.
std::optional<Hold> HeldBack(const api::RetrainPolicy& policy, const FiredTrigger& trigger,
                             WallTime now);

// The windows alone: what a run that waited for its turn still has to heed when it comes.
std::optional<Hold> OutsideWindows(const api::RetrainPolicy& policy, WallTime now);

// Windows that can't be read.
std::vector<std::string> WindowProblems(const api::RetrainPolicy& policy);

// maxPerDay counts the runs that began within this time.
inline constexpr Millis kDay{24 * 3'600'000};

}  // namespace perennial::retrain
