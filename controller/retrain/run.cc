#include "retrain/run.h"

#include <algorithm>

#include "api/codec.h"
#include "api/names.h"
#include "base/text.h"
#include "retrain/render.h"

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

// The pod of `job` that says most about how it ended: a succeeded one, else the last that finished.
const api::PodView* TellingPod(const Observed& seen, const std::string& job_uid) {
  const api::PodView* best = nullptr;
  const auto rank = [](const api::PodView& pod) {
    return pod.terminated ? (pod.exit_code == 0 ? 2 : 1) : 0;
  };
  for (const auto& pod : seen.pods) {
    if (pod->job_uid != job_uid) continue;
    if (best == nullptr || rank(*pod) > rank(*best) ||
        (rank(*pod) == rank(*best) && pod->finished > best->finished)) {
      best = pod.get();
    }
  }
  return best;
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
  const auto body = RenderJob(seen, step.run, now);
  if (!body.ok()) return Finish(std::move(step), RunPhase::kFailed, body.error().message, now);
  if (TellsRefusal(seen, "Job " + step.run.job, step)) return step;
  if (!step.hindered) step.run.message = "creating Job " + step.run.job;
  step.actions.emplace_back(
      kube::CreateObject{{api::kJobs, {seen.policy->meta.key.ns, step.run.job}}, *body});
  return step;
}

// 10 s, 20 s, 40 s ... at most 10 minutes after the failed attempt ended.
Millis BackoffOf(int attempt) {
  return std::min<Millis>(Seconds(10) * (1 << std::min(attempt, 6)), std::chrono::minutes(10));
}

std::string WhyJobFailed(const api::JobView& job, const api::PodView* pod) {
  std::string why = "Job " + job.meta.key.name + " failed";
  if (!job.reason.empty()) why += ": " + job.reason;
  if (pod != nullptr && pod->terminated) {
    why += "; container exited with " + std::to_string(pod->exit_code) + " (" +
           pod->termination_reason + ")";
    if (!pod->termination_message.empty()) {
      why += ": " + CutText(pod->termination_message, 400);
    }
  }
  return why;
}

RunStep RetryOrFail(const Observed& seen, RunStep step, const api::JobView& job, WallTime now) {
  const api::PodView* pod = TellingPod(seen, job.meta.uid);
  const std::string why = WhyJobFailed(job, pod);
  if (step.run.attempt >= seen.policy->spec.retries) {
    const std::string attempts = std::to_string(step.run.attempt + 1);
    return Finish(std::move(step), RunPhase::kFailed, why + "; attempts: " + attempts, now);
  }
  // A moment that stays the same at every look, or the back-off would never be over.
  const WallTime ended = job.finished                      ? *job.finished
                         : pod != nullptr && pod->finished ? *pod->finished
                                                           : job.meta.created;
  const WallTime retry_at = ended + BackoffOf(step.run.attempt);
  if (now < retry_at) {
    step.run.message = why + "; next attempt at " + FormatTime(retry_at);
    step.wake_at = retry_at;
    return step;
  }
  // Only recorded now; the next plan makes the Job, after this attempt's number is in status.
  ++step.run.attempt;
  step.run.phase = RunPhase::kPending;
  step.run.job.clear();
  step.run.job_uid.clear();
  step.run.message = why + "; trying again";
  return step;
}

RunStep TakeResult(const Observed& seen, RunStep step, const api::JobView& job, WallTime now) {
  const std::string name = VersionName(*seen.policy, step.run);
  if (const api::ModelVersion* version = FindVersion(seen, name)) {
    if (version->spec.origin.run != step.run.name) {
      return Finish(std::move(step), RunPhase::kFailed,
                    "ModelVersion " + name + " exists and was not made by this run", now);
    }
    step.run.model_version = name;
    return Finish(std::move(step), RunPhase::kSucceeded, "made ModelVersion " + name, now);
  }
  const api::PodView* pod = TellingPod(seen, job.meta.uid);
  if (pod == nullptr || !pod->terminated) {
    const WallTime give_up = job.finished.value_or(now) + kResultGrace;
    if (now >= give_up) {
      return Finish(
          std::move(step), RunPhase::kFailed,
          "Job " + job.meta.key.name + " succeeded, but its pod is gone and its result with it",
          now);
    }
    step.run.message = "Job " + job.meta.key.name + " succeeded; waiting for its pod's result";
    step.wake_at = give_up;
    return step;
  }
  const auto result = api::DecodeTrainingResult(pod->termination_message);
  if (!result.ok()) {
    return Finish(std::move(step), RunPhase::kFailed,
                  "result of pod " + pod->meta.key.name + " is unusable: " + result.error().message,
                  now);
  }
  const WallTime deadline = step.run.started.value + seen.policy->spec.deadline.value;
  if (!seen.last_error.empty() && now >= deadline) {
    return Finish(std::move(step), RunPhase::kFailed,
                  "ModelVersion " + name + " cannot be created: " + seen.last_error, now);
  }
  if (TellsRefusal(seen, "ModelVersion " + name, step)) return step;
  if (!step.hindered) step.run.message = "making ModelVersion " + name;
  step.actions.emplace_back(
      kube::CreateObject{{api::kModelVersions, {seen.policy->meta.key.ns, name}},
                         RenderVersion(seen, step.run, *result)});
  return step;
}

