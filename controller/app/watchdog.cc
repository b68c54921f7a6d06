#include "app/watchdog.h"

#include <algorithm>

namespace perennial::app {

std::vector<std::string> Watchdog::Check(Millis now, const std::vector<WorkerSign>& workers,
                                         const std::vector<InformerSign>& informers) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const WorkerSign& worker : workers) {
    const auto [it, first] = progress_.try_emplace(worker.name, Progress{worker.looks, now});
    Progress& progress = it->second;
    if (first || worker.due == 0 || worker.looks != progress.looks) {
      progress = {worker.looks, now};
    } else if (now - progress.at >= kNoLook) {
      out.push_back(worker.name + ": " + std::to_string(worker.due) +
                    " keys are due and none was looked at for " +
                    FormatDuration(std::chrono::floor<Seconds>(now - progress.at)));
    }
  }
  const bool connected = std::any_of(
      informers.begin(), informers.end(),
      [&](const InformerSign& informer) { return now - informer.last_contact < kRecent; });
  for (const InformerSign& informer : informers) {
    if (connected && now - informer.last_contact >= kNoContact) {
      out.push_back(informer.name + ": no word from the API server for " +
                    FormatDuration(std::chrono::floor<Seconds>(now - informer.last_contact)));
    }
  }
  return out;
}

}  // namespace perennial::app
