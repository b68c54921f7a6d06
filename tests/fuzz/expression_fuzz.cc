#include "fuzz_input.h"
#include "support/expression_property.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return perennial::fuzz::Check(perennial::test::ViolatedByExpression, data, size);
}
