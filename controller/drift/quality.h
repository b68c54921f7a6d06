#pragma once

#include "drift/gather.h"

namespace perennial::drift {

// True for out_of_bounds_rate: it reads the baseline's range.
bool NeedsRange(const api::Quality& quality);

// The rate that the signal's quality asks for. `baseline` may be null where NeedsRange() is false.
// What is out of bounds is told from buckets: one that lies outside the baseline's
// minimum and maximum as a whole counts, one that reaches over them doesn't, so the rate is never
// too large.
GatheredQuantity GatherQuality(const api::Signal& signal, const scrape::WindowView& window,
                               const api::Profile* baseline);

}  // namespace perennial::drift
