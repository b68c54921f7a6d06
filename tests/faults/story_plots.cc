#include "faults/story_plots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "api/names.h"
#include "base/hash.h"

namespace perennial::testing {

using nlohmann::json;
using std::chrono::minutes;

namespace {

json StatusOf(const StoryWorld& world, const kube::Resource& resource) {
  return world.Object(resource, "departures").value("status", json::object());
}

bool Drifted(const StoryWorld& world) {
  return StatusOf(world, api::kDriftMonitors).contains("episode");
}

// The first model is trained at somebody's request, or named by the spec, and serves.
void Begin(StoryWorld& world) {
  RunUntil(
      world, [&] { return !Champion(world).empty(); }, minutes(4));
}

json ModelPatch(const std::string& uri) {
  return {{"model", {{"uri", uri}, {"digest", "sha256:" + Sha256Hex(uri)}}}};
}

bool Promoted(const StoryWorld& world, int version) {
  return LastOutcome(world) == "Promoted " + world.VersionName(version);
}

// The first model serves; then the inputs drift, and a second one is trained and about to be tried,
// where the chapter begins.
void LetADriftCallForTheSecond(StoryWorld& world) {
  Begin(world);
  world.drifted = true;
  RunUntil(
      world, [&] { return !Challenger(world).empty(); }, Millis(0));
  world.BeginChapter();
}

// The first model is trained and serves; then the inputs drift, a second one is trained, approved
// and rolled out in two steps; on its baseline nothing drifts any more.
void CureADrift(StoryWorld& world) {
  LetADriftCallForTheSecond(world);
  RunUntil(
      world, [&] { return Promoted(world, 2) && !Drifted(world); }, minutes(3));
}

// The same, but the second model's pods never get ready: it is rolled back and rejected.
void RollBack(StoryWorld& world) {
  world.broken = {2};
  LetADriftCallForTheSecond(world);
  RunUntil(
      world, [&] { return LastOutcome(world).starts_with("RolledBack"); }, minutes(3));
}

void RunOnDrift(StoryWorld& world) {
  Begin(world);
  world.BeginChapter();
  world.approve = false;
  world.drifted = true;
  RunUntil(
      world, [&] { return world.Phase(world.VersionName(2)) == "AwaitingApproval"; }, minutes(3));
}

void ApproveAndReject(StoryWorld& world) {
  Begin(world);
  world.BeginChapter();
  world.EditDeployment(ModelPatch("s3://models/second"));
  RunUntil(
      world, [&] { return Promoted(world, 2); }, minutes(3));
  world.approve = false;
  world.EditDeployment(ModelPatch("s3://models/third"));
  RunUntil(
      world, [&] { return world.Phase(world.VersionName(3)) == "AwaitingApproval"; }, minutes(2));
  world.Decide(world.VersionName(3), "Reject");
  RunUntil(
      world, [&] { return world.Phase(world.VersionName(3)) == "Rejected"; }, minutes(3));
}

void DeleteInMidRollout(StoryWorld& world) {
  Begin(world);
  world.BeginChapter();
  world.drifted = true;
  RunUntil(
      world,
      [&] {
        const json route = world.Listed(api::kHttpRoutes).at(0);
        return route["spec"]["rules"][0]["backendRefs"].size() == 2;
      },
      Millis(0));
  world.Remove(api::kRetrainPolicies);
  world.Remove(api::kModelDeployments);
  world.Run(minutes(2));
  world.Remove(api::kDriftMonitors);
  world.Run(minutes(3));
}

void TrainOnceMore(StoryWorld& world, const std::function<void()>& cause) {
  Begin(world);
  world.BeginChapter();
  cause();
  RunUntil(
      world, [&] { return Promoted(world, 2); }, minutes(3));
}

void LetDataArrive(StoryWorld& world) {
  TrainOnceMore(world, [&] { world.rows = 20'000; });
}

// Its sender tries until it gets an answer, and once more for good measure.
void SendAnEvent(StoryWorld& world) {
  TrainOnceMore(world, [&] {
    for (int i = 0, answers = 0; i < 20 && answers < 2; ++i) {
      const int status = world.PostEvent("load-17");
      answers += status == 200 || status == 202;
      world.Run(Millis(10'000));
    }
  });
}

void TrainTogether(StoryWorld& world) {
  const auto all = [&](const std::function<bool(const std::string& model)>& holds) {
    return std::all_of(world.models().begin(), world.models().end(), holds);
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
      minutes(4));
  world.BeginChapter();
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
      minutes(3));
}

StoryOptions WithTrigger(StoryWorld::Trigger trigger) {
  StoryOptions options;
  options.trigger = trigger;
  return options;
}

StoryOptions WithWorkload() {
  StoryOptions options;
  options.training = StoryWorld::Training::kWorkload;
  return options;
}

StoryOptions WithProbes() {
  StoryOptions options;
  options.deployment = json::parse(R"({
    "replicas": null, "autoscaling": {"minReplicas": 2, "maxReplicas": 4},
    "disruptionBudget": {"maxUnavailable": 1},
    "rollout": {"analysis": {"interval": "15s", "probes": [
      {"name": "drift", "driftMonitor": {"name": "departures"}, "step": 2},
      {"name": "smoke", "step": 1, "job": {"template": {"spec": {"template": {"spec": {
        "containers": [{"name": "smoke", "image": "smoke:1"}]}}}}}}]}}})");
  return options;
}

// Everything needs an approval, and nothing is retrained.
StoryOptions ByHand() {
  StoryOptions options;
  options.retraining = false;
  options.deployment = ModelPatch("s3://models/first");
  options.deployment["approval"] = {{"required", true}, {"approvers", 1}};
  return options;
}

std::string Tail(const std::vector<std::string>& log, int around) {
  std::string out;
  for (std::size_t i = 0; i < log.size(); ++i) {
    if (std::abs(static_cast<int>(i) + 1 - around) <= 3) out += log[i].substr(0, 300) + "\n";
  }
  return out;
}

}  // namespace

Plot FirstRollout() {
  return {"FirstRollout", Begin};
}
Plot DriftRun() {
  return {"DriftRun", RunOnDrift};
}
Plot Approval() {
  return {"Approval", ApproveAndReject, ByHand()};
}
Plot Promotion() {
  return {"Promotion", CureADrift};
}
Plot Rollback() {
  return {"Rollback", RollBack};
}
Plot Deletion() {
  return {"Deletion", DeleteInMidRollout};
}
std::vector<Plot> Scenarios() {
  return {FirstRollout(), DriftRun(), Approval(), Promotion(), Rollback(), Deletion()};
}

Plot DriftIsCured() {
  return {"DriftIsCured", CureADrift};
}
Plot AWorkloadCuresTheDrift() {
  return {"AWorkloadCuresTheDrift", CureADrift, WithWorkload()};
}
Plot DriftIsCuredUnderProbes() {
  return {"DriftIsCuredUnderProbes", CureADrift, WithProbes()};
}
Plot BadModelIsRolledBack() {
  return {"BadModelIsRolledBack", RollBack};
}

Plot ATimeRetrains() {
  return {"ATimeRetrains", [](StoryWorld& world) { TrainOnceMore(world, [] {}); },
          WithTrigger(StoryWorld::Trigger::kSchedule)};
}
Plot NewDataRetrains() {
  return {"NewDataRetrains", LetDataArrive, WithTrigger(StoryWorld::Trigger::kNewData)};
}
Plot AnEventRetrains() {
  return {"AnEventRetrains", SendAnEvent, WithTrigger(StoryWorld::Trigger::kEvent)};
}
Plot AGroupTrainsTogether(StoryWorld::Training training) {
  StoryOptions options;
  options.training = training;
  options.others = {"arrivals", "transfers"};
  return {"AGroupTrainsTogether", TrainTogether, options};
}

Told Tell(const Plot& plot, std::vector<Trouble> trouble, std::optional<std::uint32_t> lag,
          const std::function<void(StoryWorld&)>& prepare) {
  StoryOptions options = plot.options;
  options.trouble = std::move(trouble);
  if (lag) options.lag = lag;
  StoryWorld world(std::move(options));
  if (prepare) prepare(world);
  plot.story(world);
  Told told{world.Summary(),
            world.Tally(),
            world.calls(),
            world.writes(),
            world.chapter(),
            world.crashes(),
            0,
            world.violations(),
            world.log()};
  world.Run(minutes(10));
  told.idle_writes = world.writes() - told.writes;
  told.log = world.log();
  return told;
}

void ExpectSame(const Told& told, const Told& reference, int at) {
  EXPECT_EQ(told.summary, reference.summary) << "around the trouble:\n" << Tail(told.log, at);
  EXPECT_EQ(told.tally, reference.tally) << "around the trouble:\n" << Tail(told.log, at);
  EXPECT_EQ(told.violations, std::vector<std::string>()) << "around the trouble:\n"
                                                         << Tail(told.log, at);
  EXPECT_EQ(told.idle_writes, reference.idle_writes)
      << "the last writes:\n"
      << Tail(told.log, static_cast<int>(told.log.size()));
}

bool Says(const Told& told, const std::string& line) {
  return ("\n" + told.summary).find("\n" + line + "\n") != std::string::npos;
}

void RunUntil(StoryWorld& world, const std::function<bool()>& holds, Millis longer) {
  for (int i = 0; i < 180 && !holds(); ++i) world.Run(Millis(10'000));
  world.Run(longer);
}

std::string Champion(const StoryWorld& world) {
  return StatusOf(world, api::kModelDeployments).value("champion", "");
}

std::string Challenger(const StoryWorld& world) {
  return StatusOf(world, api::kModelDeployments).value("challenger", "");
}

std::string LastOutcome(const StoryWorld& world) {
  const json history = StatusOf(world, api::kModelDeployments).value("history", json::array());
  return history.empty() ? ""
                         : history[0].value("outcome", "") + " " + history[0].value("version", "");
}

}  // namespace perennial::testing
