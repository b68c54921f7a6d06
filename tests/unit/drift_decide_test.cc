#include "support/judged_monitor.h"

namespace perennial::drift {
namespace {

using api::SignalState;

TEST_F(DriftDecide, ThreeBreachesOfFourLooksBeginAnEpisodeOnce) {
  Looks("--B");
  EXPECT_EQ(Signal().state, SignalState::kWarning);
  EXPECT_FALSE(monitor_.status.episode.has_value());
  Look('B');
  const kube::Plan edge = Look('B');
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
  ASSERT_TRUE(monitor_.status.episode.has_value());
  const api::Episode episode = *monitor_.status.episode;
  EXPECT_EQ(episode.version, "v1");
  EXPECT_EQ(episode.started.value, now_);
  EXPECT_EQ(episode.signals, (std::vector<std::string>{"distance"}));
  EXPECT_EQ(Condition("Drifted"), "True/Drifted");
  ASSERT_EQ(edge.actions.size(), 1u);
  const auto& event = std::get<kube::EmitEvent>(edge.actions[0]);
  EXPECT_EQ(event.reason, "DriftDetected");
  EXPECT_NE(event.note.find("value 0.5, threshold 0.25"), std::string::npos) << event.note;
  const int writes = writes_;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Look('B').actions.empty());
  EXPECT_EQ(*monitor_.status.episode, episode) << "its identity lasts as long as it does";
  EXPECT_EQ(writes_, writes);
}

TEST_F(DriftDecide, AnEpisodeEndsAfterAsManyCalmLooksAndTheNextIsAnother) {
  Looks("BBB");
  const std::string first = monitor_.status.episode->id;
  Looks("--");
  EXPECT_TRUE(monitor_.status.episode.has_value()) << "hysteresis";
  const kube::Plan end = Look('-');
  EXPECT_FALSE(monitor_.status.episode.has_value());
  ASSERT_EQ(end.actions.size(), 1u);
  EXPECT_EQ(std::get<kube::EmitEvent>(end.actions[0]).reason, "DriftEnded");
  EXPECT_EQ(Condition("Drifted"), "False/NoDrift");
  Looks("BBB");
  ASSERT_TRUE(monitor_.status.episode.has_value());
  EXPECT_NE(monitor_.status.episode->id, first);
}

TEST_F(DriftDecide, NoDataIsNeverAVerdict) {
  Looks("????");
  EXPECT_EQ(Signal().state, SignalState::kNoData);
  EXPECT_EQ(Condition("Drifted"), "Unknown/NoData");
  EXPECT_EQ(Condition("Blind"), "True/NoData");
  Looks("BBB");
  EXPECT_EQ(Condition("Drifted"), "True/Drifted");
  Looks("????????");
  EXPECT_EQ(Signal().state, SignalState::kDrifted) << "no data is not an improvement";
  EXPECT_EQ(Condition("Drifted"), "True/Drifted");
  EXPECT_EQ(Condition("Blind"), "True/NoData");
  EXPECT_TRUE(monitor_.status.episode.has_value());
}

TEST_F(DriftDecide, WritesNothingWhileNothingChanges) {
  Looks("----");
  const int writes = writes_;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Look('-', i % 2 == 0 ? "0.012" : "0.031").status, std::nullopt);
    EXPECT_EQ(Decide().status, std::nullopt) << "the same observation again";
  }
  EXPECT_EQ(writes_, writes);
  Look('-', "0.09");
  EXPECT_EQ(writes_, writes + 1) << "moved by more than a quarter of the threshold";
  EXPECT_EQ(Signal().value, "0.09");
}

TEST_F(DriftDecide, TellsAChangedThresholdAndAChangedReasonOfBlindness) {
  Looks("----");
  const int writes = writes_;
  now_ += Seconds{60};
  Evaluation evaluation = Of('-');
  evaluation.threshold = "0.3";
  Add(0, "v1", evaluation);
  Decide();
  EXPECT_EQ(writes_, writes + 1);
  EXPECT_EQ(Signal().threshold, "0.3");
  Looks("????");
  const int blind = writes_;
  Look('?');
  EXPECT_EQ(writes_, blind);
  evaluation = Of('?');
  evaluation.message = "11 samples in the window";
  Add(0, "v1", evaluation);
  Decide();
  EXPECT_EQ(writes_, blind) << "another number is no news";
  evaluation.message = "no pod exposes x";
  Add(0, "v1", evaluation);
  Decide();
  EXPECT_EQ(writes_, blind + 1);
  EXPECT_EQ(Signal().message, "no pod exposes x");
}

