#pragma once

#include <optional>
#include <string>
#include <vector>

#include "deployment/decide.h"
#include "deployment/effect.h"
#include "deployment/selection.h"

namespace perennial::deployment {

// What stands in the way and won't go away by waiting: a condition for people.
struct Blocked {
  std::string reason;  // CamelCase, see docs/concepts/model-deployment.md
  std::string message;
};

// One look at what serves: what was seen, and what is to be recorded about it.
struct Turn {
  const Observed& seen;
  const Intent& intent;  // of the recorded status
  const Effect& effect;
  WallTime now;

  api::ModelDeploymentStatus status;
  std::vector<kube::EmitEvent> events;
  std::vector<kube::CreateObject> records;  // that what is decided here rests on: made before it
  std::optional<WallTime> wake_at;
  std::string why;
  std::optional<Blocked> blocked;
  // Something was decided: its effects wait until it is on record.
  bool decided = false;

  void WakeAt(WallTime at);
  void Emit(kube::EmitEvent::Type type, const char* reason, const std::string& note);
};

// The state machine of a rollout:
//
//   Starting -> Progressing <-> Paused -> Promoting -> Promoted
//   any of these but the last          -> RollingBack -> RolledBack
//
// Moves at most one step a look. Traffic of a step counts from when it is in effect. Champion and
// challenger change roles when all weight has moved, not before.
void AdvanceRollout(Turn& turn);

// After a change of weights pods are kept this long: proxies learn of it a moment after the route
// is accepted.
inline constexpr Millis kDrain{5'000};

}  // namespace perennial::deployment
