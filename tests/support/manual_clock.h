#pragma once

#include <atomic>

#include "base/clock.h"

namespace perennial::testing {

// A clock that stands still until it is moved. Wall and steady time move together, unless wall time
// is made to jump. Thread-safe.
class ManualClock final : public Clock {
 public:
  // 2026-11-24T12:00:00Z, a Tuesday.
  ManualClock() : ManualClock(WallTime(Millis(1'795'521'600'000))) {}
  explicit ManualClock(WallTime wall) : wall_(wall.time_since_epoch().count()) {}

  WallTime Wall() const override { return WallTime(Millis(wall_.load())); }
  Millis Steady() const override { return Millis(steady_.load()); }

  void Advance(Millis by) {
    wall_ += by.count();
    steady_ += by.count();
  }
  // An administrator or NTP moves the wall clock; steady time goes on as before.
  void JumpWall(Millis by) { wall_ += by.count(); }

 private:
  std::atomic<std::int64_t> wall_;
  std::atomic<std::int64_t> steady_{1'000};
};

}  // namespace perennial::testing
