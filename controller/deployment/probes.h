#pragma once

#include <optional>
#include <string>
#include <vector>

#include "deployment/rollout.h"

namespace perennial::deployment {

// One look at what a probe asks, of the recorded rollout. `before`: what is on record of it.
api::CheckStatus LookAtProbe(const Observed& seen, const api::RolloutStatus& rollout,
                             const api::AnalysisProbe& probe, const api::CheckStatus* before);

// What is wrong with a Job's template, or nothing.
std::optional<std::string> ProbeProblem(const api::ModelDeployment& deployment);

// Jobs that are on record and were never seen: one that was, and is gone, is not made again.
std::vector<kube::CreateObject> MissingJobs(const Observed& seen);

// The verdict of `success` and `failure` over `object` (JSON text). One alone decides both ways.
api::Verdict VerdictOf(const api::LookRules& rules, const std::string& object);

// Fills in a look's verdict by these rules, its threshold and its message. `values` is what the
// rules judged, in words: "result is 3".
void JudgeLook(const api::LookRules& rules, const std::string& object, const std::string& values,
               api::CheckStatus& look);

}  // namespace perennial::deployment
