#include <gtest/gtest.h>

#include <string>

#include "api/measure_names.h"
#include "drift/evaluation.h"
#include "drift/fairness.h"
#include "stats/fairness.h"
#include "support/text.h"
#include "support/windows.h"

namespace perennial::drift {
namespace {

using api::SignalState;
using testing::Has;

TEST(FairnessNames, AreThoseOfTheStatistics) {
  for (std::size_t i = 0; i < api::kFairnessNames.size(); ++i) {
    EXPECT_EQ(stats::ToString(static_cast<stats::FairnessMeasure>(i)), api::kFairnessNames[i]);
  }
}

class FairnessSignal : public ::testing::Test {
 protected:
  FairnessSignal() {
    signal_.type = api::SignalType::kFairness;
    signal_.fairness = api::Fairness{};
    signal_.fairness->metric = "predictions_total";
    signal_.fairness->measure = "demographic_parity_difference";
    signal_.max = {0.1, "0.1"};
    window_.targets = window_.targets_up = 1;
    window_.newest_age = Millis{0};
  }

  void Count(const std::string& group, const std::string& predicted, const std::string& actual,
             double increase) {
    scrape::SeriesWindow series;
    series.metric = "predictions_total";
    series.kind = scrape::SeriesKind::kCounter;
    series.labels = {{"actual", actual}, {"group", group}, {"predicted", predicted}};
    series.increase = increase;
    window_.series.push_back(series);
  }
  void Group(const std::string& group, double tp, double fp, double fn, double tn) {
    Count(group, "1", "1", tp);
    Count(group, "1", "0", fp);
    Count(group, "0", "1", fn);
    Count(group, "0", "0", tn);
  }
  Evaluation Judge() const { return testing::Evaluate(signal_, window_, nullptr, 100); }

  api::Signal signal_;
  scrape::WindowView window_;
};

TEST_F(FairnessSignal, NamesTheGroupsAndTheirRates) {
  Group("north", 400, 100, 100, 400);  // selected 50 %
  Group("south", 200, 50, 250, 500);   // 25 %
  Group("west", 300, 100, 100, 500);   // 40 %
  const Evaluation judged = Judge();
  EXPECT_EQ(judged.outcome, SignalState::kDrifted);
  EXPECT_EQ(judged.value, "0.25");
  EXPECT_EQ(judged.samples, 3000);
  EXPECT_PRED2(Has, judged.message,
               "lowest: south (selection rate 25.0 %), greatest: north (selection rate 50.0 %)");
  signal_.fairness->measure = "equalized_odds_difference";
  EXPECT_EQ(Judge().value, "0.355556") << "true positive rates 400/500 and 200/450";
  signal_.fairness->measure = "demographic_parity_ratio";
  signal_.max.reset();
  signal_.min = {0.8, "0.8"};
  EXPECT_EQ(Judge().value, "0.5");
  EXPECT_EQ(Judge().outcome, SignalState::kDrifted);
  signal_.min = {0.4, "0.4"};
  EXPECT_EQ(Judge().outcome, SignalState::kOk);
}

TEST_F(FairnessSignal, WhatChanceAloneCouldDoIsAWarning) {
  Group("north", 20, 0, 0, 30);
  Group("south", 14, 0, 0, 36);
  const Evaluation judged = Judge();
  EXPECT_EQ(judged.value, "0.12");
  EXPECT_EQ(judged.outcome, SignalState::kWarning);
  EXPECT_PRED2(Has, judged.message, "by chance");
}

TEST_F(FairnessSignal, SmallGroupsAreNamedAndNotJudged) {
  Group("north", 400, 100, 100, 400);
  Group("south", 400, 90, 100, 410);
  Group("tiny", 0, 0, 10, 10);
  const Evaluation judged = Judge();
  EXPECT_EQ(judged.outcome, SignalState::kOk) << judged.message;
  EXPECT_PRED2(Has, judged.message, "left out: too few samples of tiny");
  window_.series.resize(4);
  Group("tiny", 0, 0, 10, 10);
  EXPECT_EQ(Judge().outcome, SignalState::kNoData);
  EXPECT_PRED2(Has, Judge().message, "fewer than two groups to compare: too few samples of tiny");
}

TEST_F(FairnessSignal, AGroupWithoutPositivesHasNoTruePositiveRate) {
  signal_.fairness->measure = "equal_opportunity_difference";
  Group("north", 400, 100, 100, 400);
  Group("south", 0, 100, 0, 900);
  EXPECT_EQ(Judge().outcome, SignalState::kNoData);
  EXPECT_PRED2(Has, Judge().message, "south has 0 actual positives");
}

TEST_F(FairnessSignal, ASmallClassInOneGroupHidesNoOthers) {
  signal_.fairness->measure = "equal_opportunity_difference";
  Group("north", 400, 100, 100, 400);
  Group("south", 200, 100, 300, 400);
  Group("islands", 5, 40, 4, 31);
  Group("tiny", 1, 1, 1, 1);
  const Evaluation judged = Judge();
  EXPECT_EQ(judged.outcome, SignalState::kDrifted) << judged.message;
  EXPECT_EQ(judged.value, "0.4");
  EXPECT_PRED2(Has, judged.message,
               "left out: too few samples of tiny, fewer than minGroupSamples 30; group islands "
               "has 9 actual positives, too few to compare its rate");
}

TEST_F(FairnessSignal, SaysWhichLabelIsMissing) {
  signal_.fairness->group_label = "sex";
  Group("north", 400, 100, 100, 400);
  EXPECT_EQ(Judge().outcome, SignalState::kError);
  EXPECT_PRED2(Has, Judge().message, "set groupLabel");
  window_.series.clear();
  EXPECT_EQ(Judge().outcome, SignalState::kNoData);
}

}  // namespace
}  // namespace perennial::drift
