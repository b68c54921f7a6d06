#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "scrape/sample_store_impl.h"

// What a Prometheus saw, in the place of scrapes.
namespace perennial::scrape {
namespace {

// As long as Prometheus itself takes a series to be there after its last sample.
constexpr Millis kStale{300'000};

}  // namespace

// Without a source where the subscription has none: what was asked before is not asked any more.
std::shared_ptr<const QueryJob> SampleStore::Impl::QueryOf(const SubscriptionState& state) {
  auto query = std::make_shared<QueryJob>();
  query->subscription = state.id;
  query->windows = state.windows;
  if (!state.spec.promql) return query;
  query->source = state.spec.promql;
  query->interval = state.spec.interval;
  query->retention = state.spec.retention;
  query->wanted = state.wanted;
  query->access = state.access;
  return query;
}

void SampleStore::Impl::Publish(std::shared_ptr<const QueryJob> query) {
  {
    const std::lock_guard lock(changes_mutex_);
    query_changes_.push_back(std::move(query));
  }
  const std::lock_guard lock(listener_mutex_);
  if (on_queries_) on_queries_();
}

void SampleStore::Impl::EndRound(SubscriptionState& state, Millis now) {
  ++state.round;
  ++state.generation;
  state.tried = 0;
  state.round_began = now;
}

void SampleStore::Impl::RecordPages(const QueryJob& job, const ScrapedPages& seen, bool caught_up) {
  const auto state = Find(job.subscription);
  if (state == nullptr) return;
  const Millis now = clock_.Steady();
  const WallTime wall = clock_.Wall();
  {
    const std::lock_guard lock(state->mutex);
    // An answer that came too late.
    if (!state->spec.promql || job.windows != state->windows) return;
    state->notes = seen.problems;
    std::set<std::pair<std::string, std::string>> guests;  // variant and pod
    for (const ScrapedPage& page : seen.pages) {
      // Its own clock may be ahead of ours.
      const Millis at = now - std::max(wall - page.at, Millis{0});
      VariantWindow& window =
          state->variants.try_emplace(page.variant, state->options, state->since, at).first->second;
      if (window.HasTaken(page.pod, page.at)) continue;
      const auto entry = std::ranges::find_if(state->entries, [&](const Entry& e) {
        return e.job->target.id == page.pod && e.job->target.variant == page.variant;
      });
      if (entry == state->entries.end()) {
        if (!page.outcome.ok()) continue;
        if (guests.emplace(page.variant, page.pod).second) window.AddTarget(page.pod);
      } else {
        entry->heard = std::max(entry->heard, at);
      }
      if (page.outcome.ok()) {
        window.Ingest(page.pod, *page.outcome, at, page.at);
      } else {
        window.RecordFailure(page.pod, page.outcome.error());
      }
    }
    for (const auto& [variant, pod] : guests) {
      state->variants.find(variant)->second.RemoveTarget(pod, now);
    }
    const Millis silence = std::max(state->spec.interval * 3, kStale);
    for (const Entry& entry : state->entries) {
      if (!caught_up || entry.heard >= now - silence) continue;
      state->variants.find(entry.job->target.variant)
          ->second.RecordFailure(entry.job->target.id,
                                 {Errc::kNotFound, "the Prometheus has no samples of the pod"});
    }
    if (caught_up) EndRound(*state, now);
  }
  if (caught_up && on_round) on_round(state->id);
}

void SampleStore::Impl::RecordQueryFailure(std::string_view id, const Error& error) {
  const auto state = Find(id);
  if (state == nullptr) return;
  {
    const std::lock_guard lock(state->mutex);
    if (!state->spec.promql) return;
    state->notes.clear();
    for (const Entry& entry : state->entries) {
      state->variants.find(entry.job->target.variant)
          ->second.RecordFailure(entry.job->target.id, error);
    }
    EndRound(*state, clock_.Steady());
  }
  if (on_round) on_round(state->id);
}

std::vector<std::shared_ptr<const QueryJob>> SampleStore::Impl::TakeQueryChanges() {
  const std::lock_guard lock(changes_mutex_);
  return std::exchange(query_changes_, {});
}

void SampleStore::OnQueriesChanged(std::function<void()> listener) {
  impl_->OnQueriesChanged(std::move(listener));
}

std::vector<std::shared_ptr<const QueryJob>> SampleStore::TakeQueryChanges() {
  return impl_->TakeQueryChanges();
}

void SampleStore::RecordPages(const QueryJob& job, const ScrapedPages& seen, bool caught_up) {
  impl_->RecordPages(job, seen, caught_up);
}

void SampleStore::RecordQueryFailure(std::string_view id, const Error& error) {
  impl_->RecordQueryFailure(id, error);
}

}  // namespace perennial::scrape
