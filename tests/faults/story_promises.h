#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "faults/story_rollouts.h"
#include "faults/story_statuses.h"
#include "kube/meta.h"
#include "kube/transport.h"
#include "support/api_path.h"

namespace perennial::testing {

class StoryWorld;

// Watches the API server for what must hold at any moment, whatever goes wrong (the invariants of
// docs/reliability.md; their numbers are in the texts of the violations).
class StoryPromises {
 public:
  explicit StoryPromises(const StoryWorld& world) : world_(world) {}

  // Before a request of the controller is sent.
  void CheckRequest(const kube::Request& request);
  // After a write of anybody. `late`: of a process that is dead by now.
  void CheckWorld(bool late = false);
  // What nobody may touch, as it is now: one object of each of these kinds.
  void Guard();
  static const std::vector<kube::Resource>& KindsOfBystanders();
  void Violated(const std::string& what);

  const std::vector<std::string>& violations() const { return violations_; }
  // Versions that have all traffic, or had.
  const std::map<std::string, std::string>& promoted_at() const { return promoted_at_; }

 private:
  void CheckAim(const kube::Request& request, const ApiPath& path);
  void CheckDeletion(const ApiPath& path, const nlohmann::json& named);
  // Of an object of one of our kinds.
  bool IsOurUid(const std::string& uid) const;
  void CheckRuns();
  void NoteRun(const std::string& what, const std::string& whose);
  void CheckVersions();
  void CheckChampion(const std::string& model);
  // How much each version gets, at most, of the requests that a route or a Service leads.
  using Weights = std::map<std::string, int>;
  void CheckTraffic();
  void CheckRule(const nlohmann::json& rule, Weights& weights);
  void CheckBackend(const nlohmann::json& backend, int weight, Weights& weights);
  void CheckService(const nlohmann::json& service, Weights& weights);
  void CheckWeight(const std::string& version, int weight, Weights& weights);
  bool HasReadyPods(const std::string& service) const;
  bool IsChampion(const std::string& version) const;
  bool IsRolledBack(const std::string& version) const;
  void CheckStatuses();
  void CheckRollout(const std::string& model);
  void CheckOthers();
  void CheckVerdicts(const std::string& model, bool late);

  const StoryWorld& world_;
  std::vector<std::string> violations_;
  std::map<std::string, std::vector<std::string>> champions_;  // one after the other, by model
  std::map<std::string, std::string> promoted_at_;             // by version
  std::set<std::string> restored_;  // champions again, since another one was rejected
  std::map<std::string, std::set<std::string>> runs_;  // of what was trained: all that ever did
  Weights withdrawn_;                                  // rejected once: what each may still have
  bool scaled_to_zero_ = false;
  bool has_rules_ = false;  // some spec asked once that one variant answers alone
  Weights weights_;         // the most since the version came into the traffic
  std::map<std::string, std::string> bystanders_;  // resource and name -> text
  std::map<std::string, std::string> verdicts_;    // of each signal
  StoryStatuses statuses_;
  StoryRollouts rollouts_;
  std::map<std::string, std::string> rollout_versions_;  // resource versions looked at, by model
  std::set<std::string> annotated_;  // UIDs of Deployments with a note of somebody's
};

}  // namespace perennial::testing
