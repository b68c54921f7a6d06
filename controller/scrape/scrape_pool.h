#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/exposition.h"
#include "scrape/http_fetch.h"
#include "scrape/sample_store.h"

namespace perennial::scrape {

struct PoolOptions {
  std::size_t in_flight = 64;
  std::size_t idle_connections = 256;
  FetchLimits fetch;  // `total` is cut to the target's interval
  ParseLimits parse;
  AddressPolicy addresses;
};

// Counters since the start, for the controller's own metrics.
struct PoolCounters {
  // Upper bounds of `lateness` in milliseconds; the last bucket is everything above.
  static constexpr std::array<std::int64_t, 10> kLatenessBounds{1,   10,   50,   100,  250,
                                                                500, 1000, 2500, 5000, 10000};
  std::uint64_t scrapes = 0;                                         // ended, well or not
  std::map<Errc, std::uint64_t> failures;                            // by reason
  std::uint64_t bytes = 0;                                           // of decoded bodies
  std::uint64_t samples = 0;                                         // parsed, wanted or not
  std::array<std::uint64_t, kLatenessBounds.size() + 1> lateness{};  // not cumulative
  double lateness_sum_ms = 0;
  std::size_t targets = 0;    // now
  std::size_t in_flight = 0;  // now
};

// Scrapes all targets of a store from one thread. Each target has its place in its interval; at
// most `in_flight` are asked at a time, half of them targets that failed last time.
class ScrapePool {
 public:
  // Both must outlive the pool. Takes the store's OnJobsChanged callback.
  ScrapePool(SampleStore& store, const Clock& clock, const PoolOptions& options = {});
  ~ScrapePool();  // stops
  ScrapePool(const ScrapePool&) = delete;
  ScrapePool& operator=(const ScrapePool&) = delete;

  // Call each once. Stop() returns when the thread has ended, within one parsing step.
  void Start();
  void Stop();

  // Thread-safe.
  PoolCounters Counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::scrape
