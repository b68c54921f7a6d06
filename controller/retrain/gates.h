#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/model_version.h"

namespace perennial::retrain {

// Judges each gate of `version` on its evaluation metrics; a gate versus the champion compares with
// `champion` (the version named in spec.parent, or nullptr where there is none or it is gone).
// Pure. A missing metric fails with a message that says so; a comparison without anything to
// compare with passes only if there never was a champion.
std::vector<api::GateStatus> EvaluateGates(const api::ModelVersion& version,
                                           const api::ModelVersion* champion);

// True where nothing has failed, or the gates only report (DryRun).
bool GatesPass(const std::vector<api::GateStatus>& gates, api::GateMode mode);

// At most six significant digits, without exponent where it fits.
std::string FormatNumber(double value);

}  // namespace perennial::retrain
