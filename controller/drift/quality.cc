#include "drift/quality.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/text.h"
#include "drift/comparison.h"
#include "stats/categories.h"
#include "stats/histogram.h"

namespace perennial::drift {
namespace {

using scrape::SeriesKind;
using scrape::SeriesWindow;

// How many values a metric saw, whatever it is. `absent`: no pod exposes it.
std::optional<Evaluation> CountOf(const std::string& metric, const scrape::WindowView& window,
                                  double& count, bool& absent) {
  absent = true;
  for (const SeriesWindow& series : window.series) {
    if (series.metric != metric) continue;
    absent = false;
    switch (series.kind) {
      case SeriesKind::kGauge:
        return Wrong(metric + " is a Gauge: a rate needs what counts up");
      case SeriesKind::kHistogram:
      case SeriesKind::kSummary:
        count += series.count;
        break;
      case SeriesKind::kCounter:
      case SeriesKind::kUnknown:
        count += series.increase;
        break;
    }
  }
  return std::nullopt;
}

GatheredQuantity GatherCounted(const api::Quality& asked, const scrape::WindowView& window) {
  double bad = 0;
  double seen = 0;
  bool no_counter = false;
  bool nothing = false;
  const std::string& whole = asked.rows.empty() ? asked.metric : asked.rows;
  if (auto failed = CountOf(asked.counter, window, bad, no_counter)) return *std::move(failed);
  if (auto failed = CountOf(whole, window, seen, nothing)) return *std::move(failed);
  if (nothing) return NoData(Missing("the metric " + whole, window));
  Quantity quantity;
  quantity.samples = asked.rows.empty() ? seen + bad : seen;
  if (!(quantity.samples > 0)) return NoData("no samples of " + whole + " in the window");
  quantity.value = bad / quantity.samples;
  // A labelled counter appears with the first event that it counts.
  if (no_counter) quantity.note = "no pod exposes " + asked.counter + " yet: counted as 0";
  return quantity;
}

GatheredQuantity OutOfRange(const api::MetricProfile& profile, const stats::Histogram& histogram) {
  if (!profile.min && !profile.max) {
    return NoData("the baseline of " + profile.metric +
                  " has no min and no max: let training record them");
  }
  const auto& bounds = histogram.bounds;
  // Bucket i is (bounds[i - 1], bounds[i]]: above max if it begins there, below min if it ends
  // before.
  const bool sees_below = profile.min && !bounds.empty() && bounds.front() < *profile.min;
  const bool sees_above = profile.max && !bounds.empty() && bounds.back() >= *profile.max;
  if (!sees_below && !sees_above) {
    return NoData("no bucket of " + profile.metric + " lies outside the baseline's range: expose " +
                  (profile.max ? "a bound at " + NumberText(*profile.max)
                               : "a bound below " + NumberText(*profile.min)));
  }
  Quantity quantity;
  double outside = 0;
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    quantity.samples += histogram.counts[i];
    const bool above = profile.max && i > 0 && bounds[i - 1] >= *profile.max;
    const bool below = profile.min && i < bounds.size() && bounds[i] < *profile.min;
    if (above || below) outside += histogram.counts[i];
  }
  if (!(quantity.samples > 0)) return NoData("no samples of " + profile.metric + " in the window");
  quantity.value = outside / quantity.samples;
  if (profile.max && !sees_above) {
    quantity.note = "no bucket begins at " + NumberText(*profile.max) + " or above: only what is " +
                    "below the baseline's min is counted";
  } else if (profile.min && !sees_below) {
    quantity.note = "no bucket ends below " + NumberText(*profile.min) + ": only what is above " +
                    "the baseline's max is counted";
  }
  return quantity;
}

GatheredQuantity OutOfCategories(const api::MetricProfile& profile,
                                 const stats::Categories& counted) {
  std::set<std::string_view> known;
  for (const api::Category& category : profile.categories) known.insert(category.name);
  if (known.contains(stats::kOtherCategory)) {
    return NoData("the baseline of " + profile.metric +
                  " has put its rare categories together, so nobody can tell which are new");
  }
  Quantity quantity;
  double outside = 0;
  for (const stats::CategoryCount& category : counted) {
    quantity.samples += category.count;
    if (!known.contains(category.name)) outside += category.count;
  }
  if (!(quantity.samples > 0)) return NoData("no samples of " + profile.metric + " in the window");
  quantity.value = outside / quantity.samples;
  return quantity;
}

GatheredQuantity GatherOutside(const api::Signal& signal, const scrape::WindowView& window,
                               const api::Profile* baseline) {
  const std::string& metric = signal.quality->metric;
  if (baseline == nullptr) {
    return NoData("there is no baseline whose range could be left: see spec.baseline");
  }
  const api::MetricProfile* profile = FindMetric(*baseline, metric, signal.label);
  if (profile == nullptr) return NoData("the baseline has no metric " + metric);
  const bool categorical = profile->type == api::MetricType::kCategorical;
  const std::string& label = signal.label.empty() ? profile->label : signal.label;
  Gathered gathered =
      categorical ? GatherCategories(metric, label, window, {}) : GatherHistogram(metric, window);
  if (auto* failed = std::get_if<Evaluation>(&gathered)) return std::move(*failed);
  const auto& counted = std::get<stats::Distribution>(gathered);
  return categorical ? OutOfCategories(*profile, std::get<stats::Categories>(counted))
                     : OutOfRange(*profile, std::get<stats::Histogram>(counted));
}

}  // namespace

bool NeedsRange(const api::Quality& quality) {
  return quality.measure == "out_of_bounds_rate";
}

GatheredQuantity GatherQuality(const api::Signal& signal, const scrape::WindowView& window,
                               const api::Profile* baseline) {
  return NeedsRange(*signal.quality) ? GatherOutside(signal, window, baseline)
                                     : GatherCounted(*signal.quality, window);
}

}  // namespace perennial::drift
