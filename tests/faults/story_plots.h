#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "faults/story_world.h"

namespace perennial::testing {

// A story of the product, told from its beginning to a state that stays.
struct Plot {
  std::string name;
  std::function<void(StoryWorld&)> story;
  StoryOptions options{};
};

// The six scenarios at each of whose requests the controller is killed.
Plot FirstRollout();
Plot DriftRun();   // drift, a run, a version that waits for approval
Plot Approval();   // of an edit of spec.model, and the rejection of another
Plot Promotion();  // the whole cure of a drift; its chapter begins with the challenger's rollout
Plot Rollback();   // the same with pods that never get ready
Plot Deletion();   // of everything, in the middle of a rollout
std::vector<Plot> Scenarios();

// Drift, run, approval and promotion from the first write on, and the same trained by a TrainJob.
Plot DriftIsCured();
Plot AWorkloadCuresTheDrift();
// The same with a rollout that is probed by a Job and by the monitor, and with autoscaled pods.
Plot DriftIsCuredUnderProbes();
Plot BadModelIsRolledBack();
// The first model serves; then, which is the chapter, there is a reason to train another one that
// is no drift.
Plot ATimeRetrains();
Plot NewDataRetrains();
Plot AnEventRetrains();
// Three models are trained together at somebody's request and serve; then the inputs of all of them
// drift. One run trains them anew, and what comes of it for transfers is too bad for its gate.
Plot AGroupTrainsTogether(StoryWorld::Training training = StoryWorld::Training::kJob);

// An edit of spec.model is rolled out: without a gateway, so by numbers of pods; with a GRPCRoute;
// with a rule for testers, after a step that only mirrors; in an experiment that the second version
// wins.
Plot AnEditWithoutAGateway();
Plot AnEditBehindAGrpcRoute();
Plot AnEditThatTestersSeeFirst();
Plot AnEditThatWinsAnExperiment();
std::vector<Plot> Edits();
// A second version that a check on its own pods' numbers sends back.
Plot AnEditThatFailsACheck();
// Somebody aborts a rollout by annotation, asks for another try, and undoes what came of that.
Plot AnEditThatIsAbortedRetriedAndUndone();
// Each of the above once, with the Job that trains unless it is about another training.
std::vector<Plot> AllPlots();

struct Told {
  std::string summary;
  std::string children;  // faults/story_children.h
  std::string tally;
  int calls = 0;
  int writes = 0;
  std::pair<int, int> chapter;  // calls and writes before what the story is about
  int crashes = 0;
  int idle_writes = 0;  // in the ten minutes after the end
  std::vector<std::string> violations;
  std::vector<std::string> log;
};

// What adds to the plot: troubles and outages of its options are replaced where given.
Told Tell(const Plot& plot, std::vector<Trouble> trouble = {},
          std::optional<std::uint32_t> lag = {},
          const std::function<void(StoryWorld&)>& prepare = nullptr);

// The oracles: end state with the contents of all children, creations and deletions, no broken
// promise, silence afterwards. `at`: the write around which the log is shown.
void ExpectSame(const Told& told, const Told& reference, int at);

// Where two texts begin to differ.
std::string FirstDifference(const std::string& told, const std::string& reference);

bool Says(const Told& told, const std::string& line);

// Lets the world run until this holds, half an hour at most, and then a little longer.
void RunUntil(StoryWorld& world, const std::function<bool()>& holds, Millis longer);
// Until nothing has been written for five minutes, an hour at most.
void Settle(StoryWorld& world);
// The first model is trained at somebody's request, or named by the spec, and serves.
void Begin(StoryWorld& world);
// The first seed of an exploration, and their number, `usual` or what is asked for by
// PERENNIAL_EXPLORE=NUMBER and PERENNIAL_EXPLORE_FROM=FIRST.
std::pair<int, int> Seeds(int usual);
std::string Champion(const StoryWorld& world);
std::string Challenger(const StoryWorld& world);
std::string LastOutcome(const StoryWorld& world);

}  // namespace perennial::testing
