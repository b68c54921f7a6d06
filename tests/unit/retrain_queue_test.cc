// Storm control: who may start a run, and whose turn it is.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "retrain/queue.h"

namespace perennial::retrain {
namespace {

constexpr WallTime kNow{std::chrono::hours(500'000)};

Claim Waits(Millis since = Millis(0), const char* run = "r") {
  return {false, run, kNow + since};
}
Claim Runs(const char* run = "r") {
  return {true, run, {}};
}

std::vector<std::string> Names(const std::vector<kube::Key>& keys) {
  std::vector<std::string> out;
  for (const kube::Key& key : keys) out.push_back(kube::ToString(key));
  return out;
}

TEST(RunQueue, GivesPlacesToNamespacesInTurn) {
  RunQueue queue({4, 0});
  for (int i = 0; i < 5; ++i) queue.Update({"big", "b" + std::to_string(i)}, Waits(Millis(i)));
  queue.Update({"small", "s"}, Waits(Seconds(60)));
  EXPECT_EQ(Names(queue.Admit()),
            (std::vector<std::string>{"big/b0", "small/s", "big/b1", "big/b2"}));
  EXPECT_TRUE(queue.Admit().empty());
}

TEST(RunQueue, KeepsTheBudgetOfANamespace) {
  RunQueue queue({0, 2});
  for (int i = 0; i < 4; ++i) queue.Update({"a", std::to_string(i)}, Waits(Millis(i)));
  queue.Update({"b", "x"}, Waits(Seconds(9)));
  EXPECT_EQ(Names(queue.Admit()), (std::vector<std::string>{"a/0", "b/x", "a/1"}));
  EXPECT_TRUE(queue.Look({"a", "2"}).namespace_is_full);
  queue.Update({"a", "0"}, Runs());
  EXPECT_TRUE(queue.Admit().empty());
  queue.Update({"a", "0"}, std::nullopt);
  EXPECT_EQ(Names(queue.Admit()), (std::vector<std::string>{"a/2"}));
}

TEST(RunQueue, KeepsAGivenPlaceUntilItIsUsedOrGivenUp) {
  RunQueue queue({1, 0});
  queue.Update({"a", "x"}, Waits());
  queue.Update({"a", "y"}, Waits(Seconds(1)));
  ASSERT_EQ(Names(queue.Admit()), (std::vector<std::string>{"a/x"}));
  queue.Update({"a", "x"}, Waits(Seconds(5)));  // its priority was edited meanwhile
  EXPECT_TRUE(queue.Look({"a", "x"}).granted);
  EXPECT_TRUE(queue.Admit().empty());
  queue.Update({"a", "x"}, Waits(Seconds(0), "another"));  // another run: that place is free again
  EXPECT_FALSE(queue.Look({"a", "x"}).granted);
  queue.Update({"a", "x"}, std::nullopt);
  EXPECT_EQ(Names(queue.Admit()), (std::vector<std::string>{"a/y"}));
}

TEST(RunQueue, LetsPriorityGoAheadWithoutStarvingAnybody) {
  api::RetrainPolicy policy;
  policy.meta.key = {"a", "p"};
  api::Run run;
  run.name = "r";
  run.phase = api::RunPhase::kWaiting;
  run.enqueued = api::Time{kNow};
  policy.status.runs = {run};
  const WallTime ordinary = ClaimOf(policy)->place;
  policy.spec.priority = 3;
  EXPECT_EQ(ClaimOf(policy)->place, ordinary - 3 * kHeadStartOfPriority);
  policy.status.runs[0].trigger_type = "Manual";
  EXPECT_LT(ClaimOf(policy)->place, ordinary - kHeadStartByHand);
  policy.status.runs[0].held_until = api::Time{kNow};
  EXPECT_FALSE(ClaimOf(policy).has_value()) << "nor does one outside its maintenance windows";
  policy.status.runs[0].held_until.reset();
  policy.spec.suspend = true;
  EXPECT_FALSE(ClaimOf(policy).has_value()) << "a suspended policy blocks nobody's turn";
  policy.status.runs[0].phase = api::RunPhase::kRunning;
  EXPECT_TRUE(ClaimOf(policy)->active) << "but its run under way counts";
}

// The rule as it is written down, on all entries at once: the slow twin of the queue.
std::optional<kube::Key> NextByTheRule(const std::map<kube::Key, std::pair<Claim, bool>>& all,
                                       const RunBudgets& budgets) {
  std::map<std::string, int> active;
  int total = 0;
  for (const auto& [key, entry] : all) {
    if (!entry.first.active && !entry.second) continue;
    ++active[key.ns];
    ++total;
  }
  if (budgets.cluster > 0 && total >= budgets.cluster) return std::nullopt;
  std::map<std::string, std::pair<WallTime, kube::Key>> first;
  for (const auto& [key, entry] : all) {
    if (entry.first.active || entry.second) continue;
    const std::pair mine(entry.first.place, key);
    const auto [it, is_new] = first.emplace(key.ns, mine);
    if (!is_new && mine < it->second) it->second = mine;
  }
  std::optional<std::tuple<int, WallTime, std::string, kube::Key>> best;
  for (const auto& [ns, head] : first) {
    if (budgets.per_namespace > 0 && active[ns] >= budgets.per_namespace) continue;
    const std::tuple mine(active[ns], head.first, ns, head.second);
    if (!best || mine < *best) best = mine;
  }
  if (!best) return std::nullopt;
  return std::get<3>(*best);
}

TEST(RunQueue, DoesWhatTheRuleSaysWhateverHappens) {
  std::mt19937 random(7);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int world = 0; world < 60; ++world) {
    const RunBudgets budgets{pick(6), pick(4)};
    RunQueue queue(budgets);
    std::map<kube::Key, std::pair<Claim, bool>> all;
    for (int step = 0; step < 120; ++step) {
      const kube::Key key{std::string(1, static_cast<char>('a' + pick(4))),
                          std::to_string(pick(6))};
      std::optional<Claim> claim;
      if (const int what = pick(4); what == 0) claim = Runs();
      if (const auto it = all.find(key); !claim && pick(3) > 0) {
        claim =
            it == all.end() || it->second.first.active ? Waits(Millis(pick(50))) : it->second.first;
      }
      queue.Update(key, claim);
      if (!claim) {
        all.erase(key);
      } else {
        const bool keeps = all.contains(key) && all[key].second && !claim->active;
        all[key] = {*claim, keeps};
      }
      std::vector<kube::Key> expected;
      while (const auto next = NextByTheRule(all, budgets)) {
        all[*next].second = true;
        expected.push_back(*next);
      }
      ASSERT_EQ(Names(queue.Admit()), Names(expected)) << "world " << world << " step " << step;
    }
  }
}

TEST(RunQueue, KnowsPositionsAndTellsWhoCameToOne) {
  std::mt19937 random(11);
  RunQueue queue({1, 0});
  queue.Update({"z", "runs"}, Runs());
  std::map<std::pair<WallTime, std::string>, std::size_t> waiting;  // with the stage last told
  for (int i = 0; i < 1'200; ++i) {
    const std::string name = "p" + std::to_string(i);
    const Claim claim = Waits(Millis(static_cast<int>(random() % 5'000)));
    queue.Update({"a", name}, claim);
    waiting[{claim.place, name}] = kToldPositions.size();
  }
  for (auto& [entry, stage] : waiting) {
    stage = StageOf(queue.Look({"a", entry.second}).position);
  }
  EXPECT_TRUE(queue.TakeMoved().empty());
  while (!waiting.empty()) {
    // Somebody anywhere in the queue gives up.
    auto gone = waiting.begin();
    std::advance(gone, random() % std::min<std::size_t>(waiting.size(), 1'100));
    queue.Update({"a", gone->first.second}, std::nullopt);
    waiting.erase(gone);
    std::set<std::string> moved;
    for (const kube::Key& key : queue.TakeMoved()) moved.insert(key.name);
    std::size_t position = 0;
    for (auto& [entry, stage] : waiting) {
      ++position;
      const std::size_t now = StageOf(position);
      ASSERT_EQ(moved.contains(entry.second), now < stage) << "at position " << position;
      stage = now;
    }
    if (waiting.empty()) break;
    const auto last = std::prev(waiting.end());
    ASSERT_EQ(queue.Look({"a", last->first.second}).position, waiting.size());
    ASSERT_EQ(queue.Look({"a", waiting.begin()->first.second}).position, 1u);
  }
}

}  // namespace
}  // namespace perennial::retrain
