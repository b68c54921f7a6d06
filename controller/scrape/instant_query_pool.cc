#include "scrape/instant_query_pool.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "scrape/fetch_loop.h"

namespace perennial::scrape {
namespace {

constexpr std::size_t kIdleConnections = 16;
constexpr Millis kMinInterval{1'000};

// A query as it was asked for; a change of it is another one.
struct Asked {
  std::uint64_t id = 0;
  std::string owner;
  std::string name;
  InstantQuery query;
};

struct Slot {
  std::shared_ptr<const Asked> asked;
  std::optional<InstantAnswer> newest;
};

// One that the loop's thread knows of.
struct Asking {
  std::shared_ptr<const Asked> asked;
  bool running = false;
  bool gone = false;
  PromqlExchange exchange;
};

}  // namespace

class InstantQueryPool::Impl {
 public:
  Impl(const Clock& clock, PromqlOptions options)
      : clock_(clock),
        options_(std::move(options)),
        loop_(clock, options_.in_flight, kIdleConnections,
              {.take_changes = [this] { TakeChanges(); },
               .begin = [this](std::uint64_t id, Millis) { return Begin(asking_.at(id)); },
               .end = [this](std::uint64_t id,
                             const Result<FetchSummary>& fetched) { return End(id, fetched); }}) {}

  ~Impl() { loop_.Stop(); }

  void Start() { loop_.Start(); }
  void Stop() { loop_.Stop(); }

  void Set(const std::string& owner, Queries queries) {
    bool changed = false;
    {
      const std::lock_guard lock(mutex_);
      if (queries.empty() && !owners_.contains(owner)) return;
      auto& known = owners_[owner];
      std::erase_if(known, [&](const auto& entry) {
        const auto wanted = queries.find(entry.first);
        if (wanted != queries.end() && wanted->second == entry.second.asked->query) return false;
        dropped_.push_back(entry.second.asked->id);
        return changed = true;
      });
      for (auto& [name, query] : queries) {
        if (known.contains(name)) continue;
        auto asked = std::make_shared<Asked>(Asked{next_++, owner, name, std::move(query)});
        added_.push_back(asked);
        known[name].asked = std::move(asked);
        changed = true;
      }
      if (known.empty()) owners_.erase(owner);
    }
    if (changed) loop_.Changed();
  }

  std::optional<InstantAnswer> Newest(const std::string& owner, const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto known = owners_.find(owner);
    if (known == owners_.end()) return std::nullopt;
    const auto slot = known->second.find(name);
    return slot == known->second.end() ? std::nullopt : slot->second.newest;
  }

  void OnAnswer(std::function<void(const std::string&)> listener) {
    listener_ = std::move(listener);
  }

 private:
  void TakeChanges() {
    std::vector<std::shared_ptr<const Asked>> added;
    std::vector<std::uint64_t> dropped;
    {
      const std::lock_guard lock(mutex_);
      added.swap(added_);
      dropped.swap(dropped_);
    }
    for (auto& asked : added) {
      loop_.Add(asked->id, asked->owner + "/" + asked->name,
                std::max(asked->query.interval, kMinInterval));
      asking_[asked->id].asked = std::move(asked);
    }
    for (const std::uint64_t id : dropped) {
      loop_.Remove(id);
      const auto it = asking_.find(id);
      // A question under way still fills its buffer: it stays until it has ended.
      it->second.gone = it->second.running;
      if (!it->second.running) asking_.erase(it);
    }
  }

  Result<FetchLoop::Exchange> Begin(Asking& asking) const {
    asking.running = true;
    const InstantQuery& query = asking.asked->query;
    return asking.exchange.Begin(query.url, query.access, query.expression, clock_.Wall(),
                                 query.interval, options_);
  }

  FetchLoop::Turn End(std::uint64_t id, const Result<FetchSummary>& fetched) {
    const auto it = asking_.find(id);
    Asking& asking = it->second;
    asking.running = false;
    if (asking.gone) {
      asking_.erase(it);
      return FetchLoop::Turn::kDone;
    }
    const auto answer = asking.exchange.End(fetched, asking.asked->query.access, options_.answer);
    Record(*asking.asked, answer.ok() ? ValueOf(*answer) : Result<double>(answer.error()));
    return answer.ok() ? FetchLoop::Turn::kDone : FetchLoop::Turn::kFailed;
  }

  void Record(const Asked& asked, Result<double> value) {
    {
      const std::lock_guard lock(mutex_);
      const auto known = owners_.find(asked.owner);
      if (known == owners_.end()) return;
      const auto slot = known->second.find(asked.name);
      // Changed meanwhile: it is the answer to another question.
      if (slot == known->second.end() || slot->second.asked->id != asked.id) return;
      slot->second.newest = InstantAnswer{std::move(value), clock_.Steady()};
    }
    if (listener_) listener_(asked.owner);
  }

  const Clock& clock_;
  const PromqlOptions options_;
  std::function<void(const std::string&)> listener_;
  mutable std::mutex mutex_;  // guards the four below
  std::unordered_map<std::string, std::map<std::string, Slot>> owners_;
  std::vector<std::shared_ptr<const Asked>> added_;
  std::vector<std::uint64_t> dropped_;
  std::uint64_t next_ = 1;
  // Node-based: the sinks point at the elements. The loop's thread alone.
  std::unordered_map<std::uint64_t, Asking> asking_;
  FetchLoop loop_;  // last: its thread uses everything above
};

InstantQueryPool::InstantQueryPool(const Clock& clock, PromqlOptions options)
    : impl_(std::make_unique<Impl>(clock, std::move(options))) {}
InstantQueryPool::~InstantQueryPool() = default;

void InstantQueryPool::Start() {
  impl_->Start();
}

void InstantQueryPool::Stop() {
  impl_->Stop();
}

void InstantQueryPool::Set(const std::string& owner, Queries queries) {
  impl_->Set(owner, std::move(queries));
}

std::optional<InstantAnswer> InstantQueryPool::Newest(const std::string& owner,
                                                      const std::string& name) const {
  return impl_->Newest(owner, name);
}

void InstantQueryPool::OnAnswer(std::function<void(const std::string& owner)> listener) {
  impl_->OnAnswer(std::move(listener));
}

Result<double> ValueOf(const PromAnswer& answer) {
  if (answer.series.empty() || answer.series.front().samples.empty()) {
    return Error{Errc::kNotFound, "the query has no value"};
  }
  if (answer.series.size() > 1) {
    return Error{Errc::kInvalid, "the query has " + std::to_string(answer.series.size()) +
                                     " values: make one of them, as sum() does"};
  }
  if (answer.series.front().samples.size() > 1) {
    return Error{Errc::kInvalid,
                 "the query has the values of a range: make one of them, as rate() "
                 "or avg_over_time() do"};
  }
  const double value = answer.series.front().samples.front().value;
  if (!std::isfinite(value)) {
    return Error{Errc::kNotFound, "the query's value is no number, as of a quotient by zero"};
  }
  return value;
}

}  // namespace perennial::scrape
