#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace perennial::app {

// What an answer to "why is this model serving?" is made of, as the API server shows it. Statuses
// may be lost: specs, metadata and ModelApprovals are enough.
struct WhyInput {
  const nlohmann::json& deployment;
  const nlohmann::json& versions;   // arrays of whole objects: of the deployment
  const nlohmann::json& approvals;  // of the namespace
};

// The chain of each version that serves, from its promotion back to what began its training, and
// its parents:
//   {"modelDeployment", "namespace", "serving": [{"role", "chain": [VERSION, PARENT, ...]}]}
// A version has "version", "revision", "model", "created", "promoted", "approvals", "gates",
// "origin", "trigger", "evaluation" and "parent". Gates are judged anew from what is immutable.
// kNotFound where nothing serves.
Result<nlohmann::json> ExplainServing(const WhyInput& input);

// The same for people. Plain text, without control characters whatever the objects hold.
std::string DescribeWhy(const nlohmann::json& explanation);

}  // namespace perennial::app
