#pragma once

#include <mutex>
#include <optional>

#include "base/clock.h"
#include "kube/lease.h"

namespace perennial::kube {

// Until when one that holds a Lease may act on it: `renew_deadline` from the START of the last
// renewal that worked. Another waits for the whole `duration` from its own observation, which comes
// later; so nobody still acts when the next one begins.
//
// States only go forward, in the order of State, and may skip: what has lapsed or ended is never
// held again. All times are Clock::Steady()'s. Thread-safe and cheap: its lock guards a few words,
// and nothing is called under it but the clock.
class Fence {
 public:
  // Aborts unless `options` leave room between the two times.
  Fence(const Clock& clock, const LeaseOptions& options);

  enum class State {
    kOpen,    // not renewed in time yet
    kHeld,    // may act
    kLapsed,  // may not any more, and End() has not been called yet
    kOver,
  };
  State Now() const;
  bool MayWrite() const { return Now() == State::kHeld; }
  // Held, or lapsed without anybody having dealt with that.
  bool Holding() const;
  // The time at which the last renewal lapses, also after the end; nullopt: there was none.
  std::optional<Millis> Until() const;

  enum class Renewal {
    kGained,  // open before, held now
    kKept,
    kVoid,  // changes nothing: the end was earlier, or the first answer took longer than it is good
    kLapsed,  // changes nothing: the renewal before it had lapsed when the answer came
  };
  // The API server has answered that the Lease is ours. `start` is from before the request was
  // sent, and never earlier than the one before.
  Renewal Renewed(Millis start);

  // For good. True if one could act until now.
  bool End();

 private:
  State NowLocked(Millis now) const;

  const Clock& clock_;
  const Millis renew_deadline_;
  mutable std::mutex mutex_;
  std::optional<Millis> renewed_at_;
  bool over_ = false;
};

}  // namespace perennial::kube
