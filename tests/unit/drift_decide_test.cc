#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "drift/decide.h"

namespace perennial::drift {
namespace {

using api::SignalState;

const WallTime kNow = *ParseTime("2026-11-24T16:00:00Z");

// One monitor of one signal, driven look by look as the reconciler does it, with status written and
// read back between the looks.
class DriftDecide : public ::testing::Test {
 protected:
  DriftDecide() {
    monitor_.meta.key = {"ns", "m"};
    monitor_.meta.uid = "uid-1";
    monitor_.meta.generation = 3;
    monitor_.spec.target.model_deployment = "d";
    api::Signal signal;
    signal.name = "distance";
    signal.metric = "x";
    signal.tests = {{"population_stability_index", {}, {0.25, "0.25"}}};
    monitor_.spec.signals = {signal};
    deployment_.status.champion = "v1";
    versions_ = {"v1"};
  }

  static Evaluation Of(char mark, const std::string& value = "") {
    Evaluation evaluation;
    switch (mark) {
      case 'B':
        evaluation = {SignalState::kDrifted, "0.5", "0.25", 1000, "breach", {}};
        break;
      case 'C':
        evaluation = {SignalState::kDrifted, "0.9", "0.25", 1000, "breach", {}, true};
        break;
      case 'w':
        evaluation = {SignalState::kWarning, "0.2", "0.25", 1000, "warning", {}};
        break;
      case '-':
        evaluation = {SignalState::kOk, "0.01", "0.25", 1000, "fine", {}};
        break;
      case 'E':
        evaluation = {SignalState::kError, "", "", 0, "x is a Gauge", {}};
        break;
      default:
        evaluation = {SignalState::kNoData, "", "", 10, "10 samples in the window", {}};
    }
    if (!value.empty()) evaluation.value = value;
    return evaluation;
  }

  kube::Plan Decide() {
    Observed seen;
    seen.monitor = std::make_shared<api::DriftMonitor>(monitor_);
    if (has_deployment_) seen.deployment = std::make_shared<api::ModelDeployment>(deployment_);
    if (has_deployment_) seen.versions = versions_;
    seen.baseline = baseline_;
    seen.history = history_;
    seen.targets = seen.targets_up = 3;
    seen.problem = problem_;
    seen.next_evaluation = now_ + Seconds{60};
    const kube::Plan plan = drift::Decide(seen, now_);
    EXPECT_EQ(plan.wake_at, seen.next_evaluation);
    // What is worth no write need not be remembered.
    Observed brief = seen;
    brief.history.Settle([&](const History::Id& id) { return TellsMore(seen, id, now_); });
    EXPECT_TRUE(drift::Decide(brief, now_) == plan) << plan.why;
    if (plan.status) {
      ++writes_;
      nlohmann::json object = {{"apiVersion", "perennial.dev/v1alpha1"},
                               {"kind", "DriftMonitor"},
                               {"metadata", {{"name", "m"}, {"namespace", "ns"}, {"uid", "u"}}},
                               {"spec", nlohmann::json::parse(api::EncodeSpec(monitor_.spec))},
                               {"status", nlohmann::json::parse(*plan.status)}};
      // The signals here have no tests; their spec need not pass validation.
      const auto decoded = api::DecodeDriftMonitor(object);
      EXPECT_TRUE(decoded.ok()) << decoded.error().message;
      if (decoded.ok()) monitor_.status = decoded->status;
    }
    return plan;
  }

  // One look at each of s0, s1, ...
  kube::Plan LookAtAll(const std::string& marks) {
    now_ += Seconds{60};
    for (std::size_t i = 0; i < marks.size(); ++i) {
      history_.Add({"s" + std::to_string(i), versions_.front()}, Of(marks[i]),
                   monitor_.spec.of_evaluations);
    }
    return Decide();
  }
  void WatchSignals(int count) {
    monitor_.spec.signals.clear();
    for (int i = 0; i < count; ++i) {
      api::Signal signal;
      signal.name = "s" + std::to_string(i);
      signal.metric = "x";
      monitor_.spec.signals.push_back(signal);
    }
  }
  kube::Plan Look(char mark, const std::string& value = "") {
    now_ += Seconds{60};
    history_.Add({"distance", versions_.front()}, Of(mark, value), monitor_.spec.of_evaluations);
    return Decide();
  }
  void Looks(const std::string& marks) {
    for (const char mark : marks) Look(mark);
  }

  const api::SignalStatus& Signal() const { return monitor_.status.signals.at(0); }
  std::string Condition(const char* type) const {
    const auto* condition = kube::FindCondition(monitor_.status.conditions, type);
    return condition == nullptr ? "" : condition->status + "/" + condition->reason;
  }

  api::DriftMonitor monitor_;
  api::ModelDeployment deployment_;
  std::vector<std::string> versions_;
  History history_;
  std::string baseline_ = "v1";
  std::string problem_;
  bool has_deployment_ = true;
  WallTime now_ = kNow;
  int writes_ = 0;
};

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
  history_.Add({"distance", "v1"}, evaluation, 4);
  Decide();
  EXPECT_EQ(writes_, writes + 1);
  EXPECT_EQ(Signal().threshold, "0.3");
  Looks("????");
  const int blind = writes_;
  Look('?');
  EXPECT_EQ(writes_, blind);
  evaluation = Of('?');
  evaluation.message = "11 samples in the window";
  history_.Add({"distance", "v1"}, evaluation, 4);
  Decide();
  EXPECT_EQ(writes_, blind) << "another number is no news";
  evaluation.message = "no pod exposes x";
  history_.Add({"distance", "v1"}, evaluation, 4);
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
    history_.Add({"distance", "v2"}, Of('B'), 4);
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

TEST_F(DriftDecide, AChallengersDriftIsShownButStartsNothing) {
  versions_ = {"v1", "v2"};
  for (int i = 0; i < 4; ++i) {
    history_.Add({"distance", "v2"}, Of('B'), 4);
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

TEST_F(DriftDecide, AnotherSpecForgetsWhatTheOneBeforeFoundOfATargetThatIsGone) {
  Looks("BBB");
  ++monitor_.meta.generation;
  monitor_.spec.target.model_deployment = "gone";
  has_deployment_ = false;
  baseline_.clear();
  Decide();
  EXPECT_EQ(Condition("Ready"), "False/ModelDeploymentNotFound");
  EXPECT_EQ(Condition("Drifted"), "Unknown/NoData");
  EXPECT_TRUE(monitor_.status.signals.empty());
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.champion, "");
}

TEST_F(DriftDecide, AnotherSpecsDriftEndsOnceAWholeWindowOfThisOnesLooksHasNoData) {
  Looks("BBB");
  ++monitor_.meta.generation;
  history_.BeginAnew();
  Looks("???");
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
  EXPECT_EQ(Signal().observed_generation, 3);
  Look('?');
  EXPECT_EQ(Signal().state, SignalState::kNoData);
  EXPECT_EQ(Signal().since.value, now_);
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_EQ(Condition("Drifted"), "Unknown/NoData");
}

TEST_F(DriftDecide, ADriftThatThisSpecHasSeenTooOutlastsAnyTimeWithoutData) {
  Looks("BBB");
  ++monitor_.meta.generation;
  history_.BeginAnew();
  Looks("B?????????");
  EXPECT_EQ(Signal().state, SignalState::kDrifted);
  EXPECT_EQ(Signal().observed_generation, 4);
  EXPECT_TRUE(monitor_.status.episode.has_value());
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
