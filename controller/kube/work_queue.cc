#include "kube/work_queue.h"

#include <algorithm>
#include <functional>
#include <string>

namespace perennial::kube {
namespace {

// How many turns a namespace waits for its next key.
constexpr std::uint64_t kTurnsOfChanged = 1;
constexpr std::uint64_t kTurnsOfResync = 8;

// SplitMix64 (Steele, Lea, Flood 2014): a well-mixed number from a counter, without state.
std::uint64_t Mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// first, 2*first, 4*first, ... up to `longest`, without overflow.
Millis Doubled(Millis first, Millis longest, int failures) {
  Millis delay = std::min(first, longest);
  for (int i = 0; i < failures && delay < longest; ++i) delay = std::min(delay * 2, longest);
  return delay;
}

}  // namespace

WorkQueue::WorkQueue(const Clock& clock) : WorkQueue(clock, Options()) {}

WorkQueue::WorkQueue(const Clock& clock, Options options) : clock_(clock), options_(options) {}

void WorkQueue::Add(const Key& key, Priority priority, Millis after) {
  {
    const std::lock_guard lock(mutex_);
    AddLocked(key, priority, clock_.Steady() + std::max(after, Millis{0}));
  }
  changed_.notify_all();
}

void WorkQueue::Retry(const Key& key, Millis at_least) {
  {
    const std::lock_guard lock(mutex_);
    int& failures = failures_[key];
    Millis delay = Doubled(options_.first_delay, options_.longest_delay, failures);
    ++failures;
    // Many keys fail together when the API server does; they must not come back together.
    const std::uint64_t noise = Mix(options_.seed ^ Mix(static_cast<std::uint64_t>(failures)) ^
                                    std::hash<std::string>{}(ToString(key)));
    delay += Millis(static_cast<std::int64_t>(
        noise % static_cast<std::uint64_t>(std::max<std::int64_t>(1, delay.count() / 5 + 1))));
    AddLocked(key, Priority::kChanged, clock_.Steady() + std::max(delay, at_least));
  }
  changed_.notify_all();
}

void WorkQueue::Forget(const Key& key) {
  const std::lock_guard lock(mutex_);
  failures_.erase(key);
}

int WorkQueue::Failures(const Key& key) const {
  const std::lock_guard lock(mutex_);
  const auto it = failures_.find(key);
  return it == failures_.end() ? 0 : it->second;
}

void WorkQueue::AddLocked(const Key& key, Priority priority, Millis due) {
  if (const auto working = working_.find(key); working != working_.end()) {
    std::optional<Waiting>& next = working->second;
    if (!next) {
      next = Waiting{due, priority, 0};
    } else {
      next->due = std::min(next->due, due);
      next->priority = std::min(next->priority, priority);
    }
    return;
  }
  ++order_;
  const auto [it, fresh] = waiting_.try_emplace(key, Waiting{due, priority, 0, 0});
  Waiting& waiting = it->second;
  if (!fresh) {
    const bool in_line = due_.contains({waiting.turn, waiting.priority, waiting.order, key});
    if (in_line && priority >= waiting.priority) return;
    due_.erase({waiting.turn, waiting.priority, waiting.order, key});
    later_.erase({waiting.due, key});
    waiting.due = std::min(waiting.due, due);
    waiting.priority = std::min(waiting.priority, priority);
  }
  if (waiting.due <= clock_.Steady()) {
    LineUp(key, waiting);
  } else {
    later_.insert({waiting.due, key});
  }
}

// In line since it is due, not since it was added.
void WorkQueue::LineUp(const Key& key, Waiting& waiting) {
  std::uint64_t& last = turns_[{waiting.priority, key.ns}];
  const bool changed = waiting.priority == Priority::kChanged;
  last = std::max(last, turn_) + (changed ? kTurnsOfChanged : kTurnsOfResync);
  waiting.turn = last;
  waiting.order = ++order_;
  due_.insert({waiting.turn, waiting.priority, waiting.order, key});
}

void WorkQueue::Promote(Millis now) {
  while (!later_.empty() && later_.begin()->first <= now) {
    const Key key = later_.begin()->second;
    later_.erase(later_.begin());
    LineUp(key, waiting_.at(key));
  }
}

std::optional<Key> WorkQueue::TakeLocked(Millis now) {
  Promote(now);
  if (due_.empty()) return std::nullopt;
  turn_ = std::get<0>(*due_.begin());
  Key key = std::get<Key>(*due_.begin());
  due_.erase(due_.begin());
  if (due_.empty()) turns_.clear();
  waiting_.erase(key);
  working_.emplace(key, std::nullopt);
  return key;
}

std::optional<Key> WorkQueue::Take(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const Millis now = clock_.Steady();
    if (auto key = TakeLocked(now)) return key;
    // Every addition moves order_, and every waiting worker then looks at the times again: with
    // only one woken, a delayed key could be left without anybody who waits for its time.
    const auto moved = [this, seen = order_] { return order_ != seen; };
    if (later_.empty()) {
      changed_.wait(lock, stop, moved);
    } else {
      changed_.wait_for(lock, stop, later_.begin()->first - now, moved);
    }
  }
  return std::nullopt;
}

std::optional<Key> WorkQueue::TryTake() {
  const std::lock_guard lock(mutex_);
  return TakeLocked(clock_.Steady());
}

void WorkQueue::Done(const Key& key) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = working_.find(key);
    if (it == working_.end()) return;
    const std::optional<Waiting> next = it->second;
    working_.erase(it);
    if (next) AddLocked(key, next->priority, next->due);
  }
  changed_.notify_all();
}

std::size_t WorkQueue::depth() const {
  const std::lock_guard lock(mutex_);
  const Millis now = clock_.Steady();
  std::size_t due = due_.size();
  for (const Later& later : later_) {
    if (later.first > now) break;
    ++due;
  }
  return due;
}

std::size_t WorkQueue::delayed() const {
  const std::lock_guard lock(mutex_);
  const Millis now = clock_.Steady();
  return static_cast<std::size_t>(std::count_if(
      later_.begin(), later_.end(), [now](const Later& later) { return later.first > now; }));
}

std::optional<Millis> WorkQueue::next_due() const {
  const std::lock_guard lock(mutex_);
  if (later_.empty()) return std::nullopt;
  return later_.begin()->first;
}

}  // namespace perennial::kube
