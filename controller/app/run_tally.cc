#include "app/run_tally.h"

#include <algorithm>
#include <array>

namespace perennial::app {
namespace {

// 1 minute to a day.
constexpr std::array<double, 6> kBounds{60, 300, 1'800, 7'200, 28'800, 86'400};

}  // namespace

RunTally::RunTally(kube::Store<api::RetrainPolicy>& policies) : waits_(kBounds) {
  for (const char* type : {"Drift", "Schedule", "NewData", "Event", "Manual"}) {
    for (const bool success : {true, false}) cells_.try_emplace({type, success}, kBounds);
  }
  policies.AddListener([this](const auto& before, const auto& after) {
    if (before == nullptr || after == nullptr) return;
    for (const api::Run& run : after->status.runs) {
      const auto& old = before->status.runs;
      const auto it = std::find_if(old.begin(), old.end(),
                                   [&](const api::Run& r) { return r.name == run.name; });
      Look(run, it == old.end() ? nullptr : &*it);
    }
  });
}

void RunTally::Look(const api::Run& run, const api::Run* before) {
  const std::lock_guard lock(mutex_);
  const bool waited = before != nullptr && before->phase == api::RunPhase::kWaiting;
  if (waited && run.phase != api::RunPhase::kWaiting && run.enqueued) {
    waits_.Observe(run.started.value - run.enqueued->value);
  }
  if (!run.finished || (before != nullptr && before->finished)) return;
  const bool success = run.phase == api::RunPhase::kSucceeded;
  cells_.try_emplace({run.trigger_type, success}, kBounds)
      .first->second.Observe(run.finished->value - run.started.value);
  if (!run.follows.empty()) ++shared_;
}

std::uint64_t RunTally::shared() const {
  const std::lock_guard lock(mutex_);
  return shared_;
}

TimeHistogram RunTally::waits() const {
  const std::lock_guard lock(mutex_);
  return waits_;
}

RunTally::Cells RunTally::cells() const {
  const std::lock_guard lock(mutex_);
  return cells_;
}

}  // namespace perennial::app
