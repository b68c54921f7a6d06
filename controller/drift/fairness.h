#pragma once

#include "drift/gather.h"

namespace perennial::drift {

// The difference between groups that the signal's fairness asks for. Groups that were counted less
// than minGroupSamples, or of a class less that the measure divides by, are left out and named;
// fewer than two others are no data.
GatheredQuantity GatherFairness(const api::Signal& signal, const scrape::WindowView& window);

}  // namespace perennial::drift