TEST_F(DriftDecide, ARestartResumesWithoutAnEdge) {
  Looks("-BBB");
  const api::DriftMonitorStatus before = monitor_.status;
  const int writes = writes_;
  history_ = History();
  history_.Resume(monitor_.status);
  const kube::Plan plan = Decide();
  EXPECT_TRUE(plan.actions.empty());
  EXPECT_EQ(plan.status, std::nullopt);
  // The store begins empty, so the first looks have no data.
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(Look('?').actions.empty());
  EXPECT_EQ(monitor_.status.episode, before.episode);
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
  EXPECT_LE(writes_ - writes, 1) << "Blind once";
  // Halfway to a drift, a restart neither begins nor forgets it.
  Looks("----");
  Looks("BB");
  history_ = History();
  history_.Resume(monitor_.status);
  Decide();
  EXPECT_EQ(Signal().state, SignalState::kWarning);
  Look('B');
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
}

TEST_F(DriftDecide, AChangeOfTheChampionEndsTheEpisode) {
  Looks("BBB");
  ASSERT_TRUE(monitor_.status.episode.has_value());
  deployment_.status.champion = "v2";
  versions_ = {"v2"};
  baseline_ = "v2";
  Decide();
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.champion, "v2");
  EXPECT_EQ(monitor_.status.baseline, "v2");
  ASSERT_EQ(monitor_.status.signals.size(), 1u);
  EXPECT_EQ(Signal().variant, "v2");
  EXPECT_EQ(Signal().state, SignalState::kNoData);
  Looks("BBB");
  EXPECT_EQ(monitor_.status.episode->version, "v2");
}

TEST_F(DriftDecide, ANewChampionThatHasDriftedTooIsAnotherEpisode) {
  versions_ = {"v1", "v2"};
  for (int i = 0; i < 3; ++i) {
    Add(0, "v2", Of('B'));
    Look('B');
  }
  const api::Episode first = *monitor_.status.episode;
  deployment_.status.champion = "v2";
  versions_ = {"v2", "v1"};
  now_ += Seconds{60};
  Decide();
  ASSERT_TRUE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.episode->version, "v2");
  EXPECT_NE(monitor_.status.episode->id, first.id);
  EXPECT_EQ(monitor_.status.episode->started.value, now_);
}

// What it differed from is not what it is compared with now.
TEST_F(DriftDecide, AChallengerThatDiffersFromTheChampionHasNotDriftedOnceItIsTheChampion) {
  monitor_.spec.baseline.from = api::BaselineFrom::kChampion;
  versions_ = {"v1", "v2"};
  for (int i = 0; i < 3; ++i) {
    Add(0, "v2", Of('B'));
    Look('-');
  }
  ASSERT_EQ(monitor_.status.signals.at(1).state, SignalState::kDrifted);
  const auto promote = [&] {
    deployment_.status.champion = "v2";
    versions_ = {"v2", "v1"};
    now_ += Seconds{60};
    Decide();
    EXPECT_EQ(Signal().variant, "v2");
    EXPECT_EQ(Signal().state, SignalState::kNoData);
    EXPECT_EQ(Signal().recent, "");
    EXPECT_EQ(monitor_.status.signals.at(1).state, SignalState::kNoData) << "now it is compared";
    EXPECT_FALSE(monitor_.status.episode.has_value());
  };
  const api::DriftMonitorStatus before = monitor_.status;
  promote();
  Looks("---");
  EXPECT_EQ(Signal().state, SignalState::kOk);
  // The same where the controller begins with it.
  monitor_.status = before;
  history_.Resume(before);
  promote();
  Look('B');
  EXPECT_EQ(Signal().state, SignalState::kWarning);
}

TEST_F(DriftDecide, AChallengersDriftIsShownButStartsNothing) {
  versions_ = {"v1", "v2"};
  for (int i = 0; i < 4; ++i) {
    Add(0, "v2", Of('B'));
    Look('-');
  }
  ASSERT_EQ(monitor_.status.signals.size(), 2u);
  EXPECT_EQ(monitor_.status.signals[1].state, SignalState::kDrifted);
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_EQ(Condition("Drifted"), "False/NoDrift");
}

TEST_F(DriftDecide, AnUnknownChampionChangesNoVerdict) {
  Looks("BBB");
  const auto episode = monitor_.status.episode;
  deployment_.status.champion.clear();
  versions_.clear();
  Decide();
  EXPECT_EQ(Condition("Ready"), "False/NoChampion");
  EXPECT_EQ(monitor_.status.episode, episode);
  has_deployment_ = false;
  Decide();
  EXPECT_EQ(Condition("Ready"), "False/ModelDeploymentNotFound");
  EXPECT_EQ(monitor_.status.episode, episode);
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
}

