#include "drift/history.h"

#include "drift/definition.h"

namespace perennial::drift {

char Mark(const Evaluation& evaluation) {
  switch (evaluation.outcome) {
    case api::SignalState::kOk:
      return '-';
    case api::SignalState::kWarning:
      return 'w';
    case api::SignalState::kDrifted:
      return evaluation.critical ? 'C' : 'B';
    case api::SignalState::kNoData:
      return '?';
    case api::SignalState::kError:
      return 'E';
  }
  return '?';
}

void History::Resume(const api::DriftMonitorStatus& status) {
  entries_.clear();
  for (const api::SignalStatus& signal : status.signals) {
    entries_[{signal.name, signal.variant}] = {signal.recent, nullptr, signal.definition};
  }
}

void History::BeginAnew() {
  for (auto& [id, entry] : entries_) entry = {};
}

void History::Add(const Id& id, const std::string& definition, Evaluation evaluation, int keep) {
  Entry& entry = entries_[id];
  if (!SameDefinition(entry.definition, definition)) entry = {};
  entry.definition = definition;
  entry.marks.insert(entry.marks.begin(), Mark(evaluation));
  if (entry.marks.size() > static_cast<size_t>(keep)) entry.marks.resize(static_cast<size_t>(keep));
  entry.latest = std::make_shared<const Evaluation>(std::move(evaluation));
}

}  // namespace perennial::drift
