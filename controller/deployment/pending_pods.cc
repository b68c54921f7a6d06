#include "deployment/pending_pods.h"

#include <algorithm>

#include "api/names.h"
#include "base/text.h"

namespace perennial::deployment {
namespace {

constexpr size_t kLongestCause = 400;

// Empty while nothing is wrong yet. ErrImagePull and ImagePullBackOff alternate.
std::string ReasonOf(const api::PodView& pod) {
  if (pod.phase != "Pending") return "";
  if (!pod.unscheduled.empty()) return "Unschedulable";
  const std::string& reason = pod.waiting_reason;
  if (reason == "ContainerCreating" || reason == "PodInitializing") return "";
  return reason == "ErrImagePull" ? "ImagePullBackOff" : reason;
}

// An older runtime leaves the volume's image out and fails at a mount without a source (seen with
// containerd 1.6), in words that name neither.
bool MayLackImageVolumes(const Observed& seen, const std::string& reason) {
  const auto& storage = seen.deployment->spec.storage;
  return storage && storage->type == api::Delivery::kImageVolume &&
         (reason == "CreateContainerError" || reason == "RunContainerError");
}

std::string CauseOf(const api::PodView& pod) {
  if (!pod.unscheduled.empty()) return pod.unscheduled;
  return pod.waiting_exit.empty() ? pod.waiting_message : pod.waiting_exit;
}

std::string Describe(const Observed& seen, const api::PodView& pod, const std::string& reason) {
  std::string text = "pod " + pod.meta.key.name + " waits: " + reason;
  if (MayLackImageVolumes(seen, reason)) {
    text +=
        " (storage.type ImageVolume needs nodes whose runtime mounts image volumes, such as "
        "containerd 2.1 or CRI-O 1.31; elsewhere use type Download)";
  }
  const std::string cause = CauseOf(pod);
  return cause.empty() ? text : text + ": " + CutText(cause, kLongestCause);
}

// What status says of this pod, to its end.
std::string Said(const Observed& seen, const api::PodView& pod) {
  const api::ModelDeploymentStatus& status = seen.deployment->status;
  const kube::Condition* stalled = kube::FindCondition(status.conditions, "Stalled");
  const std::string begin = "pod " + pod.meta.key.name + " waits: ";
  for (const std::string& text : {status.why, stalled == nullptr ? "" : stalled->message}) {
    const size_t at = text.find(begin);
    if (at != std::string::npos) return text.substr(at);
  }
  return "";
}

}  // namespace

std::string WhyPodsWait(const Observed& seen, std::string_view version) {
  const api::PodView* first = nullptr;
  for (const auto& pod : seen.pending_pods) {
    const std::string* of = kube::Find(pod->meta.labels, api::kLabelVersion);
    if (of == nullptr || *of != version || pod->meta.deleting || pod->phase != "Pending") continue;
    const std::string reason = ReasonOf(*pod);
    // Between two tries it looks as if nothing were wrong.
    std::string said = Said(seen, *pod);
    const std::string same = "pod " + pod->meta.key.name + " waits: " + reason;
    if (!said.empty() && (reason.empty() || said.rfind(same, 0) == 0)) return said;
    if (reason.empty()) continue;
    if (first == nullptr || pod->meta.key.name < first->meta.key.name) first = pod.get();
  }
  return first == nullptr ? "" : Describe(seen, *first, ReasonOf(*first));
}

}  // namespace perennial::deployment
