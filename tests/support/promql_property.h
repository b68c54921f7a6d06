#pragma once

#include <string>
#include <string_view>

namespace perennial::test {

// What must hold for any bytes that answer a query to a Prometheus: they are refused with a
// printable reason, or they stay inside the limits; the pages made of them are of known variants,
// one a pod and moment, in order of time and well-formed, also if the series come in another order;
// and the store takes them in. The first byte of the input chooses limits and source; the rest is
// the answer. Empty, or what was violated.
std::string ViolatedByAnswer(std::string_view input);

}  // namespace perennial::test
