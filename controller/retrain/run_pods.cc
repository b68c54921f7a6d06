#include "retrain/run_pods.h"

#include <algorithm>

#include "base/text.h"
#include "retrain/render.h"
#include "retrain/run.h"

namespace perennial::retrain {
namespace {

// Pods of a workload carry the run's label, those of earlier attempts too.
bool IsOf(const Observed& seen, const api::PodView& pod, const api::JobView& job) {
  if (seen.workload) return pod.meta.created >= job.meta.created;
  return pod.job_uid == job.meta.uid;
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

}  // namespace

const api::PodView* TellingPod(const Observed& seen, const api::JobView& job) {
  const api::PodView* best = nullptr;
  const auto rank = [](const api::PodView& pod) {
    if (!pod.terminated) return 0;
    if (pod.exit_code != 0) return 1;
    return pod.termination_message.empty() ? 2 : 3;
  };
  for (const auto& pod : seen.pods) {
    if (!IsOf(seen, *pod, job)) continue;
    if (best == nullptr || rank(*pod) > rank(*best) ||
        (rank(*pod) == rank(*best) && pod->finished > best->finished)) {
      best = pod.get();
    }
  }
  return best;
}

std::string Called(const Observed& seen, const std::string& name) {
  return RunResource(seen).kind + " " + name;
}

std::string WhyJobFailed(const Observed& seen, const api::JobView& job, const api::PodView* pod) {
  std::string why = Called(seen, job.meta.key.name) + " failed";
  if (!job.reason.empty()) why += ": " + job.reason;
  if (pod != nullptr && pod->terminated && pod->exit_code != 0) {
    why += "; container exited with " + std::to_string(pod->exit_code) + " (" +
           pod->termination_reason + ")";
    if (!pod->termination_message.empty()) {
      why += ": " + CutText(pod->termination_message, 400);
    }
  }
  return why;
}

Hindrance HindranceOf(const Observed& seen, const api::JobView& job, const std::string& said,
                      WallTime now) {
  Hindrance out;
  // A queue may well keep it for hours, and says itself why.
  if (job.suspended) return out;
  const std::string grace = FormatDuration(kStartGrace);
  const api::PodView* latest = nullptr;
  bool any = false;
  for (const auto& pod : seen.pods) {
    if (!IsOf(seen, *pod, job)) continue;
    any = true;
    if (pod->terminated) continue;
    if (latest == nullptr || latest->meta.created < pod->meta.created) latest = pod.get();
  }
  // A workload need not label its pods, and has other steps between them.
  if (latest == nullptr && seen.workload) return out;
  const WallTime since =
      latest == nullptr ? job.started.value_or(job.meta.created) : latest->meta.created;
  const bool patience = now < since + kStartGrace;
  if (latest == nullptr) {
    if (!patience && !any) {
      out.why = Called(seen, job.meta.key.name) + " has had no pod for over " + grace +
                ": its events say why (quota, admission, service account)";
    }
  } else if (Starting(*latest)) {
    if (!patience) {
      out.why = "pod " + latest->meta.key.name + " has not started for over " + grace +
                ": its events say why (scheduling, volumes, a Secret or ConfigMap that is missing)";
    }
  } else if (!latest->waiting_reason.empty()) {
    out.why = WhyWaiting(*latest, said);
    out.image = latest->waiting_reason == "ErrImagePull" ||
                latest->waiting_reason == "ImagePullBackOff" ||
                latest->waiting_reason == "InvalidImageName";
  }
  if (out.why.empty() && patience && (latest == nullptr || Starting(*latest))) {
    out.look_again = since + kStartGrace;
  }
  return out;
}

}  // namespace perennial::retrain
