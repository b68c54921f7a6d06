#pragma once

#include <optional>
#include <string>

#include "deployment/seal.h"
#include "deployment/weights.h"

namespace perennial::deployment {

// What is wrong with spec.autoscaling or spec.disruptionBudget beyond their schema, or nothing.
std::optional<std::string> ScalingProblem(const api::ModelDeployment& deployment);

// The HorizontalPodAutoscaler of one version, named like its Deployment. The variant's `replicas`
// are its fewest: a challenger begins with as many as its share takes.
Rendered RenderAutoscaler(const api::ModelDeployment& deployment, const WantedVariant& variant);
// The PodDisruptionBudget of one version, of the same name.
Rendered RenderBudget(const api::ModelDeployment& deployment, const std::string& version);

}  // namespace perennial::deployment
