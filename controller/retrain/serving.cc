#include "retrain/serving.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "api/names.h"
#include "base/text.h"

namespace perennial::retrain {
namespace {

constexpr std::size_t kMostServings = 10;
// A share that follows traffic in small steps is not worth a write for each of them.
constexpr int kShareStep = 5;
constexpr std::size_t kLongestVerdict = 512;

const api::VariantStatus* VariantOf(const api::ModelDeployment* deployment,
                                    const std::string& version) {
  if (deployment == nullptr) return nullptr;
  for (const api::VariantStatus& variant : deployment->status.variants) {
    if (variant.version == version) return &variant;
  }
  return nullptr;
}

// How the deployment says that the version's last rollout ended.
const api::HistoryEntry* EndOf(const api::ModelDeployment* deployment, const std::string& version,
                               WallTime since) {
  if (deployment == nullptr) return nullptr;
  for (const api::HistoryEntry& entry : deployment->status.history) {
    // Whole seconds in both.
    if (entry.version == version && entry.at.value >= since - Seconds(1)) return &entry;
  }
  return nullptr;
}

void Close(const api::ModelVersion& version, const api::ModelDeployment* deployment, WallTime now,
           api::Serving& serving) {
  serving.to = api::Time{now};
  const api::HistoryEntry* end = EndOf(deployment, version.meta.key.name, serving.from.value);
  if (serving.role == "challenger" && end != nullptr) {
    serving.outcome = end->outcome;
    serving.verdict = CutText(end->message, kLongestVerdict);
    serving.to = end->at;
  } else if (version.status.phase == api::VersionPhase::kRejected) {
    serving.outcome = "RolledBack";
    serving.verdict = CutText(version.status.why, kLongestVerdict);
  } else {
    serving.outcome = serving.role == "challenger" ? "Superseded" : "Retired";
    if (deployment != nullptr && !deployment->status.champion.empty() &&
        deployment->status.champion != version.meta.key.name) {
      serving.verdict = deployment->status.champion + " serves";
    }
  }
}

api::Serving Open(const api::ModelVersion& version, const api::VariantStatus& variant, WallTime now,
                  const std::vector<api::Serving>& before) {
  api::Serving serving;
  serving.role = variant.name;
  serving.from = api::Time{now};
  // After a loss of status this is what is left of the past. A version that comes back after a
  // rollback still carries its first promotion for a moment.
  const auto promoted = api::PromotedAt(version);
  const bool again = promoted && !before.empty() && before.front().to &&
                     *promoted < before.front().to->value - Seconds(1);
  if (variant.name == "champion" && promoted && !again) serving.from = api::Time{*promoted};
  serving.share = variant.weight;
  return serving;
}

// Whether there is something to tell of it yet. Each look that tells is a write: a challenger
// without traffic is none, and a champion's promotion is told with its time, which is on its way.
bool Settled(const api::ModelVersion& version, const api::VariantStatus& variant, bool open) {
  if (variant.name == "champion") return api::PromotedAt(version).has_value();
  return open || variant.weight > 0;
}

}  // namespace

std::int64_t TrainedToDeployed(const api::ModelVersion& version, WallTime promoted) {
  const auto took = std::chrono::floor<Seconds>(promoted - version.meta.created);
  return std::max<std::int64_t>(0, took.count());
}

void UpdateServing(const api::ModelVersion& version, const api::ModelDeployment* deployment,
                   WallTime now, api::ModelVersionStatus& status) {
  if (const auto promoted = api::PromotedAt(version); promoted && !status.trained_to_deployed) {
    status.trained_to_deployed = TrainedToDeployed(version, *promoted);
  }
  // A deployment that was restored without its status knows nothing yet.
  if (deployment != nullptr && deployment->status.observed_generation < 0) return;
  const api::VariantStatus* variant = VariantOf(deployment, version.meta.key.name);
  const bool open = !status.serving.empty() && !status.serving.front().to;
  if (variant != nullptr && !Settled(version, *variant, open)) return;
  if (open) {
    api::Serving& last = status.serving.front();
    if (variant != nullptr && variant->name == last.role) {
      const int share = std::max(last.share, variant->weight);
      if (share >= last.share + kShareStep || share == 100) last.share = share;
      return;
    }
    Close(version, deployment, now, last);
  }
  if (variant == nullptr) return;
  status.serving.insert(status.serving.begin(), Open(version, *variant, now, status.serving));
  if (status.serving.size() > kMostServings) status.serving.resize(kMostServings);
}

}  // namespace perennial::retrain
