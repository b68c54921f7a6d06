#include "scrape/scrape_schedule.h"

#include <algorithm>

namespace perennial::scrape {
namespace {

constexpr Millis kLongestPause{900'000};

// FNV-1a with a finaliser: stable over restarts and builds, which std::hash need not be.
std::uint64_t HashOf(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001B3ULL;
  hash ^= hash >> 33;
  hash *= 0xFF51AFD7ED558CCDULL;
  return hash ^ (hash >> 33);
}

}  // namespace

// The first turn of the job later than `after`.
Millis ScrapeSchedule::NextTurn(const Job& job, Millis after) {
  const std::int64_t since = (after - job.phase).count();
  const std::int64_t interval = job.interval.count();
  const std::int64_t turns = since < 0 ? 0 : since / interval + 1;
  return job.phase + Millis(turns * interval);
}

void ScrapeSchedule::Add(std::uint64_t id, std::string_view target, Millis interval, Millis now) {
  const auto [it, added] = jobs_.try_emplace(id);
  if (!added) return;
  Job& job = it->second;
  job.interval = std::max(interval, Millis{1});
  job.phase = Millis(
      static_cast<std::int64_t>(HashOf(target) % static_cast<std::uint64_t>(job.interval.count())));
  job.due = NextTurn(job, now);
  QueueOf(job).emplace(job.due, id);
}

void ScrapeSchedule::Remove(std::uint64_t id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  if (!it->second.running) QueueOf(it->second).erase({it->second.due, id});
  jobs_.erase(it);
}

void ScrapeSchedule::TakeFrom(Queue& queue, Millis now, std::size_t slots, std::vector<Due>& due) {
  for (; slots > 0 && !queue.empty() && queue.begin()->first <= now; --slots) {
    const auto [time, id] = *queue.begin();
    queue.erase(queue.begin());
    jobs_[id].running = true;
    due.push_back({id, now - time});
  }
}

std::vector<ScrapeSchedule::Due> ScrapeSchedule::Take(Millis now, std::size_t slots,
                                                      std::size_t suspect_slots) {
  std::vector<Due> due;
  TakeFrom(healthy_, now, slots, due);
  TakeFrom(suspects_, now, std::min(slots - due.size(), suspect_slots), due);
  return due;
}

void ScrapeSchedule::Finished(std::uint64_t id, bool success, Millis now) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end() || !it->second.running) return;
  Job& job = it->second;
  job.running = false;
  job.failures = success ? 0 : job.failures + 1;
  Millis earliest = now;
  if (job.failures > 1) {
    const std::int64_t turns = std::int64_t{1} << std::min(job.failures - 1, 3);
    const Millis pause = std::min(job.interval * turns, std::max(kLongestPause, job.interval));
    earliest = std::max(now, job.due + pause - Millis{1});
  }
  job.due = NextTurn(job, earliest);
  QueueOf(job).emplace(job.due, id);
}

void ScrapeSchedule::Again(std::uint64_t id, Millis now) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end() || it->second.running) return;
  Job& job = it->second;
  QueueOf(job).erase({job.due, id});
  job.due = now;
  QueueOf(job).emplace(job.due, id);
}

bool ScrapeSchedule::suspect(std::uint64_t id) const {
  const auto it = jobs_.find(id);
  return it != jobs_.end() && it->second.failures > 0;
}

std::optional<Millis> ScrapeSchedule::NextDue(bool suspects_too) const {
  std::optional<Millis> next;
  if (!healthy_.empty()) next = healthy_.begin()->first;
  if (suspects_too && !suspects_.empty()) {
    const Millis due = suspects_.begin()->first;
    next = next ? std::min(*next, due) : due;
  }
  return next;
}

}  // namespace perennial::scrape
