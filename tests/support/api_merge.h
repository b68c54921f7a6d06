#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>

namespace perennial::testing {

// The field sets of server-side apply, as paths to leaves. Objects merge by field, the lists of
// Kubernetes' own types that merge by a key (containers, owner references, conditions, ...) by it,
// every other list as a whole.
std::set<std::string> LeavesOf(const nlohmann::json& value);

// Merges an applied intent into the live object.
void ApplyInto(nlohmann::json& live, const nlohmann::json& intent);

// The leaf's value, or nullopt.
std::optional<nlohmann::json> LeafAt(const nlohmann::json& value, const std::string& path);
// Takes the leaf away, and what is empty without it.
void EraseLeaf(nlohmann::json& value, const std::string& path);

// Leaves that differ between the two, or are in one only.
std::set<std::string> ChangedLeaves(const nlohmann::json& before, const nlohmann::json& after);

}  // namespace perennial::testing
