// The roll of replicas on the real API server, with a clock moved by hand.
#include "kube/shard_roll.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/cluster_access.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using testing::Admin;
using testing::ManualClock;
using Names = std::set<std::string>;

class ShardRollForReal : public ::testing::Test {
 protected:
  struct Replica {
    Replica(const ManualClock& clock, const std::string& ns, const std::string& identity,
            int shards)
        : client(Admin().transport(), SystemClock(), identity),
          roll(client, clock, {ns, "controller", identity}, shards) {}
    Client client;
    ShardRoll roll;
  };

  nlohmann::json Lease() const {
    return Admin()
        .Get({{"coordination.k8s.io", "v1", "leases", "Lease"}, {ns_.name(), "controller"}})
        .body;
  }

  testing::TestNamespace ns_;
  ManualClock clock_;
  Replica a_{clock_, ns_.name(), "a", 4};
  Replica b_{clock_, ns_.name(), "b", 4};
  Replica other_{clock_, ns_.name(), "other", 2};
};

TEST_F(ShardRollForReal, IsKeptAndLeft) {
  for (int i = 0; i < 30; ++i) {
    a_.roll.Step();
    if (i < 5) b_.roll.Step();
    other_.roll.Step();
    clock_.Advance(Seconds(2));
    ASSERT_TRUE(a_.roll.MayWrite()) << i;
    ASSERT_FALSE(other_.roll.MayWrite()) << i;
    if (i != 5) continue;
    EXPECT_EQ(a_.roll.Replicas(), (Names{"a", "b"}));
  }
  EXPECT_EQ(a_.roll.Replicas(), Names{"a"});
  EXPECT_FALSE(b_.roll.MayWrite());
  for (int i = 0; i < 20; ++i) {
    clock_.Advance(Seconds(2));
    a_.roll.Step();
  }
  EXPECT_EQ(Lease()["metadata"]["annotations"].size(), 1u) << Lease();
  EXPECT_EQ(Lease()["spec"]["holderIdentity"], "4 shards");
  a_.roll.Stop();
  EXPECT_FALSE(Lease()["metadata"].contains("annotations")) << Lease();
  other_.roll.Step();
  EXPECT_TRUE(other_.roll.MayWrite());
}

}  // namespace
}  // namespace perennial::kube
