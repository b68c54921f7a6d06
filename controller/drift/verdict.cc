#include "drift/verdict.h"

#include <algorithm>
#include <string_view>

#include "base/text.h"
#include "drift/gather.h"

namespace perennial::drift {
namespace {

using api::SignalState;

// The last `n` looks.
class Window {
 public:
  Window(const std::string& marks, int n)
      : marks_(std::string_view(marks).substr(0, static_cast<std::size_t>(std::max(n, 1)))) {}
  int Count(std::string_view of) const {
    return static_cast<int>(std::count_if(marks_.begin(), marks_.end(), [&](char mark) {
      return of.find(mark) != std::string_view::npos;
    }));
  }
  std::string_view marks() const { return marks_; }

 private:
  std::string_view marks_;
};

}  // namespace

SignalState NextState(SignalState before, const std::string& marks, int k, int n) {
  const Window window(marks, n);
  const int breaches = window.Count("BC");
  const int calm = window.Count("-w");
  if (breaches >= k) return SignalState::kDrifted;
  if (before == SignalState::kDrifted && calm < k) return SignalState::kDrifted;
  if (window.marks().empty()) return before;
  if (calm + breaches == 0) {
    if (window.Count("E") > 0) return SignalState::kError;
    return static_cast<int>(window.marks().size()) >= n ? SignalState::kNoData : before;
  }
  // A single breach on the way to k is worth a warning.
  for (const char mark : window.marks()) {
    if (mark == 'B' || mark == 'C' || mark == 'w') return SignalState::kWarning;
    if (mark == '-') return SignalState::kOk;
  }
  return before;
}

api::Severity SeverityOf(const api::Signal& signal, const std::string& marks, int k, int n) {
  return Window(marks, n).Count("C") >= k ? api::Severity::kCritical : signal.severity;
}

double WeightOf(const api::Signal& signal) {
  return signal.weight ? signal.weight->value : 1;
}

PolicyVerdict JudgePolicy(const api::DriftMonitorSpec& spec, const std::set<std::string>& drifted) {
  double all = 0;
  double sum = 0;
  int count = 0;
  for (const api::Signal& signal : spec.signals) {
    const double weight = WeightOf(signal);
    all += weight;
    if (weight <= 0 || !drifted.contains(signal.name)) continue;
    sum += weight;
    ++count;
  }
  if (spec.policy.mode == api::PolicyMode::kAny) return {count > 0, ""};
  const double least = spec.policy.at_least ? spec.policy.at_least->value : 1;
  const bool share = spec.policy.mode == api::PolicyMode::kShare;
  const double value = !share ? sum : all > 0 ? sum / all : 0;
  PolicyVerdict verdict;
  // A sum of decimals such as 0.1 + 0.2 shall reach 0.3.
  verdict.drifted = count > 0 && value >= least * (1 - 1e-12);
  verdict.reason = std::to_string(count) + " of " + std::to_string(spec.signals.size()) +
                   " signals have drifted, " + (share ? "share " : "score ") + NumberText(value) +
                   (verdict.drifted ? ", at least " : ", below ") + NumberText(least);
  return verdict;
}

}  // namespace perennial::drift
