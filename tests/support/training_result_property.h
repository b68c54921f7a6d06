#pragma once

#include <string>
#include <string_view>

namespace perennial::testing {

// What must hold for any text that a training container leaves: it is refused with a message, or
// what was read can be recorded in a ModelVersion that passes its own rules. Returns what was
// violated, or nothing.
std::string ViolatedByResult(std::string_view text);

}  // namespace perennial::testing
