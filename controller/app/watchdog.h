#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"

namespace perennial::app {

// Signs of life of one controller's workers.
struct WorkerSign {
  std::string name;
  std::size_t due = 0;      // keys that wait for a worker
  std::uint64_t looks = 0;  // reconciliations so far, whatever came of them
};

// Of one informer.
struct InformerSign {
  std::string name;
  Millis last_contact{0};
};

// Tells a process that hangs from one that has nothing to do, or nobody to talk to: a restart cures
// the first only.
class Watchdog {
 public:
  // Keys that are due, and not one look in this time: every call that a look makes has a deadline
  // far below it.
  static constexpr Millis kNoLook{300'000};
  // An informer without a word from the API server while another heard one: watches end and begin
  // again within four minutes (kube/informer.h).
  static constexpr Millis kNoContact{600'000};
  static constexpr Millis kRecent{60'000};

  // What hangs, one sentence each; empty: healthy. Thread-safe; to be asked now and then, since
  // progress is what happened since the last time.
  std::vector<std::string> Check(Millis now, const std::vector<WorkerSign>& workers,
                                 const std::vector<InformerSign>& informers);

 private:
  struct Progress {
    std::uint64_t looks = 0;
    Millis at{0};
  };
  std::mutex mutex_;
  std::map<std::string, Progress> progress_;
};

}  // namespace perennial::app
