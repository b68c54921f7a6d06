#pragma once

#include "drift/gather.h"

namespace perennial::drift {

// What the signal's performance asks for, by definition of its name: accuracy, precision, recall
// and f1_score as stats/classification.h has them, from a counter's increase by the labels for what
// was predicted and what was true; mean_absolute_error as sum / count, root_mean_squared_error as
// the root of the sum of squares / count. It rests on what it divides by; f1_score on the
// predictions that are positive or should have been.
GatheredQuantity GatherPerformance(const api::Signal& signal, const scrape::WindowView& window);

}  // namespace perennial::drift
