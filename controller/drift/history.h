#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "api/drift_monitor.h"
#include "drift/evaluation.h"

namespace perennial::drift {

// One character a look: C critical breach, B breach, w warning, - fine, ? no data, E error.
char Mark(const Evaluation& evaluation);

// The last looks of each signal and variant of one monitor. The newest one is kept whole until
// status shows it. Memory is only a cache of it: after a restart it begins with what status holds.
class History {
 public:
  struct Entry {
    std::string marks;
    std::shared_ptr<const Evaluation> latest = nullptr;  // null: what status shows is still true
    std::string definition = {};                         // of what was looked at (definition.h)
  };
  using Id = std::pair<std::string, std::string>;  // signal, version

  // Takes the marks that status shows. Until the first look: the last words of a controller that
  // died may arrive when its successor has begun.
  void Resume(const api::DriftMonitorStatus& status);
  // What was seen by the rules of an earlier spec is no look by these; states stay.
  void BeginAnew();
  // Looks at something of another definition are forgotten.
  void Add(const Id& id, const std::string& definition, Evaluation evaluation, int keep);
  // Forgets the newest looks that say nothing which `tells(id)` thinks worth a write.
  template <class Tells>
  void Settle(Tells tells) {
    for (auto& [id, entry] : entries_) {
      if (entry.latest != nullptr && !tells(id)) entry.latest.reset();
    }
  }
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
