#pragma once

#include <string>
#include <string_view>

namespace perennial::testing {

// What must hold for any schedule: it is refused with a reason, or the times that it fires are in
// order, and looking back from one of them finds that one. Empty, or what was violated.
std::string ViolatedByCron(std::string_view input);

}  // namespace perennial::testing
