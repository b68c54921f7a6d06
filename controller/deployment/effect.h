#pragma once

#include <string>
#include <vector>

#include "deployment/weights.h"

namespace perennial::deployment {

// What the cluster does about it.
struct Effect {
  bool settled = false;       // traffic is split as Intent::shares says
  bool known = false;         // `shares` was observed, not assumed
  std::vector<Share> shares;  // in effect
  std::string message;        // why it is not settled, if anybody says so
  std::string unsupported;    // what the spec asks for and the cluster can't do
};

Effect EffectOf(const Observed& seen, const Intent& intent);

}  // namespace perennial::deployment
