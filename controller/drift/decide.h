#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/children.h"
#include "api/drift_monitor.h"
#include "api/model_deployment.h"
#include "drift/history.h"
#include "kube/plan.h"

namespace perennial::drift {

// What a DriftMonitor's state depends on.
struct Observed {
  std::shared_ptr<const api::DriftMonitor> monitor;
  std::shared_ptr<const api::ModelDeployment> deployment;  // the target, if it exists
  std::shared_ptr<const api::ServiceView> service;         // the same of a target that is a Service
  std::vector<std::string> versions;                       // of its variants, the champion first
  std::string baseline;  // what the champion is compared with; empty: there is nothing
  std::optional<WallTime> baseline_recorded;
  std::string baseline_problem;  // why there is none
  History history;               // looks so far, the newest included
  int targets = 0;
  int targets_up = 0;
  std::optional<WallTime> next_evaluation;
  std::string problem;  // why nothing can be scraped, if so
  std::string warning;  // what the source says about numbers that it does give
  std::string invalid;  // what is wrong with the spec that no schema can say
};

// The name of what is judged: the version that serves, or the Service; empty: there is none.
std::string ChampionOf(const Observed& seen);

// Turns looks into states (k of n with hysteresis), states into an episode, conditions and events.
// Pure. Status is rewritten only when it tells something new: a state, an episode, a baseline, a
// target count, a breach more or less on the way to a drift, or a value that moved by a quarter of
// its threshold. So a monitor whose model stays as it is writes nothing, however often it looks.
// While the champion is unknown, signals and episode stay as they were: that nobody can tell is not
// an improvement. A suspended monitor has neither.
kube::Plan Decide(const Observed& seen, WallTime now);

// Is what the last look found at a signal worth a write? What isn't need not be remembered:
// Decide() says the same without it. Pure.
bool TellsMore(const Observed& seen, const History::Id& id, WallTime now);

}  // namespace perennial::drift
