#pragma once

#include <optional>
#include <string>

#include "deployment/rollout.h"

namespace perennial::deployment {

// What analysis and experiment say about going on with a rollout.
struct Measurement {
  bool failed = false;  // roll back
  bool waits = false;   // not good enough for the next step
  bool pauses = false;  // there is nothing to judge by: a person may have to look
  std::string why;
  std::optional<WallTime> next_look;
};

// Takes one look at all checks and the experiment, and records it. A failing look counts once an
// interval, so that a reconcile for another reason is no second failure.
Measurement TakeMeasurements(Turn& turn);

struct Gatekeeping {
  enum class Answer { kPromote, kRollBack, kPause, kWait };
  Answer answer = Answer::kWait;
  std::string why;
  std::optional<WallTime> until{};  // kWait: the latest
  std::string then{};               // and what is to come then
};

// Whether a challenger that has taken all steps may be promoted: without an experiment, yes.
Gatekeeping JudgePromotion(const Turn& turn);

// How often a rollout is looked at while it is being measured, and its pods are scraped.
Millis LookInterval(const api::Rollout& rollout);
// Whether anything is measured now: about the rollout in its current phase, or between the variants
// of a fixed split.
bool BeingMeasured(const api::ModelDeployment& deployment);
// Whether a check or probe of these rules is looked at now. One of a step only while that step's
// weight is in effect: what was before is not of its traffic.
bool IsLookedAt(const api::LookRules& rules, const api::RolloutStatus& rollout);
// Whether what the pods count is of traffic that both get, as an experiment needs it: not in steps
// without weight before the first with one. Once so, it stays so.
bool BothHaveTraffic(const api::ModelDeployment& deployment);

}  // namespace perennial::deployment
