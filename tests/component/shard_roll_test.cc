#include "kube/shard_roll.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kube/lease.h"
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

// One replica, whose clock is that of the others.
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

// Of many who started in the same moment all but one are refused, at each try.
TEST_F(ShardRollTest, KeepsTheLeaseThoughOthersWriteItFirstMoreOftenThanThereArePeriods) {
  const auto a = Make("a");
  const auto b = Make("b");
  Millis wait = a->roll.Step();
  EXPECT_EQ(wait, Seconds(2));
  for (int i = 0; i < 5; ++i) {
    api_.FailNext(testing::On("PATCH", "/leases/"), testing::Answer(409, "Conflict"), 8);
    for (int conflict = 0; conflict < 8; ++conflict) {
      clock_.Advance(wait);
      wait = a->roll.Step();
      ASSERT_LE(wait, Millis(260)) << conflict;
    }
    clock_.Advance(wait);
    wait = a->roll.Step();
    ASSERT_TRUE(a->roll.MayWrite());
    ASSERT_EQ(wait, Seconds(2));
  }
  api_.FailNext(testing::On("PATCH", "/leases/"), testing::Answer(409, "Conflict"), 2);
  EXPECT_NE(a->roll.Step(), b->roll.Step()) << "each has its own time to try again";
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

// ---- clocks that run apart ----

// A way to the API server that can be cut.
class Cable final : public Transport {
 public:
  explicit Cable(Transport& inner) : inner_(inner) {}

  Result<Response> Send(const Request& request, Millis deadline) override {
    if (cut) return Error{Errc::kUnavailable, "connection refused"};
    return inner_.Send(request, deadline);
  }
  Status Stream(const Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Error{Errc::kUnavailable, "not used"};
  }
  bool cut = false;

 private:
  Transport& inner_;
};

// A replica with a clock of its own, on the roll and after the Lease of each shard, as
// app::Sharding is: what it holds it may write only while it is on the roll, and what it lost it
// tries for again.
class OwnTime {
 public:
  // `percent`: of the time that passes, as its clock shows it.
  OwnTime(FakeApiServer& api, const std::string& identity, int percent, int shards)
      : identity_(identity),
        percent_(percent),
        cable_(api.transport()),
        client_(cable_, clock_, identity, Once()),
        roll_(client_, clock_, {"perennial-system", "controller", identity}, shards),
        leases_(static_cast<std::size_t>(shards)) {
    for (std::size_t shard = 0; shard < leases_.size(); ++shard) TryFor(shard);
  }

  void Pass(Millis time) {
    clock_.Advance(time * percent_ / 100);
    if (asleep) return;
    if (clock_.Steady() >= roll_due_) roll_due_ = clock_.Steady() + roll_.Step();
    for (std::size_t shard = 0; shard < leases_.size(); ++shard) {
      Lease& lease = leases_[shard];
      if (clock_.Steady() >= lease.due) lease.due = clock_.Steady() + lease.election->Step();
      const bool led = std::exchange(lease.led, lease.election->Leading());
      if (led && !lease.led) TryFor(shard);
    }
  }
  void GiveUp(std::size_t shard) {
    leases_[shard].election->Stop(/*release=*/true);
    TryFor(shard);
  }
  bool OnTheRoll() const { return roll_.MayWrite(); }
  bool Holds(std::size_t shard) const { return leases_[shard].election->MayWrite(); }
  bool Owns(std::size_t shard) const { return OnTheRoll() && Holds(shard); }
  void Cut(bool cut) { cable_.cut = cut; }
  bool asleep = false;

 private:
  struct Lease {
    std::unique_ptr<LeaderElection> election;
    Millis due{0};
    bool led = false;
  };

  // No second try within a call: waiting for it would move the clock.
  static ClientOptions Once() {
    ClientOptions options;
    options.most_tries = 1;
    options.most_reconnects = 0;
    return options;
  }
  void TryFor(std::size_t shard) {
    leases_[shard] = {std::make_unique<LeaderElection>(
                          client_, clock_,
                          LeaseOptions{"perennial-system",
                                       "controller-shard-" + std::to_string(shard), identity_}),
                      clock_.Steady(), false};
  }

  const std::string identity_;
  const int percent_;
  ManualClock clock_;
  Cable cable_;
  Client client_;
  ShardRoll roll_;
  Millis roll_due_{0};
  std::vector<Lease> leases_;
};

constexpr Millis kTick{100};

// When the first one's right ended and the second one's began, after the first one was cut off.
std::pair<Millis, Millis> HandOver(OwnTime& from, OwnTime& to,
                                   bool (*has)(const OwnTime& replica)) {
  for (Millis passed{0}; passed < Seconds(60); passed += kTick) {
    from.Pass(kTick);
    to.Pass(kTick);
    EXPECT_FALSE(has(from) && has(to));
  }
  EXPECT_TRUE(has(from));
  from.Cut(true);
  Millis ended{0};
  Millis began{0};
  for (Millis passed{0}; passed < Seconds(60); passed += kTick) {
    from.Pass(kTick);
    to.Pass(kTick);
    EXPECT_FALSE(has(from) && has(to)) << "after " << passed.count() << " ms";
    if (ended == Millis(0) && !has(from)) ended = passed;
    if (began == Millis(0) && has(to)) began = passed;
  }
  EXPECT_TRUE(has(to));
  return {ended, began};
}

// Ten seconds by the slow clock are eleven, and fifteen by the fast one less than fourteen.
TEST(ShardClocks, ASlowOwnersRightEndsBeforeAFastOnesBegins) {
  FakeApiServer api(testing::InProcess());
  OwnTime slow(api, "slow", 90, 1);
  slow.Pass(kTick);
  OwnTime fast(api, "fast", 110, 1);
  const auto [ended, began] =
      HandOver(slow, fast, [](const OwnTime& replica) { return replica.Holds(0); });
  EXPECT_LE(ended, Millis(11'300));
  EXPECT_GE(began - ended, Millis(2'200));
}

TEST(ShardClocks, ASlowDividersRightEndsBeforeAnotherOnesBegins) {
  FakeApiServer api(testing::InProcess());
  OwnTime slow(api, "slow", 90, 4);
  slow.Pass(kTick);
  OwnTime fast(api, "fast", 110, 2);
  const auto [ended, began] =
      HandOver(slow, fast, [](const OwnTime& replica) { return replica.OnTheRoll(); });
  EXPECT_LE(ended, Millis(11'300));
  EXPECT_GE(began - ended, Millis(2'200));
}

// A slow, a right and a fast replica that are cut off, stand still, and give shards up, at any
// time.
class ApartChaos {
 public:
  static constexpr std::size_t kShards = 2;

  explicit ApartChaos(std::uint32_t seed) : random_(seed) {
    for (std::size_t i = 0; i < replicas_.size(); ++i) Replace(i);
  }
  void Tick(bool quiet) {
    now_ += kTick;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
      One& one = replicas_[i];
      if (now_ >= one.calm_at || quiet) {
        one.replica->Cut(false);
        one.replica->asleep = false;
      }
      if (!quiet) Trouble(one);
      one.replica->Pass(kTick);
      // Whoever is off the roll ends, and is started again.
      const bool was_on = std::exchange(one.on_the_roll, one.replica->OnTheRoll());
      if (was_on && !one.on_the_roll) one.again_at = now_ + Seconds(3);
      if (now_ >= one.again_at) Replace(i);
    }
  }
  int Owners(std::size_t shard) const {
    int owners = 0;
    for (const One& one : replicas_) owners += one.replica->Owns(shard);
    return owners;
  }
  int started() const { return started_; }

 private:
  struct One {
    std::unique_ptr<OwnTime> replica;
    Millis calm_at{0};
    Millis again_at = Millis::max();
    bool on_the_roll = false;
  };

  void Replace(std::size_t i) {
    const int percent = 90 + 10 * static_cast<int>(i);
    replicas_[i] = One{};
    replicas_[i].replica = std::make_unique<OwnTime>(api_, "replica-" + std::to_string(++started_),
                                                     percent, static_cast<int>(kShards));
  }
  void Trouble(One& one) {
    if (random_() % 200 != 0) return;
    switch (random_() % 3) {
      case 0:
        one.replica->Cut(true);
        break;
      case 1:
        one.replica->asleep = true;
        break;
      default:
        one.replica->GiveUp(random_() % kShards);
        break;
    }
    one.calm_at = now_ + Millis(random_() % 30'000);
  }

  std::mt19937 random_;
  FakeApiServer api_{testing::InProcess()};
  std::array<One, 3> replicas_;
  Millis now_{0};
  int started_ = 0;
};

TEST(ShardClocks, NeverMakeTwoOwnersOfAShardHoweverTheyRunApart) {
  int restarts = 0;
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    ApartChaos chaos(seed);
    int owned = 0;
    for (int tick = 0; tick < 3'000; ++tick) {  // five minutes
      chaos.Tick(/*quiet=*/false);
      for (std::size_t shard = 0; shard < ApartChaos::kShards; ++shard) {
        ASSERT_LE(chaos.Owners(shard), 1) << "after " << tick * kTick.count() << " ms";
        owned += chaos.Owners(shard);
      }
    }
    EXPECT_GT(owned, 1'000) << "shards had owners for a while in spite of it all";
    restarts += chaos.started() - 3;
    for (int tick = 0; tick < 450; ++tick) {
      chaos.Tick(/*quiet=*/true);
      for (std::size_t shard = 0; shard < ApartChaos::kShards; ++shard) {
        ASSERT_LE(chaos.Owners(shard), 1);
      }
    }
    for (std::size_t shard = 0; shard < ApartChaos::kShards; ++shard) {
      EXPECT_EQ(chaos.Owners(shard), 1);
    }
  }
  EXPECT_GT(restarts, 40);
}

}  // namespace
}  // namespace perennial::kube
