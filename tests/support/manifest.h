#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace perennial::testing {

// A file of the source tree ("samples/minimal/modeldeployment.yaml"); fails the test if it isn't
// there.
std::string ReadSource(const std::string& path);

// The documents of a YAML text as the API server would see them.
std::vector<nlohmann::json> ParseManifests(const std::string& yaml);

}  // namespace perennial::testing
