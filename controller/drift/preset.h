#pragma once

#include "api/drift_monitor.h"

namespace perennial::drift {

// The signal as it is judged: with the thresholds of its preset, else of the monitor's, where it
// has none of its own. `categorical`: its baseline counts categories.
//
// azure (azure-ai-ml's defaults for a monitor): histograms normalized_wasserstein_distance 0.1,
// categories jensen_shannon_distance 0.1, a DataQuality rate at most 0,
// normalized_discounted_cumulative_gain of AttributionDrift at least 0.9.
api::Signal WithPreset(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                       bool categorical);

}  // namespace perennial::drift
