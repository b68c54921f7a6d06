#include "drift/gather.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/text.h"
#include "stats/histogram.h"

namespace perennial::drift {
namespace {

using api::SignalState;
using scrape::SeriesKind;
using scrape::SeriesWindow;

Evaluation Without(SignalState outcome, std::string message, double samples = 0) {
  Evaluation evaluation;
  evaluation.outcome = outcome;
  evaluation.samples = static_cast<std::int64_t>(samples);
  evaluation.message = std::move(message);
  return evaluation;
}

std::vector<const SeriesWindow*> SeriesOf(const scrape::WindowView& window,
                                          const std::string& metric) {
  std::vector<const SeriesWindow*> out;
  for (const SeriesWindow& series : window.series) {
    if (series.metric == metric) out.push_back(&series);
  }
  return out;
}

}  // namespace

std::string Missing(const std::string& what, const scrape::WindowView& window) {
  std::string out;
  if (window.targets == 0) {
    out = "no ready pod to read " + what + " from";
  } else if (!window.newest_age) {
    out = "no scrape has worked yet";
  } else {
    out = "no pod exposes " + what;
  }
  if (!window.problems.empty()) out += " (" + window.problems.front() + ")";
  return out;
}

Evaluation NoData(std::string message, double samples) {
  return Without(SignalState::kNoData, std::move(message), samples);
}

Evaluation Wrong(std::string message) {
  return Without(SignalState::kError, std::move(message));
}

const std::string* LabelOf(const SeriesWindow& series, const std::string& name) {
  for (const auto& [label, value] : series.labels) {
    if (label == name) return &value;
  }
  return nullptr;
}

std::string CountText(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f", value);
  return text;
}

std::string TooFewSamples(double samples, std::int64_t min_samples) {
  return CountText(samples) + " samples in the window, fewer than minSamples " +
         std::to_string(min_samples) + ": widen the window or lower minSamples";
}

Gathered GatherHistogram(const std::string& metric, const scrape::WindowView& window) {
  const auto all = SeriesOf(window, metric);
  if (all.empty()) return NoData(Missing("the histogram " + metric, window));
  std::optional<stats::Histogram> sum;
  for (const SeriesWindow* series : all) {
    if (series->kind != SeriesKind::kHistogram) {
      return Wrong(metric + " is a " + scrape::ToString(series->kind) +
                   ": a distribution needs a histogram, or a counter and the signal's label");
    }
    auto histogram = stats::MakeHistogram(series->bounds, series->counts);
    if (!histogram.ok()) return Wrong(metric + ": " + histogram.error().message);
    histogram->sum = series->sum;
    if (!sum) {
      sum = *std::move(histogram);
      continue;
    }
    const auto common = stats::AtCommonBounds(*sum, *histogram);
    if (!common.ok()) {
      return Wrong("series of " + metric + " that differ in labels: " + common.error().message);
    }
    sum = *stats::Add(common->first, common->second);
  }
  return stats::Distribution(*std::move(sum));
}

Gathered GatherCategories(const std::string& metric, const std::string& label,
                          const scrape::WindowView& window, const stats::Categories& baseline) {
  const auto all = SeriesOf(window, metric);
  if (all.empty()) {
    return NoData(Missing("the counter " + metric + " with label " + label, window));
  }
  std::set<std::string_view> known;
  for (const stats::CategoryCount& category : baseline) known.insert(category.name);
  const bool folded = known.contains(stats::kOtherCategory);
  std::map<std::string, double> counts;
  bool labelled = false;
  for (const SeriesWindow* series : all) {
    if (series->kind != SeriesKind::kCounter && series->kind != SeriesKind::kUnknown) {
      return Wrong(metric + " is a " + scrape::ToString(series->kind) +
                   ": categories are counted by a counter");
    }
    const auto found = std::find_if(series->labels.begin(), series->labels.end(),
                                    [&](const auto& pair) { return pair.first == label; });
    if (found == series->labels.end()) continue;
    labelled = true;
    const bool fold = folded && !known.contains(found->second);
    counts[fold ? std::string(stats::kOtherCategory) : found->second] += series->increase;
  }
  if (!labelled) return Wrong(metric + " has no label " + label + ": set the signal's label");
  stats::Categories categories;
  for (const auto& [name, count] : counts) categories.push_back({name, count});
  return stats::Distribution(std::move(categories));
}

GatheredQuantity GatherRatio(const api::Signal& signal, const scrape::WindowView& window) {
  const auto increase = [&](const std::vector<const SeriesWindow*>& all) {
    double sum = 0;
    for (const SeriesWindow* series : all) {
      // Sums and counts of a histogram can be asked for as counters; gauges can't be added up.
      if (series->kind == SeriesKind::kCounter || series->kind == SeriesKind::kUnknown) {
        sum += series->increase;
      }
    }
    return sum;
  };
  for (const std::string& metric : {signal.numerator, signal.denominator}) {
    for (const SeriesWindow* series : SeriesOf(window, metric)) {
      if (series->kind != SeriesKind::kCounter && series->kind != SeriesKind::kUnknown) {
        return Wrong(metric + " is a " + scrape::ToString(series->kind) +
                     ": a ratio is of two counters");
      }
    }
  }
  const auto below = SeriesOf(window, signal.denominator);
  if (below.empty()) return NoData(Missing("the counter " + signal.denominator, window));
  const auto above = SeriesOf(window, signal.numerator);
  Quantity quantity;
  quantity.samples = increase(below);
  if (!(quantity.samples > 0)) return NoData(signal.denominator + " did not rise in the window");
  quantity.value = increase(above) / quantity.samples;
  // A labelled counter appears with the first event that it counts.
  if (above.empty()) quantity.note = "no pod exposes " + signal.numerator + " yet: counted as 0";
  return quantity;
}

GatheredQuantity GatherMean(const api::Signal& signal, const scrape::WindowView& window) {
  const auto all = SeriesOf(window, signal.metric);
  if (all.empty()) return NoData(Missing("the metric " + signal.metric, window));
  Quantity quantity;
  double sum = 0;
  for (const SeriesWindow* series : all) {
    if (series->kind == SeriesKind::kCounter) {
      return Wrong(signal.metric +
                   " is a Counter: divide it by another (numerator and "
                   "denominator), or bound a histogram or a gauge");
    }
    quantity.observations =
        series->kind == SeriesKind::kHistogram || series->kind == SeriesKind::kSummary;
    if (series->count <= 0) continue;
    sum += series->sum;
    quantity.samples += series->count;
  }
  if (!(quantity.samples > 0)) return NoData("no samples of " + signal.metric + " in the window");
  if (!std::isfinite(sum)) {
    return NoData("the sum of " + signal.metric + " is not a number: a pod observed NaN",
                  quantity.samples);
  }
  quantity.value = sum / quantity.samples;
  return quantity;
}

Expressions ParseExpressions(const api::DriftMonitorSpec& spec) {
  Expressions out;
  for (const api::Signal& signal : spec.signals) {
    if (signal.expression.empty()) continue;
    auto parsed = scrape::Expression::Parse(signal.expression);
    if (parsed.ok()) {
      out.parsed.emplace(signal.name, *std::move(parsed));
    } else {
      out.wrong.emplace(signal.name, parsed.error().message);
    }
  }
  return out;
}

scrape::Range RangeOf(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                      scrape::Range named) {
  if (named.length == Millis{0}) {
    named.length = signal.window ? signal.window->value : spec.window.value;
  }
  if (signal.offset) named.offset += signal.offset->value;
  return named;
}

std::variant<api::Signal, Evaluation> WithBounds(const api::Signal& signal,
                                                 const api::ModelVersion* version) {
  if (!signal.versus_baseline) return signal;
  const api::VersusBaseline& versus = *signal.versus_baseline;
  if (version == nullptr) return NoData("the served ModelVersion is not known yet");
  const auto& metrics = version->spec.metrics;
  const auto recorded = std::find_if(metrics.begin(), metrics.end(), [&](const auto& metric) {
    return metric.name == versus.metric && metric.group == versus.group;
  });
  if (recorded == metrics.end()) {
    return NoData("ModelVersion " + version->meta.key.name + " records no metric " + versus.metric +
                  (versus.group.empty() ? "" : " of group " + versus.group) +
                  ": let the training result carry it, or set max or min");
  }
  api::Signal out = signal;
  const auto narrow = [](std::optional<api::Decimal>& bound, double value, bool upper) {
    if (bound && (upper ? bound->value <= value : bound->value >= value)) return;
    bound = api::Decimal{value, NumberText(value)};
  };
  const double base = recorded->value;
  const double part = std::abs(base);
  if (versus.max_increase) narrow(out.max, base + versus.max_increase->value, true);
  if (versus.max_decrease) narrow(out.min, base - versus.max_decrease->value, false);
  if (versus.max_relative_increase) {
    narrow(out.max, base + part * versus.max_relative_increase->value, true);
  }
  if (versus.max_relative_decrease) {
    narrow(out.min, base - part * versus.max_relative_decrease->value, false);
  }
  return out;
}

GatheredQuantity GatherExpression(const scrape::Expression& expression,
                                  std::span<const scrape::RangeView> views) {
  const auto result = expression.Evaluate(views);
  if (!result.ok()) return Wrong("expression: " + result.error().message);
  if (!result->value) {
    const scrape::WindowView& window = *views.front().view;
    if (window.targets == 0 || !window.newest_age) {
      return NoData(Missing("the expression's metrics", window));
    }
    std::string problem;
    if (!window.problems.empty()) problem = " (" + window.problems.front() + ")";
    return NoData("expression: " + result->note + problem);
  }
  Quantity quantity;
  quantity.value = *result->value;
  quantity.observations = result->observations.has_value();
  quantity.samples = result->observations.value_or(0);
  return quantity;
}

}  // namespace perennial::drift
