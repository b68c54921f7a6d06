#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "kube/work_queue.h"
#include "support/manual_clock.h"

namespace perennial::kube {
namespace {

using testing::ManualClock;

Key K(const std::string& name) {
  return {"transit", name};
}

class WorkQueueTest : public ::testing::Test {
 protected:
  // Takes and gives back all that is due, in order.
  std::vector<std::string> Drain() {
    std::vector<std::string> names;
    while (const auto key = queue_.TryTake()) {
      names.push_back(key->name);
      queue_.Done(*key);
    }
    return names;
  }

  ManualClock clock_;
  WorkQueue queue_{clock_};
};

using Names = std::vector<std::string>;

TEST_F(WorkQueueTest, HandsOutAKeyOnceHoweverOftenItWasAdded) {
  for (int i = 0; i < 5; ++i) queue_.Add(K("a"));
  queue_.Add(K("b"));
  EXPECT_EQ(queue_.depth(), 2u);
  EXPECT_EQ(Drain(), (Names{"a", "b"}));
  EXPECT_EQ(queue_.depth(), 0u);
}

TEST_F(WorkQueueTest, TellsNamespacesApart) {
  queue_.Add({"one", "a"});
  queue_.Add({"two", "a"});
  EXPECT_EQ(Drain().size(), 2u);
}

TEST_F(WorkQueueTest, NeverGivesAKeyToTwoWorkers) {
  queue_.Add(K("a"));
  ASSERT_EQ(queue_.TryTake(), K("a"));
  queue_.Add(K("a"));
  EXPECT_EQ(queue_.TryTake(), std::nullopt);
  queue_.Done(K("a"));
  EXPECT_EQ(queue_.TryTake(), K("a"));
  queue_.Done(K("a"));
  EXPECT_EQ(queue_.TryTake(), std::nullopt);
}

TEST_F(WorkQueueTest, HoldsADelayedKeyBackUntilItsTime) {
  queue_.Add(K("a"), Priority::kResync, Millis(1'000));
  EXPECT_EQ(queue_.depth(), 0u);
  EXPECT_EQ(queue_.delayed(), 1u);
  EXPECT_EQ(queue_.next_due(), clock_.Steady() + Millis(1'000));
  clock_.Advance(Millis(999));
  EXPECT_EQ(queue_.TryTake(), std::nullopt);
  clock_.Advance(Millis(1));
  EXPECT_EQ(queue_.depth(), 1u);
  EXPECT_EQ(queue_.delayed(), 0u);
  EXPECT_EQ(Drain(), Names{"a"});
  EXPECT_EQ(queue_.next_due(), std::nullopt);
}

TEST_F(WorkQueueTest, LetsTheEarlierTimeWinWhicheverComesFirst) {
  queue_.Add(K("a"), Priority::kResync, Millis(1'000));
  queue_.Add(K("a"), Priority::kResync, Millis(100));
  queue_.Add(K("a"), Priority::kResync, Millis(5'000));
  EXPECT_EQ(queue_.delayed(), 1u);
  clock_.Advance(Millis(100));
  EXPECT_EQ(Drain(), Names{"a"});
  clock_.Advance(Millis(10'000));
  EXPECT_EQ(Drain(), Names{}) << "the later times were part of the same wait";
}

TEST_F(WorkQueueTest, KeepsTheEarlierTimeOfWhatWasAddedDuringWork) {
  queue_.Add(K("a"));
  ASSERT_TRUE(queue_.TryTake());
  queue_.Add(K("a"), Priority::kResync, Millis(60'000));
  queue_.Add(K("a"), Priority::kChanged, Millis(100));
  queue_.Done(K("a"));
  EXPECT_EQ(queue_.TryTake(), std::nullopt);
  clock_.Advance(Millis(100));
  EXPECT_EQ(Drain(), Names{"a"});
}

TEST_F(WorkQueueTest, PutsChangesBeforeResyncsAndElseKeepsTheOrder) {
  queue_.Add(K("r1"), Priority::kResync);
  queue_.Add(K("r2"), Priority::kResync);
  queue_.Add(K("c1"));
  queue_.Add(K("r3"), Priority::kResync);
  queue_.Add(K("c2"));
  queue_.Add(K("r3"));  // now it changed, too
  queue_.Add(K("r1"), Priority::kResync);
  EXPECT_EQ(Drain(), (Names{"c1", "c2", "r3", "r1", "r2"})) << "r3 changed after c2";
}

TEST_F(WorkQueueTest, LetsNamespacesTakeTurns) {
  for (int i = 0; i < 18'000; ++i) queue_.Add({"many", std::to_string(i)});
  queue_.Add({"few", "rollback"});
  queue_.Add({"few", "another"});
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) {
    const auto key = queue_.TryTake();
    names.push_back(key->name);
    queue_.Done(*key);
  }
  EXPECT_EQ(names, (Names{"0", "rollback", "1", "another", "2"}));
  // Who was away for long has not saved turns up.
  for (int i = 0; i < 1'000; ++i) queue_.Done(*queue_.TryTake());
  queue_.Add({"few", "x"});
  queue_.Add({"few", "y"});
  EXPECT_NE(queue_.TryTake()->ns, queue_.TryTake()->ns);
}

TEST_F(WorkQueueTest, LetsNothingStarveBehindWhatChanges) {
  queue_.Add(K("timed"), Priority::kResync);
  int turns = 0;
  for (bool seen = false; !seen && turns < 100; ++turns) {
    queue_.Add(K("busy" + std::to_string(turns)));
    queue_.Add(K("busier" + std::to_string(turns)));
    const auto key = queue_.TryTake();
    seen = key->name == "timed";
    queue_.Done(*key);
  }
  EXPECT_LE(turns, 9);
}

TEST_F(WorkQueueTest, LinesUpDelayedKeysByWhenTheyAreDue) {
  queue_.Add(K("late"), Priority::kChanged, Millis(20));
  queue_.Add(K("early"), Priority::kChanged, Millis(10));
  clock_.Advance(Millis(50));
  EXPECT_EQ(Drain(), (Names{"early", "late"}));
}

TEST_F(WorkQueueTest, DoublesTheDelayOfEachFailureUpToTheLongest) {
  Millis base(5);
  for (int failure = 0; failure < 25; ++failure) {
    queue_.Add(K("a"));
    ASSERT_TRUE(queue_.TryTake());
    queue_.Retry(K("a"));
    queue_.Done(K("a"));
    ASSERT_EQ(queue_.Failures(K("a")), failure + 1);
    const auto due = queue_.next_due();
    ASSERT_TRUE(due) << failure;
    const Millis delay = *due - clock_.Steady();
    EXPECT_GE(delay, base) << failure;
    EXPECT_LE(delay, base + base / 5 + Millis(1)) << failure;
    clock_.Advance(delay);
    ASSERT_EQ(Drain(), Names{"a"});
    base = std::min(base * 2, Millis(300'000));
  }
}

TEST_F(WorkQueueTest, StartsAgainWithTheFirstDelayAfterASuccess) {
  for (int i = 0; i < 10; ++i) queue_.Retry(K("a"));
  queue_.Forget(K("a"));
  EXPECT_EQ(queue_.Failures(K("a")), 0);
  clock_.Advance(Millis(1'000'000));
  Drain();
  queue_.Retry(K("a"));
  EXPECT_LE(*queue_.next_due() - clock_.Steady(), Millis(6));
}

TEST_F(WorkQueueTest, CountsFailuresByKey) {
  for (int i = 0; i < 10; ++i) queue_.Retry(K("a"));
  EXPECT_EQ(queue_.Failures(K("b")), 0);
  clock_.Advance(Millis(1'000'000));
  Drain();
  queue_.Retry(K("b"));
  EXPECT_LE(*queue_.next_due() - clock_.Steady(), Millis(6));
}

TEST_F(WorkQueueTest, WaitsAtLeastAsLongAsTheServerAsks) {
  queue_.Retry(K("a"), Millis(7'000));
  EXPECT_EQ(*queue_.next_due() - clock_.Steady(), Millis(7'000));
}

TEST_F(WorkQueueTest, LetsAChangeInterruptABackoff) {
  for (int i = 0; i < 12; ++i) queue_.Retry(K("a"));
  clock_.Advance(Millis(1'000'000));
  Drain();
  queue_.Retry(K("a"));
  EXPECT_EQ(queue_.TryTake(), std::nullopt);
  queue_.Add(K("a"));
  EXPECT_EQ(Drain(), Names{"a"});
}

TEST_F(WorkQueueTest, SpreadsKeysThatFailTogether) {
  std::set<Millis> times;
  for (int i = 0; i < 50; ++i) {
    WorkQueue queue(clock_);
    for (int failure = 0; failure < 10; ++failure) {
      queue.Retry(K("m" + std::to_string(i)));
      clock_.Advance(Millis(1'000'000));
      ASSERT_TRUE(queue.TryTake());
      queue.Done(K("m" + std::to_string(i)));
    }
    queue.Retry(K("m" + std::to_string(i)));
    times.insert(*queue.next_due() - clock_.Steady());
  }
  EXPECT_GT(times.size(), 25u);
}

// Random calls against a model that is nothing but rules: no key twice at once, none lost, none
// early, one hand-out for any number of additions.
TEST(WorkQueueLaws, HoldUnderRandomCalls) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    ManualClock clock;
    WorkQueue queue(clock);
    std::map<std::string, Millis> waiting;  // earliest time at which each may come out
    std::map<std::string, std::optional<Millis>> working;
    for (int step = 0; step < 400; ++step) {
      const std::string name(1, static_cast<char>('a' + random() % 6));
      switch (random() % 4) {
        case 0: {
          const Millis after(random() % 3 == 0 ? 0 : random() % 50);
          queue.Add(K(name), random() % 2 ? Priority::kChanged : Priority::kResync, after);
          const Millis due = clock.Steady() + after;
          if (const auto it = working.find(name); it != working.end()) {
            it->second = std::min(it->second.value_or(due), due);
          } else {
            const auto [at, fresh] = waiting.emplace(name, due);
            at->second = std::min(at->second, due);
          }
          break;
        }
        case 1: {
          const auto key = queue.TryTake();
          const bool any = std::any_of(waiting.begin(), waiting.end(), [&](const auto& entry) {
            return entry.second <= clock.Steady();
          });
          ASSERT_EQ(key.has_value(), any);
          if (!key) break;
          ASSERT_TRUE(waiting.contains(key->name));
          ASSERT_LE(waiting.at(key->name), clock.Steady());
          ASSERT_FALSE(working.contains(key->name));
          waiting.erase(key->name);
          working.emplace(key->name, std::nullopt);
          break;
        }
        case 2: {
          if (working.empty()) break;
          const auto it = std::next(working.begin(), random() % working.size());
          queue.Done(K(it->first));
          if (it->second) waiting.emplace(it->first, *it->second);
          working.erase(it);
          break;
        }
        default:
          clock.Advance(Millis(random() % 20));
      }
      ASSERT_EQ(queue.depth() + queue.delayed(), waiting.size());
    }
  }
}

TEST(WorkQueueThreads, LoseNothingAndNeverWorkOnOneKeyTwice) {
  constexpr int kKeys = 40;
  constexpr int kAdders = 3;
  constexpr int kRounds = 400;
  WorkQueue queue(SystemClock());
  std::array<std::atomic<int>, kKeys> wanted{};  // last number that an adder left for a key
  std::array<std::atomic<int>, kKeys> seen{};    // what a worker found there
  std::array<std::atomic<int>, kKeys> inside{};
  std::atomic<int> overlaps{0};
  std::vector<std::jthread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&](std::stop_token stop) {
      while (const auto key = queue.Take(stop)) {
        const size_t i = std::stoul(key->name);
        if (++inside[i] != 1) ++overlaps;
        seen[i] = wanted[i].load();
        if (seen[i] % 17 == 0) queue.Retry(*key);
        --inside[i];
        queue.Done(*key);
      }
    });
  }
  {
    std::vector<std::jthread> adders;
    for (int a = 0; a < kAdders; ++a) {
      adders.emplace_back([&, a] {
        std::mt19937 random(static_cast<std::uint32_t>(a));
        for (int i = 0; i < kRounds; ++i) {
          const size_t key = random() % kKeys;
          ++wanted[key];
          queue.Add(K(std::to_string(key)), Priority::kChanged, Millis(random() % 3));
        }
      });
    }
  }
  const Millis end = SystemClock().Steady() + Millis(20'000);
  const auto all_seen = [&] {
    for (size_t i = 0; i < kKeys; ++i) {
      if (seen[i] != wanted[i]) return false;
    }
    return true;
  };
  while (!all_seen() && SystemClock().Steady() < end) std::this_thread::yield();
  EXPECT_TRUE(all_seen());
  EXPECT_EQ(overlaps, 0);
  const Millis stopping = SystemClock().Steady();
  for (std::jthread& worker : workers) worker.request_stop();
  workers.clear();
  EXPECT_LT(SystemClock().Steady() - stopping, Millis(5'000));
}

// A worker that waits without a time must notice a delayed key whose time another worker, now busy,
// was waiting for.
TEST(WorkQueueThreads, WaitForADelayedKeyWhileOthersAreBusy) {
  WorkQueue queue(SystemClock());
  std::atomic<bool> release{false};
  std::atomic<bool> done{false};
  std::vector<std::jthread> workers;
  for (int w = 0; w < 2; ++w) {
    workers.emplace_back([&](std::stop_token stop) {
      while (const auto key = queue.Take(stop)) {
        if (key->name == "slow") {
          while (!release && !stop.stop_requested()) std::this_thread::yield();
        } else {
          done = true;
        }
        queue.Done(*key);
      }
    });
  }
  std::this_thread::sleep_for(Millis(20));
  queue.Add(K("delayed"), Priority::kResync, Millis(60));
  queue.Add(K("slow"));
  const Millis end = SystemClock().Steady() + Millis(10'000);
  while (!done && SystemClock().Steady() < end) std::this_thread::yield();
  EXPECT_TRUE(done);
  release = true;
}

}  // namespace
}  // namespace perennial::kube
