#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "scrape/exposition.h"

namespace perennial::scrape {

// What one series did inside a window, added up over the pods of a variant.
struct SeriesWindow {
  std::string metric;  // as named in Subscription::metrics
  Labels labels;       // sorted
  SeriesKind kind = SeriesKind::kUnknown;

  // Histogram: upper bounds (the last is +Inf) and observations per bucket, not cumulative.
  std::vector<double> bounds;
  std::vector<double> counts;
  // Histogram and summary: sum (NaN if a target's was not a number) and number of observations.
  // Gauge: sum and number of the scraped values, so that sum / count is the mean over the window.
  double sum = 0;
  double count = 0;
  // Counter, and unknown taken as one. Whole numbers stay whole: nothing is extrapolated.
  double increase = 0;
  // Gauge, and unknown taken as one: mean over the pods that are up of their newest values;
  // NaN if none is up.
  double last = 0;
};

struct WindowView {
  std::vector<SeriesWindow> series;  // sorted by metric, then labels; idle series have zero counts
  int targets = 0;                   // of the variant, now
  int targets_up = 0;                // whose last scrape worked
  // Since the newest successful scrape of the variant; absent if there was none.
  std::optional<Millis> newest_age;
  // Time between the oldest and the newest sample of the variant inside the window; gaps between
  // them are not subtracted. 0 when nothing was measured.
  Millis covered{0};
  std::vector<std::string>
      problems;  // sentences for the status, at most 8; no bytes of the targets'
};

}  // namespace perennial::scrape
