#include "faults/story_statuses.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace perennial::testing {

using nlohmann::json;

namespace {

// What a list of 500 objects can carry, and an API server stores without a thought.
constexpr std::size_t kLargestStatus = 32 * 1024;

bool IsTrue(const json& conditions, const std::string& type) {
  return std::any_of(conditions.begin(), conditions.end(), [&](const json& condition) {
    return condition.value("type", "") == type && condition.value("status", "") == "True";
  });
}

}  // namespace

std::vector<std::string> StoryStatuses::Check(const json& object) {
  std::vector<std::string> wrong;
  const json status = object.value("status", json::object());
  if (!status.is_object()) return wrong;
  Seen& seen = seen_[object["metadata"]["uid"].get<std::string>()];
  const auto never_falls = [&](const json& of, const std::string& what) {
    const std::int64_t generation = of.value("observedGeneration", std::int64_t{-1});
    if (generation < 0) return;
    if (generation > object["metadata"].value("generation", std::int64_t{1})) {
      wrong.push_back(what + " is ahead of the generation");
    }
    if (generation < seen.generation) wrong.push_back(what + " fell");
    seen.generation = std::max(seen.generation, generation);
  };
  never_falls(status, "observedGeneration");
  const json conditions = status.value("conditions", json::array());
  std::map<std::string, Condition> now;
  for (const json& condition : conditions) {
    const std::string type = condition.value("type", "");
    now[type] = {condition.value("status", ""), condition.value("lastTransitionTime", "")};
    const auto before = seen.conditions.find(type);
    if (before != seen.conditions.end() && before->second.status == now[type].status &&
        before->second.since != now[type].since) {
      wrong.push_back("lastTransitionTime of " + type + " moved without its status");
    }
  }
  seen.conditions = std::move(now);
  if (IsTrue(conditions, "Reconciling") && IsTrue(conditions, "Stalled")) {
    wrong.push_back("Reconciling and Stalled");
  }
  if (status.contains("rollout")) {
    const json& rollout = status["rollout"];
    int& most = seen.steps[rollout.value("version", "") + " " + rollout.value("started", "")];
    const int step = rollout.value("step", 0);
    if (step < most) wrong.push_back("the rollout's step fell");
    most = std::max(most, step);
  }
  const std::size_t size = status.dump().size();
  if (size > kLargestStatus) {
    wrong.push_back("a status of " + std::to_string(size) + " bytes");
  }
  return wrong;
}

}  // namespace perennial::testing
