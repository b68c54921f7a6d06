#include "drift/performance.h"

#include <cmath>
#include <optional>
#include <string>

#include "stats/classification.h"

namespace perennial::drift {
namespace {

using scrape::SeriesKind;
using scrape::SeriesWindow;

GatheredQuantity OfClasses(const api::Performance& asked, const scrape::WindowView& window) {
  stats::Classified counted;
  bool any = false;
  bool fits = false;
  for (const SeriesWindow& series : window.series) {
    if (series.metric != asked.metric) continue;
    any = true;
    if (series.kind != SeriesKind::kCounter && series.kind != SeriesKind::kUnknown) {
      return Wrong(asked.metric + " is a " + scrape::ToString(series.kind) + ": " + asked.measure +
                   " needs a counter with labels for what was predicted and what was true");
    }
    const std::string* predicted = LabelOf(series, asked.predicted_label);
    const std::string* actual = LabelOf(series, asked.actual_label);
    if (predicted == nullptr || actual == nullptr) continue;
    fits = true;
    counted.total += series.increase;
    if (*predicted == *actual) counted.correct += series.increase;
    if (*predicted == asked.positive) counted.predicted_positives += series.increase;
    if (*actual == asked.positive) counted.actual_positives += series.increase;
    if (*predicted == asked.positive && *actual == asked.positive) {
      counted.true_positives += series.increase;
    }
  }
  if (!any) return NoData(Missing("the counter " + asked.metric, window));
  if (!fits) {
    return Wrong(asked.metric + " lacks the label " + asked.predicted_label + " or " +
                 asked.actual_label + ": set predictedLabel and actualLabel");
  }
  Quantity quantity;
  std::optional<double> value;
  std::string empty = "nothing was counted in the window";
  if (asked.measure == "accuracy") {
    value = stats::Accuracy(counted);
    quantity.samples = counted.total;
  } else if (asked.measure == "precision") {
    value = stats::Precision(counted);
    quantity.samples = counted.predicted_positives;
    empty = "nothing was predicted as " + asked.positive + " in the window";
  } else if (asked.measure == "recall") {
    value = stats::Recall(counted);
    quantity.samples = counted.actual_positives;
    empty = "nothing turned out to be " + asked.positive + " in the window";
  } else {
    value = stats::F1Score(counted);
    quantity.samples =
        counted.predicted_positives + counted.actual_positives - counted.true_positives;
    empty = "nothing was, or was predicted as, " + asked.positive + " in the window";
  }
  if (!value) return NoData(empty, counted.total);
  quantity.value = *value;
  return quantity;
}

// Sum and number of what `metric` observed.
struct Observed {
  double sum = 0;
  double count = 0;
};

// Of a histogram or summary.
std::optional<Evaluation> Observe(const std::string& metric, const scrape::WindowView& window,
                                  Observed& observed) {
  bool any = false;
  for (const SeriesWindow& series : window.series) {
    if (series.metric != metric) continue;
    any = true;
    if (series.kind != SeriesKind::kHistogram && series.kind != SeriesKind::kSummary) {
      return Wrong(metric + " is a " + scrape::ToString(series.kind) +
                   ": errors are observed by a histogram or summary");
    }
    if (series.count <= 0) continue;
    observed.sum += series.sum;
    observed.count += series.count;
  }
  if (!any) return NoData(Missing("the metric " + metric, window));
  if (!(observed.count > 0)) return NoData("no samples of " + metric + " in the window");
  return std::nullopt;
}

// The squares, of whatever adds them up.
std::optional<Evaluation> AddUp(const std::string& metric, const scrape::WindowView& window,
                                double& sum) {
  bool any = false;
  for (const SeriesWindow& series : window.series) {
    if (series.metric != metric) continue;
    any = true;
    if (series.kind == SeriesKind::kGauge) {
      return Wrong(metric +
                   " is a Gauge: squares are added up by a counter, or observed by a "
                   "histogram or summary");
    }
    const bool counts = series.kind == SeriesKind::kCounter || series.kind == SeriesKind::kUnknown;
    if (!counts && series.count <= 0) continue;
    sum += counts ? series.increase : series.sum;
  }
  if (!any) return NoData(Missing("the counter " + metric, window));
  return std::nullopt;
}

GatheredQuantity OfErrors(const api::Performance& asked, const scrape::WindowView& window) {
  Observed observed;
  if (auto failed = Observe(asked.metric, window, observed)) return *std::move(failed);
  const bool squared = asked.measure == "root_mean_squared_error";
  double sum = observed.sum;
  if (squared) {
    sum = 0;
    if (auto failed = AddUp(asked.squares, window, sum)) return *std::move(failed);
  }
  const std::string& summed = squared ? asked.squares : asked.metric;
  if (!std::isfinite(sum)) {
    return NoData("the sum of " + summed + " is not a number: a pod observed NaN", observed.count);
  }
  if (sum < 0) {
    return Wrong("the sum of " + summed + " is below 0: let the pods observe " +
                 (squared ? "squares" : "absolute errors"));
  }
  Quantity quantity;
  quantity.samples = observed.count;
  quantity.value = squared ? std::sqrt(sum / observed.count) : sum / observed.count;
  return quantity;
}

}  // namespace

GatheredQuantity GatherPerformance(const api::Signal& signal, const scrape::WindowView& window) {
  const api::Performance& asked = *signal.performance;
  const bool error = asked.measure.ends_with("_error");
  return error ? OfErrors(asked, window) : OfClasses(asked, window);
}

}  // namespace perennial::drift
