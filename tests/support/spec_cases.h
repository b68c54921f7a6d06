#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/crd.h"

// Specs that are valid or not, for both judges: the C++ rules and the API server.
namespace perennial::testing {

struct SpecCase {
  std::string name;
  std::string kind;
  nlohmann::json spec;
  std::string field;    // what both messages must name; empty for a valid spec
  std::string message;  // what both must say; empty where the API server has its own words
};

// One smallest valid spec of each kind.
nlohmann::json ValidSpec(const std::string& kind);
std::vector<SpecCase> SpecCases();

// What the C++ side says: the decoder's error, or what Validate found.
std::vector<std::string> Problems(const std::string& kind, const nlohmann::json& spec);

// A whole object around a spec.
nlohmann::json ObjectOf(const std::string& kind, const std::string& name,
                        const nlohmann::json& spec);

}  // namespace perennial::testing
