#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/children.h"
#include "api/drift_monitor.h"
#include "api/model_version.h"
#include "drift/evaluation.h"
#include "scrape/window_view.h"

// What one variant is compared with, for each `spec.baseline.from`. Pure: the profile is a function
// of objects and windows as they are now, so a promotion or a rollback changes the baseline in the
// step in which it changes the champion, and no restart can bring another one.
namespace perennial::drift {

using WindowOf = std::function<const scrape::WindowView&(const scrape::Range&)>;

struct Reference {
  std::shared_ptr<const api::Profile> profile;  // null: there is none, `problem` says why
  std::string source;                           // for the status; empty without a profile
  std::string problem;
  std::optional<WallTime> recorded;  // absent where it moves along
  // Live references: why a signal is missing in the profile, by the signal's name.
  std::map<std::string, std::string> gaps = {};
  // And what the others are compared with: two signals of one metric may have other windows.
  LiveMetrics live = {};
};

Reference NoReference(std::string problem);
Reference InlineReference(const std::shared_ptr<const api::DriftMonitor>& monitor);
// `version` or `map` may be null: it isn't there.
Reference VersionReference(const std::string& name,
                           const std::shared_ptr<const api::ModelVersion>& version);
Reference ConfigMapReference(const api::BaselineConfigMap& where,
                             const std::shared_ptr<const api::ProfileMapView>& map);
// From live windows: every drift signal that has minSamples there, over a window as long as its
// own.
Reference ChampionReference(const api::DriftMonitorSpec& spec, const WindowOf& champion);
// `variant` is the one that is judged.
Reference WindowReference(const api::DriftMonitorSpec& spec, const WindowOf& variant);

// The earlier window with which baseline.from Window compares a signal; the signal's own offset
// moves both.
scrape::Range EarlierRangeOf(const api::DriftMonitorSpec& spec, const api::Signal& signal);

// What was counted of the metrics of the drift signals, as a profile in their order. `window` says
// where to look for a signal. One without minSamples there is left out, and `gaps` says why.
api::Profile ProfileOf(const api::DriftMonitorSpec& spec,
                       const std::function<const scrape::WindowView&(const api::Signal&)>& window,
                       std::map<std::string, std::string>& gaps);

// EvaluateSignals() against a reference, which takes the place of `reading.baseline`: where there
// is none for a signal, the evaluation says why.
std::vector<Evaluation> EvaluateAgainst(const Reference& reference,
                                        const api::DriftMonitorSpec& spec, Reading reading);

}  // namespace perennial::drift
