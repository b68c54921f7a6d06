#include "kube/runner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace perennial::kube {
namespace {

// How often a key is looked at while its store lags behind our own write, and for how long: a watch
// can be lost, and a stale status write is refused by its resource version anyway.
constexpr Millis kLagPoll{100};
constexpr Millis kLagLimit{5'000};
// A time to look again that has passed already must not become a busy loop.
constexpr Millis kShortestSleep{50};
// client-go's default wait where the server names none.
constexpr Millis kThrottledWait{1'000};

// Failures that trying again can't cure.
bool Terminal(Errc code) {
  return code == Errc::kInvalid || code == Errc::kForbidden || code == Errc::kAlreadyExists ||
         code == Errc::kTooLarge;
}

}  // namespace

RunnerCore::RunnerCore(std::string name, Resource resource, Dependencies dependencies)
    : name_(std::move(name)),
      resource_(std::move(resource)),
      dependencies_(std::move(dependencies)),
      queue_(dependencies_.clock) {}

RunnerCounters RunnerCore::Counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

void RunnerCore::AddSeconds(double seconds) {
  const std::lock_guard lock(mutex_);
  counters_.seconds += seconds;
}

bool RunnerCore::MayDecide(const Key& key, const Meta& seen) {
  Millis wait{0};
  {
    const std::lock_guard lock(mutex_);
    const auto it = memory_.find(key);
    if (it == memory_.end() || it->second.written_version.empty()) return true;
    Memory& memory = it->second;
    const Millis waited = Steady() - memory.written_at;
    if (CompareResourceVersions(seen.resource_version, memory.written_version) >= 0 ||
        waited >= kLagLimit) {
      memory.written_version.clear();
      return true;
    }
    ++counters_.skipped;
    wait = std::min(kLagPoll, kLagLimit - waited);
  }
  queue_.Add(key, Priority::kChanged, wait);
  return false;
}

std::string RunnerCore::LastError(const Key& key) const {
  const std::lock_guard lock(mutex_);
  const auto it = memory_.find(key);
  return it == memory_.end() ? std::string() : it->second.last_error;
}

void RunnerCore::Gone(const Key& key) {
  queue_.Forget(key);
  const std::lock_guard lock(mutex_);
  memory_.erase(key);
}

void RunnerCore::Carry(const Key& key, const Meta& seen, const Plan& plan) {
  const Subject subject{{resource_, key}, seen.uid, seen.resource_version};
  const auto executed =
      Execute(dependencies_.client, dependencies_.events, subject, plan, dependencies_.permit);
  if (executed.ok()) {
    Succeeded(key, plan, *executed);
  } else {
    Failed(key, subject, plan, executed.error());
  }
}

void RunnerCore::Succeeded(const Key& key, const Plan& plan, const Executed& executed) {
  const bool acted = std::any_of(plan.actions.begin(), plan.actions.end(), [](const Action& one) {
    return !std::holds_alternative<EmitEvent>(one);
  });
  bool had_error = false;
  bool only_told = false;
  {
    const std::lock_guard lock(mutex_);
    ++(plan.wake_at ? counters_.requeue_after : counters_.success);
    counters_.writes += static_cast<std::uint64_t>(executed.writes);
    Memory& memory = memory_[key];
    if (executed.resource_version) {
      memory.written_version = *executed.resource_version;
      memory.written_at = Steady();
    }
    had_error = !memory.last_error.empty();
    // A plan that only told of the error in status left out what was refused: it is still to do.
    only_told = had_error && !acted && plan.status.has_value();
    if (!only_told) memory.last_error.clear();
    if (executed.writes > 0 && memory.last_why != plan.why) {
      memory.last_why = plan.why;
      spdlog::info("{} {}: {}", name_, ToString(key), Redact(plan.why));
    }
  }
  if (only_told) {
    queue_.Retry(key);
  } else {
    queue_.Forget(key);
    // Decided while there was an error to tell of: the status may say what is over now.
    if (had_error) queue_.Add(key);
  }
  if (plan.wake_at) {
    queue_.Add(key, Priority::kResync, std::max(kShortestSleep, *plan.wake_at - Now()));
  }
}

void RunnerCore::Failed(const Key& key, const Subject& subject, const Plan& plan,
                        const Error& error) {
  if (error.code == Errc::kCancelled) return;
  const bool terminal = Terminal(error.code);
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    ++(terminal ? counters_.terminal : counters_.error);
    Memory& memory = memory_[key];
    known = terminal && memory.last_error == error.message;
    if (terminal) memory.last_error = error.message;
  }
  if (!known) {
    spdlog::log(error.code == Errc::kConflict ? spdlog::level::debug : spdlog::level::warn,
                "{} {}: {}: {}", name_, ToString(key), perennial::ToString(error.code),
                Redact(error.message));
  }
  if (known && plan.status) Tell(key, subject, *plan.status);
  if (error.code == Errc::kThrottled) {
    queue_.Retry(key, error.retry_after.value_or(kThrottledWait));
  } else {
    queue_.Retry(key);
  }
}

void RunnerCore::Tell(const Key& key, const Subject& subject, const std::string& status) {
  const auto told = TellConditions(dependencies_.client, subject, status, dependencies_.permit);
  if (!told.ok() || !*told) return;
  const std::lock_guard lock(mutex_);
  ++counters_.writes;
  Memory& memory = memory_[key];
  memory.written_version = **told;
  memory.written_at = Steady();
}

}  // namespace perennial::kube
