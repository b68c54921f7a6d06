#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/retrain_policy.h"
#include "base/clock.h"

namespace perennial::retrain {

// What a newData trigger's expression gives at a look.
struct DataReading {
  std::string trigger;          // DataName()
  std::optional<double> value;  // absent: no data, for the reason in `note`
  // Its windows are full, so that a value below the threshold means that there is less data, and
  // not that the controller has only begun to count.
  bool whole = false;
  // It can only grow while its windows fill: sums and increases, but no quotient, which means
  // nothing as long as it is made of the first few numbers.
  bool grows = true;
  // A pod that may know of more could not be read.
  bool missing = false;
  std::string note;
  std::string problem;  // the expression is wrong; what to change
};

// A name for the trigger that changes with what it measures.
std::string DataName(const api::NewDataTrigger& trigger);

// The trigger's identity for a crossing.
std::string CrossingIdentity(const std::string& name, WallTime reached);

// How the policy's newData triggers stand after this look: status, moved on only where it tells
// something new. A value that is missing takes no crossing back, nor does one of windows that
// aren't full: after a restart everything counts from 0. `recorded` are the identities of triggers
// that Jobs and ModelVersions carry: where status was lost, they tell which crossing had its run.
// Pure.
std::vector<api::NewDataStatus> FollowData(const api::RetrainPolicy& policy,
                                           const std::vector<DataReading>& readings,
                                           const std::vector<std::string>& recorded, WallTime now);

}  // namespace perennial::retrain
