#pragma once

#include <string>
#include <string_view>

namespace perennial::testing {

// Path of a file or folder of the source tree that the test was built from. A function and not a
// macro: a path in every compile command would hide from the compiler cache that another checkout
// has compiled the same file before.
std::string SourcePath(std::string_view relative);

}  // namespace perennial::testing