bool Starting(const api::PodView& pod) {
  return pod.waiting_reason.empty()
             ? pod.phase == "Pending"
             : pod.waiting_reason == "ContainerCreating" || pod.waiting_reason == "PodInitializing";
}

// What keeps a waiting container from running. ErrImagePull and ImagePullBackOff alternate, with
// changing messages: what was said first stays as long as the cause does.
std::string WhyWaiting(const api::PodView& pod, const std::string& said) {
  const std::string reason =
      pod.waiting_reason == "ErrImagePull" ? "ImagePullBackOff" : pod.waiting_reason;
  const std::string why = "pod " + pod.meta.key.name + " waits: " + reason;
  if (said.rfind(why, 0) == 0) return said;
  return pod.waiting_message.empty() ? why : why + ": " + CutText(pod.waiting_message, 400);
}

// Follows a Job that neither succeeded nor failed. Nobody else tells a person that its pod can't
// be made (quota, admission), can't start (a Secret that is missing) or can't load its image.
void Follow(const Observed& seen, const api::JobView& job, WallTime now, RunStep& step) {
  const std::string before = step.run.message;
  const std::string grace = FormatDuration(kStartGrace);
  std::string why;
  const api::PodView* latest = nullptr;
  for (const auto& pod : seen.pods) {
    if (pod->job_uid != job.meta.uid || pod->terminated) continue;
    if (latest == nullptr || latest->meta.created < pod->meta.created) latest = pod.get();
  }
  const WallTime since = latest == nullptr ? job.meta.created : latest->meta.created;
  const bool patience = now < since + kStartGrace;
  if (latest == nullptr) {
    if (!patience) {
      why = "Job " + job.meta.key.name + " has had no pod for over " + grace +
            ": its events say why (quota, admission, service account)";
    }
  } else if (Starting(*latest)) {
    if (!patience) {
      why = "pod " + latest->meta.key.name + " has not started for over " + grace +
            ": its events say why (scheduling, volumes, a Secret or ConfigMap that is missing)";
    }
  } else if (!latest->waiting_reason.empty()) {
    why = WhyWaiting(*latest, before);
  }
  step.hindered = !why.empty();
  step.run.message = step.hindered ? why : "Job " + job.meta.key.name + " is running";
  if (step.hindered && step.run.message != before) Warn(step, "RunHindered");
  if (!step.hindered && patience && (latest == nullptr || Starting(*latest))) {
    step.wake_at = std::min(step.wake_at.value_or(since + kStartGrace), since + kStartGrace);
  }
}

}  // namespace

std::string JobName(const api::Run& run) {
  return run.attempt == 0 ? run.name : run.name + "-" + std::to_string(run.attempt);
}

RunStep AdvanceRun(const Observed& seen, const api::Run& run, WallTime now) {
  RunStep step;
  step.run = run;
  const WallTime deadline = run.started.value + seen.policy->spec.deadline.value;
  const api::JobView* job = FindJob(seen, JobName(run));
  if (job != nullptr && job->state == api::JobState::kSucceeded) {
    step.run.job = job->meta.key.name;
    step.run.job_uid = job->meta.uid;
    return TakeResult(seen, std::move(step), *job, now);
  }
  if (now >= deadline) {
    if (job != nullptr) {
      step.actions.emplace_back(kube::DeleteObject{{api::kJobs, job->meta.key}, job->meta.uid});
    }
    return Finish(std::move(step), RunPhase::kFailed,
                  "deadline of " + FormatDuration(seen.policy->spec.deadline.value) + " passed",
                  now);
  }
  step.wake_at = deadline;
  if (job == nullptr) {
    if (run.phase == RunPhase::kRunning) {
      return Finish(std::move(step), RunPhase::kFailed,
                    "Job " + run.job + " was deleted by somebody else", now);
    }
    return StartJob(seen, std::move(step), now);
  }
  step.run.job = job->meta.key.name;
  step.run.job_uid = job->meta.uid;
  step.run.phase = RunPhase::kRunning;
  if (job->state == api::JobState::kFailed) {
    return RetryOrFail(seen, std::move(step), *job, now);
  }
  Follow(seen, *job, now, step);
  return step;
}

}  // namespace perennial::retrain
