#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "kube/shards.h"

namespace perennial::kube {
namespace {

using State = ShardSeen::State;
using Replicas = std::set<std::string>;

TEST(Shards, ANamespaceStaysWhereItIs) {
  // `printf transit | sha256sum | cut -c1-16` as a number modulo 4. Another release must not move
  // anything: its replicas run beside those of this one.
  EXPECT_EQ(ShardOf("transit", 1), 0);
  EXPECT_EQ(ShardOf("transit", 4), 2);
  EXPECT_EQ(ShardOf("transit", 7), 1);
  EXPECT_EQ(ShardOf("default", 4), 1);
}

TEST(Shards, TakeAboutEquallyManyNamespaces) {
  std::map<int, int> namespaces;
  for (int i = 0; i < 4'000; ++i) ++namespaces[ShardOf("team-" + std::to_string(i), 4)];
  ASSERT_EQ(namespaces.size(), 4u);
  for (const auto& [shard, count] : namespaces) EXPECT_NEAR(count, 1'000, 100) << shard;
}

TEST(Shards, PartsOfABudgetAddUpToIt) {
  for (const int whole : {0, 4, 5, 7, 100}) {
    int sum = 0;
    for (int shard = 0; shard < 4; ++shard) {
      const int part = PartOf(whole, shard, 4);
      sum += part;
      EXPECT_EQ(part == 0, whole == 0) << "0 is any number, and no shard's part of another one";
    }
    EXPECT_EQ(sum, whole);
  }
}

ShardSeen Ours() {
  return {State::kOurs, "", false};
}
ShardSeen Vacant(bool neglected = false) {
  return {State::kVacant, "", neglected};
}
ShardSeen Of(const std::string& holder) {
  return {State::kTheirs, holder, false};
}

TEST(ShardWishes, WhoIsAloneTakesAll) {
  EXPECT_EQ(DecideShards("a", {"a"}, {Vacant(), Vacant(), Ours()}), (ShardWishes{{0, 1}, {}}));
}

TEST(ShardWishes, VacantShardsGoToThoseWithFewest) {
  const Replicas both{"a", "b"};
  EXPECT_EQ(DecideShards("a", both, {Vacant(), Vacant(), Vacant(), Vacant()}),
            (ShardWishes{{0, 2}, {}}));
  EXPECT_EQ(DecideShards("b", both, {Vacant(), Vacant(), Vacant(), Vacant()}),
            (ShardWishes{{1, 3}, {}}));
  EXPECT_EQ(DecideShards("a", both, {Ours(), Vacant(), Of("b"), Of("b")}), (ShardWishes{{1}, {}}));
  EXPECT_EQ(DecideShards("a", both, {Ours(), Ours(), Vacant(), Of("b")}), ShardWishes{});
}

TEST(ShardWishes, NothingIsTakenFromWhomItBelongsTo) {
  EXPECT_EQ(DecideShards("a", {"a"}, {Of("b"), Of("b")}), ShardWishes{})
      << "b is off the roll, and its Leases have not expired";
  EXPECT_EQ(DecideShards("a", {"a"}, {ShardSeen{}}), ShardWishes{}) << "not looked at yet";
}

TEST(ShardWishes, WhoHasTwoMoreGivesOneUp) {
  EXPECT_EQ(DecideShards("a", {"a", "b"}, {Ours(), Ours()}), (ShardWishes{{}, 1}));
  EXPECT_EQ(DecideShards("a", {"a", "b", "c"}, {Ours(), Ours(), Of("b"), Of("b")}),
            (ShardWishes{{}, 1}));
  EXPECT_EQ(DecideShards("b", {"a", "b", "c"}, {Of("a"), Of("a"), Ours(), Ours()}), ShardWishes{})
      << "one at a time";
  EXPECT_EQ(DecideShards("a", {"a", "b"}, {Ours(), Ours(), Of("b")}), ShardWishes{});
  EXPECT_EQ(DecideShards("a", {"a", "b"}, {Ours(), Ours(), Ours(), Vacant()}), ShardWishes{})
      << "first what is vacant finds its place";
  EXPECT_EQ(DecideShards("a", {"a", "b"}, {Ours(), Ours(), Ours(), Of("gone")}), ShardWishes{});
}

TEST(ShardWishes, WhatNobodyTakesIsForAll) {
  EXPECT_EQ(DecideShards("b", {"a", "b"}, {Vacant(), Of("a"), Ours()}), ShardWishes{});
  EXPECT_EQ(DecideShards("b", {"a", "b"}, {Vacant(true), Of("a"), Ours()}), (ShardWishes{{0}, {}}));
}

// Replicas that come and go, and act on what they see; some of it is a move or two old.
class Simulation {
 public:
  Simulation(int shards, unsigned seed)
      : holder_(static_cast<std::size_t>(shards)), past_{holder_, holder_}, random_(seed) {}

  void Join(const std::string& replica) { replicas_.insert(replica); }
  void Leave(const std::string& replica) {
    replicas_.erase(replica);
    std::replace(holder_.begin(), holder_.end(), replica, std::string());
  }
  void Move() {
    for (const std::string& replica : replicas_) {
      const auto& seen = random_() % 2 == 0 ? holder_ : past_[random_() % 2];
      Act(replica, seen);
    }
    past_[1] = std::exchange(past_[0], holder_);
  }
  bool Balanced() const {
    std::map<std::string, int> held;
    for (const std::string& replica : replicas_) held[replica] = 0;
    for (const std::string& holder : holder_) {
      if (!replicas_.contains(holder)) return false;
      ++held[holder];
    }
    const auto [least, most] = std::minmax_element(
        held.begin(), held.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return most->second - least->second <= 1;
  }
  std::vector<std::string> holders() const { return holder_; }

 private:
  void Act(const std::string& replica, std::vector<std::string> seen) {
    std::vector<ShardSeen> shards;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      // What it holds itself it always knows.
      const bool ours = holder_[i] == replica;
      const std::string& holder = !ours && seen[i] == replica ? holder_[i] : seen[i];
      shards.push_back(ours ? Ours() : holder.empty() ? Vacant() : Of(holder));
    }
    const ShardWishes wishes = DecideShards(replica, replicas_, shards);
    for (const int shard : wishes.stand) {
      std::string& holder = holder_[static_cast<std::size_t>(shard)];
      if (holder.empty()) holder = replica;
    }
    if (wishes.release) {
      std::string& holder = holder_[static_cast<std::size_t>(*wishes.release)];
      EXPECT_EQ(holder, replica) << "only one's own can be given up";
      holder.clear();
    }
  }

  std::vector<std::string> holder_;
  std::vector<std::string> past_[2];
  Replicas replicas_;
  std::mt19937 random_;
};

TEST(ShardWishes, ComeToABalanceHoweverReplicasComeAndGo) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const int shards = 1 + static_cast<int>(random() % 9);
    Simulation world(shards, seed);
    Replicas alive{"r0"};
    world.Join("r0");
    for (int change = 0; change < 6; ++change) {
      const std::string other = "r" + std::to_string(random() % 5);
      if (!alive.contains(other)) {
        alive.insert(other);
        world.Join(other);
      } else if (alive.size() > 1) {
        alive.erase(other);
        world.Leave(other);
      }
      for (int move = 0; move < 60; ++move) world.Move();
      ASSERT_TRUE(world.Balanced()) << "seed " << seed << ", change " << change;
      const auto before = world.holders();
      for (int move = 0; move < 20; ++move) world.Move();
      ASSERT_EQ(world.holders(), before) << "a balance is kept; seed " << seed;
    }
  }
}

}  // namespace
}  // namespace perennial::kube
