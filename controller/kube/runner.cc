#include "kube/runner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
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

bool RunnerCore::MayAct(const Key& key) {
  if (dependencies_.unreadable == nullptr || !dependencies_.unreadable->In(key.ns)) return true;
  queue_.Retry(key);
  return false;
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
  if (it == memory_.end()) return {};
  const Memory& memory = it->second;
  if (!memory.last_error.empty() || memory.applied == nullptr) return memory.last_error;
  return memory.applied->contested;
}

void RunnerCore::Gone(const Key& key) {
  queue_.Forget(key);
  const std::lock_guard lock(mutex_);
  memory_.erase(key);
}

void RunnerCore::Carry(const Key& key, const Meta& seen, const Plan& plan) {
  const Subject subject{{resource_, key}, seen.uid, seen.resource_version};
  const auto held = HoldBack(key, plan);
  const Plan& carried = held ? held->first : plan;
  const auto executed =
      Execute(dependencies_.client, dependencies_.events, subject, carried, dependencies_.permit);
  if (executed.ok()) {
    Succeeded(key, carried, *executed);
    NoteApplied(key, plan, carried);
  } else {
    Failed(key, subject, carried, executed.error());
  }
  if (held) queue_.Add(key, Priority::kResync, held->second);
}

std::optional<std::pair<Plan, Millis>> RunnerCore::HoldBack(const Key& key,
                                                            const Plan& plan) const {
  std::set<const Action*> waiting;
  Millis wait = Millis::max();
  {
    const std::lock_guard lock(mutex_);
    const auto memory = memory_.find(key);
    if (memory == memory_.end() || memory->second.applied == nullptr) return std::nullopt;
    for (const Action& action : plan.actions) {
      const auto* apply = std::get_if<ApplyObject>(&action);
      if (apply == nullptr) continue;
      const Millis left = memory->second.applied->repeats.Wait(*apply, Steady());
      if (left == Millis{0}) continue;
      waiting.insert(&action);
      wait = std::min(wait, left);
    }
  }
  if (waiting.empty()) return std::nullopt;
  Plan rest{{}, plan.status, plan.wake_at, plan.why};
  for (const Action& action : plan.actions) {
    if (!waiting.contains(&action)) rest.actions.push_back(action);
  }
  return std::pair(std::move(rest), wait);
}

void RunnerCore::NoteApplied(const Key& key, const Plan& plan, const Plan& carried) {
  std::string contested;
  {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Applied>& applied = memory_[key].applied;
    for (const Action& action : carried.actions) {
      const auto* apply = std::get_if<ApplyObject>(&action);
      if (apply == nullptr) continue;
      if (applied == nullptr) applied = std::make_unique<Applied>();
      applied->repeats.Add(*apply, Steady());
    }
    if (applied == nullptr) return;
    for (const Action& action : plan.actions) {
      const auto* apply = std::get_if<ApplyObject>(&action);
      if (apply == nullptr || !applied->repeats.Contested(*apply, Steady())) continue;
      contested = ToString(apply->target) +
                  " does not stay as it is applied: a mutating webhook or another controller "
                  "changes it back; its metadata.managedFields name who else writes it";
    }
    if (std::exchange(applied->contested, contested) == contested) return;
  }
  if (!contested.empty()) spdlog::warn("{} {}: {}", name_, ToString(key), contested);
  // Decided before that was known.
  queue_.Add(key);
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
