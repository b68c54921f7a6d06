#include "kube/shard_roll.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/fake_api_server.h"
#include "support/in_process.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::FakeApiServer;
using testing::ManualClock;
using Names = std::set<std::string>;

const Ref& RollRef() {
  static const Ref ref{testing::Leases(), {"perennial-system", "controller"}};
  return ref;
}

// One replica. All clocks go together here; that they need not is lease_test's.
struct Replica {
  Replica(FakeApiServer& api, const ManualClock& clock, const std::string& identity, int shards)
      : client(api.transport(), clock, identity),
        roll(client, clock, {"perennial-system", "controller", identity}, shards) {}
  Client client;
  ShardRoll roll;
};

class ShardRollTest : public ::testing::Test {
 protected:
  std::unique_ptr<Replica> Make(const std::string& identity, int shards = 4) {
    return std::make_unique<Replica>(api_, clock_, identity, shards);
  }
  // Lets all of them step every two seconds for this time.
  void Run(Seconds time, std::vector<Replica*> replicas) {
    for (Seconds passed{0}; passed < time; passed += Seconds(2)) {
      clock_.Advance(Seconds(2));
      for (Replica* replica : replicas) replica->roll.Step();
    }
  }
  json Lease() const { return *api_.Get(RollRef()); }

  FakeApiServer api_{testing::InProcess()};
  ManualClock clock_;
};

TEST_F(ShardRollTest, IsHeldByAllWhoDivideAlike) {
  const auto a = Make("a");
  const auto b = Make("b");
  EXPECT_FALSE(a->roll.MayWrite());
  EXPECT_EQ(a->roll.Replicas(), Names{}) << "before it is known who else divides how";
  a->roll.Step();
  EXPECT_EQ(a->roll.Replicas(), Names{"a"});
  Run(Seconds(60), {a.get(), b.get()});
  EXPECT_TRUE(a->roll.MayWrite());
  EXPECT_TRUE(b->roll.MayWrite());
  EXPECT_EQ(a->roll.Replicas(), (Names{"a", "b"}));
  EXPECT_EQ(b->roll.Replicas(), (Names{"a", "b"}));
  EXPECT_EQ(Lease()["spec"]["holderIdentity"], "4 shards");
  EXPECT_EQ(Lease()["spec"]["leaseTransitions"], 0);
}

TEST_F(ShardRollTest, MissesWhoIsSilentAndForgetsHim) {
  const auto a = Make("a");
  const auto b = Make("b");
  Run(Seconds(4), {a.get(), b.get()});
  Run(Seconds(14), {a.get()});
  EXPECT_EQ(a->roll.Replicas(), (Names{"a", "b"}));
  Run(Seconds(4), {a.get()});
  EXPECT_EQ(a->roll.Replicas(), Names{"a"});
  EXPECT_FALSE(b->roll.MayWrite()) << "long before";
  EXPECT_EQ(Lease()["metadata"]["annotations"].size(), 2u);
  Run(Seconds(60), {a.get()});
  EXPECT_EQ(Lease()["metadata"]["annotations"].size(), 1u);
}

TEST_F(ShardRollTest, OneWhoseRenewalsFailStopsBeforeOthersCouldDivideOtherwise) {
  const auto a = Make("a", 4);
  const auto other = Make("other", 2);
  a->roll.Step();
  other->roll.Step();
  Millis stopped{0};
  Millis began{0};
  for (Millis passed{0}; passed < Seconds(30); passed += Millis(100)) {
    clock_.Advance(Millis(100));
    if (stopped == Millis(0) && !a->roll.MayWrite()) stopped = passed;
    other->roll.Step();
    if (began == Millis(0) && other->roll.MayWrite()) began = passed;
  }
  EXPECT_NEAR(static_cast<double>(stopped.count()), 10'000, 200);
  EXPECT_NEAR(static_cast<double>(began.count()), 15'000, 200);
  a->roll.Step();
  EXPECT_FALSE(a->roll.MayWrite()) << "it never turns true again";
}

TEST_F(ShardRollTest, WaitsForALeaderOfAllAndALeaderForIt) {
  Client client(api_.transport(), clock_, "leader");
  LeaderElection leader(client, clock_, {"perennial-system", "controller", "leader"});
  leader.Step();
  const auto a = Make("a");
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(Seconds(2));
    leader.Step();
    a->roll.Step();
    ASSERT_FALSE(a->roll.MayWrite());
  }
  leader.Stop(/*release=*/true);
  a->roll.Step();
  EXPECT_TRUE(a->roll.MayWrite());
  LeaderElection next(client, clock_, {"perennial-system", "controller", "next"});
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(Seconds(2));
    a->roll.Step();
    next.Step();
    ASSERT_FALSE(next.MayWrite());
  }
}

TEST_F(ShardRollTest, IsGivenUpByTheLastWhoLeaves) {
  const auto a = Make("a");
  const auto b = Make("b");
  Run(Seconds(4), {a.get(), b.get()});
  a->roll.Stop();
  EXPECT_EQ(Lease()["spec"]["holderIdentity"], "4 shards");
  EXPECT_EQ(Lease()["metadata"]["annotations"].size(), 1u);
  b->roll.Step();
  EXPECT_EQ(b->roll.Replicas(), Names{"b"}) << "who leaves is not waited for";
  b->roll.Stop();
  EXPECT_EQ(Lease()["spec"]["holderIdentity"], "");
  const auto other = Make("other", 2);
  other->roll.Step();
  EXPECT_TRUE(other->roll.MayWrite());
}

TEST_F(ShardRollTest, IsLostToWhoeverTookIt) {
  const auto a = Make("a");
  a->roll.Step();
  json lease = Lease();
  lease["spec"]["holderIdentity"] = "another";
  api_.Put(RollRef().resource, lease);
  std::atomic<bool> lost{false};
  a->roll.Start([&] { lost = true; });
  while (!lost) std::this_thread::sleep_for(Millis(5));
  EXPECT_FALSE(a->roll.MayWrite());
  a->roll.Stop();
  EXPECT_EQ(Lease()["spec"]["holderIdentity"], "another");
}

}  // namespace
}  // namespace perennial::kube
