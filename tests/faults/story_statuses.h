#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace perennial::testing {

// What a status never does, whatever goes wrong: it never goes back, doesn't contradict itself, and
// stays small.
class StoryStatuses {
 public:
  // What is wrong with the status of an object of ours, beside what it said when last looked at.
  std::vector<std::string> Check(const nlohmann::json& object);

 private:
  struct Condition {
    std::string status;
    std::string since;
    bool operator==(const Condition&) const = default;
  };
  struct Seen {
    std::int64_t generation = 0;
    std::map<std::string, Condition> conditions;  // by type
    std::map<std::string, int> steps;             // by version and the rollout's beginning
  };

  std::map<std::string, Seen> seen_;  // by UID
};

}  // namespace perennial::testing
