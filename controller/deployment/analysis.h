#pragma once

#include <string>
#include <vector>

#include "api/model_deployment.h"
#include "scrape/window_view.h"

namespace perennial::deployment {

// One look at one check. Metrics that have not been read for three intervals count as none: what
// was not measured is never good. Pure.
api::CheckStatus LookAtCheck(const api::Analysis& analysis, const api::AnalysisCheck& check,
                             const scrape::WindowView& champion,
                             const scrape::WindowView& challenger);

// Whether `after` tells people more than `before` does: another verdict, another count, or a
// value that moved by a tenth. Otherwise status keeps the old numbers, so that looking is not
// writing.
bool TellsMore(const std::vector<api::CheckStatus>& before,
               const std::vector<api::CheckStatus>& after);

// A metric is stale when no pod was read for this long.
inline constexpr int kStaleIntervals = 3;

}  // namespace perennial::deployment
