#pragma once

#include <string>
#include <vector>

#include "api/model_version.h"
#include "retrain/reading.h"

namespace perennial::retrain {

// The versions that gates compare with; nullptr where there is none or it is gone.
struct Compared {
  const api::ModelVersion* champion = nullptr;  // spec.parent
  const api::ModelVersion* parent = nullptr;    // spec.trainedFrom
};

// The name of the version that a gate compares with; empty: none.
const std::string& ComparedWith(const api::ModelVersionSpec& version, const api::Gate& gate);
const api::ModelVersion* VersionOf(const Compared& compared, const api::ModelVersionSpec& version,
                                   const api::Gate& gate);

// Judges each gate of `version` on its evaluation. Pure. A missing metric fails with a message that
// says so; a comparison without anything to compare with passes only if there never was a version
// to compare with, or that has no such metric; one of evaluations on different data is flagged, or
// fails if the gate says so.
std::vector<api::GateStatus> EvaluateGates(const api::ModelVersion& version,
                                           const Compared& compared);

// True where nothing has failed, or the gates only report (DryRun).
bool GatesPass(const std::vector<api::GateStatus>& gates, api::GateMode mode);

}  // namespace perennial::retrain
