#include "retrain/decide.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/names.h"
#include "base/text.h"
#include "retrain/run.h"
#include "retrain/trigger.h"

namespace perennial::retrain {
namespace {

using api::RunPhase;

constexpr size_t kMaxHandled = 50;

// Jobs and ModelVersions carry the policy's name as a label.
bool Nameable(const api::RetrainPolicy& policy) {
  return IsDnsLabel(policy.meta.key.name);
}
constexpr const char* kNameProblem =
    "the RetrainPolicy's name is a label's value too: make one with a name of at most 63 "
    "lower-case "
    "letters, digits and '-' that begins with a letter";

bool Finished(const api::Run& run) {
  return run.phase == RunPhase::kSucceeded || run.phase == RunPhase::kFailed;
}

// A trigger that already had its run: by status, or, after status was lost, by the version that it
// made. (A Job that it made is found again by its name.)
bool Handled(const Observed& seen, const FiredTrigger& trigger) {
  const api::RetrainPolicyStatus& status = seen.policy->status;
  const auto same = [&](const api::Run& run) { return run.trigger == trigger.identity; };
  if (std::any_of(status.runs.begin(), status.runs.end(), same)) return true;
  if (std::find(status.handled_triggers.begin(), status.handled_triggers.end(), trigger.identity) !=
      status.handled_triggers.end()) {
    return true;
  }
  const std::string run = RunName(*seen.policy, trigger.identity);
  return std::any_of(seen.versions.begin(), seen.versions.end(),
                     [&](const auto& version) { return version->spec.origin.run == run; });
}

// Automatic triggers wait until `cooldown` after the last run's end; by hand goes at once.
std::optional<WallTime> CooldownEnd(const api::RetrainPolicy& policy) {
  std::optional<WallTime> end;
  for (const api::Run& run : policy.status.runs) {
    const WallTime at =
        (run.finished ? run.finished->value : run.started.value) + policy.spec.cooldown.value;
    if (!end || at > *end) end = at;
  }
  return end;
}

api::Run NewRun(const Observed& seen, const FiredTrigger& trigger, WallTime now) {
  api::Run run;
  run.name = RunName(*seen.policy, trigger.identity);
  run.trigger_type = trigger.type;
  run.trigger = trigger.identity;
  run.evidence = trigger.evidence;
  run.parent = seen.deployment ? seen.deployment->status.champion : "";
  run.started = api::Time{now};
  run.message = "recorded; the Job follows";
  return run;
}

void RememberSchedule(const FiredTrigger& trigger, api::RetrainPolicyStatus& status) {
  constexpr std::string_view kPrefix = "schedule/";
  if (trigger.identity.rfind(kPrefix, 0) != 0) return;
  if (const auto at = ParseTime(std::string_view(trigger.identity).substr(kPrefix.size()))) {
    status.last_schedule = api::Time{*at};
  }
}

// The oldest identities are forgotten, but never one that still holds: the annotation of a run by
// hand stays on the object, and a drift can outlast fifty scheduled runs.
void Remember(const FiredTrigger& trigger, const std::vector<FiredTrigger>& fired,
              api::RetrainPolicyStatus& status) {
  std::vector<std::string>& handled = status.handled_triggers;
  handled.insert(handled.begin(), trigger.identity);
  for (size_t i = handled.size(); i-- > 0 && handled.size() > kMaxHandled;) {
    const bool holds = std::any_of(fired.begin(), fired.end(), [&](const FiredTrigger& other) {
      return other.identity == handled[i];
    });
    if (!holds) handled.erase(handled.begin() + static_cast<std::ptrdiff_t>(i));
  }
  RememberSchedule(trigger, status);
}

kube::EmitEvent StartedEvent(const api::Run& run) {
  return {kube::EmitEvent::Type::kNormal, "RunStarted", "Retrain",
          CutText("run " + run.name + " by " + run.trigger_type + " " + run.evidence, 1000)};
}

// Starts at most one run; the first trigger in order of urgency wins and the others stay due.
void StartRun(const Observed& seen, const TriggerOutcome& triggers, WallTime now,
              api::RetrainPolicyStatus& status, kube::Plan& plan) {
  const auto cooldown = CooldownEnd(*seen.policy);
  for (const FiredTrigger& trigger : triggers.fired) {
    if (Handled(seen, trigger)) continue;
    if (trigger.type != "Manual" && cooldown && now < *cooldown) {
      plan.wake_at = plan.wake_at ? std::min(*plan.wake_at, *cooldown) : *cooldown;
      plan.why = trigger.type + " trigger waits for the cooldown until " + FormatTime(*cooldown);
      continue;
    }
    status.runs.insert(status.runs.begin(), NewRun(seen, trigger, now));
    Remember(trigger, triggers.fired, status);
    plan.actions.emplace_back(StartedEvent(status.runs.front()));
    plan.why = trigger.type + " trigger started run " + status.runs.front().name;
    return;
  }
}

void Prune(const api::RetrainPolicy& policy, api::RetrainPolicyStatus& status) {
  const size_t limit = static_cast<size_t>(std::max(policy.spec.history_limit, 1));
  while (status.runs.size() > limit && Finished(status.runs.back())) status.runs.pop_back();
}

// Is a run under way, does it get on, and how did the last one end?
void SetRetraining(bool hindered, std::int64_t generation, WallTime now,
                   api::RetrainPolicyStatus& status) {
  kube::Condition condition{"Retraining", "False", "Idle", "", generation, ""};
  if (!status.runs.empty()) {
    const api::Run& last = status.runs.front();
    condition.message = last.message;
    if (!Finished(last)) {
      condition.status = "True";
      condition.reason = hindered ? "RunHindered" : "RunActive";
    } else {
      condition.reason = last.phase == RunPhase::kFailed ? "RunFailed" : "RunSucceeded";
    }
  }
  kube::SetCondition(status.conditions, std::move(condition), now);
}

void SetConditions(const Observed& seen, const std::vector<std::string>& problems, WallTime now,
                   api::RetrainPolicyStatus& status) {
  const std::int64_t generation = seen.policy->meta.generation;
  std::string reason = "Watching";
  std::string message = status.why;
  if (!Nameable(*seen.policy)) {
    reason = "InvalidName";
    message = kNameProblem;
  } else if (!problems.empty()) {
    reason = "InvalidTrigger";
    message = problems.front();
  } else if (seen.deployment == nullptr) {
    reason = "ModelDeploymentNotFound";
    message = "ModelDeployment " + seen.policy->spec.model_deployment + " does not exist";
  } else if (!seen.last_error.empty()) {
    reason = "WriteRefused";
    message = seen.last_error;
  } else if (seen.policy->spec.suspend) {
    reason = "Suspended";
  }
  const bool ready = reason == "Watching" || reason == "Suspended";
  kube::SetCondition(status.conditions,
                     {"Ready", ready ? "True" : "False", reason, message, generation, ""}, now);
  if (ready) {
    kube::RemoveCondition(status.conditions, "Stalled");
  } else {
    kube::SetCondition(status.conditions, {"Stalled", "True", reason, message, generation, ""},
                       now);
  }
}

void Earlier(std::optional<WallTime> candidate, std::optional<WallTime>& at) {
  if (candidate && (!at || *candidate < *at)) at = candidate;
}

std::string IdleReason(const api::RetrainPolicyStatus& status) {
  if (status.runs.empty()) return "no trigger has fired yet";
  const api::Run& last = status.runs.front();
  return "last run " + last.name + ": " + last.message;
}

}  // namespace

kube::Plan Decide(const Observed& seen, WallTime now) {
  kube::Plan plan;
  const api::RetrainPolicy& policy = *seen.policy;
  api::RetrainPolicyStatus status = policy.status;
  status.observed_generation = policy.meta.generation;
  const TriggerOutcome triggers = EvaluateTriggers({&policy, seen.monitors}, now);
  status.next_schedule.reset();
  if (triggers.next_schedule) status.next_schedule = api::Time{*triggers.next_schedule};

  const auto active = std::find_if(status.runs.begin(), status.runs.end(),
                                   [](const api::Run& run) { return !Finished(run); });
  bool hindered = false;
  if (active != status.runs.end()) {
    RunStep step = AdvanceRun(seen, *active, now);
    *active = step.run;
    hindered = step.hindered;
    plan.actions = std::move(step.actions);
    Earlier(step.wake_at, plan.wake_at);
    plan.why = "run " + active->name + ": " + active->message;
  } else if (policy.spec.suspend) {
    plan.why = "suspended: no run starts until spec.suspend is false";
  } else if (seen.deployment != nullptr && Nameable(policy)) {
    StartRun(seen, triggers, now, status, plan);
    if (!policy.spec.suspend) Earlier(triggers.next_schedule, plan.wake_at);
  }
  if (plan.why.empty()) plan.why = IdleReason(status);
  status.why = CutText(plan.why, 1024);
  Prune(policy, status);
  SetConditions(seen, triggers.problems, now, status);
  SetRetraining(hindered, policy.meta.generation, now, status);
  if (status != policy.status) plan.status = api::EncodeStatus(status);
  if (plan.wake_at && *plan.wake_at <= now) plan.wake_at = now + Millis(1000);
  return plan;
}

}  // namespace perennial::retrain
