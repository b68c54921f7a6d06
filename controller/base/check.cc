#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace perennial {

void CheckFailed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "invariant broken: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace perennial
