#include "retrain/run.h"

#include <algorithm>
#include <functional>

#include "api/codec.h"
#include "api/names.h"
#include "base/text.h"
#include "retrain/group.h"
#include "retrain/render.h"
#include "retrain/run_pods.h"
#include "retrain/run_result.h"
#include "retrain/turn.h"

namespace perennial::retrain {
namespace {

using api::RunPhase;

const api::JobView* FindJob(const Observed& seen, const std::string& name) {
  for (const auto& job : seen.jobs) {
    if (job->meta.key.name == name) return job.get();
  }
  return nullptr;
}

const api::ModelVersion* FindVersion(const Observed& seen, const std::string& name) {
  for (const auto& version : seen.versions) {
    if (version->meta.key.name == name) return version.get();
  }
  return nullptr;
}

// The run's start, unless the Job is another's or the run's status was lost. Absent on Jobs of
// before there was the annotation.
std::optional<api::Time> DataEndOf(const api::JobView& job) {
  const std::string* text = kube::Find(job.meta.annotations, api::kAnnotationDataEnd);
  const auto end = text == nullptr ? std::nullopt : ParseTime(*text);
  if (!end) return std::nullopt;
  return api::Time{*end};
}

// Its Job is another policy's: to be looked at, and never touched.
bool Follows(const api::Run& run) {
  return !run.follows.empty();
}

RunStep Finish(RunStep step, RunPhase phase, const std::string& message, WallTime now) {
  step.run.phase = phase;
  step.run.message = CutText(message, 1024);
  step.run.finished = api::Time{now};
  kube::EmitEvent event;
  event.type =
      phase == RunPhase::kFailed ? kube::EmitEvent::Type::kWarning : kube::EmitEvent::Type::kNormal;
  event.reason = phase == RunPhase::kFailed ? "RunFailed" : "RunSucceeded";
  event.action = "Retrain";
  event.note = CutText("run " + step.run.name + ": " + message, 1000);
  step.actions.emplace_back(std::move(event));
  return step;
}

void Earlier(WallTime at, RunStep& step) {
  step.wake_at = std::min(step.wake_at.value_or(at), at);
}

std::string WhereResultIs(const Observed& seen) {
  switch (seen.policy->spec.result.from) {
    case api::ResultFrom::kConfigMap:
      return std::string("no ConfigMap of the Job's name with the label ") +
             std::string(api::kLabelRun);
    case api::ResultFrom::kObject:
      return "the object has no " + seen.policy->spec.result.path;
    default:
      return std::string("no finished pod") +
             (seen.workload ? " with the label " + std::string(api::kLabelRun) : "");
  }
}

void Warn(RunStep& step, const char* reason) {
  step.actions.emplace_back(
      kube::EmitEvent{kube::EmitEvent::Type::kWarning, reason, "Retrain",
                      CutText("run " + step.run.name + ": " + step.run.message, 1000)});
}

// True if the last plan could not be carried out and status does not say so yet. A plan ends at its
// first failing action, so what was refused is told by a plan of its own before it is tried again.
bool TellsRefusal(const Observed& seen, const std::string& what, RunStep& step) {
  if (seen.last_error.empty()) return false;
  const std::string before = std::move(step.run.message);
  step.run.message = CutText(what + " cannot be created: " + seen.last_error, 1024);
  step.hindered = true;
  if (step.run.message == before) return false;
  Warn(step, "CreateRefused");
  return true;
}

RunStep StartJob(const Observed& seen, RunStep step, WallTime now) {
  step.run.job = JobName(step.run);
  const std::string called = Called(seen, step.run.job);
  const auto body =
      seen.policy->spec.workload ? RenderWorkload(seen, step.run) : RenderJob(seen, step.run, now);
  if (!body.ok()) return Finish(std::move(step), RunPhase::kFailed, body.error().message, now);
  if (TellsRefusal(seen, called, step)) return step;
  if (!step.hindered) step.run.message = "creating " + called;
  step.actions.emplace_back(
      kube::CreateObject{{RunResource(seen), {seen.policy->meta.key.ns, step.run.job}}, *body});
  return step;
}

// 10 s, 20 s, 40 s ... at most 10 minutes after the failed attempt ended, or as the policy says.
Millis BackoffOf(const api::RetryRule& rule, int attempt) {
  return std::min<Millis>(rule.initial.value * (1 << std::min(attempt, 16)), rule.longest.value);
}

// One more attempt, after its wait. Only recorded here; the next plan makes the Job, after this
// attempt's number is in status.
RunStep TryAgain(const Observed& seen, RunStep step, WallTime ended, const std::string& why,
                 WallTime now) {
  const WallTime retry_at = ended + BackoffOf(seen.policy->spec.backoff, step.run.attempt);
  if (now < retry_at) {
    step.run.message = CutText(why + "; next attempt at " + FormatTime(retry_at), 1024);
    Earlier(retry_at, step);
    return step;
  }
  ++step.run.attempt;
  // Those of a group try together again, and whoever has had no place asks for one.
  const bool waits = Follows(step.run) || seen.policy->spec.group;
  step.run.phase = waits ? RunPhase::kWaiting : RunPhase::kPending;
  step.run.job.clear();
  step.run.job_uid.clear();
  step.run.follows.clear();
  step.run.attempt_ended.reset();
  step.run.missing_since.reset();
  step.run.image_since.reset();
  Regroup(seen, step.run, now);
  step.run.message = CutText(why + "; trying again", 1024);
  return step;
}

// A moment that stays the same at every look, or the back-off would never be over.
WallTime EndOf(const api::JobView& job, const api::PodView* pod, RunStep& step, WallTime now) {
  if (job.finished) return *job.finished;
  if (pod != nullptr && pod->finished) return *pod->finished;
  if (!step.run.attempt_ended) step.run.attempt_ended = api::Time{now};
  return step.run.attempt_ended->value;
}

// After an attempt that failed for another reason than its result. `ended` is asked for only where
// there is another one.
RunStep RetryOrFail(const Observed& seen, RunStep step, const std::string& why,
                    const std::function<WallTime(RunStep&)>& ended, WallTime now) {
  const int crashes = step.run.attempt - step.run.bad_results;
  if (crashes >= seen.policy->spec.retries) {
    const std::string attempts = std::to_string(step.run.attempt + 1);
    return Finish(std::move(step), RunPhase::kFailed, why + "; attempts: " + attempts, now);
  }
  const WallTime at = ended(step);
  return TryAgain(seen, std::move(step), at, why, now);
}

RunStep JobFailed(const Observed& seen, RunStep step, const api::JobView& job, WallTime now) {
  const api::PodView* pod = TellingPod(seen, job);
  const auto ended = [&](RunStep& step) { return EndOf(job, pod, step, now); };
  return RetryOrFail(seen, std::move(step), WhyJobFailed(seen, job, pod), ended, now);
}

RunStep BadResult(const Observed& seen, RunStep step, const api::JobView& job,
                  const std::string& why, WallTime now) {
  if (step.run.bad_results >= seen.policy->spec.backoff.bad_results) {
    return Finish(std::move(step), RunPhase::kFailed, why, now);
  }
  const WallTime ended = EndOf(job, TellingPod(seen, job), step, now);
  const int before = step.run.attempt;
  step = TryAgain(seen, std::move(step), ended, why, now);
  if (step.run.attempt != before) ++step.run.bad_results;
  return step;
}

// What can't be seen is neither made again nor given up.
bool WaitsToSee(const Observed& seen, RunStep& step, WallTime now) {
  if (!seen.workload_problem.empty()) {
    step.hindered = true;
    step.run.message = CutText(seen.workload_problem, 1024);
    Earlier(now + kLookAgain, step);
    return true;
  }
  if (seen.workload_pending.empty()) return false;
  Earlier(now + kLookSoon, step);
  return true;
}

RunStep TakeResult(const Observed& seen, RunStep step, const api::JobView& job, WallTime now) {
  const std::string name = VersionName(*seen.policy, step.run);
  const std::string called = Called(seen, job.meta.key.name);
  if (const api::ModelVersion* version = FindVersion(seen, name)) {
    if (version->spec.origin.run != step.run.name) {
      return Finish(std::move(step), RunPhase::kFailed,
                    "ModelVersion " + name + " exists and was not made by this run", now);
    }
    step.run.model_version = name;
    return Finish(std::move(step), RunPhase::kSucceeded, "made ModelVersion " + name, now);
  }
  const auto found = FindResult(seen, job);
  if (!found.ok()) return BadResult(seen, std::move(step), job, found.error().message, now);
  const WallTime deadline = step.run.started.value + seen.policy->spec.deadline.value;
  if (!*found && now < deadline && WaitsToSee(seen, step, now)) return step;
  if (!*found) {
    // Pods, ConfigMaps and Jobs come by different watches.
    const WallTime give_up = EndOf(job, nullptr, step, now) + kResultGrace;
    if (now >= give_up) {
      return BadResult(seen, std::move(step), job,
                       called + " succeeded, but its result is nowhere: " + WhereResultIs(seen),
                       now);
    }
    step.run.message = called + " succeeded; waiting for its result";
    step.wake_at = give_up;
    return step;
  }
  if (!seen.last_error.empty() && now >= deadline) {
    return Finish(std::move(step), RunPhase::kFailed,
                  "ModelVersion " + name + " cannot be created: " + seen.last_error, now);
  }
  if (TellsRefusal(seen, "ModelVersion " + name, step)) return step;
  if (!step.hindered) step.run.message = "making ModelVersion " + name;
  step.actions.emplace_back(
      kube::CreateObject{{api::kModelVersions, {seen.policy->meta.key.ns, name}},
                         RenderVersion(seen, step.run, **found)});
  return step;
}

// From when the pull was first seen to fail: a pod may have waited long for a node, or run for
// hours before one of its containers was started again.
RunStep AwaitImage(const Observed& seen, RunStep step, const api::JobView& job, WallTime now) {
  if (!step.run.image_since) step.run.image_since = api::Time{now};
  const WallTime give_up = step.run.image_since->value + seen.policy->spec.backoff.image_pull.value;
  Earlier(give_up, step);
  if (now < give_up) return step;
  step.actions.emplace_back(kube::DeleteObject{{RunResource(seen), job.meta.key}, job.meta.uid});
  const std::string why = step.run.message;
  return Finish(std::move(step), RunPhase::kFailed, why, now);
}

// Follows a Job that neither succeeded nor failed.
RunStep Follow(const Observed& seen, RunStep step, const api::JobView& job, WallTime now) {
  const char* stands = job.suspended
                           ? " is suspended until its queue, or whoever suspended it, lets it start"
                           : " is running";
  if (Follows(step.run)) {
    // Whoever leads tells what keeps it from getting on.
    step.run.message = Called(seen, job.meta.key.name) + ", which trains for the group," + stands;
    return step;
  }
  const std::string before = step.run.message;
  const Hindrance hindrance = HindranceOf(seen, job, before, now);
  step.hindered = !hindrance.why.empty();
  step.run.message = step.hindered ? hindrance.why : Called(seen, job.meta.key.name) + stands;
  if (step.hindered && step.run.message != before) Warn(step, "RunHindered");
  if (hindrance.look_again) Earlier(*hindrance.look_again, step);
  if (hindrance.image) return AwaitImage(seen, std::move(step), job, now);
  step.run.image_since.reset();
  return step;
}

// A Job that was there is not found by its labels any more: somebody deleted it, or took a label
// away. It gets them back if it still is there, and counts as deleted only after a while.
RunStep LookForJob(const Observed& seen, RunStep step, WallTime now) {
  if (!step.run.missing_since) {
    step.run.missing_since = api::Time{now};
    step.run.message =
        Called(seen, step.run.job) + " is not found; looking whether it lost a label";
    if (seen.last_error.empty() && !Follows(step.run)) {
      step.actions.emplace_back(
          kube::RelabelObject{{RunResource(seen), {seen.policy->meta.key.ns, step.run.job}},
                              step.run.job_uid,
                              RenderLabels(seen, step.run)});
    }
  }
  const WallTime give_up = step.run.missing_since->value + kMissingGrace;
  if (now >= give_up) {
    const std::string why = Called(seen, step.run.job) + " was deleted by somebody else";
    // With its policy, perhaps, which is no reason to fail all others of the group.
    if (Follows(step.run)) {
      return RetryOrFail(
          seen, std::move(step), why, [&](RunStep&) { return give_up; }, now);
    }
    return Finish(std::move(step), RunPhase::kFailed, why, now);
  }
  Earlier(give_up, step);
  return step;
}

// "spec.modelDeployment was changed from a to b while ..."; empty: the spec still is the run's.
std::string WhatWasEdited(const Observed& seen, const api::Run& run) {
  const api::RetrainPolicySpec& spec = seen.policy->spec;
  if (!run.model_deployment.empty() && run.model_deployment != spec.model_deployment) {
    return "spec.modelDeployment was changed from " + run.model_deployment + " to " +
           spec.model_deployment + " while this run trained for " + run.model_deployment +
           ": start another";
  }
  // A run that waits has made nothing, and takes what is there when its turn comes.
  if (run.phase == RunPhase::kWaiting || !IsOfOtherKind(spec, run)) return {};
  api::Run now;
  RecordKind(spec, now);
  return "the spec was changed to train with a " + now.job_kind + " (" + now.job_api_version +
         ") while this run trained with a " + run.job_kind + " (" + run.job_api_version +
         "): start another";
}

// What the run made itself and may still be going on; nullopt: nothing, or it ended or is out of
// reach. An empty UID: it is not seen.
std::optional<FormerObject> StillThere(const Observed& seen, const api::Run& run) {
  const api::JobView* job = FindJob(seen, JobName(run));
  const bool other = IsOfOtherKind(seen.policy->spec, run);
  if (!other && job != nullptr) {
    if (job->state != api::JobState::kRunning) return std::nullopt;
    return FormerObject{RunResource(seen), job->meta.uid};
  }
  if (Follows(run) || run.phase == RunPhase::kWaiting) return std::nullopt;
  return other ? seen.former : FormerObject{RunResource(seen), run.job_uid};
}

// Status names a Job only after it was made, unless that was refused. Jobs and policies come by
// different watches, and whoever is behind would have it made twice, which the API server refuses.
bool WasJustMade(const Observed& seen, const api::Run& run, WallTime now) {
  return run.phase == RunPhase::kPending && run.job == JobName(run) && seen.last_error.empty() &&
         now < run.started.value + kShowGrace;
}

}  // namespace

std::string JobName(const api::Run& run) {
  return run.attempt == 0 ? run.name : run.name + "-" + std::to_string(run.attempt);
}

void RecordKind(const api::RetrainPolicySpec& spec, api::Run& run) {
  run.job_api_version = spec.workload ? spec.workload->api_version : api::kJobs.ApiVersion();
  run.job_kind = spec.workload ? spec.workload->kind : api::kJobs.kind;
}

bool IsOfOtherKind(const api::RetrainPolicySpec& spec, const api::Run& run) {
  if (run.job_kind.empty()) return false;
  api::Run now;
  RecordKind(spec, now);
  return run.job_api_version != now.job_api_version || run.job_kind != now.job_kind;
}

std::optional<RunStep> EndIfEdited(const Observed& seen, const api::Run& run, WallTime now) {
  std::string why = WhatWasEdited(seen, run);
  if (why.empty()) return std::nullopt;
  RunStep step;
  step.run = run;
  const std::string name = JobName(run);
  const auto made = StillThere(seen, run);
  if (made && made->uid.empty()) {
    // What was made a moment ago is not seen yet, and would train on with nobody to end it.
    if (!step.run.missing_since) step.run.missing_since = api::Time{now};
    const WallTime give_up = step.run.missing_since->value + kMissingGrace;
    if (now < give_up) {
      step.run.message = CutText(why, 1024);
      step.wake_at = give_up;
      return step;
    }
  } else if (made && !seen.followed.contains(name)) {  // others of the group may still go by it
    step.actions.emplace_back(
        kube::DeleteObject{{made->resource, {seen.policy->meta.key.ns, name}}, made->uid});
  } else if (!made && !Follows(run) && run.phase != RunPhase::kWaiting &&
             IsOfOtherKind(seen.policy->spec, run)) {
    why += "; " + run.job_kind + " " + name +
           " is left, since the administrator does not allow its kind any more";
  }
  return Finish(std::move(step), RunPhase::kFailed, why, now);
}

RunStep AdvanceRun(const Observed& seen, const api::Run& run, WallTime now) {
  if (auto ended = EndIfEdited(seen, run, now)) return *std::move(ended);
  RunStep step;
  step.run = run;
  const WallTime deadline = run.started.value + seen.policy->spec.deadline.value;
  const api::JobView* job = Follows(run) ? SharedJob(seen, run) : FindJob(seen, JobName(run));
  if (job != nullptr) {
    step.run.job = job->meta.key.name;
    step.run.job_uid = job->meta.uid;
    step.run.data_until = DataEndOf(*job);
    step.run.missing_since.reset();
    if (job->state == api::JobState::kSucceeded) {
      return TakeResult(seen, std::move(step), *job, now);
    }
  }
  if (now >= deadline) {
    if (job != nullptr && !Follows(run)) {
      step.actions.emplace_back(
          kube::DeleteObject{{RunResource(seen), job->meta.key}, job->meta.uid});
    }
    return Finish(std::move(step), RunPhase::kFailed,
                  "deadline of " + FormatDuration(seen.policy->spec.deadline.value) + " passed",
                  now);
  }
  step.wake_at = deadline;
  if (WaitsToSee(seen, step, now)) return step;
  if (job == nullptr && WasJustMade(seen, run, now)) {
    Earlier(run.started.value + kShowGrace, step);
    return step;
  }
  if (job == nullptr) {
    return run.phase == RunPhase::kRunning || Follows(run) ? LookForJob(seen, std::move(step), now)
                                                           : StartJob(seen, std::move(step), now);
  }
  step.run.phase = RunPhase::kRunning;
  if (job->state == api::JobState::kFailed) {
    return JobFailed(seen, std::move(step), *job, now);
  }
  return Follow(seen, std::move(step), *job, now);
}

}  // namespace perennial::retrain
