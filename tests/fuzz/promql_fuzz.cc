#include "fuzz_input.h"
#include "support/promql_property.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return perennial::fuzz::Check(perennial::test::ViolatedByAnswer, data, size);
}
