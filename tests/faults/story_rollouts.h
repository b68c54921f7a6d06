#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "api/model_deployment.h"
#include "base/clock.h"

namespace perennial::testing {

// What a rollout never skips, whatever goes wrong: another version is judged from the beginning,
// and whoever is promoted was measured to the end.
class StoryRollouts {
 public:
  using MayServe = std::function<bool(const std::string& version)>;

  // What is wrong with a ModelDeployment's status, beside what it said when last looked at. `now`:
  // by the clock of whoever wrote it. A champion that may serve no more is replaced without steps.
  std::vector<std::string> Check(const api::ModelDeployment& object, WallTime now,
                                 const MayServe& may_serve);

 private:
  std::map<std::string, api::ModelDeploymentStatus> seen_;  // by UID
};

}  // namespace perennial::testing
