#pragma once

#include <cstdint>

#include "api/model_deployment.h"
#include "api/model_version.h"
#include "base/clock.h"

namespace perennial::retrain {

// Keeps status.serving and status.trained_to_deployed of a version in step with what its deployment
// (nullptr: gone) shows. What is closed never changes again. Pure.
void UpdateServing(const api::ModelVersion& version, const api::ModelDeployment* deployment,
                   WallTime now, api::ModelVersionStatus& status);

// Whole seconds from its creation to its promotion, at least 0.
std::int64_t TrainedToDeployed(const api::ModelVersion& version, WallTime promoted);

}  // namespace perennial::retrain
