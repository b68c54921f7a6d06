#include <gtest/gtest.h>

#include <string>

#include "kube/repeats.h"

namespace perennial::kube {
namespace {

ApplyObject Apply(const std::string& name, const std::string& body) {
  return {{{"apps", "v1", "deployments", "Deployment"}, {"transit", name}}, body};
}

TEST(Repeats, HoldNothingBackTheFirstTwoTimes) {
  Repeats repeats;
  const ApplyObject action = Apply("a", "{}");
  EXPECT_EQ(repeats.Wait(action, Millis(0)), Millis(0));
  repeats.Add(action, Millis(0));
  EXPECT_EQ(repeats.Wait(action, Millis(1)), Millis(0));
  EXPECT_FALSE(repeats.Contested(action, Millis(1)));
  repeats.Add(action, Millis(1));
  EXPECT_EQ(repeats.Wait(action, Millis(1)), Millis(1'000));
  EXPECT_FALSE(repeats.Contested(action, Millis(1))) << "twice may be chance";
}

TEST(Repeats, DoubleTheWaitUpToFiveMinutes) {
  Repeats repeats;
  const ApplyObject action = Apply("a", "{}");
  repeats.Add(action, Millis(0));
  Millis now{0};
  Millis longest{0};
  for (int i = 0; i < 20; ++i) {
    repeats.Add(action, now);
    const Millis wait = repeats.Wait(action, now);
    EXPECT_EQ(wait, longest == Millis{0} ? Millis(1'000) : std::min(longest * 2, Millis(300'000)));
    EXPECT_EQ(repeats.Wait(action, now + wait), Millis(0));
    longest = wait;
    now += wait;
  }
  EXPECT_EQ(longest, Millis(300'000));
  EXPECT_TRUE(repeats.Contested(action, now));
}

TEST(Repeats, TellObjectsAndIntentsApart) {
  Repeats repeats;
  for (int i = 0; i < 5; ++i) repeats.Add(Apply("a", "{}"), Millis(0));
  EXPECT_GT(repeats.Wait(Apply("a", "{}"), Millis(0)), Millis(0));
  EXPECT_EQ(repeats.Wait(Apply("b", "{}"), Millis(0)), Millis(0));
  EXPECT_EQ(repeats.Wait(Apply("a", R"({"spec": {}})"), Millis(0)), Millis(0));
}

// Weights that go up, back and up again are our own doing.
TEST(Repeats, ForgetWhatWeChangeOurselves) {
  Repeats repeats;
  for (int i = 0; i < 5; ++i) {
    for (const char* body : {R"({"weight": 10})", R"({"weight": 50})"}) {
      EXPECT_EQ(repeats.Wait(Apply("a", body), Millis(i)), Millis(0));
      repeats.Add(Apply("a", body), Millis(i));
      EXPECT_FALSE(repeats.Contested(Apply("a", body), Millis(i)));
    }
  }
}

TEST(Repeats, ForgetAfterTenMinutes) {
  Repeats repeats;
  const ApplyObject action = Apply("a", "{}");
  for (int i = 0; i < 5; ++i) repeats.Add(action, Millis(0));
  ASSERT_TRUE(repeats.Contested(action, Millis(599'999)));
  EXPECT_FALSE(repeats.Contested(action, Millis(600'000)));
  repeats.Add(action, Millis(600'000));
  repeats.Add(action, Millis(600'000));
  EXPECT_EQ(repeats.Wait(action, Millis(600'000)), Millis(1'000)) << "it begins anew";
}

}  // namespace
}  // namespace perennial::kube
