#pragma once

#include <map>
#include <string>
#include <utility>

#include "api/drift_monitor.h"
#include "drift/evaluation.h"

namespace perennial::drift {

// One character a look: C critical breach, B breach, w warning, - fine, ? no data, E error.
char Mark(const Evaluation& evaluation);

// The last looks of each signal and variant of one monitor, with the newest one whole. Memory is
// only a cache of it: after a restart it begins with what status holds.
class History {
 public:
  struct Entry {
    std::string marks;
    Evaluation latest;
  };
  using Id = std::pair<std::string, std::string>;  // signal, version

  // Takes the marks that status shows for ids that are not known yet.
  void Resume(const api::DriftMonitorStatus& status);
  void Add(const Id& id, Evaluation evaluation, int keep);
  // Forgets signals and versions that are no longer watched.
  template <class Keep>
  void Retain(Keep keep) {
    std::erase_if(entries_, [&](const auto& entry) { return !keep(entry.first); });
  }
  const std::map<Id, Entry>& entries() const { return entries_; }

 private:
  std::map<Id, Entry> entries_;
};

}  // namespace perennial::drift
