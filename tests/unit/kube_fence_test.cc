#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "kube/fence.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using Renewal = Fence::Renewal;
using State = Fence::State;
using testing::ManualClock;

const Millis kDeadline{10'000};
const LeaseOptions kOptions{
    .ns = "ns", .name = "n", .identity = "a", .duration = Seconds(15), .renew_deadline = kDeadline};

class FenceTest : public ::testing::Test {
 protected:
  // A renewal that is answered after so long.
  Renewal Renew(Millis took = Millis(0)) {
    const Millis start = clock_.Steady();
    clock_.Advance(took);
    return fence_.Renewed(start);
  }

  ManualClock clock_;
  Fence fence_{clock_, kOptions};
};

TEST_F(FenceTest, NobodyMayWriteBeforeTheFirstRenewal) {
  EXPECT_EQ(fence_.Now(), State::kOpen);
  EXPECT_FALSE(fence_.MayWrite());
  EXPECT_FALSE(fence_.Holding());
  EXPECT_EQ(fence_.Until(), std::nullopt);
}

TEST_F(FenceTest, TheTimeRunsFromTheStartOfTheRequest) {
  const Millis start = clock_.Steady();
  EXPECT_EQ(Renew(Millis(4'000)), Renewal::kGained);
  EXPECT_EQ(fence_.Until(), start + kDeadline);
  clock_.Advance(Millis(5'999));
  EXPECT_TRUE(fence_.MayWrite());
  clock_.Advance(Millis(1));
  EXPECT_FALSE(fence_.MayWrite()) << "not a moment later";
  EXPECT_EQ(fence_.Now(), State::kLapsed);
  EXPECT_TRUE(fence_.Holding()) << "nobody has dealt with it yet";
}

TEST_F(FenceTest, EachRenewalInTimeExtendsIt) {
  Renew();
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(Millis(2'000));
    EXPECT_EQ(Renew(Millis(3'999)), Renewal::kKept);
    EXPECT_TRUE(fence_.MayWrite());
  }
}

TEST_F(FenceTest, WhatHasLapsedIsNotRevived) {
  Renew();
  clock_.Advance(Millis(6'000));
  EXPECT_EQ(Renew(Millis(4'000)), Renewal::kLapsed) << "sent in time, answered too late";
  EXPECT_EQ(Renew(), Renewal::kLapsed);
  EXPECT_FALSE(fence_.MayWrite());
}

TEST_F(FenceTest, AFirstAnswerThatTookTooLongMakesNobodyHolder) {
  EXPECT_EQ(Renew(kDeadline), Renewal::kVoid);
  EXPECT_EQ(fence_.Now(), State::kOpen);
  EXPECT_EQ(Renew(kDeadline - Millis(1)), Renewal::kGained)
      << "another try is as good as the first";
}

TEST_F(FenceTest, TheEndTellsWhetherItWasHeldAndIsForGood) {
  EXPECT_FALSE(Fence(clock_, kOptions).End()) << "never held";
  Renew();
  const auto until = fence_.Until();
  EXPECT_TRUE(fence_.End());
  EXPECT_EQ(fence_.Now(), State::kOver);
  EXPECT_FALSE(fence_.Holding());
  EXPECT_EQ(Renew(), Renewal::kVoid);
  EXPECT_FALSE(fence_.MayWrite());
  EXPECT_FALSE(fence_.End()) << "not twice";
  EXPECT_EQ(fence_.Until(), until);
}

TEST_F(FenceTest, TheEndOfALapsedOneTellsThatItWasNotHeld) {
  Renew();
  clock_.Advance(kDeadline);
  EXPECT_FALSE(fence_.End());
}

TEST_F(FenceTest, TheWallClockHasNoSayInIt) {
  Renew();
  clock_.JumpWall(Millis(3'600'000));
  EXPECT_TRUE(fence_.MayWrite());
  clock_.Advance(kDeadline);
  clock_.JumpWall(Millis(-7'200'000));
  EXPECT_FALSE(fence_.MayWrite());
}

TEST_F(FenceTest, NeedsRoomForTheOthersWait) {
  LeaseOptions options = kOptions;
  options.renew_deadline = options.duration;
  EXPECT_DEATH(Fence(clock_, options), "renew_deadline");
}

// Whatever comes in which order: states only go forward, and who may write had a renewal that
// began less than the deadline ago.
TEST(FenceLaws, StatesOnlyGoForward) {
  std::mt19937 random(7);
  for (int run = 0; run < 2'000; ++run) {
    ManualClock clock;
    Fence fence(clock, kOptions);
    State before = State::kOpen;
    std::vector<Millis> starts;
    for (int step = 0; step < 30; ++step) {
      clock.Advance(Millis(random() % 6'000));
      if (random() % 3 != 0) {
        starts.push_back(clock.Steady());
        clock.Advance(Millis(random() % 5'000));
        fence.Renewed(starts.back());
      } else if (random() % 20 == 0) {
        fence.End();
      }
      const State now = fence.Now();
      ASSERT_GE(now, before);
      before = now;
      if (now != State::kHeld) continue;
      ASSERT_LT(clock.Steady() - starts.back(), kDeadline);
      ASSERT_EQ(fence.Until(), starts.back() + kDeadline);
    }
  }
}

TEST(FenceThreads, NobodySeesARightThatCameBack) {
  ManualClock clock;
  Fence fence(clock, kOptions);
  std::atomic<bool> done{false};
  std::atomic<int> returned{0};
  std::vector<std::jthread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      State before = State::kOpen;
      while (!done) {
        const State now = fence.Now();
        if (now < before) ++returned;
        before = now;
        fence.Until();
      }
    });
  }
  for (int i = 0; i < 2'000; ++i) {
    const Millis start = clock.Steady();
    clock.Advance(Millis(i < 1'900 ? 4'000 : 11'000));
    fence.Renewed(start);
  }
  fence.End();
  done = true;
  readers.clear();
  EXPECT_EQ(returned, 0);
}

}  // namespace
}  // namespace perennial::kube
