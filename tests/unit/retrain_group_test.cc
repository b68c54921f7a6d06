// Where runs stand in their group.
#include <gtest/gtest.h>

#include <functional>

#include "retrain/group.h"
#include "retrain/run.h"
#include "support/retrain_policies.h"
#include "support/retrain_stores.h"

namespace perennial::retrain {
namespace {

using api::RunPhase;

constexpr WallTime kStart{std::chrono::hours(500'000)};
constexpr Millis kWindow{120'000};

std::shared_ptr<api::RetrainPolicy> Policy(const std::string& name, WallTime enqueued,
                                           const char* image = "t:1") {
  auto policy = ::perennial::testing::PolicyOfGroup(name, image);
  api::Run run;
  run.name = name + "-run";
  run.phase = RunPhase::kWaiting;
  run.enqueued = api::Time{enqueued};
  run.gather_until = api::Time{enqueued + kWindow};
  policy->status.runs = {run};
  return policy;
}

class PlaceTest : public ::testing::Test {
 protected:
  Place Look(const std::shared_ptr<api::RetrainPolicy>& policy, WallTime now = kStart) {
    Observed seen;
    seen.policy = policy;
    for (const auto& peer : {a_, b_, c_}) {
      if (peer != policy) seen.group.push_back({peer, nullptr});
    }
    return PlaceOf(seen, policy->status.runs[0], now);
  }
  static api::Run& RunOf(const std::shared_ptr<api::RetrainPolicy>& policy) {
    return policy->status.runs[0];
  }
  std::shared_ptr<api::RetrainPolicy> a_ = Policy("a", kStart - Seconds(3));
  std::shared_ptr<api::RetrainPolicy> b_ = Policy("b", kStart - Seconds(2));
  std::shared_ptr<api::RetrainPolicy> c_ = Policy("c", kStart - Seconds(2));
};

TEST_F(PlaceTest, TheFirstGathersAndTheOthersFollowIt) {
  const Place first = Look(a_);
  EXPECT_EQ(first.follows, "");
  EXPECT_EQ(first.gather_until, kStart - Seconds(3) + kWindow);
  EXPECT_EQ(first.message,
            "waits for others of group stops until " + FormatTime(kStart - Seconds(3) + kWindow));
  EXPECT_EQ(Look(b_).follows, "a-run");
  EXPECT_EQ(Look(c_).follows, "a-run");
  EXPECT_EQ(Look(b_).message,
            "waits for run a-run of RetrainPolicy a, which trains for group stops");
  EXPECT_TRUE(Look(a_, kStart + kWindow).leads());
  EXPECT_EQ(Look(b_, kStart + kWindow).follows, "a-run");
}

TEST_F(PlaceTest, OfThoseThatBeganTogetherTheNameDecides) {
  RunOf(a_).phase = RunPhase::kRunning;
  EXPECT_EQ(Look(c_).follows, "b-run");
  EXPECT_TRUE(Look(b_).gather_until.has_value());
}

TEST_F(PlaceTest, WhoTrainsOtherwiseTrainsApart) {
  a_->spec.result.from = api::ResultFrom::kConfigMap;
  EXPECT_NE(Look(a_).message.find("RetrainPolicy b of the group trains by itself"),
            std::string::npos);
  EXPECT_TRUE(Look(b_).gather_until.has_value());
  EXPECT_EQ(Look(c_).follows, "b-run");
  c_ = Policy("c", kStart, "t:2");
  EXPECT_TRUE(Look(c_).gather_until.has_value());
}

TEST_F(PlaceTest, NobodyFollowsWhoDoesNotGoOn) {
  const std::vector<std::function<void()>> cases = {
      [&] { a_->spec.suspend = true; },
      [&] { a_->meta.deleting = true; },
      [&] { RunOf(a_).held_until = api::Time{kStart + kWindow}; },
      [&] { RunOf(a_).follows = "another"; },
      [&] {
        RunOf(a_).phase = RunPhase::kPending;
        RunOf(a_).started = api::Time{kStart};
      },
      [&] { RunOf(a_).phase = RunPhase::kRunning; },
      [&] { RunOf(a_).phase = RunPhase::kFailed; },
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    a_ = Policy("a", kStart - Seconds(3));
    cases[i]();
    EXPECT_TRUE(Look(b_).gather_until.has_value());
    EXPECT_EQ(Look(c_).follows, "b-run");
    // Whoever followed it is on its own again, once: the window begins anew, after it was first.
    RunOf(b_).follows = "a-run";
    RunOf(b_).gather_until.reset();
    const bool stays = i == 4;  // its turn has come, and its Job is about to be made
    EXPECT_EQ(Look(b_).follows, stays ? "a-run" : "");
    EXPECT_EQ(Look(b_).gather_until.has_value(), !stays);
    RunOf(b_).follows.clear();
    RunOf(b_).gather_until = api::Time{kStart + kWindow};
  }
}

TEST_F(PlaceTest, WhoHasATurnAndMakesNoJobIsNotWaitedForForEver) {
  RunOf(a_).phase = RunPhase::kPending;
  RunOf(a_).started = api::Time{kStart};
  RunOf(b_).follows = "a-run";
  RunOf(b_).gather_until.reset();
  EXPECT_EQ(Look(b_).follows, "a-run");
  EXPECT_EQ(Look(b_).look_again, kStart + kLongestJoin);
  EXPECT_EQ(Look(b_, kStart + kLongestJoin).follows, "");
  RunOf(a_).attempt = 1;
  RunOf(b_).follows = "a-run-1";
  EXPECT_EQ(Look(b_, kStart + kLongestJoin).follows, "a-run-1") << "it began earlier";
}

TEST_F(PlaceTest, ARunWithoutAGroupLeads) {
  b_->spec.group.reset();
  EXPECT_TRUE(Look(b_).leads());
  RunOf(b_).follows = "a-run";
  EXPECT_TRUE(Look(b_).leads());
}

TEST_F(PlaceTest, OnlyWhoeverLeadsTakesAPlaceOfTheBudget) {
  EXPECT_FALSE(ClaimOf(*a_).has_value()) << "it gathers";
  RunOf(a_).gather_until.reset();
  ASSERT_TRUE(ClaimOf(*a_).has_value());
  EXPECT_FALSE(ClaimOf(*a_)->active);
  for (const RunPhase phase : {RunPhase::kWaiting, RunPhase::kRunning}) {
    RunOf(b_).gather_until.reset();
    RunOf(b_).follows = "a-run";
    RunOf(b_).phase = phase;
    EXPECT_FALSE(ClaimOf(*b_).has_value());
  }
}

TEST_F(PlaceTest, AJobHasRoomForSoManyAndTheOthersMakeAnother) {
  Observed seen;
  seen.policy = a_;
  for (int i = 0; i < 150; ++i) {
    auto peer = Policy("p" + std::to_string(100 + i), kStart);
    RunOf(peer).gather_until.reset();
    RunOf(peer).follows = "a-run";
    seen.group.push_back({peer, nullptr});
  }
  EXPECT_EQ(MembersOf(seen, RunOf(a_)).size(), kMostMembers - 1);
  seen.group.insert(seen.group.begin(), {b_, nullptr});
  EXPECT_NE(MembersOf(seen, RunOf(a_)).at(0)->policy, b_)
      << "its status doesn't say that it follows";
  RunOf(b_).follows = "a-run";
  EXPECT_EQ(MembersOf(seen, RunOf(a_)).at(0)->policy, b_);
  auto parent = std::make_shared<api::ModelVersion>();
  parent->spec.model.uri = std::string(2'000, 'u');
  for (Peer& peer : seen.group) peer.parent = parent;
  const auto members = MembersOf(seen, RunOf(a_)).size();
  EXPECT_GT(members, 20u);
  EXPECT_LT(members, 45u) << "a variable can't be longer than 128 KiB";
}

TEST(Members, AreReadFromAnAnnotationWhoeverWroteIt) {
  EXPECT_EQ(ParseMembers("a,b"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(ParseMembers(",,a,"), (std::vector<std::string>{"a"}));
  EXPECT_TRUE(ParseMembers("").empty());
  EXPECT_EQ(ParseMembers(std::string(100'000, 'x') + std::string(100'000, ',')).size(), 1u);
}

}  // namespace
}  // namespace perennial::retrain
