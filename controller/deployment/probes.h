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

}  // namespace perennial::deployment
