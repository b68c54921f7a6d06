#include "fuzz_input.h"
#include "support/training_result_property.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return perennial::fuzz::Check(perennial::testing::ViolatedByResult, data, size);
}
