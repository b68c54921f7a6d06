#pragma once

#include <string>
#include <string_view>

namespace perennial::testing {

// What must hold for the bytes of a watch, whatever they are: they have the same effects however
// they are cut; what is put into the store names an object and its version; nothing is delivered
// after the watch is given up; and a bad frame is remembered as an error. The first byte chooses
// the cut; the rest is the stream. Empty, or what was violated.
std::string ViolatedByWatchFrames(std::string_view input);

}  // namespace perennial::testing
