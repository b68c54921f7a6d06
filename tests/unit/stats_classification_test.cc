#include <gtest/gtest.h>

#include <map>
#include <string>

#include "stats/classification.h"
#include "support/vectors.h"

namespace perennial::stats {
namespace {

TEST(Classification, MatchesFairlearnsAccuracyOfGroups) {
  for (const auto& test : testing::Cases("fairness")) {
    std::map<std::string, Classified> groups;
    const auto& inputs = test["inputs"];
    for (std::size_t i = 0; i < inputs["group"].size(); ++i) {
      Classified& counted = groups[inputs["group"][i].get<std::string>()];
      counted.total += 1;
      if (inputs["y_pred"][i] == inputs["y_true"][i]) counted.correct += 1;
    }
    for (const auto& [group, accuracy] : test["expected"]["accuracy_by_group"].items()) {
      EXPECT_NEAR(Accuracy(groups.at(group)).value(), accuracy.get<double>(), 1e-12) << group;
    }
  }
}

TEST(Classification, FollowsTheDefinitions) {
  // Of 45 positives 30 were found, among 40 predictions of it; 45 of 55 negatives were right.
  const Classified counted{100, 75, 30, 40, 45};
  EXPECT_DOUBLE_EQ(Accuracy(counted).value(), 0.75);
  EXPECT_DOUBLE_EQ(Precision(counted).value(), 0.75);
  EXPECT_NEAR(Recall(counted).value(), 0.6666666666666666, 1e-15);
  EXPECT_NEAR(F1Score(counted).value(), 0.7058823529411765, 1e-15);
}

TEST(Classification, HasNoValueWhereNothingWasCounted) {
  EXPECT_FALSE(Accuracy({}).has_value());
  const Classified negatives{10, 10, 0, 0, 0};
  EXPECT_EQ(Accuracy(negatives), 1);
  EXPECT_FALSE(Precision(negatives).has_value());
  EXPECT_FALSE(Recall(negatives).has_value());
  EXPECT_FALSE(F1Score(negatives).has_value());
  EXPECT_EQ(F1Score({10, 0, 0, 5, 5}), 0) << "nothing right, but something to be right about";
}

}  // namespace
}  // namespace perennial::stats
