#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "app/stack.h"
#include "base/clock.h"
#include "kube/client.h"
#include "kube/lease.h"
#include "kube/shard_roll.h"
#include "kube/shards.h"

namespace perennial::app {

// This replica's share of the shards: an election for each shard's Lease, and a stack for each that
// is ours. Which to try for and which to give up is kube::DecideShards'.
class Sharding {
 public:
  struct Dependencies {
    kube::Client& lease_client;
    const Clock& clock;
    kube::LeaseOptions lease;  // of the roll; a shard's name has "-shard-N" at its end
    int shards;
    std::function<std::shared_ptr<Stack>(int shard, kube::WritePermit permit)> make;
    std::function<void(Stack&)> watch;  // begins to fill its stores
    // Another process may write everything from now on, or a stack does not end.
    std::function<void()> on_lost;
  };
  explicit Sharding(Dependencies dependencies);
  Sharding(const Sharding&) = delete;
  Sharding& operator=(const Sharding&) = delete;

  // Until `stop` is requested; at the end gives everything up.
  void Run(const std::stop_token& stop);

  // For other threads: what runs here now, and how many replicas there are.
  std::map<int, std::shared_ptr<Stack>> Stacks() const;
  std::vector<bool> Held() const;
  std::size_t Replicas() const { return roll_.Replicas().size(); }

 private:
  struct Slot {
    int shard = 0;
    std::shared_ptr<kube::LeaderElection> election;
    std::shared_ptr<Stack> stack;
    bool gained = false;
    bool lost = false;
    bool release = false;
    bool working = false;
    std::optional<Millis> vacant_since;
  };

  void Hold(Slot& slot, const std::stop_token& stop);
  void RunStack(Slot& slot, const std::stop_token& stop);
  void End(Stack& stack, bool lost);
  void Decide();
  kube::ShardSeen See(Slot& slot) const;
  template <class Condition>
  bool Wait(const std::stop_token& stop, Millis most, Condition condition);

  const Dependencies dependencies_;
  const std::string own_;
  kube::ShardRoll roll_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Slot> slots_;
  std::optional<int> surplus_;  // the shard that we would give up, and since when
  Millis surplus_since_{0};
};

}  // namespace perennial::app
