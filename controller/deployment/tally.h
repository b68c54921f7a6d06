#pragma once

#include <string>

#include "api/model_deployment.h"
#include "base/clock.h"

namespace perennial::deployment {

// What holds for the looks at one check or probe, defaults of the analysis filled in.
struct Limits {
  Millis interval{30'000};
  int count = 0;  // looks with a verdict that end it; 0: none do
  int failure = 1;
  int inconclusive = 3;
  bool dry_run = false;
};
Limits LimitsOf(const api::Analysis& analysis, const api::LookRules& rules);
// A Job has one verdict, and no other look that could make up for it.
Limits LimitsOf(const api::Analysis& analysis, const api::AnalysisProbe& probe);

// Adds one look to what is on record of the same check. A look counts once an interval, so that a
// reconcile for another reason is no second one. What only passes, and is not to end, counts
// nothing: idle looks write no status. Pure.
api::CheckStatus Tally(const Limits& limits, const api::CheckStatus* before, api::CheckStatus look,
                       WallTime now);

// What a check means for the rollout, from harmless to grave.
enum class Outcome {
  kGood,
  kCounting,      // has not been looked at often enough: wait
  kUndecided,     // neither passes nor fails: wait
  kNoData,        // nothing to judge by: pause
  kInconclusive,  // undecided too often: pause
  kFailing,       // fails, but not often enough: wait
  kFailed,        // roll back
};
Outcome OutcomeOf(const Limits& limits, const api::CheckStatus& status);

// It has had all its looks: what is on record stays.
bool Ended(const Limits& limits, const api::CheckStatus& status);

// One sentence for the rollout's message; empty for kGood.
std::string Explain(Outcome outcome, const Limits& limits, const api::CheckStatus& status);

}  // namespace perennial::deployment
