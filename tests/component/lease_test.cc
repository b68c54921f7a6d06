#include "kube/lease.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <vector>

#include "support/fake_api_server.h"
#include "support/in_process.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using nlohmann::json;
using testing::FakeApiServer;
using testing::ManualClock;

const Ref& LeaseRef() {
  static const Ref ref{testing::Leases(), {"perennial-system", "controller"}};
  return ref;
}

// A way to the API server on which requests can be slow, get lost, or arrive long after the sender
// gave up on them.
class Line final : public Transport {
 public:
  Line(Transport& inner, ManualClock& clock) : inner_(inner), clock_(clock) {}

  Result<Response> Send(const Request& request, Millis deadline) override {
    clock_.Advance(slow);
    sent.push_back(clock_.Steady());
    if (throttled > 0) {
      --throttled;
      return Response{429, testing::StatusJson(429, "TooManyRequests", "please try again later"),
                      retry_after};
    }
    if (late && request.method != "GET") {
      held_.push_back(request);
      return Error{Errc::kTimeout, "no answer"};
    }
    if (down) return Error{Errc::kUnavailable, "connection refused"};
    auto response = inner_.Send(request, deadline);
    if (lose_reply) return Error{Errc::kUnavailable, "connection reset"};
    return response;
  }
  Status Stream(const Request&, Millis, const std::function<void(std::string_view)>&,
                std::stop_token) override {
    return Error{Errc::kUnavailable, "not used"};
  }
  // What was late arrives, and nobody waits for the answer.
  void Deliver() {
    for (const Request& request : held_) (void)inner_.Send(request, Millis(1'000)).ok();
    held_.clear();
  }

  Millis slow{0};
  bool down = false;
  bool late = false;  // for writes
  bool lose_reply = false;
  int throttled = 0;  // so many requests get 429
  Millis retry_after{0};
  std::vector<Millis> sent;  // when

 private:
  Transport& inner_;
  ManualClock& clock_;
  std::vector<Request> held_;
};

// One process that wants to lead, with its own clock.
struct Candidate {
  Candidate(FakeApiServer& api, const std::string& identity)
      : line(api.transport(), clock),
        client(line, clock, identity, NoSleep()),
        election(client, clock, {"perennial-system", "controller", identity}) {}

  ClientOptions NoSleep() {
    ClientOptions options;
    options.sleep = [this](Millis time) { clock.Advance(time); };
    options.deadline = Millis(5'000);
    return options;
  }
  void Step() { due = election.Step() + clock.Steady(); }
  // Steps whenever it is due while its own time passes.
  void Run(Millis time) {
    const Millis end = clock.Steady() + time;
    while (due <= end) {
      if (due > clock.Steady()) clock.Advance(due - clock.Steady());
      Step();
    }
    if (end > clock.Steady()) clock.Advance(end - clock.Steady());
  }

  ManualClock clock;
  Line line;
  Client client;
  LeaderElection election;
  Millis due{0};
};

class LeaseTest : public ::testing::Test {
 protected:
  std::unique_ptr<Candidate> Make(const std::string& identity) {
    return std::make_unique<Candidate>(api_, identity);
  }
  json Spec() const { return api_.Get(LeaseRef())->at("spec"); }

  FakeApiServer api_{testing::InProcess()};
};

TEST_F(LeaseTest, IsTakenByTheFirstWhoAsks) {
  const auto a = Make("a");
  EXPECT_FALSE(a->election.MayWrite());
  a->Step();
  EXPECT_TRUE(a->election.MayWrite());
  EXPECT_TRUE(a->election.Leading());
  EXPECT_EQ(a->election.Holder(), "a");
  EXPECT_EQ(Spec()["holderIdentity"], "a");
  EXPECT_EQ(Spec()["leaseDurationSeconds"], 15);
  EXPECT_EQ(Spec()["leaseTransitions"], 0);
  EXPECT_EQ(Spec()["renewTime"], FormatMicroTime(a->clock.Wall()));
}

TEST_F(LeaseTest, StaysWithALeaderThatRenewsIt) {
  const auto a = Make("a");
  const auto b = Make("b");
  a->Step();
  for (int i = 0; i < 300; ++i) {
    a->Run(Millis(1'000));
    b->Run(Millis(1'000));
    ASSERT_TRUE(a->election.MayWrite()) << i;
    ASSERT_FALSE(b->election.Leading()) << i;
  }
  EXPECT_EQ(b->election.Holder(), "a");
  EXPECT_EQ(Spec()["leaseTransitions"], 0);
  // One write in two seconds, no reads.
  EXPECT_LE(api_.Count(testing::On("PATCH")), 151u);
}

TEST_F(LeaseTest, PassesOnFifteenSecondsAfterTheLastSignOfLife) {
  const auto a = Make("a");
  const auto b = Make("b");
  a->Step();
  b->Step();
  // `a` is killed here; `b` saw its renewal just now.
  Millis waited{0};
  while (!b->election.MayWrite() && waited < Millis(60'000)) {
    b->Run(Millis(100));
    waited += Millis(100);
  }
  EXPECT_GE(waited, Millis(15'000));
  EXPECT_LE(waited, Millis(15'200));
  EXPECT_EQ(Spec()["holderIdentity"], "b");
  EXPECT_EQ(Spec()["leaseTransitions"], 1);
}

TEST_F(LeaseTest, IsNotTakenForExpiredBecauseOfAnotherMachinesClock) {
  const auto a = Make("a");
  const auto b = Make("b");
  a->clock.JumpWall(-std::chrono::hours(1));
  a->Step();
  b->Step();
  b->clock.JumpWall(std::chrono::hours(2));
  b->Run(Millis(10'000));
  EXPECT_FALSE(b->election.Leading());
}

TEST_F(LeaseTest, WaitsForTheHoldersDurationWhereItIsLonger) {
  const auto a = Make("a");
  a->Step();
  json lease = *api_.Get(LeaseRef());
  lease["spec"]["leaseDurationSeconds"] = 60;
  api_.Put(testing::Leases(), lease);
  const auto b = Make("b");
  b->Run(Millis(59'000));
  EXPECT_FALSE(b->election.Leading());
  b->Run(Millis(3'000));
  EXPECT_TRUE(b->election.Leading());
}

TEST_F(LeaseTest, EndsTheRightToWriteTenSecondsAfterTheStartOfTheLastRenewal) {
  const auto a = Make("a");
  a->Step();
  a->line.slow = Millis(700);  // the renewal takes that long: its start counts
  a->clock.Advance(Millis(2'000));
  const Millis start = a->clock.Steady();
  a->Step();
  ASSERT_TRUE(a->election.MayWrite());
  a->clock.Advance(start + Millis(9'999) - a->clock.Steady());
  EXPECT_TRUE(a->election.MayWrite());
  a->clock.Advance(Millis(1));
  EXPECT_FALSE(a->election.MayWrite());
}

TEST_F(LeaseTest, IsLostWithoutTheApiServerAndNeverComesBack) {
  const auto a = Make("a");
  a->Step();
  a->line.down = true;
  a->Run(Millis(9'900));
  EXPECT_TRUE(a->election.Leading());
  a->Run(Millis(200));
  EXPECT_FALSE(a->election.MayWrite());
  EXPECT_FALSE(a->election.Leading()) << "said in time, not only at the next retry";
  a->line.down = false;
  a->Run(Millis(60'000));
  EXPECT_FALSE(a->election.Leading()) << "the process was told to exit";
}

TEST_F(LeaseTest, IsLostByALeaderThatWasStoppedForAMinute) {
  const auto a = Make("a");
  a->Step();
  const auto before = *api_.Get(LeaseRef());
  a->clock.Advance(Millis(60'000));  // SIGSTOP, SIGCONT
  EXPECT_FALSE(a->election.MayWrite());
  a->Step();
  EXPECT_FALSE(a->election.Leading());
  EXPECT_EQ(*api_.Get(LeaseRef()), before) << "it did not even try";
}

TEST_F(LeaseTest, IsLostByARenewalThatComesTooLate) {
  const auto a = Make("a");
  a->Step();
  a->clock.Advance(Millis(9'000));
  a->line.slow = Millis(2'000);
  a->Step();
  EXPECT_FALSE(a->election.Leading());
  EXPECT_FALSE(a->election.MayWrite());
}

// Three seconds twice are more than one call waits, and less than the lease lasts.
TEST_F(LeaseTest, IsKeptThroughThrottlingThatEndsInTime) {
  const auto a = Make("a");
  a->Step();
  a->line.throttled = 2;
  a->line.retry_after = Millis(3'000);
  a->line.sent.clear();
  a->Run(Millis(9'900));
  ASSERT_TRUE(a->election.MayWrite());
  ASSERT_GE(a->line.sent.size(), 3u);
  for (std::size_t i = 1; i < 3; ++i) {
    EXPECT_GE(a->line.sent[i] - a->line.sent[i - 1], Millis(3'000)) << "asked again too soon";
  }
  a->Run(Millis(60'000));
  EXPECT_TRUE(a->election.MayWrite());
  EXPECT_EQ(Spec()["leaseTransitions"], 0);
}

TEST_F(LeaseTest, IsLostInTimeWhenTheServerAsksForMoreThanIsLeft) {
  const auto a = Make("a");
  const auto b = Make("b");
  a->Step();
  b->Step();
  const Millis start = a->clock.Steady();
  a->line.throttled = 1'000;
  a->line.retry_after = Millis(20'000);
  a->line.sent.clear();
  for (int second = 1; second <= 60; ++second) {
    a->Run(Millis(1'000));
    b->Run(Millis(1'000));
    ASSERT_EQ(a->election.MayWrite(), second < 10) << second;
    ASSERT_EQ(a->election.Leading(), second < 10) << "said in time, " << second;
    ASSERT_FALSE(a->election.MayWrite() && b->election.MayWrite()) << second;
  }
  EXPECT_EQ(a->line.sent.size(), 1u) << "nothing is asked while the server wants to be left alone";
  EXPECT_LT(a->line.sent[0] - start, Millis(10'000));
  EXPECT_TRUE(b->election.MayWrite());
}

TEST_F(LeaseTest, IsNotAskedForWhileTheServerWantsToBeLeftAlone) {
  const auto a = Make("a");
  a->line.throttled = 2;
  a->line.retry_after = Millis(20'000);
  a->Run(Millis(39'000));
  EXPECT_EQ(a->line.sent.size(), 2u);
  EXPECT_FALSE(a->election.Leading());
  a->Run(Millis(3'000));
  EXPECT_TRUE(a->election.MayWrite());
}

TEST_F(LeaseTest, IsKeptWhenTheAnswerToARenewalIsLost) {
  const auto a = Make("a");
  a->Step();
  for (int i = 0; i < 5; ++i) {
    a->line.lose_reply = true;
    a->Run(Millis(2'000));
    a->line.lose_reply = false;
    a->Run(Millis(2'000));
    ASSERT_TRUE(a->election.MayWrite()) << i;
  }
  EXPECT_EQ(Spec()["leaseTransitions"], 0);
}

TEST_F(LeaseTest, IsTakenAgainWhenTheAnswerToTakingItWasLost) {
  const auto a = Make("a");
  api_.FailNext(testing::On("POST"), testing::LoseReply());
  a->Step();
  EXPECT_FALSE(a->election.Leading());
  EXPECT_EQ(Spec()["holderIdentity"], "a");
  a->Step();
  EXPECT_TRUE(a->election.MayWrite());

  const auto b = Make("b");
  b->Step();
  api_.FailNext(testing::On("PATCH"), testing::LoseReply());
  b->Run(Millis(15'000));
  EXPECT_FALSE(b->election.Leading());
  EXPECT_EQ(Spec()["holderIdentity"], "b");
  b->Run(Millis(3'000));
  EXPECT_TRUE(b->election.MayWrite());
}

TEST_F(LeaseTest, IsLostToWhoeverElseHoldsIt) {
  const auto a = Make("a");
  a->Step();
  json lease = *api_.Get(LeaseRef());
  lease["spec"]["holderIdentity"] = "b";
  api_.Put(testing::Leases(), lease);
  a->Run(Millis(2'000));
  EXPECT_FALSE(a->election.Leading());
  EXPECT_EQ(Spec()["holderIdentity"], "b");
}

TEST_F(LeaseTest, SurvivesSomebodysLabelOnIt) {
  const auto a = Make("a");
  a->Step();
  json lease = *api_.Get(LeaseRef());
  lease["metadata"]["labels"] = {{"team", "mlops"}};
  api_.Put(testing::Leases(), lease);
  a->Run(Millis(4'000));
  EXPECT_TRUE(a->election.MayWrite());
  EXPECT_EQ(api_.Get(LeaseRef())->at("metadata")["labels"]["team"], "mlops");
}

TEST_F(LeaseTest, LeavesTimeToALeaderWhoseLeaseWasDeleted) {
  const auto a = Make("a");
  const auto b = Make("b");
  a->Step();
  b->Step();
  api_.Remove(LeaseRef());
  b->Run(Millis(10'000));
  EXPECT_FALSE(b->election.Leading()) << "a may write for ten seconds more";
  a->Step();
  EXPECT_FALSE(a->election.MayWrite());
  b->Run(Millis(8'000));
  EXPECT_TRUE(b->election.MayWrite());
}

TEST_F(LeaseTest, IsGivenUpAtOnceOnRelease) {
  const auto a = Make("a");
  const auto b = Make("b");
  a->Step();
  b->Step();
  a->election.Stop(/*release=*/true);
  EXPECT_FALSE(a->election.MayWrite());
  EXPECT_EQ(Spec()["holderIdentity"], "");
  b->Run(Millis(2'500));
  EXPECT_TRUE(b->election.MayWrite());
}

TEST_F(LeaseTest, IsNotTakenByAWriteThatArrivesAfterAnothers) {
  const auto a = Make("a");
  const auto b = Make("b");
  const auto c = Make("c");
  a->Step();
  b->Step();
  c->Step();
  b->line.late = true;
  b->Run(Millis(16'000));  // finds the lease expired; its write hangs on the way
  c->Run(Millis(16'000));
  ASSERT_TRUE(c->election.MayWrite());
  b->line.late = false;
  b->line.Deliver();
  EXPECT_EQ(Spec()["holderIdentity"], "c");
  b->Run(Millis(2'500));
  EXPECT_FALSE(b->election.Leading());
  c->Run(Millis(2'500));
  EXPECT_TRUE(c->election.MayWrite());
}

TEST_F(LeaseTest, IsNotReleasedByOneWhoDoesNotHoldIt) {
  const auto a = Make("a");
  const auto b = Make("b");
  a->Step();
  b->Step();
  b->election.Stop(/*release=*/true);
  EXPECT_EQ(Spec()["holderIdentity"], "a");
  a->clock.Advance(Millis(11'000));
  a->election.Stop(/*release=*/true);
  EXPECT_EQ(Spec()["holderIdentity"], "a") << "too late to know whose it is";
}

// Random processes that stop for up to 40 s, whose clocks are wrong and run fast or slow, on lines
// that lose answers, refuse, and deliver requests up to 30 s late. Whatever happens, no two may
// write at the same moment; once all is quiet, one does.
class Chaos {
 public:
  Chaos(std::uint32_t seed) : random_(seed) {
    for (int i = 0; i < 3; ++i) Replace(static_cast<std::size_t>(i));
  }

  // 0.1 s of real time.
  void Tick() {
    now_ += 100;
    for (std::size_t i = 0; i < processes_.size(); ++i) {
      Process& process = processes_[i];
      Candidate& candidate = *process.candidate;
      candidate.clock.Advance(Millis(100 * process.percent / 100));
      if (now_ >= process.deliver_at) {
        candidate.line.Deliver();
        process.deliver_at = kNever;
      }
      if (quiet_) Calm(candidate.line);
      if (now_ < process.asleep_until && !quiet_) continue;
      if (!quiet_) Trouble(process);
      if (candidate.clock.Steady() >= candidate.due) candidate.Step();
      if (process.led && !candidate.election.Leading()) process.restart_at = now_ + 3'000;
      process.led = candidate.election.Leading();
      if (now_ >= process.restart_at) Replace(i);
    }
  }
  void Quiet() { quiet_ = true; }
  int Writers() const {
    int writers = 0;
    for (const Process& process : processes_) writers += process.candidate->election.MayWrite();
    return writers;
  }
  int names() const { return names_; }

 private:
  static constexpr std::int64_t kNever = std::int64_t{1} << 60;
  struct Process {
    std::unique_ptr<Candidate> candidate;
    int percent = 100;  // of real time that its clock shows
    std::int64_t asleep_until = 0;
    std::int64_t deliver_at = kNever;
    std::int64_t restart_at = kNever;
    bool led = false;
  };

  void Replace(std::size_t i) {
    if (processes_.size() <= i) processes_.resize(i + 1);
    Process fresh;
    fresh.candidate = std::make_unique<Candidate>(api_, "p" + std::to_string(++names_));
    fresh.candidate->clock.JumpWall(Millis(static_cast<std::int64_t>(random_() % 7'200'000)));
    fresh.candidate->clock.Advance(Millis(random_() % 100'000));
    fresh.percent = 90 + static_cast<int>(random_() % 21);
    processes_[i] = std::move(fresh);
  }
  static void Calm(Line& line) { line.down = line.late = line.lose_reply = false; }
  void Trouble(Process& process) {
    Line& line = process.candidate->line;
    if (random_() % 40 != 0) return;
    Calm(line);
    switch (random_() % 6) {
      case 0:
        line.down = true;
        break;
      case 1:
        line.late = true;
        process.deliver_at = now_ + static_cast<std::int64_t>(random_() % 30'000);
        break;
      case 2:
        line.lose_reply = true;
        break;
      case 3:
        process.asleep_until = now_ + static_cast<std::int64_t>(random_() % 40'000);
        break;
      default:
        break;
    }
  }

  std::mt19937 random_;
  FakeApiServer api_{testing::InProcess()};
  std::vector<Process> processes_;
  std::int64_t now_ = 0;
  int names_ = 0;
  bool quiet_ = false;
};

TEST(LeaseLaws, NeverTwoWritersAndOneInTheEnd) {
  int takeovers = 0;
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Chaos chaos(seed);
    int with_writer = 0;
    for (int tick = 0; tick < 3'000; ++tick) {  // five minutes
      chaos.Tick();
      ASSERT_LE(chaos.Writers(), 1) << "after " << tick * 100 << " ms";
      with_writer += chaos.Writers();
    }
    EXPECT_GT(with_writer, 300) << "somebody led for a while in spite of it all";
    takeovers += chaos.names() - 3;
    chaos.Quiet();
    for (int tick = 0; tick < 450; ++tick) {
      chaos.Tick();
      ASSERT_LE(chaos.Writers(), 1);
    }
    EXPECT_EQ(chaos.Writers(), 1);
  }
  EXPECT_GT(takeovers, 100);
}

TEST(LeaseThread, TellsWhenItGainsAndLoses) {
  FakeApiServer api(testing::InProcess());
  const Clock& clock = SystemClock();
  Client client(api.transport(), clock, "a");
  LeaderElection election(
      client, clock, {"perennial-system", "controller", "a", Seconds(2), Millis(300), Millis(20)});
  std::atomic<int> gained{0};
  std::atomic<int> lost{0};
  election.Start([&] { ++gained; }, [&] { ++lost; });
  const auto wait_for = [&](const std::function<bool()>& what) {
    const Millis end = clock.Steady() + Millis(10'000);
    while (!what() && clock.Steady() < end) std::this_thread::sleep_for(Millis(1));
    return what();
  };
  ASSERT_TRUE(wait_for([&] { return gained == 1; }));
  EXPECT_TRUE(election.MayWrite());
  api.FailNext(testing::On("", "/leases"), testing::Drop(), 1'000'000);
  ASSERT_TRUE(wait_for([&] { return lost == 1; }));
  EXPECT_FALSE(election.MayWrite());
  std::this_thread::sleep_for(Millis(50));
  election.Stop(true);
  EXPECT_EQ(gained, 1);
  EXPECT_EQ(lost, 1);
}

}  // namespace
}  // namespace perennial::kube
