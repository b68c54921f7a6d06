#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <thread>
#include <unordered_set>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/http_fetch.h"
#include "scrape/scrape_schedule.h"

namespace perennial::scrape {

// Asks many peers from one thread, each at its place in its interval (ScrapeSchedule): at most
// `in_flight` at a time, half of them peers that failed last time. What is asked, and what becomes
// of the answer, is its owner's business.
class FetchLoop {
 public:
  struct Exchange {
    FetchRequest request;
    FetchSink sink;
  };
  // What a job's turn came to. kMore: it worked, and there is more to ask at once.
  enum class Turn { kDone, kMore, kFailed };
  // Called from the loop's thread.
  struct Owner {
    // After Changed(): Add() and Remove() what has changed.
    std::function<void()> take_changes;
    // A job's turn. An error is the turn's outcome, without an exchange.
    std::function<Result<Exchange>(std::uint64_t job, Millis lateness)> begin;
    // Also of jobs that were removed since they began.
    std::function<Turn(std::uint64_t job, Result<FetchSummary> outcome)> end;
  };

  // The clock must outlive the loop. `in_flight` is raised to 2.
  FetchLoop(const Clock& clock, std::size_t in_flight, std::size_t idle_connections, Owner owner);
  ~FetchLoop();  // stops
  FetchLoop(const FetchLoop&) = delete;
  FetchLoop& operator=(const FetchLoop&) = delete;

  // Call each once. Stop() returns when the thread has ended, within one parsing step.
  void Start();
  void Stop();

  // From the loop's thread. `target` gives the place in the interval; ids are never used twice.
  void Add(std::uint64_t job, std::string_view target, Millis interval);
  void Remove(std::uint64_t job);

  // Thread-safe.
  void Changed();
  std::size_t jobs() const { return jobs_; }
  std::size_t in_flight() const { return running_; }

 private:
  void Run(const std::stop_token& stop);
  void StartDue();
  void End(std::uint64_t job, Result<FetchSummary> outcome);
  std::size_t FreeSuspectSlots() const;
  Millis Wait() const;

  const Clock& clock_;
  const std::size_t in_flight_;
  const Owner owner_;
  HttpFetcher fetcher_;
  ScrapeSchedule schedule_;
  std::unordered_set<std::uint64_t> suspects_;  // running ones
  std::atomic<bool> changed_{true};
  std::atomic<std::size_t> jobs_{0};
  std::atomic<std::size_t> running_{0};
  std::jthread thread_;
};

}  // namespace perennial::scrape
