#pragma once

#include <optional>
#include <string>

#include "api/model_deployment.h"
#include "api/source.h"
#include "base/result.h"
#include "deployment/decide.h"
#include "scrape/instant_query_pool.h"

namespace perennial::deployment {

// A probe's PromQL query of a rollout from `champion` to `version`, with its placeholders filled
// in: ${version}, ${service}, ${championVersion}, ${championService} and ${namespace}. kInvalid
// names one that is none of them.
Result<std::string> FilledIn(const std::string& query, const api::ModelDeployment& deployment,
                             const std::string& champion, const std::string& version);

// As it is to be asked. What a server tells anybody may be of any namespace: without a Secret to
// ask with it is asked only if `anonymous` (kForbidden).
Result<scrape::InstantQuery> QueryOf(const api::ModelDeployment& deployment,
                                     const api::AnalysisProbe& probe, bool anonymous,
                                     const api::SecretLookup& secrets);

// One look at what was answered.
api::CheckStatus LookAtAnswer(const Observed& seen, const api::AnalysisProbe& probe);

}  // namespace perennial::deployment
