#pragma once

#include <string>
#include <string_view>

namespace perennial::testing {

// What must hold for any kubeconfig: it is refused with a reason that repeats no secret, or names a
// server and has both halves of a client certificate or none. Empty, or what was violated.
std::string ViolatedByKubeconfig(std::string_view input);

}  // namespace perennial::testing
