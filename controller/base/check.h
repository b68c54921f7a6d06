#pragma once

namespace perennial {

// Prints the broken invariant and aborts: a program whose own assumptions are wrong must not go on
// writing to a cluster. Expected failures are Result<T>, never this.
[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);

}  // namespace perennial

#define PERENNIAL_CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::perennial::CheckFailed(#expression, __FILE__, __LINE__))
