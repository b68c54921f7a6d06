#pragma once

#include <nlohmann/json_fwd.hpp>

#include "api/model_deployment.h"

namespace perennial::deployment {

// Brings the artifact into a pod template that has at least one container, as spec.storage says: a
// volume in every container, and MODEL_PATH.
void DeliverModel(nlohmann::json& pod_template, const api::ModelDeploymentSpec& spec,
                  const api::ModelReference& model);

// Probes of the Open Inference Protocol (health endpoints of its version 2) for the container that
// has the serving port, where the template has none.
void AddProbes(nlohmann::json& pod_template, const api::ModelDeploymentSpec& spec);

// Lets pods that are to end serve on for spec.traffic.drain: whoever sends to them hears of their
// end later than the kubelet does.
void AddDrain(nlohmann::json& pod_template, const api::ModelDeploymentSpec& spec);

}  // namespace perennial::deployment
