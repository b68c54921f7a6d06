#pragma once

#include <string>
#include <string_view>

namespace perennial::test {

// What must hold for any text that a signal may have as its expression: it is refused with a column
// inside the text, or it names its metrics and ranges and gives over any windows the same finite
// number each time, also in parentheses; no data where nothing was measured. Empty, or what was
// violated.
std::string ViolatedByExpression(std::string_view input);

}  // namespace perennial::test
