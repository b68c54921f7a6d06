#include "fuzz_input.h"
#include "support/object_expression_property.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return perennial::fuzz::Check(perennial::testing::ViolatedByObjectExpression, data, size);
}
