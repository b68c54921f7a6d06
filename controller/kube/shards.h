#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace perennial::kube {

// The shard of what lives in a namespace: everything that is decided together (a model, its
// monitors, policies, groups of policies, versions and approvals) lives in one namespace. The same
// in every release, since replicas of two releases may run beside each other: the first 8 bytes of
// the name's SHA-256 modulo `count`.
int ShardOf(std::string_view ns, int count);

// A shard's part of a number for the whole cluster; the parts' sum is never above it. 0 ("any
// number") stays 0.
int PartOf(int whole, int shard, int count);

// What a replica sees of one shard.
struct ShardSeen {
  enum class State {
    kUnknown,  // not looked at yet
    kOurs,
    kVacant,  // given up, or its holder has not renewed it in time
    kTheirs,
  };
  State state = State::kUnknown;
  std::string holder;      // of kTheirs: a replica's identity
  bool neglected = false;  // kVacant for so long that whoever should have taken it can't
};

struct ShardWishes {
  std::set<int> stand;         // for these
  std::optional<int> release;  // give this one up, for another replica
  bool operator==(const ShardWishes&) const = default;
};

// Which shards the replica `own` should try to take, and which one it should give up. `replicas`:
// those that are alive, `own` among them. Pure, and made so that all replicas that see the same
// come to wishes that fit: each vacant shard goes to the replica that holds fewest, and only the
// first of those that hold most gives one up, when all shards have holders and somebody has two
// less than it. So no two replicas that live differ by more than one for long.
ShardWishes DecideShards(const std::string& own, const std::set<std::string>& replicas,
                         const std::vector<ShardSeen>& shards);

}  // namespace perennial::kube
