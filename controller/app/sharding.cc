#include "app/sharding.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace perennial::app {
namespace {

// How long the end of a stack waits for requests that are under way.
constexpr Millis kGrace{10'000};
// A stack that lost its Lease writes nothing; one that does not even end is a process that hangs.
constexpr Millis kMostPatience{60'000};
constexpr Millis kPoll{50};
constexpr Millis kLong = std::chrono::hours(1);

kube::LeaseOptions OfShard(kube::LeaseOptions lease, int shard) {
  lease.name += "-shard-" + std::to_string(shard);
  return lease;
}

}  // namespace

Sharding::Sharding(Dependencies dependencies)
    : dependencies_(std::move(dependencies)),
      own_(dependencies_.lease.identity),
      roll_(dependencies_.lease_client, dependencies_.clock, dependencies_.lease,
            dependencies_.shards),
      slots_(static_cast<std::size_t>(dependencies_.shards)) {
  int shard = 0;
  for (Slot& slot : slots_) slot.shard = shard++;
}

// True once `condition` holds; false when `stop` was requested or the time passed before.
template <class Condition>
bool Sharding::Wait(const std::stop_token& stop, Millis most, Condition condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, stop, most, condition);
}

void Sharding::Run(const std::stop_token& stop) {
  roll_.Start(dependencies_.on_lost);
  {
    std::vector<std::jthread> threads;
    for (Slot& slot : slots_) {
      threads.emplace_back([this, &slot](const std::stop_token& ended) { Hold(slot, ended); });
    }
    const Millis pace = std::max(kPoll, dependencies_.lease.retry_period / 8);
    while (!stop.stop_requested()) {
      Decide();
      Wait(stop, pace, [] { return false; });
    }
    for (std::jthread& thread : threads) thread.request_stop();
  }
  roll_.Stop();
}

void Sharding::Hold(Slot& slot, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto election = std::make_shared<kube::LeaderElection>(
        dependencies_.lease_client, dependencies_.clock, OfShard(dependencies_.lease, slot.shard));
    election->Stand(false);
    {
      const std::lock_guard lock(mutex_);
      slot.election = election;
      slot.gained = slot.lost = slot.release = false;
    }
    const auto note = [this](bool& what) {
      const std::lock_guard lock(mutex_);
      what = true;
      changed_.notify_all();
    };
    election->Start([&] { note(slot.gained); }, [&] { note(slot.lost); });
    while (!stop.stop_requested() && !Wait(stop, kLong, [&] { return slot.gained || slot.lost; })) {
    }
    if (!stop.stop_requested() && election->Leading()) RunStack(slot, stop);
    election->Stop(/*release=*/true);
  }
}

void Sharding::RunStack(Slot& slot, const std::stop_token& stop) {
  const auto over = [&] { return slot.lost || slot.release; };
  const auto stack = dependencies_.make(slot.shard, [this, election = slot.election] {
    return election->MayWrite() && roll_.MayWrite();
  });
  {
    const std::lock_guard lock(mutex_);
    slot.stack = stack;
  }
  dependencies_.watch(*stack);
  bool synced = false;
  while (!stop.stop_requested() && !Wait(stop, synced ? kLong : kPoll, over)) {
    if (synced) continue;
    synced = stack->Synced();
    if (!synced) continue;
    stack->Begin();
    spdlog::info("shard {}: working", slot.shard);
    const std::lock_guard lock(mutex_);
    slot.working = true;
  }
  bool lost = false;
  {
    const std::lock_guard lock(mutex_);
    lost = slot.lost;
    slot.working = false;
  }
  spdlog::info("shard {}: stopping", slot.shard);
  End(*stack, lost);
  const std::lock_guard lock(mutex_);
  slot.stack.reset();
}

void Sharding::End(Stack& stack, bool lost) {
  std::jthread hurry([&](const std::stop_token& done) {
    if (lost) stack.Hurry();
    Wait(done, kGrace, [] { return false; });
    if (done.stop_requested()) return;
    stack.Hurry();
    Wait(done, kMostPatience, [] { return false; });
    if (lost && !done.stop_requested()) dependencies_.on_lost();
  });
  stack.Stop();
}

kube::ShardSeen Sharding::See(Slot& slot) const {
  using State = kube::ShardSeen::State;
  kube::ShardSeen seen;
  if (slot.election == nullptr) return seen;
  if (slot.election->Leading()) {
    seen.state = State::kOurs;
  } else if (slot.election->Vacant()) {
    seen.state = State::kVacant;
  } else if (seen.holder = slot.election->Holder(); !seen.holder.empty()) {
    seen.state = State::kTheirs;
  }
  if (seen.state != State::kVacant) {
    slot.vacant_since.reset();
  } else {
    const Millis now = dependencies_.clock.Steady();
    if (!slot.vacant_since) slot.vacant_since = now;
    seen.neglected = now - *slot.vacant_since >= 2 * Millis(dependencies_.lease.duration);
  }
  return seen;
}

void Sharding::Decide() {
  const auto replicas = roll_.Replicas();
  if (replicas.empty()) return;  // others divide the work in another way
  const std::lock_guard lock(mutex_);
  std::vector<kube::ShardSeen> seen;
  for (Slot& slot : slots_) seen.push_back(See(slot));
  const kube::ShardWishes wishes = kube::DecideShards(own_, replicas, seen);
  for (Slot& slot : slots_) {
    if (slot.election != nullptr) slot.election->Stand(wishes.stand.contains(slot.shard));
  }
  const Millis now = dependencies_.clock.Steady();
  if (surplus_ != wishes.release) {
    surplus_ = wishes.release;
    surplus_since_ = now;
  }
  // Only once everybody's last move has been seen, and what we hold has begun to work.
  if (!surplus_ || now - surplus_since_ < 3 * dependencies_.lease.retry_period) return;
  Slot& slot = slots_[static_cast<std::size_t>(*surplus_)];
  if (!slot.working || slot.release) return;
  spdlog::info("shard {}: given up for another replica", slot.shard);
  slot.release = true;
  changed_.notify_all();
}

std::map<int, std::shared_ptr<Stack>> Sharding::Stacks() const {
  std::map<int, std::shared_ptr<Stack>> out;
  const std::lock_guard lock(mutex_);
  for (const Slot& slot : slots_) {
    if (slot.stack != nullptr) out.emplace(slot.shard, slot.stack);
  }
  return out;
}

std::vector<bool> Sharding::Held() const {
  std::vector<bool> out;
  const std::lock_guard lock(mutex_);
  for (const Slot& slot : slots_) {
    out.push_back(slot.election != nullptr && slot.election->Leading());
  }
  return out;
}

}  // namespace perennial::app
