#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

namespace perennial::fuzz {

// What an input may cost, with sanitizers and all that a property tries with it. libFuzzer's own
// limits are of the wall clock, which says nothing where other work runs beside it.
inline constexpr double kMostProcessorSeconds = 1;

inline double ProcessorSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Ends the process, so that libFuzzer keeps the input, if `violated` finds something (its answer
// isn't empty) or takes long.
template <class Violated>
int Check(Violated violated, const std::uint8_t* data, std::size_t size) {
  const double before = ProcessorSeconds();
  std::string why = violated(std::string_view(reinterpret_cast<const char*>(data), size));
  const double took = ProcessorSeconds() - before;
  if (why.empty() && took > kMostProcessorSeconds) {
    why = "took " + std::to_string(took) + " s of a processor";
  }
  if (!why.empty()) {
    std::fprintf(stderr, "%s\n", why.c_str());
    std::abort();
  }
  return 0;
}

}  // namespace perennial::fuzz
