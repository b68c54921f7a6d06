#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "kube/client.h"
#include "kube/lease.h"

namespace perennial::kube {

// The Lease that all replicas which divide the work in the same way hold together, and in its
// annotations the roll of these replicas.
//
// Its holder is "N shards". Replicas that divide otherwise, or not at all (they hold a Lease of the
// same name as LeaderElection does), wait until it has expired, as they would for a leader; so
// while `--shards` is changed no object has two controllers. Fencing is as in LeaderElection, by
// the renewals of OURS.
class ShardRoll {
 public:
  // `options.identity`: of this replica. `client` as for LeaderElection.
  ShardRoll(Client& client, const Clock& clock, LeaseOptions options, int shards);
  ~ShardRoll();  // stops, without a word
  ShardRoll(const ShardRoll&) = delete;
  ShardRoll& operator=(const ShardRoll&) = delete;

  // `lost` comes from the roll's thread, at most once.
  void Start(std::function<void()> lost);
  // Takes this replica off the roll. Only after it has given up its shards.
  void Stop();

  // Thread-safe, cheap.
  bool MayWrite() const;
  // Who is alive as far as we have seen, we among them; empty before the Lease was first ours too.
  std::set<std::string> Replicas() const;

  // One step on the caller's thread, for tests; returns after how long the next is due.
  Millis Step();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::kube
