// Whole stories, undisturbed and with what a cluster does beside failing requests: the end state
// and the numbers of creations and deletions must be those of the undisturbed run, and the promises
// hold all the time (tests/faults/story_promises.h).
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/names.h"
#include "base/hash.h"
#include "faults/story_plots.h"
#include "support/in_process.h"

namespace perennial::testing {
namespace {

using Kind = Trouble::Kind;
using nlohmann::json;
using std::chrono::minutes;

TEST(Story, DriftIsCuredByRetraining) {
  const Told told = Tell(DriftIsCured());
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
  EXPECT_EQ(Tell(AWorkloadCuresTheDrift()).summary, Tell(DriftIsCured()).summary);
}

TEST(Story, WhateverTriggersRetrains) {
  for (const auto& [plot, trigger] :
       {std::pair(ATimeRetrains(), "Schedule"), std::pair(NewDataRetrains(), "NewData"),
        std::pair(AnEventRetrains(), "Event")}) {
    const Told told = Tell(plot);
    EXPECT_EQ(told.violations, std::vector<std::string>()) << plot.name;
    EXPECT_EQ(told.idle_writes, 0) << plot.name;
    for (const std::string& line :
         {"V2 by " + std::string(trigger) + ": Approved, promoted", std::string("jobs: 2"),
          "run by " + std::string(trigger) + ": Succeeded, made V2",
          std::string("monitor Drifted=False")}) {
      EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
    }
  }
}

TEST(Story, AGroupTrainsTogether) {
  const Plot plot = AGroupTrainsTogether();
  StoryWorld world(plot.options);
  plot.story(world);
  EXPECT_EQ(world.violations(), std::vector<std::string>());
  const std::string summary = world.Summary();
  EXPECT_NE(summary.find("jobs: 2\n"), std::string::npos)
      << "one each time that all three were to be trained:\n"
      << summary;
  std::set<std::string> uids;
  std::set<std::string> digests;
  for (const std::string& model : world.models()) {
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
  const Told told = Tell(AGroupTrainsTogether(StoryWorld::Training::kWorkload));
  EXPECT_EQ(told.violations, std::vector<std::string>());
  EXPECT_EQ(told.summary, Tell(AGroupTrainsTogether()).summary);
}

TEST(Story, AnEditIsRolledOutInEveryWay) {
  for (const Plot& plot : Edits()) {
    SCOPED_TRACE(plot.name);
    const Told told = Tell(plot);
    EXPECT_EQ(told.violations, std::vector<std::string>());
    EXPECT_EQ(told.idle_writes, 0);
    for (const char* line :
         {"champion V2, challenger none", "pods of V2: 2", "  Promoted=True Promoted"}) {
      EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
    }
    EXPECT_EQ(Says(told, "weight of V2: 100"), plot.name != AnEditWithoutAGateway().name);
    // The main Service has the version that serves, and only that.
    EXPECT_NE(told.children.find(R"("perennial.dev/model-version": "V2-of-departures")"),
              std::string::npos)
        << told.children;
  }
}

TEST(Story, TestersSeeTheSecondVersionFirst) {
  const Plot plot = AnEditThatTestersSeeFirst();
  bool mirrored = false;
  bool testers = false;
  const Told told = Tell(plot, {}, {}, [&](StoryWorld& world) {
    for (int write = 1; write < 200; ++write) {
      world.AtWrite(write, [&](StoryWorld& then) {
        for (const json& route : then.Listed(api::kHttpRoutes)) {
          const json& rules = route["spec"]["rules"];
          mirrored |= rules[0].dump().find("RequestMirror") != std::string::npos;
          const json backends = rules.at(1)["backendRefs"];
          testers |= backends.size() == 1 && backends[0]["weight"] == 1 &&
                     LabelOf(then.Object(api::kDeployments, backends[0]["name"]),
                             api::kLabelVersion) == then.VersionName(2);
        }
      });
    }
  });
  EXPECT_TRUE(mirrored);
  EXPECT_TRUE(testers);
}

TEST(Story, AnExperimentIsWonByWhoIsFaster) {
  const Plot plot = AnEditThatWinsAnExperiment();
  StoryWorld world(plot.options);
  plot.story(world);
  const json rollout = world.Object(api::kModelDeployments, "departures")["status"]["rollout"];
  EXPECT_EQ(rollout["experiment"]["verdict"], "Pass") << rollout;
}

// What was counted of the second version, which is no better, says nothing of the third.
TEST(Story, AnEditInTheMiddleOfAnExperimentBeginsAnew) {
  StoryOptions options = AnEditThatWinsAnExperiment().options;
  options.faster = {3};
  StoryWorld world(options);
  const auto edit = [&](const std::string& uri) {
    world.EditDeployment({{"model", {{"uri", uri}, {"digest", "sha256:" + Sha256Hex(uri)}}}});
  };
  const auto counts = [&] {
    const json status = world.Object(api::kModelDeployments, "departures")["status"];
    return status.contains(json::json_pointer("/rollout/experiment"));
  };
  Begin(world);
  edit("s3://models/second");
  RunUntil(world, counts, minutes(1));
  ASSERT_TRUE(counts()) << world.Summary();
  ASSERT_EQ(Challenger(world), world.VersionName(2));
  edit("s3://models/third");
  const auto promoted = [&] { return LastOutcome(world) == "Promoted " + world.VersionName(3); };
  RunUntil(world, promoted, minutes(3));
  EXPECT_TRUE(promoted()) << world.Summary();
  EXPECT_NE(world.Summary().find("  Superseded V2\n"), std::string::npos) << world.Summary();
  EXPECT_EQ(world.violations(), std::vector<std::string>());
}

TEST(Story, ABadModelIsRolledBack) {
  const Told told = Tell(BadModelIsRolledBack());
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line :
       {"V1 by Manual: Approved, promoted", "V2 by Drift: Rejected", "champion V1, challenger none",
        "pods of V1: 2", "weight of V1: 100", "jobs: 2", "approvals: 3", "monitor Drifted=True"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
}

TEST(Story, AVersionThatFailsACheckIsRolledBack) {
  const Told told = Tell(AnEditThatFailsACheck());
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line : {"champion V1, challenger none", "  RolledBack V2", "pods of V1: 2",
                           "weight of V1: 100", "approvals: 1"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
}

TEST(Story, SomebodyAbortsRetriesAndUndoes) {
  const Plot plot = AnEditThatIsAbortedRetriedAndUndone();
  StoryWorld world(plot.options);
  plot.story(world);
  EXPECT_EQ(world.violations(), std::vector<std::string>());
  const std::string summary = world.Summary();
  EXPECT_NE(summary.find("  Promoted V1\n  Promoted V3\n  RolledBack V2\n  Promoted V1\n"),
            std::string::npos)
      << summary;
  EXPECT_EQ(world.Phase(world.VersionName(2)), "Rejected");
  EXPECT_EQ(world.Phase(world.VersionName(3)), "Rejected");
  const json copy = world.Object(api::kModelVersions, world.VersionName(3));
  EXPECT_EQ(copy["spec"]["origin"]["copyOf"], world.VersionName(2)) << copy;
  EXPECT_EQ(copy["spec"]["model"]["uri"], "s3://models/second") << copy;
}

TEST(Story, ProbesAndAutoscalersChangeNothingOfTheCure) {
  const Plot plot = DriftIsCuredUnderProbes();
  StoryWorld world(plot.options);
  plot.story(world);
  EXPECT_EQ(world.violations(), std::vector<std::string>());
  EXPECT_EQ(Champion(world), world.VersionName(2)) << world.Summary();
  EXPECT_NE(world.Summary().find("pods of V2: 4\n"), std::string::npos)
      << "what two pods had half of takes four, and nobody takes any away without looking at "
         "load:\n"
      << world.Summary();
  EXPECT_NE(world.Summary().find("jobs: 3\n"), std::string::npos)
      << "two runs and one probe, since a first version is compared with nothing:\n"
      << world.Summary();
  EXPECT_EQ(world.Listed(api::kAutoscalers).size(), 1u);
  EXPECT_EQ(world.Listed(api::kDisruptionBudgets).size(), 1u);
  const json checks = world.Object(api::kModelDeployments, "departures")["status"]["rollout"].value(
      "checks", json::array());
  ASSERT_EQ(checks.size(), 2u) << checks;
  for (const json& check : checks) EXPECT_EQ(check["verdict"], "Pass") << check;
  const std::size_t before = world.log().size();
  world.Run(std::chrono::hours(1));
  EXPECT_EQ(world.log().size(), before) << world.log().back();
}

TEST(Story, ApprovalsLetOneVersionPassAndNotTheNext) {
  const Told told = Tell(Approval());
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line : {"champion V2, challenger none", "pods of V2: 2", "weight of V2: 100",
                           "jobs: 0", "approvals: 3"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
}

TEST(Story, NothingIsLeftAfterADeletion) {
  const Told told = Tell(Deletion());
  EXPECT_EQ(told.violations, std::vector<std::string>());
  for (const char* line : {"champion none, challenger none", "services: 0", "jobs: 0"}) {
    EXPECT_TRUE(Says(told, line)) << line << "\nin:\n" << told.summary;
  }
  EXPECT_EQ(told.summary.find("pods of"), std::string::npos) << told.summary;
  EXPECT_EQ(told.summary.find("weight of"), std::string::npos) << told.summary;
}

TEST(Story, NothingIsWrittenOnceAllIsWell) {
  std::vector<Plot> plots = AllPlots();
  plots.push_back(AGroupTrainsTogether(StoryWorld::Training::kWorkload));
  for (const Plot& plot : plots) {
    const Told told = Tell(plot);
    EXPECT_EQ(told.idle_writes, 0) << plot.name << ": " << told.log.back();
  }
}

// ---- clocks ----

// An administrator or NTP moves the wall clock; deadlines of a rollout and holds are stamped, so a
// jump forward ends them early, and may cost a candidate its turn. It must never cost more.
TEST(Clock, JumpsNeverBreakAPromiseNorStartARunTwice) {
  const Plot plot = DriftIsCured();
  const Told reference = Tell(plot);
  for (const Millis jump :
       {Millis(minutes(60)), Millis(minutes(-60)), Millis(minutes(5)), Millis(minutes(-5))}) {
    for (int at = 1; at <= reference.writes; at += 1 + reference.writes / 3) {
      SCOPED_TRACE(FormatDuration(jump) + " at write " + std::to_string(at));
      const Told told = Tell(plot, {}, {}, [&](StoryWorld& world) {
        world.AtWrite(at, [&](StoryWorld& then) { then.clock().JumpWall(jump); });
      });
      EXPECT_EQ(told.violations, std::vector<std::string>());
      EXPECT_TRUE(Says(told, "jobs: 2")) << told.summary;
      EXPECT_EQ(told.idle_writes, 0);
      if (jump.count() < 0) ExpectSame(told, reference, at);
      if (HasFailure()) return;
    }
  }
}

// A schedule goes by the wall clock: a time that comes again was had, and one that was jumped over
// is made up for, once.
TEST(Clock, JumpsNeverStartAScheduledTimeTwice) {
  Plot plot = ATimeRetrains();
  // Until the time has come by any of the clocks, and the longest jump later once more.
  plot.story = [](StoryWorld& world) {
    Begin(world);
    world.Run(std::chrono::hours(3));
  };
  const Told reference = Tell(plot);
  ASSERT_TRUE(Says(reference, "jobs: 2")) << reference.summary;
  for (const Millis jump :
       {Millis(minutes(60)), Millis(minutes(-60)), Millis(minutes(5)), Millis(minutes(-5))}) {
    for (int at = 1; at <= reference.writes; at += 1 + reference.writes / 6) {
      SCOPED_TRACE(FormatDuration(jump) + " at write " + std::to_string(at));
      const Told told = Tell(plot, {}, {}, [&](StoryWorld& world) {
        world.AtWrite(at, [&](StoryWorld& then) { then.clock().JumpWall(jump); });
      });
      EXPECT_EQ(told.violations, std::vector<std::string>());
      EXPECT_TRUE(Says(told, "jobs: 2")) << told.summary;
      EXPECT_TRUE(Says(told, "run by Schedule: Succeeded, made V2")) << told.summary;
      EXPECT_EQ(told.idle_writes, 0) << told.log.back();
      if (HasFailure()) return;
    }
  }
}

// ---- the end of things ----

kube::Response Terminating() {
  json body = json::parse(StatusJson(403, "Forbidden",
                                     "unable to create new content in namespace transit because it "
                                     "is being terminated"));
  body["details"] = {{"causes", json::array({{{"reason", "NamespaceTerminating"}}})}};
  return {403, body.dump(), {}};
}

// Creations are refused while the namespace's objects go one after the other.
TEST(Deletions, ANamespaceThatTerminatesIsEmptySoon) {
  const Told reference = Tell(DriftIsCured());
  int points = 0;
  for (int at = 1; at <= reference.writes; at += 1 + reference.writes / 12) {
    SCOPED_TRACE("at write " + std::to_string(at));
    StoryWorld world;
    bool terminating = false;
    world.AtWrite(at, [&](StoryWorld& then) {
      terminating = true;
      Match creations;
      creations.creates = true;
      then.now = Outage{1, {}, creations, Terminating()};
    });
    for (int i = 0; i < 240 && !terminating; ++i) {
      world.Run(Millis(10'000));
      world.drifted = world.drifted || !Champion(world).empty();
    }
    // Whoever watches from the first moment may see a write or two less.
    if (!terminating) break;
    ++points;
    const int before = world.writes();
    // Children before what owns them, which is what makes a controller want them back.
    for (const kube::Resource& resource :
         {api::kDeployments, api::kServices, api::kHttpRoutes, api::kJobs, api::kPods,
          api::kModelVersions, api::kModelApprovals, api::kDriftMonitors, api::kModelDeployments,
          api::kRetrainPolicies}) {
      for (const json& object : world.Listed(resource)) {
        world.Remove(resource, NameOf(object));
      }
      world.Run(Millis(5'000));
    }
    world.Run(minutes(5));
    for (const kube::Resource& resource : {api::kDeployments, api::kServices, api::kHttpRoutes,
                                           api::kJobs, api::kModelVersions, api::kModelApprovals}) {
      EXPECT_TRUE(world.Listed(resource).empty()) << resource.plural;
    }
    EXPECT_LE(world.writes() - before, 150) << "refused creations are hammered";
    const int after = world.writes();
    world.Run(minutes(10));
    EXPECT_EQ(world.writes(), after);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GE(points, 8);
}

// Somebody's finalizer keeps Deployments that are deleted: nothing waits for it but they.
TEST(Deletions, AStuckFinalizerHoldsUpNothingElse) {
  for (const Plot& plot : {Rollback(), Promotion()}) {
    const Told reference = Tell(plot);
    StoryWorld world(plot.options);
    world.finalizer = "example.org/stuck";
    plot.story(world);
    EXPECT_EQ(world.violations(), std::vector<std::string>());
    const int before = world.writes();
    world.Run(minutes(20));
    EXPECT_LE(world.writes() - before, 25) << "the stuck object is deleted over and over";
    world.finalizer.clear();
    for (json object : world.Listed(api::kDeployments)) {
      object["metadata"].erase("finalizers");
      world.api().Put(api::kDeployments, object);
    }
    world.Run(minutes(5));
    EXPECT_EQ(world.Summary(), reference.summary);
    EXPECT_EQ(world.Tally(), reference.tally);
  }
}

TEST(Deletions, WhatIsDeletedTwiceIsGoneOnce) {
  const Told reference = Tell(Deletion());
  const Told told = Tell(Deletion(), {{Kind::kLoseReply, reference.writes, 3}});
  ExpectSame(told, reference, reference.writes);
}

// ---- blindness ----

TEST(Blindness, NoDataIsNeverAVerdict) {
  const Told told = Tell({"Silence", [](StoryWorld& world) {
                            world.silent = true;
                            world.drifted = true;
                            RunUntil(
                                world, [&] { return !Champion(world).empty(); }, minutes(30));
                          }});
  EXPECT_EQ(told.violations, std::vector<std::string>());
  EXPECT_TRUE(Says(told, "monitor Blind=True")) << told.summary;
  EXPECT_TRUE(Says(told, "monitor Drifted=Unknown")) << told.summary;
  EXPECT_TRUE(Says(told, "jobs: 1")) << told.summary;
}

}  // namespace
}  // namespace perennial::testing
