#include <gtest/gtest.h>

#include "drift/explain.h"

namespace perennial::drift {
namespace {

using stats::Categories;
using stats::Distribution;

stats::Histogram Counted(std::vector<double> bounds, std::vector<double> counts) {
  return *stats::MakeHistogram(std::move(bounds), std::move(counts));
}

TEST(Explain, NamesTheBucketsThatMovedMost) {
  const auto moved = MostMoved(Distribution(Counted({10, 20, 40}, {25, 25, 25, 25})),
                               Distribution(Counted({10, 20, 40}, {100, 260, 270, 370})));
  ASSERT_EQ(moved.size(), 3u);
  EXPECT_EQ(moved[0], (api::BinShift{"<= 10", "0.2500", "0.1000"}));
  EXPECT_EQ(moved[1], (api::BinShift{"> 40", "0.2500", "0.3700"}));
  EXPECT_EQ(moved[2], (api::BinShift{"(20, 40]", "0.2500", "0.2700"}));
  EXPECT_EQ(DescribeMoves(moved),
            "<= 10 25.0% -> 10.0%, > 40 25.0% -> 37.0%, (20, 40] 25.0% -> 27.0%");
}

TEST(Explain, ComparesAtTheBoundsThatBothHave) {
  const auto moved = MostMoved(Distribution(Counted({10, 20, 40}, {10, 30, 30, 30})),
                               Distribution(Counted({20, 30}, {80, 10, 10})));
  ASSERT_EQ(moved.size(), 2u);
  EXPECT_EQ(moved[0], (api::BinShift{"<= 20", "0.4000", "0.8000"}));
  EXPECT_EQ(moved[1], (api::BinShift{"> 20", "0.6000", "0.2000"}));
}

TEST(Explain, NamesCategoriesNewOnesToo) {
  const auto moved =
      MostMoved(Distribution(Categories{{"sun", 80}, {"rain", 20}}),
                Distribution(Categories{{"sun", 10}, {"snow", 30}, {std::string(500, 'x'), 60}}));
  ASSERT_EQ(moved.size(), 3u);
  EXPECT_EQ(moved[0].bin, "sun");
  EXPECT_LE(moved[1].bin.size(), 64u) << "a label value may be of any length";
  EXPECT_EQ(moved[2], (api::BinShift{"snow", "0.0000", "0.3000"}));
}

TEST(Explain, SaysNothingWhereNothingCanBeCompared) {
  const Distribution histogram(Counted({1}, {1, 1}));
  EXPECT_TRUE(MostMoved(histogram, histogram).empty()) << "nothing moved";
  EXPECT_TRUE(MostMoved(histogram, Distribution(Counted({1}, {0, 0}))).empty());
  EXPECT_TRUE(MostMoved(histogram, Distribution(Counted({2}, {1, 1}))).empty());
  EXPECT_TRUE(MostMoved(histogram, Distribution(Categories{{"a", 1}})).empty());
  EXPECT_EQ(DescribeMoves({}), "");
}

}  // namespace
}  // namespace perennial::drift
