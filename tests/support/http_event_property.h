#pragma once

#include <string>
#include <string_view>

namespace perennial::testing {

// What must hold for any bytes that come to the port of events: a refusal is a whole answer with a
// 4xx status; a body is never longer than it may be; an event that is read has the same short and
// printable names each time, and once it was accepted it is known. Empty, or what was violated.
std::string ViolatedByHttpEvent(std::string_view input);

}  // namespace perennial::testing