TEST_F(DriftDecide, SuspensionEndsTheEpisodeAndTellsNothing) {
  Looks("BBB");
  monitor_.spec.suspend = true;
  versions_.clear();
  Decide();
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_TRUE(monitor_.status.signals.empty());
  EXPECT_EQ(Condition("Ready"), "True/Suspended");
  EXPECT_EQ(Condition("Drifted"), "Unknown/Suspended");
}

TEST_F(DriftDecide, ReadySaysWhatHasToBeDone) {
  baseline_.clear();
  Look('?');
  EXPECT_EQ(Condition("Ready"), "False/NoBaseline");
  api::Signal& signal = monitor_.spec.signals[0];
  signal.type = api::SignalType::kModelPerformance;
  signal.tests.clear();
  signal.max = {1, "1"};
  Look('-');
  EXPECT_EQ(Condition("Ready"), "True/Watching") << "a bound needs no baseline";
  Looks("EEEE");
  EXPECT_EQ(Condition("Ready"), "False/SignalError");
  problem_ = "3 of 3 targets failed: connection refused";
  const kube::Plan plan = Look('?');
  EXPECT_EQ(Condition("Ready"), "False/ScrapesFail");
  EXPECT_EQ(plan.why, problem_);
  // Stored before this rule was there.
  monitor_.spec.for_evaluations = monitor_.spec.of_evaluations + 1;
  EXPECT_NE(Look('-').why.find("for is greater than of"), std::string::npos);
  EXPECT_EQ(Condition("Ready"), "False/InvalidSpec");
}

TEST_F(DriftDecide, TheSeverityRisesWithTheDriftAndNeverFalls) {
  monitor_.spec.signals[0].severity = api::Severity::kMinor;
  Looks("BBB");
  ASSERT_TRUE(monitor_.status.episode.has_value());
  const std::string id = monitor_.status.episode->id;
  EXPECT_EQ(monitor_.status.episode->severity, api::Severity::kMinor);
  EXPECT_EQ(Signal().severity, api::Severity::kMinor);
  Looks("CC");
  EXPECT_EQ(Signal().severity, api::Severity::kMinor) << "three critical looks of four are asked";
  Looks("C");
  EXPECT_EQ(Signal().severity, api::Severity::kCritical);
  EXPECT_EQ(monitor_.status.episode->severity, api::Severity::kCritical);
  Looks("BBBB--");
  EXPECT_EQ(Signal().severity, api::Severity::kCritical);
  EXPECT_EQ(monitor_.status.episode->severity, api::Severity::kCritical);
  EXPECT_EQ(monitor_.status.episode->id, id);
  Looks("--");
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_FALSE(Signal().severity.has_value());
  Looks("BBB");
  EXPECT_EQ(monitor_.status.episode->severity, api::Severity::kMinor) << "another drift";
}

TEST_F(DriftDecide, TheEpisodeFollowsThePolicy) {
  WatchSignals(4);
  monitor_.spec.policy = {api::PolicyMode::kShare, api::Decimal{0.5, "0.5"}};
  monitor_.spec.signals[3].severity = api::Severity::kCritical;
  for (int i = 0; i < 3; ++i) LookAtAll("B--?");
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_EQ(Condition("Drifted"), "False/BelowPolicy");
  for (int i = 0; i < 3; ++i) LookAtAll("B-?B");
  ASSERT_TRUE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.episode->signals, (std::vector<std::string>{"s0", "s3"}));
  EXPECT_EQ(monitor_.status.episode->severity, api::Severity::kCritical);
  EXPECT_EQ(Condition("Drifted"), "True/Drifted");
  for (int i = 0; i < 4; ++i) LookAtAll("?E--");
  EXPECT_FALSE(monitor_.status.episode.has_value()) << "s0 alone is a quarter";
  EXPECT_EQ(Condition("Drifted"), "False/BelowPolicy");
}

TEST_F(DriftDecide, ASignalOfNoWeightIsShownAndStartsNothing) {
  WatchSignals(2);
  monitor_.spec.signals[0].weight = api::Decimal{0, "0"};
  for (int i = 0; i < 3; ++i) LookAtAll("B-");
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
  EXPECT_FALSE(monitor_.status.episode.has_value());
  for (int i = 0; i < 3; ++i) LookAtAll("BB");
  ASSERT_TRUE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.episode->signals, std::vector<std::string>{"s1"});
}

}  // namespace
}  // namespace perennial::drift
