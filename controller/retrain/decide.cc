#include "retrain/decide.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "api/codec.h"
#include "api/names.h"
#include "base/text.h"
#include "retrain/event.h"
#include "retrain/hold.h"
#include "retrain/render.h"
#include "retrain/run.h"
#include "retrain/schedule_status.h"
#include "retrain/trigger.h"
#include "retrain/turn.h"

namespace perennial::retrain {
namespace {

using api::RunPhase;

constexpr size_t kMaxHandled = 50;
constexpr size_t kMostRuns = 64;

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

void Earlier(std::optional<WallTime> candidate, std::optional<WallTime>& at) {
  if (candidate && (!at || *candidate < *at)) at = candidate;
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

// Where the data of the last run for this model that succeeded end: what is newer, training has not
// seen yet.
std::optional<api::Time> LastSuccess(const api::RetrainPolicy& policy) {
  const std::string& model = policy.spec.model_deployment;
  // Failed runs may have pushed it out; they were told of it, and still know.
  std::optional<api::Time> told;
  for (const api::Run& run : policy.status.runs) {
    if (!run.model_deployment.empty() && run.model_deployment != model) continue;
    if (run.phase == RunPhase::kSucceeded) return run.data_until ? run.data_until : run.started;
    if (!told) told = run.data_since;
  }
  return told;
}

// Whom the run trains for. Where status was lost, its Job is there already, and says so.
std::string ModelOf(const Observed& seen, const std::string& run) {
  for (const auto& job : seen.jobs) {
    if (job->meta.key.name != run) continue;
    if (const auto* model = kube::Find(job->meta.labels, api::kLabelDeployment)) return *model;
  }
  return seen.policy->spec.model_deployment;
}

api::Run NewRun(const Observed& seen, const FiredTrigger& trigger, WallTime now) {
  api::Run run;
  run.name = RunName(*seen.policy, trigger.identity);
  run.trigger_type = trigger.type;
  run.trigger = trigger.identity;
  run.evidence = trigger.evidence;
  run.model_deployment = ModelOf(seen, run.name);
  run.parent = seen.deployment ? seen.deployment->status.champion : "";
  run.started = api::Time{now};
  run.data_since = LastSuccess(*seen.policy);
  Enqueue(seen, now, run);
  return run;
}

// Of all schedules that have the time in common.
void RememberSchedule(const FiredTrigger& trigger, const std::vector<FiredTrigger>& fired,
                      api::RetrainPolicyStatus& status) {
  constexpr std::string_view kPrefix = "schedule/";
  if (trigger.identity.rfind(kPrefix, 0) != 0) return;
  const auto at = ParseTime(std::string_view(trigger.identity).substr(kPrefix.size()));
  if (!at) return;
  if (!status.last_schedule || status.last_schedule->value < *at) {
    status.last_schedule = api::Time{*at};
  }
  for (const FiredTrigger& other : fired) {
    if (other.identity != trigger.identity) continue;
    for (api::ScheduleStatus& schedule : status.schedules) {
      if (schedule.trigger == other.schedule) schedule.since = api::Time{*at};
    }
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
  RememberSchedule(trigger, fired, status);
}

// By hand goes at once, and so does a run that waits already: a second one would train the same.
void TakeRequest(const Observed& seen, const std::vector<FiredTrigger>& fired, api::Run& run,
                 api::RetrainPolicyStatus& status) {
  if (ByHand(run) || !IsStillToBegin(seen, run)) return;
  for (const FiredTrigger& trigger : fired) {
    if (trigger.type != "Manual" || Handled(seen, trigger)) continue;
    run.by_hand = trigger.evidence;
    Remember(trigger, fired, status);
  }
}

// Starts at most one run; the first trigger in order of urgency wins and the others stay due.
void StartRun(const Observed& seen, const TriggerOutcome& triggers, WallTime now,
              api::RetrainPolicyStatus& status, kube::Plan& plan) {
  for (const FiredTrigger& trigger : triggers.fired) {
    if (Handled(seen, trigger)) continue;
    if (const auto hold = HeldBack(*seen.policy, trigger, now)) {
      Earlier(hold->until, plan.wake_at);
      plan.why = trigger.type + " trigger waits for " + hold->why;
      continue;
    }
    status.runs.insert(status.runs.begin(), NewRun(seen, trigger, now));
    Remember(trigger, triggers.fired, status);
    const bool waits = status.runs.front().phase == RunPhase::kWaiting;
    if (!waits) plan.actions.emplace_back(StartedEvent(status.runs.front()));
    // What the next look says as well: no write only to say it in other words.
    plan.why = waits ? "run " + status.runs.front().name + ": " + status.runs.front().message
                     : trigger.type + " trigger started run " + status.runs.front().name;
    return;
  }
}

// An event is done with when its run is on record, or no trigger wants it any more.
void DropEvents(const Observed& seen, const std::vector<FiredTrigger>& fired,
                api::RetrainPolicyStatus& status) {
  const auto& handled = status.handled_triggers;
  std::erase_if(status.events, [&](const api::TakenEvent& event) {
    const std::string identity = EventIdentity(event.source, event.id);
    const auto one = std::find_if(fired.begin(), fired.end(), [&](const FiredTrigger& candidate) {
      return candidate.identity == identity;
    });
    return one == fired.end() || Handled(seen, *one) ||
           std::find(handled.begin(), handled.end(), identity) != handled.end();
  });
}

// The triggers that what is there was made for.
std::vector<std::string> RecordedTriggers(const Observed& seen) {
  std::vector<std::string> out;
  for (const auto& job : seen.jobs) {
    const std::string* trigger = kube::Find(job->meta.annotations, kTriggerAnnotation);
    if (trigger != nullptr) out.push_back(*trigger);
  }
  for (const auto& version : seen.versions) {
    const api::Origin& origin = version->spec.origin;
    if (origin.run == RunName(*seen.policy, origin.trigger)) out.push_back(origin.trigger);
  }
  return out;
}

// Finished runs beyond the limit are forgotten, but not those that maxPerDay still counts.
void Prune(const api::RetrainPolicy& policy, WallTime now, api::RetrainPolicyStatus& status) {
  const size_t limit = static_cast<size_t>(std::max(policy.spec.history_limit, 1));
  while (status.runs.size() > limit && Finished(status.runs.back())) {
    const bool counted =
        policy.spec.max_per_day > 0 && status.runs.back().started.value > now - kDay;
    if (counted && status.runs.size() <= kMostRuns) return;
    status.runs.pop_back();
  }
}

// On record, or forgotten for newer ones. Where status was lost, a Job is what keeps its trigger
// from making another one.
bool IsDoneWith(const std::string& trigger, const std::vector<FiredTrigger>& fired,
                const api::RetrainPolicyStatus& status) {
  const std::vector<std::string>& handled = status.handled_triggers;
  if (std::find(handled.begin(), handled.end(), trigger) != handled.end()) return true;
  return handled.size() >= kMaxHandled &&
         std::none_of(fired.begin(), fired.end(),
                      [&](const FiredTrigger& other) { return other.identity == trigger; });
}

// Deletes finished Jobs and workloads beyond the limit, oldest first, and only those whose trigger
// is done with.
void CollectGarbage(const Observed& seen, const std::vector<FiredTrigger>& fired,
                    kube::Plan& plan) {
  const api::RetrainPolicyStatus& status = seen.policy->status;
  std::vector<const api::JobView*> old;
  for (const auto& job : seen.jobs) {
    const std::string* trigger = kube::Find(job->meta.annotations, kTriggerAnnotation);
    const bool known = trigger != nullptr && IsDoneWith(*trigger, fired, status);
    const bool used = std::any_of(status.runs.begin(), status.runs.end(), [&](const api::Run& run) {
      return !Finished(run) && run.trigger == (trigger != nullptr ? *trigger : "");
    });
    const bool ended = job->state != api::JobState::kRunning;
    const bool followed = seen.followed.contains(job->meta.key.name);
    if (known && !used && !followed && ended && !job->meta.deleting) old.push_back(job.get());
  }
  std::sort(old.begin(), old.end(), [](const api::JobView* a, const api::JobView* b) {
    return std::tie(b->meta.created, b->meta.key) < std::tie(a->meta.created, a->meta.key);
  });
  const auto keep = static_cast<size_t>(std::max(seen.policy->spec.job_history_limit, 0));
  for (size_t i = keep; i < old.size(); ++i) {
    plan.actions.emplace_back(
        kube::DeleteObject{{RunResource(seen), old[i]->meta.key}, old[i]->meta.uid});
  }
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
      condition.reason = hindered                           ? "RunHindered"
                         : last.phase == RunPhase::kWaiting ? "RunWaiting"
                                                            : "RunActive";
    } else {
      condition.reason = last.phase == RunPhase::kFailed ? "RunFailed" : "RunSucceeded";
    }
  }
  kube::SetCondition(status.conditions, std::move(condition), now);
}

std::vector<std::string> ProblemsOf(const Observed& seen, const TriggerOutcome& triggers) {
  std::vector<std::string> problems = triggers.problems;
  for (auto& problem : WindowProblems(*seen.policy)) problems.push_back(std::move(problem));
  for (const DataReading& reading : seen.readings) {
    if (!reading.problem.empty()) problems.push_back(reading.problem);
  }
  return problems;
}

struct Mistake {
  std::string reason;
  std::string message;
};

// In the spec itself: no run starts with it.
std::optional<Mistake> MistakeIn(const api::RetrainPolicy& policy) {
  if (!Nameable(policy)) return Mistake{"InvalidName", kNameProblem};
  // Of before the API server knew a rule that is of today.
  if (const auto invalid = api::Validate(policy.spec); !invalid.empty()) {
    return Mistake{"InvalidSpec", invalid.front()};
  }
  if (const auto bad = api::ExpressionProblems(policy.spec); !bad.empty()) {
    return Mistake{"InvalidExpression", bad.front()};
  }
  return std::nullopt;
}

void SetConditions(const Observed& seen, const std::optional<Mistake>& mistake,
                   const std::vector<std::string>& problems, WallTime now,
                   api::RetrainPolicyStatus& status) {
  const std::int64_t generation = seen.policy->meta.generation;
  std::string reason = "Watching";
  std::string message = status.why;
  if (mistake) {
    reason = mistake->reason;
    message = mistake->message;
  } else if (!problems.empty()) {
    reason = "InvalidTrigger";
    message = problems.front();
  } else if (!seen.workload_problem.empty()) {
    reason = "WorkloadRefused";
    message = seen.workload_problem;
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
  status.new_data = FollowData(policy, seen.readings, RecordedTriggers(seen), now);
  status.schedules = FollowSchedules(policy, now);
  const TriggerOutcome triggers =
      EvaluateTriggers({&policy, seen.monitors, status.new_data, status.schedules}, now);
  status.next_schedule.reset();
  if (triggers.next_schedule) status.next_schedule = api::Time{*triggers.next_schedule};

  const auto active = std::find_if(status.runs.begin(), status.runs.end(),
                                   [](const api::Run& run) { return !Finished(run); });
  const std::optional<Mistake> mistake = MistakeIn(policy);
  bool hindered = false;
  if (active != status.runs.end()) {
    TakeRequest(seen, triggers.fired, *active, status);
    const bool waits = active->phase == RunPhase::kWaiting;
    RunStep step = waits ? AwaitTurn(seen, *active, now) : AdvanceRun(seen, *active, now);
    *active = step.run;
    hindered = step.hindered;
    plan.actions = std::move(step.actions);
    Earlier(step.wake_at, plan.wake_at);
    plan.why = "run " + active->name + ": " + active->message;
  } else if (policy.spec.suspend) {
    plan.why = "suspended: no run starts until spec.suspend is false";
  } else if (!seen.workload_problem.empty()) {
    plan.why = seen.workload_problem;
    plan.wake_at = now + kLookAgain;
  } else if (!seen.workload_pending.empty()) {
    // Not worth a word in status: it is over before anybody reads it.
    plan.why = policy.status.why;
    plan.wake_at = now + kLookSoon;
  } else if (seen.deployment != nullptr && !mistake) {
    StartRun(seen, triggers, now, status, plan);
    Earlier(triggers.next_schedule, plan.wake_at);
  }
  DropEvents(seen, triggers.fired, status);
  CollectGarbage(seen, triggers.fired, plan);
  if (plan.why.empty()) plan.why = IdleReason(status);
  status.why = CutText(plan.why, 1024);
  Prune(policy, now, status);
  SetConditions(seen, mistake, ProblemsOf(seen, triggers), now, status);
  SetRetraining(hindered, policy.meta.generation, now, status);
  if (status != policy.status) plan.status = api::EncodeStatus(status);
  if (plan.wake_at && *plan.wake_at <= now) plan.wake_at = now + Millis(1000);
  return plan;
}

}  // namespace perennial::retrain
