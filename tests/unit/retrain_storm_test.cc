// 18,000 policies drift in the same minute (a tenth of them unless optimized): who runs when, and
// how often status is written, with a controller that lives and with one that is killed again and
// again.
#include "support/retrain_storm.h"

namespace perennial::retrain {
namespace {

using ::perennial::testing::RetrainStorm;
using ::perennial::testing::TrainingPolicy;

#ifdef NDEBUG
constexpr int kPolicies = 18'000;
#else
constexpr int kPolicies =
    1'800;  // minutes of work where nothing is optimized, for the same answers
#endif
constexpr int kFewer = kPolicies / 5;  // where each death has all of them looked at again
constexpr int kBudget = kPolicies / 90;

class Storm : public ::testing::Test, protected RetrainStorm {
 protected:
  // The first namespace has half of all policies.
  void Make(int policies) {
    for (int i = 0; i < policies; ++i) {
      const int ns = i % 2 == 0 ? 0 : 1 + (i / 2) % (kNamespaces - 1);
      Add(TrainingPolicy({Namespace(ns), "p" + std::to_string(i)}, "d"));
    }
    Begin(kBudget);
  }

  // From the first look to the last run's end. Each minute a tenth of the runs under way ends.
  void RunAll() {
    PassMinute();
    EXPECT_EQ(running_.size(), static_cast<std::size_t>(kBudget));
    for (int minute = 1; !running_.empty() && minute < 5'000; ++minute) {
      EndOneIn(10);
      PassMinute();
      // By then all that began before everybody had asked is over.
      if (minute == 60) ExpectFairShares();
    }
    EXPECT_EQ(started_.size(), truth_.size()) << "each one ran, and once";
    EXPECT_EQ(over_, static_cast<int>(truth_.size()));
    EXPECT_EQ(most_, static_cast<std::size_t>(kBudget));
  }

  void ExpectFairShares() {
    std::map<std::string, int> running_in;
    for (const auto& [key, job] : running_) ++running_in[key.ns];
    ASSERT_EQ(running_in.size(), static_cast<std::size_t>(kNamespaces));
    for (const auto& [ns, runs] : running_in) {
      EXPECT_GE(runs, kBudget / kNamespaces) << ns;
      EXPECT_LE(runs, kBudget / kNamespaces + 1) << ns;
    }
  }

  // Within a namespace, in the order in which they drifted; those that get their turn in the same
  // minute may take it in any order.
  void ExpectOrderOfDrifts() {
    std::map<std::string, WallTime> earlier;  // the latest of the minutes before
    std::map<std::string, std::pair<std::int64_t, WallTime>> latest;
    for (const auto& [key, at] : started_) {
      const WallTime enqueued = truth_.at(key)->status.runs.at(0).enqueued->value;
      const std::int64_t now = (at - kStart) / kMinute;
      auto& [minute, last] = latest[key.ns];
      if (minute != now) {
        earlier[key.ns] = std::max(earlier[key.ns], last);
        minute = now;
      }
      last = std::max(last, enqueued);
      ASSERT_LE(earlier[key.ns], enqueued) << kube::ToString(key);
    }
  }
};

// Recorded; its position at 1000, 100 and 10; its place; the Job's making; the Job seen; the end.
constexpr int kMostWrites = 8;

TEST_F(Storm, NeverRunsMoreThanTheBudgetAndStarvesNobody) {
  Make(kPolicies);
  RunAll();
  EXPECT_LE(MostWrites(), kMostWrites);
  EXPECT_LE(looks_, (kMostWrites + 6) * kPolicies);
  RecordProperty("status_writes", std::to_string(AllWrites()));
  RecordProperty("looks", std::to_string(looks_));
  ExpectOrderOfDrifts();
  // The namespaces that ask for little are through when each has had its share, not at the end.
  const std::size_t small = kPolicies / 2 / (kNamespaces - 1) + 1;
  std::map<std::string, std::size_t> last_index;
  for (std::size_t i = 0; i < started_.size(); ++i) last_index[started_[i].policy.ns] = i;
  for (const auto& [ns, index] : last_index) {
    if (ns == Namespace(0)) continue;
    EXPECT_LE(index, small * kNamespaces + 5 * kBudget) << ns;
  }
}

TEST_F(Storm, IsTheSameForAControllerThatIsKilledAgainAndAgain) {
  Make(kFewer);
  Kill(6);
  RunAll();
  EXPECT_EQ(deaths_left_, 0) << "it was to die while the storm lasted";
  EXPECT_LE(MostWrites(), kMostWrites + 1);
}

}  // namespace
}  // namespace perennial::retrain
