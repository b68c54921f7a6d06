#pragma once

#include <set>
#include <string>

#include "api/drift_monitor.h"

// From looks to the state of a signal, and from the signals of one variant to whether the model has
// drifted. Pure.
namespace perennial::drift {

// The state that `marks` (newest first) lead to from `before`: `k` breaches among the last `n`
// looks make it Drifted, and it takes `k` looks without breach among the last `n` to leave it.
// Looks without data move nothing, but a whole window of them makes Ok and Warning NoData; Drifted
// stays, since no data is not an improvement.
api::SignalState NextState(api::SignalState before, const std::string& marks, int k, int n);

// How bad a drift of the signal is: Critical if `k` of the last `n` looks breached critically, else
// what the spec says of the signal.
api::Severity SeverityOf(const api::Signal& signal, const std::string& marks, int k, int n);

// What a policy makes of the signals that have drifted.
struct PolicyVerdict {
  bool drifted = false;
  std::string reason;  // "2 of 5 signals by weight: 0.4, at least 0.5 are asked"; empty for Any
};

// `drifted` names signals of `spec`. The share is of all signals, judged or not, so that one that
// loses its data never makes a drift of the others. Signals of weight 0 count for nothing.
PolicyVerdict JudgePolicy(const api::DriftMonitorSpec& spec, const std::set<std::string>& drifted);

// 1 unless the spec says otherwise.
double WeightOf(const api::Signal& signal);

}  // namespace perennial::drift
