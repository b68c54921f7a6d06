#include <gtest/gtest.h>

#include "app/watchdog.h"

namespace perennial::app {
namespace {

using Workers = std::vector<WorkerSign>;
using Informers = std::vector<InformerSign>;
constexpr Millis kStart{1'000'000};

TEST(Watchdog, IsContentWithWorkersThatHaveNothingToDo) {
  Watchdog dog;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(dog.Check(kStart + i * Watchdog::kNoLook, Workers{{"a", 0, 7}}, {}).empty());
  }
}

TEST(Watchdog, NamesWorkersThatStandStillWhileKeysAreDue) {
  Watchdog dog;
  EXPECT_TRUE(dog.Check(kStart, Workers{{"a", 3, 7}, {"b", 3, 7}}, {}).empty());
  const Millis later = kStart + Watchdog::kNoLook;
  const auto hanging = dog.Check(later, Workers{{"a", 3, 7}, {"b", 3, 8}}, {});
  ASSERT_EQ(hanging.size(), 1u);
  EXPECT_EQ(hanging[0], "a: 3 keys are due and none was looked at for 5m");
}

TEST(Watchdog, CountsFromTheLastProgress) {
  Watchdog dog;
  EXPECT_TRUE(dog.Check(kStart, Workers{{"a", 1, 7}}, {}).empty());
  EXPECT_TRUE(dog.Check(kStart + Seconds(299), Workers{{"a", 1, 8}}, {}).empty());
  EXPECT_TRUE(dog.Check(kStart + Seconds(301), Workers{{"a", 1, 8}}, {}).empty());
  EXPECT_FALSE(dog.Check(kStart + Seconds(599), Workers{{"a", 1, 8}}, {}).empty());
}

TEST(Watchdog, NamesAnInformerThatIsDeafWhileOthersHear) {
  Watchdog dog;
  const Millis now = kStart + Watchdog::kNoContact;
  const auto hanging = dog.Check(now, {}, Informers{{"jobs", kStart}, {"pods", now}});
  ASSERT_EQ(hanging.size(), 1u);
  EXPECT_EQ(hanging[0], "jobs: no word from the API server for 10m");
}

TEST(Watchdog, DoesNotRestartForAnApiServerThatIsAway) {
  Watchdog dog;
  const Millis now = kStart + 10 * Watchdog::kNoContact;
  EXPECT_TRUE(dog.Check(now, {}, Informers{{"jobs", kStart}, {"pods", kStart}}).empty());
}

}  // namespace
}  // namespace perennial::app
