#include "scrape/scrape_pool.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "scrape/fetch_loop.h"

namespace perennial::scrape {
namespace {

constexpr const char* kAccept =
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

// One scrape under way: the parser eats the body as it comes.
struct Running {
  std::shared_ptr<const ScrapeJob> job;
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
      : store_(store),
        clock_(clock),
        options_(options),
        loop_(clock, options.in_flight, options.idle_connections,
              {.take_changes = [this] { TakeChanges(); },
               .begin = [this](std::uint64_t id, Millis lateness) { return Begin(id, lateness); },
               .end = [this](std::uint64_t id,
                             const Result<FetchSummary>& fetched) { return End(id, fetched); }}) {
    store_.OnJobsChanged([this] { loop_.Changed(); });
  }

  ~Impl() {
    loop_.Stop();
    store_.OnJobsChanged(nullptr);
  }

  void Start() { loop_.Start(); }
  void Stop() { loop_.Stop(); }

  PoolCounters Counters() const {
    const std::lock_guard lock(mutex_);
    PoolCounters counters = counters_;
    counters.targets = loop_.jobs();
    counters.in_flight = loop_.in_flight();
    return counters;
  }

 private:
  void TakeChanges() {
    const JobChanges changes = store_.TakeJobChanges();
    for (const auto& job : changes.started) {
      jobs_[job->id] = job;
      loop_.Add(job->id, job->target.id, job->interval);
    }
    for (const JobId id : changes.stopped) {
      jobs_.erase(id);
      loop_.Remove(id);
    }
  }

  Result<FetchLoop::Exchange> Begin(JobId id, Millis lateness) {
    {
      const std::lock_guard lock(mutex_);
      const auto& bounds = PoolCounters::kLatenessBounds;
      const auto at = std::ranges::lower_bound(bounds, lateness.count()) - bounds.begin();
      ++counters_.lateness[static_cast<std::size_t>(at)];
      counters_.lateness_sum_ms += static_cast<double>(lateness.count());
    }
    const auto& job = jobs_.at(id);
    auto* running = &(running_[id] = Running{job, std::nullopt});
    const Target& target = job->target;
    FetchRequest request;
    PERENNIAL_TRY(request.url, TargetUrl(job->access->tls ? "https" : "http", target.address,
                                         target.port, target.path));
    request.accept = kAccept;
    request.bearer_token = job->access->bearer_token;
    request.ca_pem = job->access->ca_pem;
    request.server_name = job->access->server_name;
    request.limits = options_.fetch;
    request.limits.total = std::min(request.limits.total, job->interval);
    request.addresses = options_.addresses;
    const ParseLimits limits = options_.parse;
    FetchSink sink{
        .on_head = [running, limits](int status, std::string_view content_type) -> Status {
          PERENNIAL_TRY_STATUS(ExpectOk(status));
          PERENNIAL_TRY(const Format format, FormatOf(content_type));
          running->parser.emplace(*running->job->wanted, format, limits);
          return Ok();
        },
        .on_body = [running](std::string_view piece) { return running->parser->Feed(piece); }};
    return FetchLoop::Exchange{std::move(request), std::move(sink)};
  }

  FetchLoop::Turn End(JobId id, const Result<FetchSummary>& fetched) {
    auto node = running_.extract(id);
    Result<Scrape> outcome = [&]() -> Result<Scrape> {
      if (!fetched.ok()) return fetched.error();
      return node.mapped().parser->Finish();
    }();
    store_.Record(id, outcome, clock_.Steady(), clock_.Wall());
    const std::lock_guard lock(mutex_);
    ++counters_.scrapes;
    if (outcome.ok()) {
      counters_.bytes += outcome->bytes;
      counters_.samples += outcome->samples;
      return FetchLoop::Turn::kDone;
    }
    ++counters_.failures[outcome.error().code];
    return FetchLoop::Turn::kFailed;
  }

  SampleStore& store_;
  const Clock& clock_;
  PoolOptions options_;
  std::unordered_map<JobId, std::shared_ptr<const ScrapeJob>> jobs_;
  // Node-based: the sinks point at the elements.
  std::unordered_map<JobId, Running> running_;
  mutable std::mutex mutex_;  // guards counters_
  PoolCounters counters_;
  FetchLoop loop_;  // last: its thread uses everything above
};

ScrapePool::ScrapePool(SampleStore& store, const Clock& clock, const PoolOptions& options)
    : impl_(std::make_unique<Impl>(store, clock, options)) {}
ScrapePool::~ScrapePool() = default;

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
