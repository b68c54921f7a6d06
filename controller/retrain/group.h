#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "api/retrain_policy.h"
#include "retrain/decide.h"

namespace perennial::retrain {

// Runs of policies of one group train together: one of them leads and makes the Job, whose
// annotation (api::kAnnotationMembers) says for which others it trains; these follow it. That a run
// follows is in its status before the Job is made, and the Job lists only runs whose status says
// so: a run is trained by one Job, whatever crashes. A run that was not listed is on its own again.

// Runs that one Job trains for, the leading one included.
inline constexpr std::size_t kMostMembers = 100;
// How long a run stays with one that has its turn and can't make the Job.
inline constexpr Millis kLongestJoin{600'000};

// The policy's run that isn't over; nullptr if there is none.
const api::Run* UnfinishedRun(const api::RetrainPolicy& policy);

// One Job can train for both.
bool SameTraining(const api::RetrainPolicySpec& a, const api::RetrainPolicySpec& b);

// Where a run that waits stands in its group.
struct Place {
  std::string follows;  // the Job of the run that leads
  std::optional<WallTime> gather_until;
  std::optional<WallTime> look_again;
  std::string message;
  bool leads() const { return follows.empty() && !gather_until; }
};

// The run that was recorded first leads: it gathers others for the group's window, and then goes on
// by itself, with a Job for all that follow it by then. Pure.
Place PlaceOf(const Observed& seen, const api::Run& run, WallTime now);

// Whom the Job of a run that leads trains for, too.
std::vector<const Peer*> MembersOf(const Observed& seen, const api::Run& run);

// The names in an annotation with members.
std::vector<std::string> ParseMembers(const std::string& text);

// The Job of another policy that trains for this run: the one that it follows, or, where it follows
// none, one that lists it. nullptr: none that can be seen.
const api::JobView* SharedJob(const Observed& seen, const api::Run& run);

}  // namespace perennial::retrain
