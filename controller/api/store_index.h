#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/children.h"
#include "api/model_version.h"

// Indexes that several controllers ask the same store for, and what an object is found under:
// "namespace/name". A store must have its index before its informer starts.
namespace perennial::api {

inline constexpr std::string_view kVersionsByDeployment = "deployment";
std::vector<std::string> DeploymentOf(const ModelVersion& version);

inline constexpr std::string_view kSlicesByService = "service";
std::vector<std::string> ServiceOf(const EndpointSliceView& slice);

}  // namespace perennial::api
