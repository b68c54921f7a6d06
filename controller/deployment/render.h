#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "deployment/seal.h"
#include "deployment/weights.h"

namespace perennial::deployment {

// What is wrong with spec.template, or nothing.
std::optional<std::string> TemplateProblem(const api::ModelDeployment& deployment);

// The pods of one version: the user's template with our labels, and MODEL_URI, MODEL_DIGEST and
// MODEL_VERSION in every container. The template must have no problem; so in all of these.
Rendered RenderDeployment(const api::ModelDeployment& deployment, const WantedVariant& variant);
// The Service of one version, with the serving port and the metrics port under their names.
Rendered RenderService(const api::ModelDeployment& deployment, const std::string& version);
// The Service that users address inside the cluster, named like the ModelDeployment. It selects one
// version's pods, or all that serve if `version` is empty.
Rendered RenderMainService(const api::ModelDeployment& deployment, const std::string& version);
// The HTTPRoute or GRPCRoute, named like the ModelDeployment. All weights in one write; the split
// is the first rule.
Rendered RenderRoute(const api::ModelDeployment& deployment, const std::vector<Share>& shares,
                     const Extras& extras = {});

// Label selector of all pods that serve.
std::string SelectorOf(const api::ModelDeployment& deployment);

}  // namespace perennial::deployment
