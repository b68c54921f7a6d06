// 18,000 policies of 600 groups drift in the same minute (a tenth of them unless optimized): one
// Job a group, and never more of them than the budget, with a controller that lives and with one
// that is killed again and again.
#include "support/retrain_storm.h"

namespace perennial::retrain {
namespace {

using ::perennial::testing::RetrainStorm;
using ::perennial::testing::TrainingPolicy;

constexpr int kMembers = 30;
#ifdef NDEBUG
constexpr int kGroups = 600;
#else
constexpr int kGroups = 60;  // minutes of work where nothing is optimized, for the same answers
#endif
constexpr int kFewer = kGroups / 6;

class GroupStorm : public ::testing::Test, protected RetrainStorm {
 protected:
  void Make(int groups) {
    for (int i = 0; i < groups * kMembers; ++i) {
      // The groups of one namespace have names of their own.
      auto policy = TrainingPolicy({Namespace(i / kMembers), "p" + std::to_string(i)}, "d");
      policy.spec.group = api::RunGroup{"g" + std::to_string(i / kMembers)};
      Add(std::move(policy));
    }
    Begin(groups / 3);
  }

  // From the first look to the last run's end. Each minute a quarter of the Jobs ends.
  void RunAll() {
    const int all = static_cast<int>(truth_.size());
    for (int minute = 0; over_ < all && minute < 300; ++minute) {
      PassMinute();
      EndOneIn(4);
    }
    for (int minute = 0; minute < 5; ++minute) PassMinute();
    EXPECT_EQ(over_, all) << "nobody is starved";
    EXPECT_EQ(started_.size(), truth_.size() / kMembers) << "one Job for each group";
    EXPECT_EQ(most_, static_cast<std::size_t>(budget_)) << "as many as are allowed, not one more";
    for (const std::size_t trained : trained_) EXPECT_EQ(trained, std::size_t{kMembers});
  }
};

// Recorded; who leads may change while they gather; its turn, its position, its place; the Job.
constexpr int kMostWrites = 9;

TEST_F(GroupStorm, MakesOneJobForEachGroupWithinTheBudget) {
  Make(kGroups);
  RunAll();
  EXPECT_LE(MostWrites(), kMostWrites);
  EXPECT_LE(AllWrites(), 6 * static_cast<std::int64_t>(truth_.size()));
  RecordProperty("status_writes", std::to_string(AllWrites()));
  RecordProperty("looks", std::to_string(looks_));
}

TEST_F(GroupStorm, IsTheSameForAControllerThatIsKilledAgainAndAgain) {
  Make(kFewer);
  Kill(6);
  RunAll();
  EXPECT_EQ(deaths_left_, 0) << "it was to die while the storm lasted";
  EXPECT_LE(MostWrites(), kMostWrites + 1);
}

}  // namespace
}  // namespace perennial::retrain
