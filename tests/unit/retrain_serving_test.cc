#include <gtest/gtest.h>

#include "api/names.h"
#include "retrain/serving.h"

namespace perennial::retrain {
namespace {

const WallTime kCreated{std::chrono::hours(500'000)};

class ServingHistory : public ::testing::Test {
 protected:
  ServingHistory() {
    version_.meta.key = {"transit", "v2"};
    version_.meta.created = kCreated;
    deployment_.status.observed_generation = 1;
  }

  void Serves(const char* role, int weight) {
    api::VariantStatus variant;
    variant.name = role;
    variant.version = "v2";
    variant.weight = weight;
    deployment_.status.variants = {variant};
  }
  void Ended(const char* outcome, const char* message, Seconds at) {
    deployment_.status.history.insert(deployment_.status.history.begin(),
                                      {"v2", outcome, api::Time{kCreated + at}, message});
  }
  void Promoted(Seconds at) {
    version_.meta.annotations[std::string(api::kAnnotationPromoted)] = FormatTime(kCreated + at);
  }
  // True if there is something to write.
  bool Look(Seconds at) {
    const api::ModelVersionStatus before = version_.status;
    UpdateServing(version_, &deployment_, kCreated + at, version_.status);
    return version_.status != before;
  }
  const api::Serving& Entry(std::size_t i) const { return version_.status.serving.at(i); }

  api::ModelVersion version_;
  api::ModelDeployment deployment_;
};

TEST_F(ServingHistory, FollowsAVersionFromChallengerToRetirement) {
  EXPECT_FALSE(Look(Seconds(1)));
  Serves("challenger", 0);
  EXPECT_FALSE(Look(Seconds(5))) << "without traffic it serves nobody";
  Serves("challenger", 5);
  EXPECT_TRUE(Look(Seconds(10)));
  Serves("challenger", 25);
  EXPECT_TRUE(Look(Seconds(20)));
  EXPECT_FALSE(Look(Seconds(30)));
  EXPECT_EQ(Entry(0), (api::Serving{"challenger", {kCreated + Seconds(10)}, {}, 25, "", ""}));
  Ended("Promoted", "better by 0.3", Seconds(40));
  Serves("champion", 100);
  EXPECT_FALSE(Look(Seconds(41))) << "the promotion's time follows, and is told with it";
  Promoted(Seconds(40));
  EXPECT_TRUE(Look(Seconds(42)));
  EXPECT_EQ(version_.status.trained_to_deployed, 40);
  ASSERT_EQ(version_.status.serving.size(), 2u);
  EXPECT_EQ(Entry(0).from, api::Time{kCreated + Seconds(40)});
  EXPECT_EQ(Entry(1), (api::Serving{"challenger",
                                    {kCreated + Seconds(10)},
                                    api::Time{kCreated + Seconds(40)},
                                    25,
                                    "Promoted",
                                    "better by 0.3"}));
  EXPECT_EQ(Entry(0).role, "champion");
  EXPECT_EQ(Entry(0).share, 100);
  deployment_.status.variants.clear();
  deployment_.status.champion = "v3";
  EXPECT_TRUE(Look(Seconds(99)));
  EXPECT_EQ(Entry(0).outcome, "Retired");
  EXPECT_EQ(Entry(0).verdict, "v3 serves");
  EXPECT_EQ(Entry(0).to, api::Time{kCreated + Seconds(99)});
  EXPECT_FALSE(Look(Seconds(100)));
}

TEST_F(ServingHistory, SaysWhyAVersionWasRolledBack) {
  Serves("challenger", 5);
  Look(Seconds(10));
  Ended("RolledBack", "check errors failed", Seconds(20));
  deployment_.status.variants.clear();
  Look(Seconds(21));
  EXPECT_EQ(Entry(0).outcome, "RolledBack");
  EXPECT_EQ(Entry(0).verdict, "check errors failed");
  // A champion that is rejected.
  Promoted(Seconds(29));
  Serves("champion", 100);
  Look(Seconds(30));
  deployment_.status.variants.clear();
  version_.status.phase = api::VersionPhase::kRejected;
  version_.status.why = "rejected by ada";
  Look(Seconds(40));
  EXPECT_EQ(Entry(0).outcome, "RolledBack");
  EXPECT_EQ(Entry(0).verdict, "rejected by ada");
}

TEST_F(ServingHistory, TakesNoEarlierRolloutsEndForItsOwn) {
  Ended("RolledBack", "long ago", Seconds(5));
  Serves("challenger", 5);
  Look(Seconds(10));
  deployment_.status.variants.clear();
  Look(Seconds(20));
  EXPECT_EQ(Entry(0).outcome, "Superseded");
}

TEST_F(ServingHistory, IsNotWrittenForSmallMovesOfTraffic) {
  Serves("treatment", 10);
  Look(Seconds(10));
  for (const int weight : {12, 14, 11, 3}) {
    Serves("treatment", weight);
    EXPECT_FALSE(Look(Seconds(20))) << weight;
  }
  Serves("treatment", 15);
  EXPECT_TRUE(Look(Seconds(30)));
  EXPECT_EQ(Entry(0).share, 15);
}

TEST_F(ServingHistory, HasAnEnd) {
  for (int i = 0; i < 30; ++i) {
    Serves(i % 2 == 0 ? "a" : "b", 100);
    Look(Seconds(i));
  }
  EXPECT_EQ(version_.status.serving.size(), 10u);
  EXPECT_EQ(Entry(0).from, api::Time{kCreated + Seconds(29)});
}

TEST_F(ServingHistory, OfAVersionThatComesBackBeginsAnew) {
  Promoted(Seconds(10));
  Serves("champion", 100);
  Look(Seconds(11));
  deployment_.status.variants.clear();
  Look(Seconds(20));
  Serves("champion", 100);
  Look(Seconds(30));
  EXPECT_EQ(Entry(0).from, api::Time{kCreated + Seconds(30)});
  EXPECT_EQ(version_.status.trained_to_deployed, 10);
}

TEST_F(ServingHistory, IsRebuiltFromThePromotionAfterALossOfStatus) {
  Promoted(Seconds(90));
  // A deployment that lost its status too knows nothing yet.
  deployment_.status.observed_generation = -1;
  EXPECT_TRUE(Look(Seconds(1000)));
  EXPECT_TRUE(version_.status.serving.empty());
  EXPECT_EQ(version_.status.trained_to_deployed, 90);
  deployment_.status.observed_generation = 1;
  Serves("champion", 100);
  Look(Seconds(1001));
  EXPECT_EQ(Entry(0).from, api::Time{kCreated + Seconds(90)});
}

}  // namespace
}  // namespace perennial::retrain
