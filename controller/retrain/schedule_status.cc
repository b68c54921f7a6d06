#include "retrain/schedule_status.h"

#include <algorithm>

#include "base/hash.h"

namespace perennial::retrain {
namespace {

WallTime FirstSince(const api::RetrainPolicy& policy, WallTime now) {
  const api::RetrainPolicyStatus& status = policy.status;
  if (status.observed_generation < 0) return policy.meta.created;
  if (status.observed_generation != policy.meta.generation) return now;
  // Not new, but of a status that knew one time for all schedules.
  return status.last_schedule ? status.last_schedule->value : policy.meta.created;
}

}  // namespace

std::string ScheduleName(const api::ScheduleTrigger& trigger) {
  return ShortHash(trigger.cron + "\n" + trigger.time_zone);
}

std::vector<api::ScheduleStatus> FollowSchedules(const api::RetrainPolicy& policy, WallTime now) {
  std::vector<api::ScheduleStatus> out;
  for (const api::Trigger& trigger : policy.spec.triggers) {
    if (!trigger.schedule) continue;
    const std::string name = ScheduleName(*trigger.schedule);
    const auto same = [&](const auto& other) { return other.trigger == name; };
    if (std::any_of(out.begin(), out.end(), same)) continue;
    const auto& known = policy.status.schedules;
    const auto before = std::find_if(known.begin(), known.end(), same);
    out.push_back(before != known.end()
                      ? *before
                      : api::ScheduleStatus{name, api::Time{FirstSince(policy, now)}});
  }
  return out;
}

}  // namespace perennial::retrain
