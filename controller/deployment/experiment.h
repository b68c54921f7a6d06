#pragma once

#include <optional>
#include <vector>

#include "api/model_deployment.h"
#include "deployment/decide.h"

namespace perennial::deployment {

// One look at the A/B test, valid however often it is repeated. Pass: the primary improved and
// every guardrail's interval stays within its margin. Fail: the primary worsened, or a guardrail's
// interval lies beyond its margin.
//
// The p-value never rises: `before` brings the smallest one so far. `carried` is what was on record
// when this process began to count; so a restart in the middle continues one test and doesn't begin
// a second. It loses what was counted since the last record, which has nothing to do with how the
// variants do.
// `challenger_share` (0 to 1) is what it should have got of the requests in Samples::step; 0: the
// split is approximate, and can't be checked. Pure.
api::ExperimentStatus Judge(const api::Experiment& experiment,
                            const std::optional<api::ExperimentStatus>& before,
                            const std::vector<api::QuantityCounts>& carried,
                            const Samples& champion, const Samples& challenger,
                            double challenger_share);

// Whether `after` is worth a write: another verdict, numbers of requests that are right or wrong
// now, a much smaller p-value, 5 % more samples. So the number of writes grows with the logarithm
// of the samples.
bool TellsMore(const std::optional<api::ExperimentStatus>& before,
               const api::ExperimentStatus& after);

}  // namespace perennial::deployment
