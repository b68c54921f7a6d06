#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "api/drift_monitor.h"
#include "stats/measure.h"

namespace perennial::drift {

inline constexpr std::size_t kMostBinShifts = 3;

// The buckets (at the bounds that both sides share) or categories whose shares differ most, the
// greatest difference first; those that don't differ are left out. Empty where the sides can't be
// compared or one has no observations. Pure.
std::vector<api::BinShift> MostMoved(const stats::Distribution& baseline,
                                     const stats::Distribution& current,
                                     std::size_t most = kMostBinShifts);

// "(10, 20] 12.0% -> 31.5%, > 40 3.0% -> 9.1%".
std::string DescribeMoves(const std::vector<api::BinShift>& moved);

}  // namespace perennial::drift
