#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/model_deployment.h"
#include "deployment/weights.h"

// What all pod templates that a user writes have in common: of servers, batches and probes.
namespace perennial::deployment {

// Has containers, whose env are lists of objects, and labels that ours can be added to.
bool IsPodTemplate(const nlohmann::json& value);

// Puts `ours` (entries of an env) first in a container; the template's own variables of the same
// names are left out: what a server reports as its version must be true.
void SetEnvironment(nlohmann::json& container, const nlohmann::json& ours);
// MODEL_URI, MODEL_DIGEST and MODEL_VERSION.
nlohmann::json ModelEnvironment(const api::ModelReference& model, const std::string& version);
// Gives them to every container.
void SetModelEnvironment(nlohmann::json& pod_template, const WantedVariant& variant);

// Pods of a Job, which end: never restarted in place unless the template says otherwise, and
// without the label by which pods serve, since no Service may select them.
void MakeJobPods(nlohmann::json& pod_template, const api::ModelDeployment& deployment,
                 const std::string& version);

}  // namespace perennial::deployment
