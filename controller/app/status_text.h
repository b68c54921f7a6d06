#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/clock.h"

namespace perennial::app {

// A ModelDeployment and what belongs to it, as the API server shows them.
struct StatusInput {
  const nlohmann::json& deployment;
  const nlohmann::json& versions;  // arrays of whole objects
  const nlohmann::json& monitors;
  const nlohmann::json& policies;
  // Where the waiting runs of policies stand now, by the policy's name: status tells it seldom.
  std::map<std::string, std::size_t> positions{};
};

// What a person wants to know, in this order: is it well, why does it stand where it stands (WHY),
// what could I do (DO); then traffic, experiment, versions, drift and retraining. Plain text,
// without control characters whatever the objects hold.
std::string DescribeStatus(const StatusInput& input, WallTime now);

}  // namespace perennial::app
