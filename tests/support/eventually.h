#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/clock.h"
#include "support/slowdown.h"

namespace perennial::testing {

// True once `holds`, false after this time; sanitizers may take more. Looking takes no more than a
// third of a processor, since what is waited for needs the rest.
template <class Condition>
bool Eventually(Condition holds, Millis most = Millis(10'000)) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + most * kSlowdown;
  while (true) {
    const auto begin = Clock::now();
    if (holds()) return true;
    const auto now = Clock::now();
    if (now >= end) return false;
    std::this_thread::sleep_for(std::max<Clock::duration>(Millis(5), 2 * (now - begin)));
  }
}

}  // namespace perennial::testing
