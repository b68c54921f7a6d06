#pragma once

#include <string>
#include <string_view>

#include "deployment/decide.h"

namespace perennial::deployment {

// What keeps pods of the version from starting, in the words of the scheduler or the kubelet, or
// nothing. What status says of the same cause already stays as it is: the kubelet's messages differ
// from try to try.
std::string WhyPodsWait(const Observed& seen, std::string_view version);

}  // namespace perennial::deployment
