#include "kube/shards.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include "base/check.h"
#include "base/hash.h"

namespace perennial::kube {
namespace {

using Holdings = std::map<std::string, int>;

// The first by name of those that hold fewest.
Holdings::iterator Poorest(Holdings& holdings) {
  return std::min_element(holdings.begin(), holdings.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; });
}

Holdings::iterator Richest(Holdings& holdings) {
  return std::max_element(holdings.begin(), holdings.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; });
}

}  // namespace

int ShardOf(std::string_view ns, int count) {
  PERENNIAL_CHECK(count >= 1);
  if (count == 1) return 0;
  const std::uint64_t hash = std::stoull(Sha256Hex(ns).substr(0, 16), nullptr, 16);
  return static_cast<int>(hash % static_cast<std::uint64_t>(count));
}

int PartOf(int whole, int shard, int count) {
  PERENNIAL_CHECK(count >= 1 && shard >= 0 && shard < count);
  PERENNIAL_CHECK(whole == 0 || whole >= count);
  return whole / count + (shard < whole % count ? 1 : 0);
}

ShardWishes DecideShards(const std::string& own, const std::set<std::string>& replicas,
                         const std::vector<ShardSeen>& shards) {
  using State = ShardSeen::State;
  PERENNIAL_CHECK(replicas.contains(own));
  ShardWishes out;
  Holdings holdings;
  for (const std::string& replica : replicas) holdings[replica] = 0;
  bool settled = true;  // every shard is held by somebody who lives
  for (const ShardSeen& shard : shards) {
    const std::string& holder = shard.state == State::kOurs ? own : shard.holder;
    const bool held = shard.state == State::kOurs || shard.state == State::kTheirs;
    const auto it = held ? holdings.find(holder) : holdings.end();
    if (it == holdings.end()) {
      settled = false;
    } else {
      ++it->second;
    }
  }
  if (settled) {
    const auto richest = Richest(holdings);
    if (richest->first != own || richest->second - Poorest(holdings)->second < 2) return out;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      if (shards[i].state == State::kOurs) out.release = static_cast<int>(i);
    }
    return out;
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    if (shards[i].state != State::kVacant) continue;
    const auto heir = Poorest(holdings);
    ++heir->second;
    if (heir->first == own || shards[i].neglected) out.stand.insert(static_cast<int>(i));
  }
  return out;
}

}  // namespace perennial::kube
