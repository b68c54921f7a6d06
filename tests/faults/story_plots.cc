#include "faults/story_plots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "api/names.h"
#include "base/hash.h"
#include "faults/story_children.h"

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

json ModelPatch(const std::string& uri) {
  return {{"model", {{"uri", uri}, {"digest", "sha256:" + Sha256Hex(uri)}}}};
}

bool Promoted(const StoryWorld& world, int version) {
  return LastOutcome(world) == "Promoted " + world.VersionName(version);
}

bool RolledBack(const StoryWorld& world, int version) {
  return LastOutcome(world) == "RolledBack " + world.VersionName(version);
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

void PromoteASecond(StoryWorld& world, const std::function<void()>& cause) {
  Begin(world);
  world.BeginChapter();
  cause();
  RunUntil(
      world, [&] { return Promoted(world, 2); }, minutes(3));
}

void EditTheModel(StoryWorld& world) {
  PromoteASecond(world, [&] { world.EditDeployment(ModelPatch("s3://models/second")); });
}

void EditToTheWorse(StoryWorld& world) {
  Begin(world);
  world.BeginChapter();
  world.EditDeployment(ModelPatch("s3://models/second"));
  RunUntil(
      world, [&] { return RolledBack(world, 2); }, minutes(3));
}

// Each request comes when all that the one before it has caused is over.
void AbortRetryAndUndo(StoryWorld& world) {
  Begin(world);
  world.BeginChapter();
  world.EditDeployment(ModelPatch("s3://models/second"));
  RunUntil(
      world,
      [&] {
        const json status = StatusOf(world, api::kModelDeployments);
        return !Challenger(world).empty() && status["rollout"].value("inEffect", false);
      },
      Millis(0));
  world.Annotate(api::kAnnotationAbort, world.VersionName(2));
  RunUntil(
      world, [&] { return RolledBack(world, 2); }, minutes(3));
  world.Annotate(api::kAnnotationRetry, world.VersionName(2));
  RunUntil(
      world, [&] { return Promoted(world, 3); }, minutes(3));
  world.Annotate(api::kAnnotationUndo, world.VersionName(1));
  RunUntil(
      world, [&] { return Promoted(world, 1); }, minutes(3));
}

void ApproveAndReject(StoryWorld& world) {
  EditTheModel(world);
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

void LetDataArrive(StoryWorld& world) {
  PromoteASecond(world, [&] { world.rows = 20'000; });
}

// Its sender tries until it gets an answer, and once more for good measure.
void SendAnEvent(StoryWorld& world) {
  PromoteASecond(world, [&] {
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

// Nothing is retrained, and nobody is asked; `patch` says how an edit is rolled out.
StoryOptions OfAnEdit(const char* patch) {
  StoryOptions options;
  options.retraining = false;
  options.deployment = ModelPatch("s3://models/first");
  // A null is kept: it takes away what the deployment has otherwise.
  options.deployment.update(json::parse(patch), /*merge_objects=*/true);
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
  return {"ATimeRetrains", [](StoryWorld& world) { PromoteASecond(world, [] {}); },
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

Plot AnEditWithoutAGateway() {
  return {"AnEditWithoutAGateway", EditTheModel, OfAnEdit(R"({"traffic": {"gateway": null}})")};
}
Plot AnEditBehindAGrpcRoute() {
  return {"AnEditBehindAGrpcRoute", EditTheModel, OfAnEdit(R"({"traffic": {"protocol": "GRPC"}})")};
}
Plot AnEditThatTestersSeeFirst() {
  return {"AnEditThatTestersSeeFirst", EditTheModel, OfAnEdit(R"({
    "traffic": {"rules": [
      {"header": {"name": "x-tester", "value": "yes"}, "variant": "challenger"},
      {"cookie": {"name": "beta", "value": "no"}, "variant": "champion"}]},
    "rollout": {"steps": [{"weight": 0, "mirror": 30, "hold": "1m"},
                          {"weight": 50, "hold": "1m"}]}})")};
}
Plot AnEditThatWinsAnExperiment() {
  Plot plot{"AnEditThatWinsAnExperiment", EditTheModel, OfAnEdit(R"({
    "rollout": {"steps": [{"weight": 50, "hold": "1m"}],
                "analysis": {"interval": "15s", "checks": [
                  {"name": "seconds", "kind": "Mean", "metric": "seconds", "max": "1000"}]},
                "experiment": {"primary": {"name": "seconds", "kind": "Mean", "metric": "seconds",
                                           "goal": "Decrease"},
                               "minSamples": 500, "expectedSamples": 20000,
                               "maxDuration": "2h"}}})")};
  plot.options.faster = {2};
  return plot;
}
std::vector<Plot> Edits() {
  return {AnEditWithoutAGateway(), AnEditBehindAGrpcRoute(), AnEditThatTestersSeeFirst(),
          AnEditThatWinsAnExperiment()};
}

Plot AnEditThatFailsACheck() {
  Plot plot{"AnEditThatFailsACheck", EditToTheWorse, OfAnEdit(R"({
    "rollout": {"steps": [{"weight": 50, "hold": "10m"}],
                "analysis": {"interval": "15s", "failureLimit": 2, "checks": [
                  {"name": "seconds", "kind": "Mean", "metric": "seconds",
                   "maxIncrease": "0.5"}]}}})")};
  plot.options.faster = {1};
  return plot;
}
Plot AnEditThatIsAbortedRetriedAndUndone() {
  return {"AnEditThatIsAbortedRetriedAndUndone", AbortRetryAndUndo, OfAnEdit("{}")};
}
std::vector<Plot> AllPlots() {
  std::vector<Plot> plots = Scenarios();
  for (Plot& plot : Edits()) plots.push_back(std::move(plot));
  for (const auto& make :
       {AWorkloadCuresTheDrift, DriftIsCuredUnderProbes, ATimeRetrains, NewDataRetrains,
        AnEventRetrains, AnEditThatFailsACheck, AnEditThatIsAbortedRetriedAndUndone}) {
    plots.push_back(make());
  }
  plots.push_back(AGroupTrainsTogether());
  return plots;
}

Told Tell(const Plot& plot, std::vector<Trouble> trouble, std::optional<std::uint32_t> lag,
          const std::function<void(StoryWorld&)>& prepare) {
  StoryOptions options = plot.options;
  options.trouble = std::move(trouble);
  if (lag) options.lag = lag;
  StoryWorld world(std::move(options));
  if (prepare) prepare(world);
  plot.story(world);
  Told told{world.Summary(),    ChildrenText(world), world.Tally(),   world.calls(),
            world.writes(),     world.chapter(),     world.crashes(), 0,
            world.violations(), world.log()};
  world.Run(minutes(10));
  told.idle_writes = world.writes() - told.writes;
  told.log = world.log();
  return told;
}

void ExpectSame(const Told& told, const Told& reference, int at) {
  EXPECT_EQ(told.summary, reference.summary) << "around the trouble:\n" << Tail(told.log, at);
  EXPECT_TRUE(told.children == reference.children)
      << FirstDifference(told.children, reference.children) << "\naround the trouble:\n"
      << Tail(told.log, at);
  EXPECT_EQ(told.tally, reference.tally) << "around the trouble:\n" << Tail(told.log, at);
  EXPECT_EQ(told.violations, std::vector<std::string>()) << "around the trouble:\n"
                                                         << Tail(told.log, at);
  EXPECT_EQ(told.idle_writes, reference.idle_writes)
      << "the last writes:\n"
      << Tail(told.log, static_cast<int>(told.log.size()));
}

std::string FirstDifference(const std::string& told, const std::string& reference) {
  std::size_t at = 0;
  while (at < told.size() && at < reference.size() && told[at] == reference[at]) ++at;
  const std::size_t from = at > 400 ? at - 400 : 0;
  return "told: ..." + told.substr(std::min(from, told.size()), 800) + "\nreference: ..." +
         reference.substr(std::min(from, reference.size()), 800);
}

bool Says(const Told& told, const std::string& line) {
  return ("\n" + told.summary).find("\n" + line + "\n") != std::string::npos;
}

void RunUntil(StoryWorld& world, const std::function<bool()>& holds, Millis longer) {
  for (int i = 0; i < 180 && !holds(); ++i) world.Run(Millis(10'000));
  world.Run(longer);
}

void Settle(StoryWorld& world) {
  int writes = -1;
  for (int i = 0; i < 12 && writes != world.writes(); ++i) {
    writes = world.writes();
    world.Run(minutes(5));
  }
  EXPECT_EQ(writes, world.writes()) << "does not settle:\n" << world.log().back();
}

void Begin(StoryWorld& world) {
  RunUntil(
      world, [&] { return !Champion(world).empty(); }, minutes(4));
}

std::pair<int, int> Seeds(int usual) {
  const auto environment = [](const char* name, int otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::atoi(text);
  };
  return {environment("PERENNIAL_EXPLORE_FROM", 1), environment("PERENNIAL_EXPLORE", usual)};
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
