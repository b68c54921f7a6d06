#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/drift_monitor.h"
#include "api/retrain_policy.h"

namespace perennial::retrain {

// A reason to retrain, with an identity that is the same however often it is looked at.
struct FiredTrigger {
  std::string type;        // Drift, Schedule, NewData, Event, Manual
  std::string identity;    // one identity, at most one run
  std::string evidence;    // JSON object for the training container and the ModelVersion
  std::string schedule{};  // ScheduleName(), where it is one
  bool operator==(const FiredTrigger&) const = default;
};

struct TriggerInput {
  const api::RetrainPolicy* policy = nullptr;
  std::vector<std::shared_ptr<const api::DriftMonitor>> monitors;  // that the policy names
  std::vector<api::NewDataStatus> new_data{};                      // as it stands at this look
  std::vector<api::ScheduleStatus> schedules{};                    // the same
};

struct TriggerOutcome {
  std::vector<FiredTrigger> fired;  // by hand first, then drift, data, events, schedule
  std::optional<WallTime> next_schedule;
  std::vector<std::string> problems;  // bad cron, unknown zone, monitor or signal
};

// Which triggers hold at `now`. Pure. A schedule fires for its newest time since it was first seen
// or the last one that was handled: missed times while the controller was away make one run, not
// many.
TriggerOutcome EvaluateTriggers(const TriggerInput& input, WallTime now);

// The name of the run that `identity` starts for this policy: the same after any crash.
std::string RunName(const api::RetrainPolicy& policy, const std::string& identity);

}  // namespace perennial::retrain
