#pragma once

#include <cstdint>
#include <variant>

#include "api/drift_monitor.h"
#include "api/model_version.h"
#include "drift/gather.h"
#include "scrape/window_view.h"
#include "stats/categories.h"

// Attribution drift: the model leans on other features than it did when it was trained.
namespace perennial::drift {

// How much each feature counts for the predictions of a window.
struct Importances {
  stats::Categories features;  // by name; the count is the importance, without its sign
  double samples = 0;
  bool observations = false;  // each sample explains one prediction
};
using GatheredImportances = std::variant<Importances, Evaluation>;

// What the signal's metric shows for each value of its label ("feature" unless it says another):
// the increase of a counter, the mean of the scraped values of a gauge or what counts as one, or
// the mean of what a histogram or summary observed.
GatheredImportances GatherImportances(const api::Signal& signal, const scrape::WindowView& window);

// The normalised discounted cumulative gain of the window's ranking against the importances that
// the baseline records (stats/ranking.h). A feature that only one side has counts as 0 on the
// other. `profile` may be null.
GatheredQuantity GatherAttribution(const api::Signal& signal, const scrape::WindowView& window,
                                   const api::Profile* profile);

}  // namespace perennial::drift
