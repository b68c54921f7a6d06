#pragma once

#include <string>
#include <string_view>

namespace perennial::test {

// What must hold for any bytes that a target may answer with, for the fuzzer and for the replay of
// its corpus: the same page gives the same result however it is cut, the series are well-formed,
// and a page that was seen before counts nothing. The first bytes of the input choose format,
// pieces and limits; the rest is the page. Empty, or what was violated.
std::string ViolatedByPage(std::string_view input);

}  // namespace perennial::test
