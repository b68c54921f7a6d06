// Whole stories of the product, in which the controller's process dies before or after each of its
// writes, or learns nothing of one: the end must always be the same.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/names.h"
#include "component/story_world.h"

namespace perennial::testing {
namespace {

using nlohmann::json;
using Kind = Trouble::Kind;

std::string Champion(const StoryWorld& world) {
  return world.Object(api::kModelDeployments, "departures")
      .value("status", json::object())
      .value("champion", "");
}

// Lets the world run until this holds, half an hour at most, and then a little longer.
void RunUntil(StoryWorld& world, const std::function<bool()>& holds, Millis longer) {
  for (int i = 0; i < 180 && !holds(); ++i) world.Run(Millis(10'000));
  world.Run(longer);
}

std::string LastOutcome(const StoryWorld& world) {
  const json history = world.Object(api::kModelDeployments, "departures")
                           .value("status", json::object())
                           .value("history", json::array());
  return history.empty() ? ""
                         : history[0].value("outcome", "") + " " + history[0].value("version", "");
}

bool Drifted(const StoryWorld& world) {
  return world.Object(api::kDriftMonitors, "departures")
      .value("status", json::object())
      .contains("episode");
}

// The first model is trained at somebody's request and serves; then the inputs drift, a second one
// is trained, approved and rolled out in two steps; on its baseline nothing drifts any more.
void DriftIsCured(StoryWorld& world) {
  RunUntil(
      world, [&] { return !Champion(world).empty(); }, std::chrono::minutes(4));
  world.drifted = true;
  RunUntil(
      world,
      [&] { return LastOutcome(world) == "Promoted " + world.VersionName(2) && !Drifted(world); },
      std::chrono::minutes(3));
}

// The same, but the second model's pods never get ready: it is rolled back and rejected.
void BadModelIsRolledBack(StoryWorld& world) {
  world.broken = {2};
  RunUntil(
      world, [&] { return !Champion(world).empty(); }, std::chrono::minutes(4));
  world.drifted = true;
  RunUntil(
      world, [&] { return LastOutcome(world).starts_with("RolledBack"); }, std::chrono::minutes(3));
}

// The first story with a rollout that is probed by a Job and by the monitor, and with autoscaled
// pods.
void DriftIsCuredUnderProbes(StoryWorld& world) {
  world.EditDeployment(json::parse(R"({
    "replicas": null, "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
    "disruptionBudget": {"maxUnavailable": 1},
    "rollout": {"analysis": {"interval": "15s", "probes": [
      {"name": "drift", "driftMonitor": {"name": "departures"}, "step": 2},
      {"name": "smoke", "step": 1, "job": {"template": {"spec": {"template": {"spec": {
        "containers": [{"name": "smoke", "image": "smoke:1"}]}}}}}}]}}})"));
  DriftIsCured(world);
}

// The first model serves; then there is a reason to train another one that is no drift.
void ATriggerRetrains(StoryWorld& world) {
  RunUntil(
      world, [&] { return !Champion(world).empty(); }, std::chrono::minutes(4));
  world.turned = world.writes();
  world.rows = 20'000;
  RunUntil(
      world, [&] { return LastOutcome(world) == "Promoted " + world.VersionName(2); },
      std::chrono::minutes(3));
}

// The same by an event. Its sender tries until it gets an answer, and once more for good measure.
void AnEventRetrains(StoryWorld& world) {
  RunUntil(
      world, [&] { return !Champion(world).empty(); }, std::chrono::minutes(4));
  world.turned = world.writes();
  for (int i = 0, answers = 0; i < 20 && answers < 2; ++i) {
    const int status = world.PostEvent("load-17");
    answers += status == 200 || status == 202;
    world.Run(Millis(10'000));
  }
  RunUntil(
      world, [&] { return LastOutcome(world) == "Promoted " + world.VersionName(2); },
      std::chrono::minutes(3));
}

const std::vector<std::string> kFleet = {"departures", "arrivals", "transfers"};

// Three models are trained together at somebody's request and serve; then the inputs of all of them
// drift. One run trains them anew, and what comes of it for transfers is too bad for its gate.
void AGroupTrainsTogether(StoryWorld& world) {
  const auto all = [&](const std::function<bool(const std::string& model)>& holds) {
    return std::all_of(kFleet.begin(), kFleet.end(), holds);
  };
  RunUntil(
      world,
      [&] {
        return all([&](const std::string& model) {
          const json status =
              world.Object(api::kModelDeployments, model).value("status", json::object());
          return !status.value("champion", "").empty();
        });
      },
      std::chrono::minutes(4));
  world.turned = world.writes();
  world.approve = false;
  world.drifted = true;
  world.errors["transfers"] = 5;
  RunUntil(
      world,
      [&] {
        return all([&](const std::string& model) {
          const std::string phase = world.Phase(world.VersionName(2, model));
          return phase == (model == "transfers" ? "GatesFailed" : "AwaitingApproval");
        });
      },
      std::chrono::minutes(3));
}

using Story = std::function<void(StoryWorld&)>;

struct Told {
  std::string summary;
  int writes = 0;
  int turned = 0;
  int crashes = 0;
  std::vector<std::string> violations;
  std::vector<std::string> log;
};

struct Plot {
  Story story;
  StorySetting setting{};
};

Told Tell(const Plot& plot, std::vector<Trouble> trouble = {},
          std::optional<std::uint32_t> lag = {}) {
  StoryWorld world(std::move(trouble), lag, plot.setting);
  plot.story(world);
  return {world.Summary(), world.writes(),     world.turned,
          world.crashes(), world.violations(), world.log()};
}

std::string Tail(const std::vector<std::string>& log, int around) {
  std::string out;
  for (std::size_t i = 0; i < log.size(); ++i) {
    if (std::abs(static_cast<int>(i) + 1 - around) <= 3) out += log[i].substr(0, 300) + "\n";
  }
  return out;
}

void ExpectSame(const Told& told, const Told& reference, int at) {
  EXPECT_EQ(told.summary, reference.summary) << "around the trouble:\n" << Tail(told.log, at);
  EXPECT_EQ(told.violations, std::vector<std::string>());
}

bool Says(const Told& told, const std::string& line) {
  return ("\n" + told.summary).find("\n" + line + "\n") != std::string::npos;
}

TEST(Story, DriftIsCuredByRetraining) {
  const Told told = Tell({DriftIsCured});
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line :
       {"V1 by Manual: Approved, promoted", "V2 by Drift: Approved, promoted",
        "champion V2, challenger none", "  Promoted=True Promoted", "pods of V2: 2",
        "weight of V2: 100", "jobs: 2", "run by Drift: Succeeded, made V2",
        "run by Manual: Succeeded, made V1", "monitor Drifted=False"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
  EXPECT_FALSE(Says(told, "pods of V1: 2"));
}

TEST(Story, AWorkloadTrainsAsAJobDoes) {
  EXPECT_EQ(Tell({DriftIsCured, {StoryWorld::Training::kWorkload}}).summary,
            Tell({DriftIsCured}).summary);
}

TEST(Story, ATimeRetrains) {
  const Told told = Tell({ATriggerRetrains, {.trigger = StoryWorld::Trigger::kSchedule}});
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line : {"V2 by Schedule: Approved, promoted", "jobs: 2",
                           "run by Schedule: Succeeded, made V2", "monitor Drifted=False"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
}

TEST(Story, NewDataRetrains) {
  const Told told = Tell({ATriggerRetrains, {.trigger = StoryWorld::Trigger::kNewData}});
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line : {"V2 by NewData: Approved, promoted", "jobs: 2",
                           "run by NewData: Succeeded, made V2", "monitor Drifted=False"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
}

TEST(Story, AnEventRetrains) {
  const Told told = Tell({AnEventRetrains, {.trigger = StoryWorld::Trigger::kEvent}});
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line : {"V2 by Event: Approved, promoted", "jobs: 2",
                           "run by Event: Succeeded, made V2", "monitor Drifted=False"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
}

TEST(Story, AGroupTrainsTogether) {
  StoryWorld world({}, {}, {.others = {"arrivals", "transfers"}});
  AGroupTrainsTogether(world);
  EXPECT_EQ(world.violations(), std::vector<std::string>());
  const std::string summary = world.Summary();
  EXPECT_NE(summary.find("jobs: 2\n"), std::string::npos)
      << "one each time that all three were to be trained:\n"
      << summary;
  std::set<std::string> uids;
  std::set<std::string> digests;
  for (const std::string& model : kFleet) {
    EXPECT_EQ(world.Phase(world.VersionName(1, model)), "Approved") << summary;
    EXPECT_EQ(world.Phase(world.VersionName(2, model)),
              model == "transfers" ? "GatesFailed" : "AwaitingApproval")
        << summary;
    const json spec = world.Object(api::kModelVersions, world.VersionName(2, model))["spec"];
    EXPECT_EQ(spec["origin"]["triggerType"], "Drift") << spec;
    EXPECT_EQ(spec["parent"], world.VersionName(1, model));
    uids.insert(spec["origin"]["jobUID"].get<std::string>());
    digests.insert(spec["model"]["digest"].get<std::string>());
  }
  EXPECT_EQ(uids.size(), 1u);
  EXPECT_EQ(digests.size(), 3u);
  const std::size_t before = world.log().size();
  world.Run(std::chrono::hours(1));
  EXPECT_EQ(world.log().size(), before) << world.log().back();
}

TEST(Story, AGroupOfWorkloadsTrainsTogether) {
  const std::vector<std::string> others = {"arrivals", "transfers"};
  const auto tell = [&](StoryWorld::Training training) {
    return Tell({AGroupTrainsTogether, {.training = training, .others = others}});
  };
  const Told told = tell(StoryWorld::Training::kWorkload);
  EXPECT_EQ(told.violations, std::vector<std::string>());
  EXPECT_EQ(told.summary, tell(StoryWorld::Training::kJob).summary);
}

TEST(Story, ABadModelIsRolledBack) {
  const Told told = Tell({BadModelIsRolledBack});
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line :
       {"V1 by Manual: Approved, promoted", "V2 by Drift: Rejected", "champion V1, challenger none",
        "pods of V1: 2", "weight of V1: 100", "jobs: 2", "approvals: 3", "monitor Drifted=True"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
}

TEST(Story, ProbesAndAutoscalersChangeNothingOfTheCure) {
  StoryWorld world;
  DriftIsCuredUnderProbes(world);
  EXPECT_EQ(world.violations(), std::vector<std::string>());
  EXPECT_EQ(Champion(world), world.VersionName(2)) << world.Summary();
  EXPECT_NE(world.Summary().find("pods of V2: 4\n"), std::string::npos)
      << "what two pods had half of takes four, and nobody takes any away without looking at "
         "load:\n"
      << world.Summary();
  EXPECT_NE(world.Summary().find("jobs: 3\n"), std::string::npos)
      << "two runs and one probe, since a first version is compared with nothing:\n"
      << world.Summary();
  EXPECT_EQ(world.api().List(api::kAutoscalers).size(), 1u);
  EXPECT_EQ(world.api().List(api::kDisruptionBudgets).size(), 1u);
  const json checks = world.Object(api::kModelDeployments, "departures")["status"]["rollout"].value(
      "checks", json::array());
  ASSERT_EQ(checks.size(), 2u) << checks;
  for (const json& check : checks) EXPECT_EQ(check["verdict"], "Pass") << check;
  const std::size_t before = world.log().size();
  world.Run(std::chrono::hours(1));
  EXPECT_EQ(world.log().size(), before) << world.log().back();
}

TEST(Story, NothingIsWrittenOnceAllIsWell) {
  StoryWorld world;
  DriftIsCured(world);
  const std::size_t before = world.log().size();
  world.Run(std::chrono::hours(2));
  for (std::size_t i = before; i < world.log().size(); ++i) {
    ADD_FAILURE() << world.log()[i];
  }
}

// Sanitizers make a story ten times as slow: they see every fifth place.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kStride = 5;
#else
constexpr int kStride = 1;
#endif

class RestartAnywhere : public ::testing::TestWithParam<int> {
 protected:
  static Plot StoryOf(int i) {
    using Trigger = StoryWorld::Trigger;
    switch (i) {
      case 1:
        return {BadModelIsRolledBack};
      case 2:
        return {DriftIsCured, {.training = StoryWorld::Training::kWorkload}};
      case 3:
        return {DriftIsCuredUnderProbes};
      case 4:
        return {ATriggerRetrains, {.trigger = Trigger::kSchedule}};
      case 5:
        return {ATriggerRetrains, {.trigger = Trigger::kNewData}};
      case 6:
        return {AnEventRetrains, {.trigger = Trigger::kEvent}};
      case 7:
        return {AGroupTrainsTogether, {.others = {"arrivals", "transfers"}}};
      default:
        return {DriftIsCured};
    }
  }

  // One trouble of this kind at each write of the story, or at every `stride`th.
  void AtEachWrite(Kind kind, int lasts = 1, int stride = kStride) {
    const Plot story = StoryOf(GetParam());
    const Told reference = Tell(story);
    // The longest story shares most of its writes with the first: every third place will do.
    if (GetParam() == 3) stride *= 3;
    for (int at = reference.turned + 1; at <= reference.writes; at += stride) {
      SCOPED_TRACE("at write " + std::to_string(at));
      const Told told = Tell(story, {{kind, at, lasts}});
      const bool dies = kind == Kind::kCrashBefore || kind == Kind::kCrashAfter;
      EXPECT_EQ(told.crashes, dies ? 1 : 0);
      ExpectSame(told, reference, at);
      if (HasFailure()) return;
    }
    EXPECT_GT(reference.writes - reference.turned, 15);
  }
};

// Much the same as a crash after the write before, so a sample will do.
TEST_P(RestartAnywhere, ACrashBeforeAWriteChangesNothing) {
  AtEachWrite(Kind::kCrashBefore, 1, 5 * kStride);
}

TEST_P(RestartAnywhere, ACrashAfterAnyWriteChangesNothing) {
  AtEachWrite(Kind::kCrashAfter);
}

TEST_P(RestartAnywhere, ALostAnswerToAWriteChangesNothing) {
  AtEachWrite(Kind::kLoseReply, 1, 2 * kStride);
}

TEST_P(RestartAnywhere, AConflictAtAWriteChangesNothing) {
  AtEachWrite(Kind::kConflict, 3, 3 * kStride);
}

TEST_P(RestartAnywhere, ARefusalOfAWriteChangesNothing) {
  AtEachWrite(Kind::kRefuse, 5, 3 * kStride);
}

TEST_P(RestartAnywhere, TwoCrashesAnywhereChangeNothing) {
  const Plot story = StoryOf(GetParam());
  const Told reference = Tell(story);
  std::mt19937 random(static_cast<std::uint32_t>(GetParam()));
  for (int i = 0; i < 20; i += kStride) {
    std::vector<Trouble> trouble;
    int at = 0;
    for (int crash = 0; crash < 2; ++crash) {
      at += 1 + static_cast<int>(random() % static_cast<std::uint32_t>(reference.writes / 2));
      trouble.push_back({random() % 2 ? Kind::kCrashBefore : Kind::kCrashAfter, at, 1});
    }
    SCOPED_TRACE("at writes " + std::to_string(trouble[0].at) + " and " + std::to_string(at));
    const Told told = Tell(story, trouble);
    ExpectSame(told, reference, at);
    if (HasFailure()) return;
  }
}

TEST_P(RestartAnywhere, StoresThatLagBehindChangeNothing) {
  const Plot story = StoryOf(GetParam());
  const Told reference = Tell(story);
  for (std::uint32_t seed = 1; seed <= 12; seed += kStride) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    ExpectSame(Tell(story, {}, seed), reference, 0);
    // And a process that dies on top of that.
    const int at = 1 + static_cast<int>(seed * 7919 % static_cast<std::uint32_t>(reference.writes));
    const Kind kind = seed % 2 ? Kind::kCrashBefore : Kind::kCrashAfter;
    ExpectSame(Tell(story, {{kind, at, 1}}, seed), reference, at);
    if (HasFailure()) return;
  }
}

std::string NameOf(const ::testing::TestParamInfo<int>& info) {
  static constexpr const char* kNames[] = {
      "DriftIsCured",  "BadModelIsRolledBack", "AWorkloadCuresTheDrift", "DriftIsCuredUnderProbes",
      "ATimeRetrains", "NewDataRetrains",      "AnEventRetrains",        "AGroupTrainsTogether"};
  return kNames[info.param];
}
INSTANTIATE_TEST_SUITE_P(Stories, RestartAnywhere, ::testing::Range(0, 8), NameOf);

}  // namespace
}  // namespace perennial::testing
