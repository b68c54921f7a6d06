#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "kube/transport.h"

namespace perennial::testing {

class StoryWorld;

// Watches the API server for what must hold at any moment, whatever goes wrong (the invariants of
// docs/reliability.md; their numbers are in the texts of the violations).
class StoryPromises {
 public:
  explicit StoryPromises(const StoryWorld& world) : world_(world) {}

  // Before a request of the controller is sent.
  void CheckRequest(const kube::Request& request);
  // After a write of anybody.
  void CheckWorld();
  // What nobody may touch, as it is now.
  void Guard();
  void Violated(const std::string& what);

  const std::vector<std::string>& violations() const { return violations_; }
  // Versions that have all traffic, or had.
  const std::map<std::string, std::string>& promoted_at() const { return promoted_at_; }

 private:
  void CheckRuns();
  void CheckVersions();
  void CheckChampion(const std::string& model);
  void CheckRoutes();
  void CheckOthers();
  void CheckVerdicts(const std::string& model);

  const StoryWorld& world_;
  std::vector<std::string> violations_;
  std::map<std::string, std::vector<std::string>> champions_;  // one after the other, by model
  std::map<std::string, std::string> promoted_at_;             // by version
  std::set<std::string> withdrawn_;                            // rejected or rolled back once
  bool scaled_to_zero_ = false;
  std::map<std::string, int> weights_;  // by version, the most since it came into the route
  std::map<std::string, std::string> bystanders_;  // resource and name -> text
  std::map<std::string, std::string> verdicts_;    // of each signal
  std::set<std::string> annotated_;                // UIDs of Deployments with a note of somebody's
};

}  // namespace perennial::testing
