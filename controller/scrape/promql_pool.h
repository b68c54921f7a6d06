#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/promql_exchange.h"
#include "scrape/sample_store.h"

namespace perennial::scrape {

// Counters since the start, for the controller's own metrics.
struct PromqlCounters {
  std::uint64_t queries = 0;               // ended, well or not
  std::map<Errc, std::uint64_t> failures;  // by reason
  std::uint64_t bytes = 0;
  std::size_t subscriptions = 0;  // now
};

// Asks the Prometheus of each subscription that has one, from one thread of its own: an answer is
// large and is parsed at once, which must not hold up scrapes.
//
// It reads raw samples and not rates: an instant query of a range selector returns what Prometheus
// scraped, with its time stamps, so that counter resets, churn of pods and bucket layouts are
// judged by the same rules as pages scraped by ourselves, and nothing is extrapolated. Each query
// goes on where the last one ended, a little overlapping, because samples become visible only some
// seconds after their time stamp; the store leaves out what it took already. For new windows it
// goes back over the whole retention: after a restart they are complete at once. A range that
// answers with too much is asked in halves.
class PromqlPool {
 public:
  // Both must outlive the pool. Takes the store's OnQueriesChanged callback.
  PromqlPool(SampleStore& store, const Clock& clock, PromqlOptions options = {});
  ~PromqlPool();  // stops
  PromqlPool(const PromqlPool&) = delete;
  PromqlPool& operator=(const PromqlPool&) = delete;

  // Call each once. Stop() returns when the thread has ended, within one parsing step.
  void Start();
  void Stop();

  // Thread-safe.
  PromqlCounters Counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::scrape
