#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "kube/execute.h"
#include "kube/plan.h"
#include "kube/repeats.h"
#include "kube/store.h"
#include "kube/unreadable.h"
#include "kube/work_queue.h"

namespace perennial::kube {

// What a look knows beside the stores.
struct Attempt {
  WallTime now{};
  // Why the last plan for this key could not be carried out, if trying again at once cannot help
  // (refused by admission, forbidden, name taken); empty after a success.
  std::string last_error;
};

// observe -> decide -> apply of one resource.
template <class R>
concept Reconciler = requires(R r, const Key& key, const Attempt& attempt,
                              const typename R::Observed& seen, WallTime now) {
  { R::kName } -> std::convertible_to<std::string_view>;
  // Reads stores and other memory only, never the network; nullopt: the object is gone.
  { r.Observe(key, attempt) } -> std::same_as<std::optional<typename R::Observed>>;
  { R::Decide(seen, now) } -> std::same_as<Plan>;  // static: no state to lean on
};

// Counters of one controller since its start.
struct RunnerCounters {
  std::uint64_t success = 0;
  std::uint64_t requeue_after = 0;  // success with a time to look again
  std::uint64_t error = 0;
  std::uint64_t terminal = 0;  // errors that only a change can cure
  std::uint64_t writes = 0;
  std::uint64_t skipped = 0;  // the store had not seen our own last write yet
  double seconds = 0;         // spent observing, deciding and applying
};

// The part of the loop that does not depend on what is reconciled: keeps, for each key, the version
// of our own last write and the last error, and turns an outcome into the next look.
//
// ok -> wake_at. kThrottled -> after Retry-After. kCancelled -> dropped: the process ends.
// Everything else -> Retry, from 5 ms (a lost optimistic lock sees fresh data then) doubling up to
// 5 minutes. kInvalid, kForbidden, kAlreadyExists and kTooLarge, which trying again can't cure, are
// also remembered in Attempt::last_error, until a plan's actions go through or a plan has nothing
// to do. The next plan may tell of it in a status of its own and act again later; while its actions
// fail once more, its conditions alone are written (TellConditions), so that people see why.
//
// An apply that went through and doesn't stay (kube/repeats.h) is left out of the plan until its
// time has come, as if it had been undone at once; what is contested is told in
// Attempt::last_error until a plan doesn't ask for it any more.
class RunnerCore {
 public:
  struct Dependencies {
    Client& client;
    EventRecorder& events;
    const Clock& clock;
    WritePermit permit;
    const Unreadable* unreadable = nullptr;  // null: everything can be read
  };

  RunnerCore(std::string name, Resource resource, Dependencies dependencies);

  WorkQueue& queue() { return queue_; }
  const std::string& name() const { return name_; }
  RunnerCounters Counters() const;

  // False while something of the namespace can't be read (kube/unreadable.h); the key is looked at
  // again later, within five minutes.
  bool MayAct(const Key& key);
  // False while the store's version of the object is older than our own last write of it; the key
  // is looked at again soon (and after 5 s without news regardless, since watches can be lost).
  bool MayDecide(const Key& key, const Meta& seen);
  std::string LastError(const Key& key) const;
  void Carry(const Key& key, const Meta& seen, const Plan& plan);
  void Gone(const Key& key);

  WallTime Now() const { return dependencies_.clock.Wall(); }
  Millis Steady() const { return dependencies_.clock.Steady(); }
  void AddSeconds(double seconds);

 private:
  // Only of keys whose plans apply something.
  struct Applied {
    Repeats repeats;
    std::string contested;  // what somebody else undoes, in words
  };
  struct Memory {
    std::string written_version;
    Millis written_at{0};
    std::string last_error;
    std::string last_why;
    std::unique_ptr<Applied> applied;
  };

  // The plan without what has to wait, and how long that is; nullopt: nothing has to.
  std::optional<std::pair<Plan, Millis>> HoldBack(const Key& key, const Plan& plan) const;
  void NoteApplied(const Key& key, const Plan& plan, const Plan& carried);
  void Succeeded(const Key& key, const Plan& plan, const Executed& executed);
  void Failed(const Key& key, const Subject& subject, const Plan& plan, const Error& error);
  void Tell(const Key& key, const Subject& subject, const std::string& status);

  std::string name_;
  Resource resource_;
  Dependencies dependencies_;
  WorkQueue queue_;
  mutable std::mutex mutex_;
  std::map<Key, Memory> memory_;
  RunnerCounters counters_;
};

// Runs one reconciler with a few workers. `Primary` is the projection whose store holds the
// reconciled objects.
template <Reconciler R, class Primary>
class Runner {
 public:
  Runner(R& reconciler, const Store<Primary>& primary, Resource resource,
         RunnerCore::Dependencies dependencies)
      : reconciler_(reconciler),
        primary_(primary),
        core_(std::string(R::kName), std::move(resource), std::move(dependencies)) {}

  RunnerCore& core() { return core_; }
  WorkQueue& queue() { return core_.queue(); }

  void Start(int workers) {
    for (int i = 0; i < workers; ++i) {
      threads_.emplace_back([this](std::stop_token stop) {
        while (const auto key = queue().Take(stop)) {
          Reconcile(*key);
          queue().Done(*key);
        }
      });
    }
  }
  // Returns when no worker runs any more.
  void Stop() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
  }

  // One look at one key, on the caller's thread.
  void Reconcile(const Key& key) {
    const Millis begin = core_.Steady();
    const auto object = primary_.Get(key);
    if (object != nullptr && (!core_.MayAct(key) || !core_.MayDecide(key, object->meta))) return;
    const Attempt attempt{core_.Now(), core_.LastError(key)};
    const auto seen = reconciler_.Observe(key, attempt);
    if (!seen || object == nullptr) {
      core_.Gone(key);
    } else {
      core_.Carry(key, object->meta, R::Decide(*seen, attempt.now));
    }
    core_.AddSeconds(static_cast<double>((core_.Steady() - begin).count()) / 1000.0);
  }

 private:
  R& reconciler_;
  const Store<Primary>& primary_;
  RunnerCore core_;
  std::vector<std::jthread> threads_;
};

}  // namespace perennial::kube
