#pragma once

namespace perennial::testing {

// How much longer things may take where sanitizers, and whatever else CI runs at the same time,
// take most of the processor.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int kSlowdown = 4;
#else
inline constexpr int kSlowdown = 1;
#endif

}  // namespace perennial::testing
