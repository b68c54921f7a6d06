#include "fuzz_input.h"
#include "support/http_event_property.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return perennial::fuzz::Check(perennial::testing::ViolatedByHttpEvent, data, size);
}
