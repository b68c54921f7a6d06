#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace perennial::app {

// The documents of a YAML (or JSON) text as kubectl would send them: plain scalars become null,
// booleans and numbers as in YAML 1.1 (`yes` is true), quoted ones stay text. kInvalid names the
// line: bad syntax, a key given twice, more than 200,000 nodes once aliases are expanded.
Result<std::vector<nlohmann::json>> ParseYaml(const std::string& text);

}  // namespace perennial::app
