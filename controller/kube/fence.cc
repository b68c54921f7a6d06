#include "kube/fence.h"

#include "base/check.h"

namespace perennial::kube {

Fence::Fence(const Clock& clock, const LeaseOptions& options)
    : clock_(clock), renew_deadline_(options.renew_deadline) {
  PERENNIAL_CHECK(options.renew_deadline < options.duration);
}

Fence::State Fence::NowLocked(Millis now) const {
  if (over_) return State::kOver;
  if (!renewed_at_) return State::kOpen;
  return now - *renewed_at_ < renew_deadline_ ? State::kHeld : State::kLapsed;
}

Fence::State Fence::Now() const {
  const std::lock_guard lock(mutex_);
  return NowLocked(clock_.Steady());
}

bool Fence::Holding() const {
  const State now = Now();
  return now == State::kHeld || now == State::kLapsed;
}

std::optional<Millis> Fence::Until() const {
  const std::lock_guard lock(mutex_);
  if (!renewed_at_) return std::nullopt;
  return *renewed_at_ + renew_deadline_;
}

Fence::Renewal Fence::Renewed(Millis start) {
  const std::lock_guard lock(mutex_);
  const Millis now = clock_.Steady();
  const State state = NowLocked(now);
  if (state == State::kLapsed) return Renewal::kLapsed;
  if (state == State::kOver || now - start >= renew_deadline_) return Renewal::kVoid;
  renewed_at_ = start;
  return state == State::kOpen ? Renewal::kGained : Renewal::kKept;
}

bool Fence::End() {
  const std::lock_guard lock(mutex_);
  const bool held = NowLocked(clock_.Steady()) == State::kHeld;
  over_ = true;
  return held;
}

}  // namespace perennial::kube
