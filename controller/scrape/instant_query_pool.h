#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/promql_exchange.h"

namespace perennial::scrape {

// A PromQL expression with one value, and where it is asked.
struct InstantQuery {
  std::string url;  // as PromqlSource::url
  std::string expression;
  Access access;
  Millis interval{30'000};  // between two answers, at least 1 s

  bool operator==(const InstantQuery&) const = default;
};

// What came of a query's newest turn. kNotFound: the expression has no value, or none that is a
// number, as a quotient without requests has none.
struct InstantAnswer {
  Result<double> value;
  Millis at{0};  // steady
};

// Asks Prometheus servers expressions that users wrote, each once an interval, from one thread of
// its own. Thread-safe.
class InstantQueryPool {
 public:
  using Queries = std::map<std::string, InstantQuery>;  // by name

  // The clock must outlive the pool.
  explicit InstantQueryPool(const Clock& clock, PromqlOptions options = {});
  ~InstantQueryPool();  // stops
  InstantQueryPool(const InstantQueryPool&) = delete;
  InstantQueryPool& operator=(const InstantQueryPool&) = delete;

  // Call each once. Stop() returns when the thread has ended.
  void Start();
  void Stop();

  // Makes an owner's queries what they should be; those that stay the same keep their answers and
  // their place in time. None: the owner is forgotten.
  void Set(const std::string& owner, Queries queries);
  // nullopt: not asked for, or no turn has ended yet.
  std::optional<InstantAnswer> Newest(const std::string& owner, const std::string& name) const;
  // Called from the pool's thread after each turn, without any lock held. Set it before Start().
  void OnAnswer(std::function<void(const std::string& owner)> listener);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// The one value of an answer.
Result<double> ValueOf(const PromAnswer& answer);

}  // namespace perennial::scrape
