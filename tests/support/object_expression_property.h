#pragma once

#include <string>
#include <string_view>

namespace perennial::testing {

// What must hold for any text that somebody may write as a workload's success or failure, or as the
// path of a result: it is refused with a column inside the text, or it gives over any object the
// same answer each time, also in parentheses; never together with its negation; and a text that is
// UTF-8 gives only such texts. Empty, or what was violated.
std::string ViolatedByObjectExpression(std::string_view input);

}  // namespace perennial::testing
