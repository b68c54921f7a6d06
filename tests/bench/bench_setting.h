#pragma once

#include <cstdlib>

namespace perennial::bench {

// A number from the environment, so that a smoke test can ask for less than a measurement.
inline int Setting(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  const int value = text != nullptr ? std::atoi(text) : 0;
  return value > 0 ? value : otherwise;
}

}  // namespace perennial::bench
