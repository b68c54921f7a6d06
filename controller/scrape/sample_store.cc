#include "scrape/sample_store.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "scrape/sample_store_impl.h"

namespace perennial::scrape {
namespace {

constexpr Millis kMinInterval{1'000};
constexpr std::int64_t kSlots = 60;
constexpr std::int64_t kMaxSlots = 512;
constexpr std::size_t kMaxProblems = 8;

Millis SlotWidth(const Subscription& spec) {
  const auto divide = [](Millis whole, std::int64_t parts) {
    return Millis((whole.count() + parts - 1) / parts);
  };
  const Millis wish = spec.resolution > Millis{0}
                          ? spec.resolution
                          : std::max(spec.interval, divide(spec.retention, kSlots));
  return std::max({wish, divide(spec.retention, kMaxSlots), kMinInterval});
}

std::shared_ptr<const WantedSince> Since(const std::shared_ptr<const WantedMetrics>& wanted,
                                         const WantedSince* before, Millis now) {
  std::vector<Millis> since;
  since.reserve(wanted->names().size());
  for (const std::string& name : wanted->names()) {
    since.push_back(before != nullptr ? before->Of(name).value_or(now) : now);
  }
  return std::make_shared<const WantedSince>(wanted, std::move(since));
}

std::size_t HashOf(const std::vector<std::string>& names) {
  std::size_t hash = names.size();
  for (const std::string& name : names) hash = hash * 31 + std::hash<std::string>()(name);
  return hash;
}

}  // namespace

// Models of one kind are watched alike: thousands of subscriptions share a few lists of names.
std::shared_ptr<const WantedMetrics> SampleStore::Impl::Share(std::vector<std::string> names) {
  const std::size_t hash = HashOf(names);
  const std::lock_guard lock(wanted_mutex_);
  const auto [first, last] = wanted_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (auto known = it->second.lock(); known != nullptr && known->names() == names) return known;
  }
  if (wanted_.size() >= wanted_sweep_) {
    std::erase_if(wanted_, [](const auto& entry) { return entry.second.expired(); });
    wanted_sweep_ = wanted_.size() * 2 + 64;
  }
  auto made = std::make_shared<const WantedMetrics>(std::move(names));
  wanted_.emplace(hash, made);
  return made;
}

std::shared_ptr<SubscriptionState> SampleStore::Impl::FindOrAdd(std::string_view id) {
  const std::unique_lock lock(mutex_);
  auto it = subscriptions_.find(id);
  if (it == subscriptions_.end()) {
    auto state = std::make_shared<SubscriptionState>();
    state->id = id;
    it = subscriptions_.emplace(std::string(id), std::move(state)).first;
  }
  return it->second;
}

std::shared_ptr<SubscriptionState> SampleStore::Impl::Find(std::string_view id) const {
  const std::shared_lock lock(mutex_);
  const auto it = subscriptions_.find(id);
  return it == subscriptions_.end() ? nullptr : it->second;
}

std::shared_ptr<SubscriptionState> SampleStore::Impl::FindJob(JobId job) const {
  const std::shared_lock lock(mutex_);
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? nullptr : it->second;
}

void SampleStore::Impl::Set(std::string_view id, Subscription spec) {
  const Millis now = clock_.Steady();
  spec.interval = std::max(spec.interval, kMinInterval);
  spec.retention = std::max(spec.retention, spec.interval);
  std::shared_ptr<SubscriptionState> state;
  std::unique_lock<std::mutex> set_lock;
  do {  // again if a Remove() came in between
    // Before the state that owns the mutex can go.
    if (set_lock.owns_lock()) set_lock.unlock();
    state = FindOrAdd(id);
    set_lock = std::unique_lock(state->set_mutex);
  } while (Find(id) != state);
  JobChanges changes;
  std::shared_ptr<const QueryJob> query;
  {
    const std::lock_guard lock(state->mutex);
    std::vector<Target> targets = std::move(spec.targets);
    spec.targets.clear();
    const Teller teller = spec.promql       ? Teller::kPrometheus
                          : targets.empty() ? Teller::kNobody
                                            : Teller::kPods;
    bool reissue = false;
    Configure(*state, spec, teller, now, &reissue);
    SetTargets(*state, std::move(targets), reissue, now, changes);
    std::erase_if(state->variants, [&](const auto& v) { return v.second.Expired(now); });
    query = QueryOf(*state);
    const bool never = state->query == nullptr && !query->source;
    if (never || (state->query != nullptr && *query == *state->query)) {
      query = nullptr;
    } else {
      state->query = query;
    }
  }
  Publish(state, std::move(changes));
  if (query != nullptr) Publish(std::move(query));
}

// reissue: what the jobs say has changed, not only who is scraped.
void SampleStore::Impl::Configure(SubscriptionState& state, Subscription& spec, Teller teller,
                                  Millis now, bool* reissue) {
  const bool first = state.wanted == nullptr;
  const bool other_teller = teller != Teller::kNobody && teller != state.teller;
  // Both tell the same counts of the same pods, but name the pods differently.
  const bool anew = first || (other_teller && state.teller != Teller::kNobody);
  if (other_teller) state.teller = teller;
  std::vector<std::string> metrics = std::move(spec.metrics);
  spec.metrics.clear();
  std::ranges::sort(metrics);
  metrics.erase(std::unique(metrics.begin(), metrics.end()), metrics.end());
  const Access access = std::exchange(spec.access, {});
  const bool other_metrics = first || metrics != state.wanted->names();
  const bool other_access = first || access != *state.access;
  if (!anew && !other_metrics && !other_access && spec == state.spec) return;
  *reissue =
      !first && (anew || other_metrics || other_access || spec.interval != state.spec.interval ||
                 spec.promql.has_value() != state.spec.promql.has_value());
  if (spec.promql != state.spec.promql) state.notes.clear();
  if (anew) {
    state.variants.clear();
    state.windows = next_job_++;
    state.since = nullptr;
    state.options.totals_since.reset();
  }
  if (other_metrics) state.wanted = Share(std::move(metrics));
  if (anew || other_metrics) {
    // A Prometheus is asked for what it scraped before.
    const Millis began = anew && spec.promql ? now - spec.retention : now;
    state.since = Since(state.wanted, state.since.get(), began);
  }
  if (other_access) state.access = std::make_shared<const Access>(access);
  if (first) state.round_began = now;
  state.options.interval = spec.interval;
  state.options.retention = spec.retention;
  state.options.slot = SlotWidth(spec);
  if (!spec.totals) {
    state.options.totals_since.reset();
  } else if (!state.options.totals_since) {
    state.options.totals_since = now;
  }
  state.spec = std::move(spec);
  for (auto& [name, window] : state.variants) window.Configure(state.options, state.since);
}

void SampleStore::Impl::SetTargets(SubscriptionState& state, std::vector<Target> targets,
                                   bool reissue, Millis now, JobChanges& changes) {
  std::map<std::string_view, Entry*> before;
  for (Entry& entry : state.entries) before.emplace(entry.job->target.id, &entry);
  std::vector<Entry> entries;
  entries.reserve(targets.size());
  std::set<std::string> seen;
  for (Target& target : targets) {
    if (!seen.insert(target.id).second) continue;
    const auto it = before.find(target.id);
    Entry* old = it == before.end() ? nullptr : it->second;
    if (old != nullptr && !reissue && old->job->target == target) {
      entries.push_back(*old);
      continue;
    }
    if (old != nullptr && old->job->target.variant != target.variant) {
      if (const auto from = state.variants.find(old->job->target.variant);
          from != state.variants.end()) {
        from->second.RemoveTarget(target.id, now);
      }
    }
    state.variants.try_emplace(target.variant, state.options, state.since, now)
        .first->second.AddTarget(target.id);
    if (old != nullptr) changes.stopped.push_back(old->job->id);
    auto job = std::make_shared<ScrapeJob>();
    job->id = next_job_++;
    job->target = std::move(target);
    job->interval = state.spec.interval;
    job->wanted = state.wanted;
    job->access = state.access;
    entries.push_back({job, old != nullptr ? old->tried : 0});
    if (state.spec.promql) continue;  // somebody else scrapes it
    changes.started.push_back(std::move(job));
  }
  for (const auto& [id, entry] : before) {
    if (seen.contains(std::string(id))) continue;
    changes.stopped.push_back(entry->job->id);
    if (const auto window = state.variants.find(entry->job->target.variant);
        window != state.variants.end()) {
      window->second.RemoveTarget(id, now);
    }
  }
  state.entries = std::move(entries);
  state.tried = static_cast<std::size_t>(std::ranges::count_if(
      state.entries, [&](const Entry& entry) { return entry.tried == state.round; }));
}

void SampleStore::Impl::Publish(const std::shared_ptr<SubscriptionState>& state,
                                JobChanges changes) {
  if (changes.started.empty() && changes.stopped.empty()) return;
  {
    const std::unique_lock lock(mutex_);
    for (const JobId job : changes.stopped) jobs_.erase(job);
    for (const auto& job : changes.started) jobs_[job->id] = state;
  }
  {
    const std::lock_guard lock(changes_mutex_);
    std::ranges::move(changes.started, std::back_inserter(changes_.started));
    std::ranges::move(changes.stopped, std::back_inserter(changes_.stopped));
  }
  const std::lock_guard lock(listener_mutex_);
  if (on_jobs_) on_jobs_();
}

void SampleStore::Impl::Remove(std::string_view id) {
  const std::shared_ptr<SubscriptionState> state = Find(id);
  if (state == nullptr) return;
  const std::lock_guard set_lock(state->set_mutex);
  {
    const std::unique_lock lock(mutex_);
    const auto it = subscriptions_.find(id);
    if (it == subscriptions_.end() || it->second != state) return;
    subscriptions_.erase(it);
  }
  JobChanges changes;
  bool queried = false;
  {
    const std::lock_guard lock(state->mutex);
    for (const Entry& entry : state->entries) changes.stopped.push_back(entry.job->id);
    state->entries.clear();
    state->variants.clear();
    queried = std::exchange(state->query, nullptr) != nullptr;
  }
  Publish(state, std::move(changes));
  if (!queried) return;
  auto none = std::make_shared<QueryJob>();
  none->subscription = id;
  Publish(std::move(none));
}

void SampleStore::Impl::Record(JobId job, const Result<Scrape>& outcome, Millis now,
                               WallTime wall) {
  const auto state = FindJob(job);
  if (state == nullptr) return;
  bool round_over = false;
  {
    const std::lock_guard lock(state->mutex);
    const auto entry =
        std::ranges::find_if(state->entries, [&](const Entry& e) { return e.job->id == job; });
    if (entry == state->entries.end()) return;
    const Target& target = entry->job->target;
    VariantWindow& window = state->variants.find(target.variant)->second;
    if (outcome.ok()) {
      window.Ingest(target.id, *outcome, now, wall);
    } else {
      window.RecordFailure(target.id, outcome.error());
    }
    if (entry->tried != state->round) {
      entry->tried = state->round;
      ++state->tried;
    }
    round_over =
        state->tried >= state->entries.size() || now - state->round_began >= state->spec.interval;
    if (round_over) EndRound(*state, now);
  }
  if (round_over && on_round) on_round(state->id);
}

JobChanges SampleStore::Impl::TakeJobChanges() {
  const std::lock_guard lock(changes_mutex_);
  return std::exchange(changes_, {});
}

StoreUsage SampleStore::Impl::Usage(std::string_view prefix) const {
  std::vector<std::shared_ptr<SubscriptionState>> all;
  {
    const std::shared_lock lock(mutex_);
    for (auto it = subscriptions_.lower_bound(prefix);
         it != subscriptions_.end() && it->first.starts_with(prefix); ++it) {
      all.push_back(it->second);
    }
  }
  StoreUsage usage;
  usage.subscriptions = all.size();
  for (const auto& state : all) {
    const std::lock_guard lock(state->mutex);
    std::size_t bytes = sizeof(SubscriptionState) + 256 + state->entries.size() * 384;
    // Null in a subscription that another thread is just making.
    if (state->wanted != nullptr) {
      for (const std::string& name : state->wanted->names()) bytes += 160 + name.size() * 4;
    }
    for (const auto& [variant, window] : state->variants) {
      usage.series += window.series_count();
      bytes += window.bytes() + variant.size() + 64;
    }
    usage.targets += state->entries.size();
    usage.bytes += bytes;
    usage.largest_bytes = std::max(usage.largest_bytes, bytes);
  }
  return usage;
}

namespace {

void AddNotes(const SubscriptionState& state, WindowView& view) {
  for (const std::string& note : state.notes) {
    if (view.problems.size() < kMaxProblems) view.problems.push_back(note);
  }
}

}  // namespace

SampleStore::SampleStore(const Clock& clock) : impl_(std::make_unique<Impl>(clock)) {}
SampleStore::~SampleStore() = default;

void SampleStore::Set(std::string_view id, Subscription subscription) {
  impl_->Set(id, std::move(subscription));
}

void SampleStore::Remove(std::string_view id) {
  impl_->Remove(id);
}

WindowView SampleStore::View(std::string_view id, std::string_view variant, Millis window,
                             Millis offset, Millis steady_now) const {
  const auto state = impl_->Find(id);
  if (state == nullptr) return {};
  const std::lock_guard lock(state->mutex);
  const auto it = state->variants.find(variant);
  WindowView view =
      it == state->variants.end() ? WindowView{} : it->second.View(window, offset, steady_now);
  AddNotes(*state, view);
  return view;
}

WindowView SampleStore::TargetsView(std::string_view id, std::string_view variant,
                                    Millis steady_now) const {
  const auto state = impl_->Find(id);
  if (state == nullptr) return {};
  const std::lock_guard lock(state->mutex);
  const auto it = state->variants.find(variant);
  WindowView view = it == state->variants.end() ? WindowView{} : it->second.Header(steady_now);
  AddNotes(*state, view);
  return view;
}

WindowView SampleStore::TotalsView(std::string_view id, std::string_view variant,
                                   Millis steady_now) const {
  const auto state = impl_->Find(id);
  if (state == nullptr) return {};
  const std::lock_guard lock(state->mutex);
  const auto it = state->variants.find(variant);
  return it == state->variants.end() ? WindowView{} : it->second.Totals(steady_now);
}

std::uint64_t SampleStore::Generation(std::string_view id) const {
  const auto state = impl_->Find(id);
  if (state == nullptr) return 0;
  const std::lock_guard lock(state->mutex);
  return state->generation;
}

void SampleStore::OnRound(std::function<void(const std::string& subscription)> listener) {
  impl_->on_round = std::move(listener);
}

void SampleStore::OnJobsChanged(std::function<void()> listener) {
  impl_->OnJobsChanged(std::move(listener));
}

JobChanges SampleStore::TakeJobChanges() {
  return impl_->TakeJobChanges();
}

void SampleStore::Record(JobId job, const Result<Scrape>& outcome, Millis steady_now,
                         WallTime wall_now) {
  impl_->Record(job, outcome, steady_now, wall_now);
}

StoreUsage SampleStore::Usage(std::string_view prefix) const {
  return impl_->Usage(prefix);
}

std::optional<JobId> SampleStore::FindJob(std::string_view id, std::string_view target) const {
  const auto state = impl_->Find(id);
  if (state == nullptr) return std::nullopt;
  const std::lock_guard lock(state->mutex);
  for (const Entry& entry : state->entries) {
    if (entry.job->target.id == target) return entry.job->id;
  }
  return std::nullopt;
}

}  // namespace perennial::scrape
