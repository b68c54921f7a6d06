#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/fetch_loop.h"
#include "scrape/http_fetch.h"
#include "scrape/promql_answer.h"
#include "scrape/sample_store.h"

namespace perennial::scrape {

struct PromqlOptions {
  // Each may hold one whole answer, so together they bound the memory.
  std::size_t in_flight = 4;
  FetchLimits fetch{.connect = Millis{3'000},
                    .total = Millis{30'000},
                    .wire_bytes = std::size_t{8} << 20,
                    .body_bytes = std::size_t{8} << 20};
  PromLimits answer;
  ParseLimits page;
  AddressPolicy addresses;
};

// A question to the HTTP API of a Prometheus, and what has come of its answer so far.
class PromqlExchange {
 public:
  // Posts `query`, to be evaluated at `at`, and waits for it no longer than an interval. The sink
  // fills this object, which must stay where it is until the exchange has ended.
  Result<FetchLoop::Exchange> Begin(std::string_view url, const Access& access,
                                    std::string_view query, WallTime at, Millis interval,
                                    const PromqlOptions& options);

  // The answer, or an error in the server's own words where it has some. Forgets the body.
  Result<PromAnswer> End(const Result<FetchSummary>& fetched, const Access& access,
                         const PromLimits& limits);

 private:
  int status_ = 0;
  std::string body_;
};

}  // namespace perennial::scrape
