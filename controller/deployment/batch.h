#pragma once

#include <optional>
#include <string>

#include "deployment/seal.h"
#include "deployment/weights.h"

namespace perennial::deployment {

// What is wrong with spec.batch, or nothing.
std::optional<std::string> BatchProblem(const api::ModelDeployment& deployment);

// The CronJob of one version. `ending`: it starts no more Jobs, and those that run go on.
Rendered RenderBatch(const api::ModelDeployment& deployment, const WantedVariant& variant,
                     bool ending = false);

}  // namespace perennial::deployment
