#pragma once

#include <cstddef>
#include <vector>

#include "base/clock.h"
#include "kube/plan.h"

namespace perennial::kube {

// What has been applied for one object, and how often the same was asked for again: an apply that
// goes through and doesn't stay is undone by somebody else, a mutating webhook or another
// controller. It is repeated once at once, since the first may have been lost in a lagging store or
// undone by hand; then after 1 s, doubling up to 5 minutes, so that two controllers that disagree
// don't drive each other. Remembered until something else is applied to that object, which is ours
// to change, and for ten minutes.
class Repeats {
 public:
  // How long the action has to wait; 0: none.
  Millis Wait(const ApplyObject& action, Millis now) const;
  // It was applied more often than chance explains.
  bool Contested(const ApplyObject& action, Millis now) const;
  // It went through.
  void Add(const ApplyObject& action, Millis now);

 private:
  struct Entry {
    std::size_t target = 0;  // hashes
    std::size_t body = 0;
    Millis at{0};
    int times = 0;
  };
  const Entry* Find(const ApplyObject& action, Millis now) const;

  std::vector<Entry> entries_;
};

}  // namespace perennial::kube
