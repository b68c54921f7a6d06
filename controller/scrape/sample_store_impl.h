#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "scrape/sample_store.h"
#include "scrape/window.h"

// Internal to the sample store.
namespace perennial::scrape {

struct Entry {
  std::shared_ptr<const ScrapeJob> job;
  std::uint64_t tried = 0;       // round in which it was tried last
  Millis heard = Millis::min();  // newest page that a Prometheus gave
};

// Who tells what is counted. Nobody: for the time being nothing is asked.
enum class Teller : std::uint8_t { kNobody, kPods, kPrometheus };

struct SubscriptionState {
  std::string id;
  // Held through a whole Set() or Remove(), so that their job changes are published in order.
  std::mutex set_mutex;
  std::mutex mutex;   // guards everything below
  Subscription spec;  // without targets, metrics and access: those are below
  std::shared_ptr<const WantedMetrics> wanted;
  std::shared_ptr<const WantedSince> since;
  std::shared_ptr<const Access> access;
  std::shared_ptr<const QueryJob> query;
  std::vector<std::string> notes;  // of the last answer of a Prometheus
  std::vector<Entry> entries;
  std::map<std::string, VariantWindow, std::less<>> variants;
  std::uint64_t windows = 0;        // see QueryJob
  Teller teller = Teller::kNobody;  // the last one that there was
  WindowOptions options;
  std::uint64_t generation = 0;
  std::uint64_t round = 1;
  std::size_t tried = 0;
  Millis round_began{0};
};

class SampleStore::Impl {
 public:
  explicit Impl(const Clock& clock) : clock_(clock) {}

  void Set(std::string_view id, Subscription spec);
  void Remove(std::string_view id);
  std::shared_ptr<SubscriptionState> Find(std::string_view id) const;
  std::shared_ptr<SubscriptionState> FindJob(JobId job) const;
  void Record(JobId job, const Result<Scrape>& outcome, Millis now, WallTime wall);
  JobChanges TakeJobChanges();
  std::vector<std::shared_ptr<const QueryJob>> TakeQueryChanges();
  void RecordPages(const QueryJob& job, const ScrapedPages& seen, bool caught_up);
  void RecordQueryFailure(std::string_view id, const Error& error);
  StoreUsage Usage(std::string_view prefix) const;

  std::function<void(const std::string&)> on_round;
  void OnJobsChanged(std::function<void()> listener) {
    const std::lock_guard lock(listener_mutex_);
    on_jobs_ = std::move(listener);
  }
  void OnQueriesChanged(std::function<void()> listener) {
    const std::lock_guard lock(listener_mutex_);
    on_queries_ = std::move(listener);
  }

 private:
  std::shared_ptr<const WantedMetrics> Share(std::vector<std::string> names);
  std::shared_ptr<SubscriptionState> FindOrAdd(std::string_view id);
  void Configure(SubscriptionState& state, Subscription& spec, Teller teller, Millis now,
                 bool* reissue);
  void SetTargets(SubscriptionState& state, std::vector<Target> targets, bool reissue, Millis now,
                  JobChanges& changes);
  void Publish(const std::shared_ptr<SubscriptionState>& state, JobChanges changes);
  static std::shared_ptr<const QueryJob> QueryOf(const SubscriptionState& state);
  void Publish(std::shared_ptr<const QueryJob> query);
  static void EndRound(SubscriptionState& state, Millis now);

  const Clock& clock_;
  mutable std::shared_mutex mutex_;  // guards the two maps; taken before a subscription's
  std::map<std::string, std::shared_ptr<SubscriptionState>, std::less<>> subscriptions_;
  std::unordered_map<JobId, std::shared_ptr<SubscriptionState>> jobs_;
  std::mutex wanted_mutex_;
  std::unordered_multimap<std::size_t, std::weak_ptr<const WantedMetrics>> wanted_;  // by hash
  std::size_t wanted_sweep_ = 64;
  std::mutex listener_mutex_;
  std::function<void()> on_jobs_;
  std::function<void()> on_queries_;
  std::mutex changes_mutex_;
  JobChanges changes_;
  std::vector<std::shared_ptr<const QueryJob>> query_changes_;
  std::atomic<JobId> next_job_{1};
};

}  // namespace perennial::scrape
