// Leader election on the real API server, with clocks moved by hand.
#include "kube/lease.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/cluster_access.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::Admin;
using testing::ManualClock;

class LeaseForReal : public ::testing::Test {
 protected:
  struct Candidate {
    Candidate(const std::string& ns, const std::string& identity)
        : client(Admin().transport(), SystemClock(), identity),
          election(client, clock, Options(ns, identity)) {}
    static LeaseOptions Options(const std::string& ns, const std::string& identity) {
      LeaseOptions options;
      options.ns = ns;
      options.name = "controller";
      options.identity = identity;
      return options;
    }
    ManualClock clock;
    Client client;
    LeaderElection election;
  };

  json Spec() const { return Admin().Get(lease_).body["spec"]; }

  testing::TestNamespace ns_;
  Ref lease_{{"coordination.k8s.io", "v1", "leases", "Lease"}, {ns_.name(), "controller"}};
  Candidate a_{ns_.name(), "a"};
  Candidate b_{ns_.name(), "b"};
};

TEST_F(LeaseForReal, IsTakenRenewedAndGivenUp) {
  a_.election.Step();
  b_.election.Step();
  EXPECT_TRUE(a_.election.MayWrite());
  EXPECT_FALSE(b_.election.MayWrite());
  EXPECT_EQ(b_.election.Holder(), "a");
  for (int i = 0; i < 10; ++i) {
    a_.clock.Advance(Millis(2'000));
    b_.clock.Advance(Millis(2'000));
    a_.election.Step();
    b_.election.Step();
    ASSERT_TRUE(a_.election.MayWrite()) << i;
    ASSERT_FALSE(b_.election.Leading()) << i;
  }
  EXPECT_EQ(Spec()["renewTime"], FormatMicroTime(a_.clock.Wall()));
  a_.election.Stop(/*release=*/true);
  EXPECT_EQ(Spec().value("holderIdentity", ""), "");
  b_.election.Step();
  EXPECT_TRUE(b_.election.MayWrite());
  EXPECT_EQ(Spec()["holderIdentity"], "b");
  EXPECT_EQ(Spec()["leaseTransitions"], 1);
}

TEST_F(LeaseForReal, PassesOnAndTheOldLeaderCannotRenewIt) {
  a_.election.Step();
  b_.election.Step();
  b_.clock.Advance(Millis(15'000));
  b_.election.Step();
  EXPECT_TRUE(b_.election.MayWrite());
  // `a` thinks that only two seconds have passed: the server's 409 is what stops it.
  a_.clock.Advance(Millis(2'000));
  a_.election.Step();
  EXPECT_FALSE(a_.election.Leading());
  EXPECT_EQ(Spec()["holderIdentity"], "b");
}

TEST_F(LeaseForReal, SurvivesAnothersWrite) {
  a_.election.Step();
  ASSERT_TRUE(Admin().MergePatch(lease_, {{"metadata", {{"labels", {{"team", "mlops"}}}}}}).ok());
  a_.clock.Advance(Millis(2'000));
  a_.election.Step();
  EXPECT_TRUE(a_.election.MayWrite());
}

}  // namespace
}  // namespace perennial::kube
