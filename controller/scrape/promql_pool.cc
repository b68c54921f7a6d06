#include "scrape/promql_pool.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "scrape/fetch_loop.h"

namespace perennial::scrape {
namespace {

constexpr std::size_t kIdleConnections = 16;
// A scrape's samples have the time at which it began and are there when it ended: its time-out is
// 10 s by default, and at most the scrape interval, mostly up to a minute.
constexpr Millis kOverlap{60'000};
constexpr Millis kSmallestRange{10'000};

// What was read of one subscription's Prometheus.
struct Reading {
  std::shared_ptr<const QueryJob> job;
  std::optional<WallTime> until;  // taken in up to here
  Millis range{0};                // of one query beyond the overlap; 0: not known yet
  // Of the query that is under way.
  bool running = false;
  WallTime to{};
  bool last = false;  // it reaches now
  PromqlExchange exchange;
};

}  // namespace

class PromqlPool::Impl {
 public:
  Impl(SampleStore& store, const Clock& clock, PromqlOptions options)
      : store_(store),
        clock_(clock),
        options_(std::move(options)),
        loop_(clock, options_.in_flight, kIdleConnections,
              {.take_changes = [this] { TakeChanges(); },
               .begin = [this](std::uint64_t id, Millis) { return Begin(readings_.at(id)); },
               .end = [this](std::uint64_t id,
                             const Result<FetchSummary>& fetched) { return End(id, fetched); }}) {
    store_.OnQueriesChanged([this] { loop_.Changed(); });
  }

  ~Impl() {
    loop_.Stop();
    store_.OnQueriesChanged(nullptr);
  }

  void Start() { loop_.Start(); }
  void Stop() { loop_.Stop(); }

  PromqlCounters Counters() const {
    const std::lock_guard lock(mutex_);
    PromqlCounters counters = counters_;
    counters.subscriptions = loop_.jobs();
    return counters;
  }

 private:
  void TakeChanges() {
    for (const auto& job : store_.TakeQueryChanges()) {
      const auto known = ids_.find(job->subscription);
      if (!job->source) {
        if (known == ids_.end()) continue;
        Drop(known->second);
        ids_.erase(known);
        continue;
      }
      std::uint64_t id = next_++;
      Reading reading;
      if (known != ids_.end()) {
        // Goes on where it was if the windows in the store do.
        const Reading& old = readings_.at(known->second);
        if (old.job->windows == job->windows) reading.until = old.until;
        reading.range = old.range;
        Drop(known->second);
      }
      reading.job = job;
      ids_[job->subscription] = id;
      loop_.Add(id, job->subscription, job->interval);
      readings_[id] = std::move(reading);
    }
  }

  // A query under way still fills its buffer: the reading stays until it has ended.
  void Drop(std::uint64_t id) {
    loop_.Remove(id);
    const auto it = readings_.find(id);
    if (it->second.running) {
      it->second.job = nullptr;
    } else {
      readings_.erase(it);
    }
  }

  Result<FetchLoop::Exchange> Begin(Reading& reading) const {
    const QueryJob& job = *reading.job;
    const WallTime now = clock_.Wall();
    const WallTime oldest = now - job.retention;
    const bool first = !reading.until || *reading.until < oldest;
    const WallTime from = first ? oldest : std::min(*reading.until, now);
    if (reading.range == Millis{0}) reading.range = std::max(job.retention, kSmallestRange);
    reading.to = std::min(now, from + reading.range);
    reading.last = reading.to == now;
    reading.running = true;
    const Millis range = reading.to - from + (first ? Millis{0} : kOverlap);
    const std::string query =
        RangeSelector(*job.source, job.wanted->names(), std::max(range, Millis{1'000}));
    return reading.exchange.Begin(job.source->url, *job.access, query, reading.to, job.interval,
                                  options_);
  }

  Result<ScrapedPages> Read(Reading& reading, const Result<FetchSummary>& fetched) const {
    const QueryJob& job = *reading.job;
    PERENNIAL_TRY(const PromAnswer answer,
                  reading.exchange.End(fetched, *job.access, options_.answer));
    return PagesOf(answer, *job.source, *job.wanted, options_.page);
  }

  FetchLoop::Turn End(std::uint64_t id, const Result<FetchSummary>& fetched) {
    Reading& reading = readings_.at(id);
    reading.running = false;
    if (reading.job == nullptr) {  // changed or gone meanwhile
      readings_.erase(id);
      return FetchLoop::Turn::kDone;
    }
    Result<ScrapedPages> pages = Read(reading, fetched);
    Count(fetched, pages);
    if (!pages.ok()) return Failed(reading, pages.error());
    reading.until = reading.to;
    store_.RecordPages(*reading.job, *pages, reading.last);
    if (!reading.last) return FetchLoop::Turn::kMore;
    reading.range = std::min(reading.range * 2, std::max(reading.job->retention, kSmallestRange));
    return FetchLoop::Turn::kDone;
  }

  FetchLoop::Turn Failed(Reading& reading, const Error& error) {
    if (error.code == Errc::kTooLarge && reading.range > kSmallestRange) {
      const Millis asked = reading.until ? reading.to - *reading.until : reading.range;
      reading.range = std::max(std::min(reading.range, asked) / 2, kSmallestRange);
      return FetchLoop::Turn::kMore;
    }
    // A range may also take too long; whether it does is found out at the next turn.
    if (error.code == Errc::kTimeout) reading.range = std::max(reading.range / 2, kSmallestRange);
    store_.RecordQueryFailure(reading.job->subscription, error);
    return FetchLoop::Turn::kFailed;
  }

  void Count(const Result<FetchSummary>& fetched, const Result<ScrapedPages>& pages) {
    const std::lock_guard lock(mutex_);
    ++counters_.queries;
    if (fetched.ok()) counters_.bytes += fetched->body_bytes;
    if (!pages.ok()) ++counters_.failures[pages.error().code];
  }

  SampleStore& store_;
  const Clock& clock_;
  PromqlOptions options_;
  std::uint64_t next_ = 1;
  std::unordered_map<std::string, std::uint64_t> ids_;  // by subscription
  // Node-based: the sinks point at the elements.
  std::unordered_map<std::uint64_t, Reading> readings_;
  mutable std::mutex mutex_;  // guards counters_
  PromqlCounters counters_;
  FetchLoop loop_;  // last: its thread uses everything above
};

PromqlPool::PromqlPool(SampleStore& store, const Clock& clock, PromqlOptions options)
    : impl_(std::make_unique<Impl>(store, clock, std::move(options))) {}
PromqlPool::~PromqlPool() = default;

void PromqlPool::Start() {
  impl_->Start();
}

void PromqlPool::Stop() {
  impl_->Stop();
}

PromqlCounters PromqlPool::Counters() const {
  return impl_->Counters();
}

}  // namespace perennial::scrape
