// What an edit of the spec leaves of a drift.
#include "support/judged_monitor.h"

namespace perennial::drift {
namespace {

using api::SignalState;

TEST_F(DriftDecide, AnUnknownChampionKeepsTheEpisodeOverAnEditOfTheBounds) {
  Looks("BBB");
  const auto episode = monitor_.status.episode;
  monitor_.spec.signals[0].tests[0].threshold = {0.3, "0.3"};
  Edit();
  deployment_.status.champion.clear();
  versions_.clear();
  Decide();
  EXPECT_EQ(monitor_.status.observed_generation, 4);
  EXPECT_EQ(monitor_.status.champion, "v1");
  EXPECT_EQ(monitor_.status.episode, episode);
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
  EXPECT_EQ(Signal().recent, "") << "a restart must not take them for looks by these bounds";
  EXPECT_EQ(Decide().status, std::nullopt);
}

TEST_F(DriftDecide, ATargetThatIsGoneIsNotTheOneThatHadDrifted) {
  Looks("BBB");
  monitor_.spec.target.model_deployment = "gone";
  Edit();
  has_deployment_ = false;
  baseline_.clear();
  Decide();
  EXPECT_EQ(Condition("Ready"), "False/ModelDeploymentNotFound");
  EXPECT_EQ(Condition("Drifted"), "Unknown/NoData");
  EXPECT_TRUE(monitor_.status.signals.empty());
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.champion, "");
}

TEST_F(DriftDecide, ADriftOutlastsAnEditOfItsBoundsAndAnyTimeWithoutData) {
  Looks("BBB");
  const std::string id = monitor_.status.episode->id;
  monitor_.spec.signals[0].tests[0].threshold = {0.3, "0.3"};
  monitor_.spec.signals[0].window = api::Duration{Seconds{600}};
  monitor_.spec.interval = api::Duration{Seconds{30}};
  monitor_.spec.min_samples = 5'000;
  Edit();
  Looks("????????");
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
  ASSERT_TRUE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.episode->id, id);
}

TEST_F(DriftDecide, AnotherQuantityUnderTheSameNameBeginsAnew) {
  Looks("BBB");
  monitor_.spec.signals[0].metric = "y";
  Edit();
  now_ += Seconds{5};
  const kube::Plan plan = Decide();
  EXPECT_EQ(Signal().state, SignalState::kNoData) << "before any look at it";
  EXPECT_EQ(Signal().since.value, now_);
  EXPECT_EQ(Signal().value, "");
  EXPECT_FALSE(Signal().severity.has_value());
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_EQ(Condition("Drifted"), "Unknown/NoData");
  ASSERT_EQ(plan.actions.size(), 1u);
  EXPECT_EQ(std::get<kube::EmitEvent>(plan.actions[0]).reason, "DriftEnded");
  Looks("BB");
  EXPECT_EQ(Signal().state, SignalState::kWarning);
  Looks("B");
  EXPECT_TRUE(monitor_.status.episode.has_value());
}

TEST_F(DriftDecide, LooksAtAnotherQuantityCountForNothingAfterARestart) {
  Looks("-BB");
  const std::string definition = Signal().definition;
  EXPECT_FALSE(definition.empty());
  monitor_.spec.signals[0].metric = "y";
  history_.Resume(monitor_.status);
  Look('B');
  EXPECT_EQ(Signal().recent, "B");
  EXPECT_EQ(Signal().state, SignalState::kWarning);
  EXPECT_NE(Signal().definition, definition);
}

TEST_F(DriftDecide, AnEditOfOneSignalLeavesTheDriftOfAnother) {
  WatchSignals(2);
  for (int i = 0; i < 3; ++i) LookAtAll("BB");
  const std::string id = monitor_.status.episode->id;
  monitor_.spec.signals[0].metric = "y";
  Edit();
  Decide();
  EXPECT_EQ(Signal().state, SignalState::kNoData);
  ASSERT_TRUE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.episode->id, id);
  EXPECT_EQ(monitor_.status.episode->signals, std::vector<std::string>{"s1"});
}

TEST_F(DriftDecide, ARowWithoutDefinitionIsOfTheSameQuantity) {
  Looks("BBB");
  monitor_.status.signals[0].definition.clear();
  history_ = History();
  history_.Resume(monitor_.status);
  Decide();
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
  EXPECT_TRUE(monitor_.status.episode.has_value());
  EXPECT_FALSE(Signal().definition.empty()) << "from now on it can be told";
}

}  // namespace
}  // namespace perennial::drift
