#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "kube/meta.h"

namespace perennial::kube {

// Why a key is looked at: of nine turns, what changed has eight and what is looked at again anyway
// one.
enum class Priority { kChanged = 0, kResync = 1 };

// Keys to reconcile. Namespaces take turns, so that what one of them brings at once holds up no
// other: self-clocked fair queueing (Golestani, INFOCOM 1994), each key a packet of the same
// length. A key waits at most once, however often it is added, and is never handed to two workers
// at a time: one added while it is worked on is handed out again after Done(). Failed keys come
// back with exponential delays, each key with its own. Thread-safe.
class WorkQueue {
 public:
  struct Options {
    Millis first_delay{5};          // of a retry; client-go's ItemExponentialFailureRateLimiter
    Millis longest_delay{300'000};  // it doubles up to this
    std::uint64_t seed = 1;         // of the jitter (up to a fifth of the delay)
  };

  explicit WorkQueue(const Clock& clock);
  WorkQueue(const Clock& clock, Options options);

  // Due at once, or `after` a delay. An earlier time and a higher priority win over what waits.
  void Add(const Key& key, Priority priority = Priority::kChanged, Millis after = Millis{0});
  // Due after the key's own next delay (at least `at_least`), which doubles with every call until
  // Forget().
  void Retry(const Key& key, Millis at_least = Millis{0});
  // The key succeeded: its next failure starts with the first delay again.
  void Forget(const Key& key);
  int Failures(const Key& key) const;

  // Waits for a key that is due; nullopt once `stop` is requested. Each key must be given back with
  // Done().
  std::optional<Key> Take(std::stop_token stop);
  // The same without waiting: for tests with a clock of their own.
  std::optional<Key> TryTake();
  void Done(const Key& key);

  std::size_t depth() const;               // due now
  std::size_t delayed() const;             // waiting for their time
  std::optional<Millis> next_due() const;  // steady time of the earliest delayed key

 private:
  struct Waiting {
    Millis due{0};
    Priority priority = Priority::kChanged;
    std::uint64_t turn = 0;   // in which it is handed out, once it is due
    std::uint64_t order = 0;  // among those of one turn
  };
  // Due keys in the order in which they are handed out; delayed keys by their time.
  using Place = std::tuple<std::uint64_t, Priority, std::uint64_t, Key>;
  using Later = std::pair<Millis, Key>;

  void AddLocked(const Key& key, Priority priority, Millis due);
  void LineUp(const Key& key, Waiting& waiting);
  void Promote(Millis now);
  std::optional<Key> TakeLocked(Millis now);

  const Clock& clock_;
  Options options_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<Key, Waiting> waiting_;
  std::set<Place> due_;
  std::set<Later> later_;
  std::map<Key, std::optional<Waiting>> working_;  // with what was added meanwhile
  std::map<Key, int> failures_;
  std::uint64_t order_ = 0;
  std::uint64_t turn_ = 0;  // of the key that was handed out last
  // The last turn that is taken, of each namespace.
  std::map<std::pair<Priority, std::string>, std::uint64_t> turns_;
};

}  // namespace perennial::kube
