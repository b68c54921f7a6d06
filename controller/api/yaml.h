#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace perennial::api {

// YAML 1.2 block style of a JSON document, in the document's own order: what we generate is read
// and diffed by people. Every text that YAML could take for something else is quoted.
std::string ToYaml(const nlohmann::ordered_json& document);

}  // namespace perennial::api
