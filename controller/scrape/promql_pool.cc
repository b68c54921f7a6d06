#include "scrape/promql_pool.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include "scrape/scrape_schedule.h"

namespace perennial::scrape {
namespace {

constexpr Millis kLongestWait{1'000};
// A scrape's samples have the time at which it began and are there when it ended: its time-out is
// 10 s by default, and at most the scrape interval, mostly up to a minute.
constexpr Millis kOverlap{60'000};
constexpr Millis kSmallestRange{10'000};

// What was read of one subscription's Prometheus.
struct Reading {
  std::shared_ptr<const QueryJob> job;
  std::optional<WallTime> until;           // taken in up to here
  Millis range{0};                         // of one query beyond the overlap; 0: not known yet
  std::map<std::string, WallTime> newest;  // page of each pod
  bool suspect = false;
  // Of the query that is under way.
  bool running = false;
  WallTime to{};
  bool last = false;  // it reaches now
  int status = 0;
  std::string body;
};

Error StatusError(int status) {
  const std::string text = "the Prometheus answers with HTTP status " + std::to_string(status);
  if (status >= 300 && status < 400) {
    return {Errc::kNotFound, text + "; redirects are not followed"};
  }
  if (status == 401 || status == 403) return {Errc::kUnauthorized, text};
  return {status >= 500 ? Errc::kUnavailable : Errc::kNotFound, text};
}

}  // namespace

class PromqlPool::Impl {
 public:
  Impl(SampleStore& store, const Clock& clock, PromqlOptions options)
      : store_(store), clock_(clock), options_(std::move(options)), fetcher_(16) {
    options_.in_flight = std::max<std::size_t>(options_.in_flight, 2);
    store_.OnQueriesChanged([this] {
      changed_ = true;
      fetcher_.Wake();
    });
  }

  ~Impl() {
    Stop();
    store_.OnQueriesChanged(nullptr);
  }

  void Forbid(std::vector<AddressRange> addresses) {
    auto& all = options_.addresses.forbidden;
    all.insert(all.end(), addresses.begin(), addresses.end());
  }

  void Start() {
    thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }

  void Stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    fetcher_.Wake();
    thread_.join();
  }

  PromqlCounters Counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
  }

 private:
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (changed_.exchange(false)) ApplyChanges();
      StartDue();
      fetcher_.Poll(Wait(), [this](std::uint64_t id, const Result<FetchSummary>& outcome) {
        Finish(id, outcome);
      });
    }
  }

  void ApplyChanges() {
    const Millis now = clock_.Steady();
    for (const auto& job : store_.TakeQueryChanges()) {
      const auto known = ids_.find(job->subscription);
      if (!job->source) {
        if (known == ids_.end()) continue;
        schedule_.Remove(known->second);
        Drop(known->second);
        ids_.erase(known);
        continue;
      }
      std::uint64_t id = next_++;
      Reading reading;
      if (known != ids_.end()) {
        // Goes on where it was: the windows in the store do too.
        Reading& old = readings_.at(known->second);
        reading.until = old.until;
        reading.range = old.range;
        reading.newest = old.newest;
        schedule_.Remove(known->second);
        Drop(known->second);
      }
      reading.job = job;
      ids_[job->subscription] = id;
      schedule_.Add(id, job->subscription, job->interval, now);
      readings_[id] = std::move(reading);
    }
    const std::lock_guard lock(mutex_);
    counters_.subscriptions = schedule_.size();
  }

  // A query under way still fills its buffer: the reading stays until it has ended.
  void Drop(std::uint64_t id) {
    const auto it = readings_.find(id);
    if (it->second.running) {
      it->second.job = nullptr;
    } else {
      readings_.erase(it);
    }
  }

  std::size_t FreeSuspectSlots() const {
    const std::size_t most = options_.in_flight / 2;
    return most > suspects_running_ ? most - suspects_running_ : 0;
  }

  void StartDue() {
    const std::size_t busy = fetcher_.in_flight();
    if (busy >= options_.in_flight) return;
    for (const auto& due :
         schedule_.Take(clock_.Steady(), options_.in_flight - busy, FreeSuspectSlots())) {
      Reading& reading = readings_.at(due.job);
      reading.suspect = schedule_.suspect(due.job);
      if (reading.suspect) ++suspects_running_;
      Ask(due.job, reading);
    }
  }

