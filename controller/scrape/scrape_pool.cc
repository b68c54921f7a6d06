#include "scrape/scrape_pool.h"

#include <spdlog/spdlog.h>

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

constexpr const char* kAccept =
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
constexpr Millis kLongestWait{1'000};

// One scrape under way: the parser eats the body as it comes.
struct Running {
  std::shared_ptr<const ScrapeJob> job;
  bool suspect = false;  // its last scrape failed
  std::optional<ExpositionParser> parser;
};

Status ExpectOk(int status) {
  if (status == 200) return Ok();
  if (status >= 300 && status < 400) {
    return Error{Errc::kNotFound,
                 "HTTP status " + std::to_string(status) + "; redirects are not followed"};
  }
  if (status == 401 || status == 403) {
    return Error{Errc::kUnauthorized, "HTTP status " + std::to_string(status)};
  }
  return Error{Errc::kNotFound, "HTTP status " + std::to_string(status)};
}

}  // namespace

class ScrapePool::Impl {
 public:
  Impl(SampleStore& store, const Clock& clock, const PoolOptions& options)
      : store_(store), clock_(clock), options_(options), fetcher_(options.idle_connections) {
    options_.in_flight = std::max<std::size_t>(options_.in_flight, 2);
    store_.OnJobsChanged([this] {
      changed_ = true;
      fetcher_.Wake();
    });
  }

  ~Impl() {
    Stop();
    store_.OnJobsChanged(nullptr);
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

  PoolCounters Counters() const {
    const std::lock_guard lock(mutex_);
    return counters_;
  }

 private:
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (changed_.exchange(false)) ApplyChanges();
      StartDue();
      fetcher_.Poll(Wait(), [this](std::uint64_t id, Result<FetchSummary> outcome) {
        Finish(id, std::move(outcome));
      });
    }
  }

  void ApplyChanges() {
    const JobChanges changes = store_.TakeJobChanges();
    const Millis now = clock_.Steady();
    for (const auto& job : changes.started) {
      jobs_[job->id] = job;
      schedule_.Add(job->id, job->target.id, job->interval, now);
    }
    for (const JobId id : changes.stopped) {
      jobs_.erase(id);
      schedule_.Remove(id);
    }
    const std::lock_guard lock(mutex_);
    counters_.targets = schedule_.size();
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
      StartScrape(jobs_.at(due.job), due.lateness);
    }
    const std::lock_guard lock(mutex_);
    counters_.in_flight = fetcher_.in_flight();
  }

  void StartScrape(const std::shared_ptr<const ScrapeJob>& job, Millis lateness) {
    {
      const std::lock_guard lock(mutex_);
      const auto& bounds = PoolCounters::kLatenessBounds;
      const auto at = std::ranges::lower_bound(bounds, lateness.count()) - bounds.begin();
      ++counters_.lateness[static_cast<std::size_t>(at)];
      counters_.lateness_sum_ms += static_cast<double>(lateness.count());
    }
    const bool suspect = schedule_.suspect(job->id);
    if (suspect) ++suspects_running_;
    auto* running = &(running_[job->id] = Running{job, suspect, std::nullopt});
    const Target& target = job->target;
    const auto url =
        TargetUrl(job->access->tls ? "https" : "http", target.address, target.port, target.path);
    if (!url.ok()) return Finish(job->id, url.error());
    FetchRequest request;
    request.url = *url;
    request.accept = kAccept;
    request.bearer_token = job->access->bearer_token;
    request.ca_pem = job->access->ca_pem;
    request.server_name = job->access->server_name;
    request.limits = options_.fetch;
    request.limits.total = std::min(request.limits.total, job->interval);
    request.addresses = options_.addresses;
    const ParseLimits limits = options_.parse;
    fetcher_.Start(
        job->id, request,
        {.on_head = [running, limits](int status, std::string_view content_type) -> Status {
           PERENNIAL_TRY_STATUS(ExpectOk(status));
           PERENNIAL_TRY(const Format format, FormatOf(content_type));
           running->parser.emplace(*running->job->wanted, format, limits);
           return Ok();
         },
         .on_body = [running](std::string_view piece) { return running->parser->Feed(piece); }});
  }

  void Finish(JobId id, Result<FetchSummary> fetched) {
    auto node = running_.extract(id);
    if (node.empty()) return;
    Running& running = node.mapped();
    Result<Scrape> outcome = [&]() -> Result<Scrape> {
      if (!fetched.ok()) return fetched.error();
      return running.parser->Finish();
    }();
    if (running.suspect) --suspects_running_;
    const Millis now = clock_.Steady();
    schedule_.Finished(id, outcome.ok(), now);
    store_.Record(id, outcome, now, clock_.Wall());
    const std::lock_guard lock(mutex_);
    ++counters_.scrapes;
    if (outcome.ok()) {
      counters_.bytes += outcome->bytes;
      counters_.samples += outcome->samples;
    } else {
      ++counters_.failures[outcome.error().code];
    }
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
  PoolOptions options_;
  HttpFetcher fetcher_;
  std::atomic<bool> changed_{true};
  ScrapeSchedule schedule_;
  std::unordered_map<JobId, std::shared_ptr<const ScrapeJob>> jobs_;
  // Node-based: the sinks point at the elements.
  std::unordered_map<JobId, Running> running_;
  std::size_t suspects_running_ = 0;
  mutable std::mutex mutex_;  // guards counters_
  PoolCounters counters_;
  std::jthread thread_;
};

ScrapePool::ScrapePool(SampleStore& store, const Clock& clock, const PoolOptions& options)
    : impl_(std::make_unique<Impl>(store, clock, options)) {}
ScrapePool::~ScrapePool() = default;

void ScrapePool::Forbid(std::vector<AddressRange> addresses) {
  impl_->Forbid(std::move(addresses));
}

void ScrapePool::Start() {
  impl_->Start();
}

void ScrapePool::Stop() {
  impl_->Stop();
}

PoolCounters ScrapePool::Counters() const {
  return impl_->Counters();
}

}  // namespace perennial::scrape
