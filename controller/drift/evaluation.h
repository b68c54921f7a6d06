#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "api/drift_monitor.h"
#include "api/model_version.h"
#include "scrape/expression.h"
#include "scrape/window_view.h"

namespace perennial::drift {

// What one look at one signal of one variant said. kDrifted here means "this look breaches";
// whether the signal has drifted is decided over several looks (decide.h).
struct Evaluation {
  api::SignalState outcome = api::SignalState::kNoData;
  std::string value;  // decimal text of the test or bound that decided
  std::string threshold;
  std::int64_t samples = 0;
  std::string message;
  std::vector<api::TestStatus> tests;
  bool critical = false;                  // a breach beyond what the spec calls critical
  std::vector<api::BinShift> moved = {};  // of a breach or warning: what differs most
};

// True for the signals that are judged by tests, distribution against distribution.
bool ComparesDistributions(const api::Signal& signal);
// True for those and the other ones that read the baseline's profile.
bool NeedsBaseline(const api::Signal& signal);

// The expressions of a spec, parsed once for it, by the names of their signals.
struct Expressions {
  std::map<std::string, scrape::Expression> parsed;
  std::map<std::string, std::string> wrong;  // "column 7: what is wrong, and what to write"
};
Expressions ParseExpressions(const api::DriftMonitorSpec& spec);

// The stretch of time that a signal reads; that of its expression's `named`, which the signal's own
// offset moves.
scrape::Range RangeOf(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                      scrape::Range named = {});

// What each signal's own window counted where the baseline is live, by the signal's name.
using LiveMetrics = std::map<std::string, const api::MetricProfile*>;

// What one look at one variant reads.
struct Reading {
  std::function<const scrape::WindowView&(const scrape::Range&)> window;
  const Expressions& expressions;
  const api::ModelVersion* version = nullptr;
  const api::Profile* baseline = nullptr;
  const LiveMetrics* live = nullptr;  // metrics of `baseline`; null: a metric is found by its name
};

// Judges each signal of `spec`, in its order, on what one variant's pods counted inside its window.
// `reading.baseline` may be null: a drift signal then answers NoData. Series of one metric are
// added up over their other labels. Too few samples, or a threshold that chance alone reaches with
// them, is NoData; a metric of a kind that can't be judged like this is an Error; messages say what
// to change. Several tests: any breach breaches, but one that can't be judged makes the others'
// calm NoData. With spec.falseDiscoveryRate the p-value tests of all signals are one family. Pure.
std::vector<Evaluation> EvaluateSignals(const api::DriftMonitorSpec& spec, const Reading& reading);

// The metric families that a monitor's signals need.
std::vector<std::string> WantedMetrics(const api::DriftMonitorSpec& spec,
                                       const Expressions& expressions);

}  // namespace perennial::drift