  void Ask(std::uint64_t id, Reading& reading) {
    const QueryJob& job = *reading.job;
    const WallTime now = clock_.Wall();
    const WallTime oldest = now - job.retention;
    const bool first = !reading.until || *reading.until < oldest;
    const WallTime from = first ? oldest : std::min(*reading.until, now);
    if (reading.range == Millis{0}) reading.range = std::max(job.retention, kSmallestRange);
    reading.to = std::min(now, from + reading.range);
    reading.last = reading.to == now;
    reading.running = true;
    reading.status = 0;
    reading.body.clear();

    FetchRequest request;
    const auto url = QueryUrl(*job.source);
    if (!url.ok()) return Finish(id, url.error());
    request.url = *url;
    request.accept = "application/json";
    request.bearer_token = job.access->bearer_token;
    request.username = job.access->username;
    request.password = job.access->password;
    request.ca_pem = job.access->ca_pem;
    request.server_name = job.access->server_name;
    request.limits = options_.fetch;
    request.limits.total = std::min(request.limits.total, std::max(job.interval, Millis{5'000}));
    const Millis range = reading.to - from + (first ? Millis{0} : kOverlap);
    request.post =
        QueryForm(RangeSelector(*job.source, job.wanted->names(), std::max(range, Millis{1'000})),
                  reading.to, request.limits.total);
    request.content_type = "application/x-www-form-urlencoded";
    request.addresses = options_.addresses;
    fetcher_.Start(id, request,
                   {.on_head =
                        [&reading](int status, std::string_view) {
                          reading.status = status;
                          return Ok();
                        },
                    .on_body =
                        [&reading](std::string_view piece) {
                          reading.body.append(piece);
                          return Ok();
                        }});
  }

  // An error of Prometheus comes with a status of 4xx or 5xx and says why in its body.
  Result<ScrapedPages> Read(const Reading& reading, const Result<FetchSummary>& fetched) const {
    if (!fetched.ok()) return fetched.error();
    auto answer = ParsePromAnswer(reading.body, options_.answer);
    const bool explained = !answer.ok() && answer.error().message.starts_with("Prometheus answers");
    if (reading.status / 100 != 2 && !explained) return StatusError(reading.status);
    if (!answer.ok()) return answer.error();
    return PagesOf(*answer, *reading.job->source, *reading.job->wanted, options_.page);
  }

  void Finish(std::uint64_t id, const Result<FetchSummary>& fetched) {
    const auto it = readings_.find(id);
    if (it == readings_.end()) return;
    Reading& reading = it->second;
    reading.running = false;
    if (std::exchange(reading.suspect, false)) --suspects_running_;
    if (reading.job == nullptr) {  // changed or gone meanwhile
      readings_.erase(it);
      return;
    }
    Result<ScrapedPages> pages = Read(reading, fetched);
    Count(fetched, pages);
    std::string().swap(reading.body);
    if (!pages.ok() && pages.error().code == Errc::kTooLarge && reading.range > kSmallestRange) {
      const Millis asked = reading.until ? reading.to - *reading.until : reading.range;
      reading.range = std::max(std::min(reading.range, asked) / 2, kSmallestRange);
      return Ask(id, reading);
    }
    // A range may also take too long; whether it does is found out at the next turn.
    const bool slow = !pages.ok() && pages.error().code == Errc::kTimeout;
    if (slow) reading.range = std::max(reading.range / 2, kSmallestRange);
    schedule_.Finished(id, pages.ok(), clock_.Steady());
    if (!pages.ok()) return store_.RecordQueryFailure(reading.job->subscription, pages.error());
    LeaveOutTaken(reading, *pages);
    reading.until = reading.to;
    store_.RecordPages(reading.job->subscription, *pages, reading.last);
    if (!reading.last) return schedule_.Again(id, clock_.Steady());
    reading.range = std::min(reading.range * 2, std::max(reading.job->retention, kSmallestRange));
  }

  static void LeaveOutTaken(Reading& reading, ScrapedPages& pages) {
    std::erase_if(pages.pages, [&](const ScrapedPage& page) {
      WallTime& newest = reading.newest.try_emplace(page.pod, WallTime::min()).first->second;
      if (page.at <= newest) return true;
      newest = page.at;
      return false;
    });
    const WallTime old = reading.to - 4 * kOverlap;
    std::erase_if(reading.newest, [&](const auto& pod) { return pod.second < old; });
  }

  void Count(const Result<FetchSummary>& fetched, const Result<ScrapedPages>& pages) {
    const std::lock_guard lock(mutex_);
    ++counters_.queries;
    if (fetched.ok()) counters_.bytes += fetched->body_bytes;
    if (!pages.ok()) ++counters_.failures[pages.error().code];
  }

  Millis Wait() const {
    if (changed_) return Millis{0};
    if (fetcher_.in_flight() >= options_.in_flight) return kLongestWait;
    const auto next = schedule_.NextDue(FreeSuspectSlots() > 0);
    if (!next) return kLongestWait;
    return std::clamp(*next - clock_.Steady(), Millis{0}, kLongestWait);
  }

  SampleStore& store_;
  const Clock& clock_;
  PromqlOptions options_;
  HttpFetcher fetcher_;
  std::atomic<bool> changed_{true};
  ScrapeSchedule schedule_;
  std::uint64_t next_ = 1;
  std::unordered_map<std::string, std::uint64_t> ids_;  // by subscription
  // Node-based: the sinks point at the elements.
  std::unordered_map<std::uint64_t, Reading> readings_;
  std::size_t suspects_running_ = 0;
  mutable std::mutex mutex_;  // guards counters_
  PromqlCounters counters_;
  std::jthread thread_;
};

PromqlPool::PromqlPool(SampleStore& store, const Clock& clock, PromqlOptions options)
    : impl_(std::make_unique<Impl>(store, clock, std::move(options))) {}
PromqlPool::~PromqlPool() = default;

void PromqlPool::Forbid(std::vector<AddressRange> addresses) {
  impl_->Forbid(std::move(addresses));
}

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
