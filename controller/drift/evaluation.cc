#include "drift/evaluation.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "base/text.h"
#include "drift/attribution.h"
#include "drift/comparison.h"
#include "drift/fairness.h"
#include "drift/gather.h"
#include "drift/performance.h"
#include "drift/preset.h"
#include "drift/quality.h"

namespace perennial::drift {
namespace {

using api::SignalState;

// What a bound goes for, as users read it.
std::string NameOf(const api::Signal& signal) {
  if (!signal.expression.empty()) return "the expression";
  if (signal.fairness) return signal.fairness->measure;
  if (signal.type == api::SignalType::kAttributionDrift) {
    return "normalized_discounted_cumulative_gain of " + signal.metric;
  }
  if (signal.performance) return signal.performance->measure;
  if (signal.quality) {
    const api::Quality& quality = *signal.quality;
    return quality.measure + " of " + (quality.rows.empty() ? quality.metric : quality.rows);
  }
  return signal.metric.empty() ? signal.numerator + " / " + signal.denominator
                               : "mean of " + signal.metric;
}

Evaluation JudgeBound(const api::Signal& signal, GatheredQuantity gathered,
                      std::int64_t min_samples) {
  if (auto* failed = std::get_if<Evaluation>(&gathered)) return std::move(*failed);
  auto& quantity = std::get<Quantity>(gathered);
  if (quantity.observations && quantity.samples < static_cast<double>(min_samples)) {
    return NoData(TooFewSamples(quantity.samples, min_samples), quantity.samples);
  }
  Evaluation evaluation;
  evaluation.value = NumberText(quantity.value);
  evaluation.samples = static_cast<std::int64_t>(quantity.samples);
  const bool above = signal.max && quantity.value > signal.max->value;
  const bool below = signal.min && quantity.value < signal.min->value;
  const bool by_chance =
      quantity.certain && (above ? *quantity.certain <= signal.max->value
                                 : below && *quantity.certain >= signal.min->value);
  evaluation.outcome = by_chance        ? SignalState::kWarning
                       : above || below ? SignalState::kDrifted
                                        : SignalState::kOk;
  const bool show_max = signal.max && !below;
  evaluation.threshold = show_max ? signal.max->text : signal.min->text;
  const char* relation = above ? ", above max " : below ? ", below min " : ", within ";
  evaluation.message = NameOf(signal) + " is " + evaluation.value + relation +
                       (above || below ? ""
                        : show_max     ? "max "
                                       : "min ") +
                       evaluation.threshold;
  if (by_chance) evaluation.message += ", but groups of this size differ so much by chance";
  if (!quantity.note.empty()) evaluation.message += " (" + quantity.note + ")";
  if (above || below) evaluation.moved = std::move(quantity.moved);
  return evaluation;
}

// nullptr: it has none of its own.
const api::MetricProfile* LiveMetricOf(const Reading& reading, const api::Signal& signal) {
  if (reading.live == nullptr) return nullptr;
  const auto found = reading.live->find(signal.name);
  return found == reading.live->end() ? nullptr : found->second;
}

GatheredQuantity GatherWanted(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                              const Reading& reading) {
  if (signal.expression.empty()) {
    const scrape::WindowView& window = reading.window(RangeOf(spec, signal));
    if (signal.type == api::SignalType::kAttributionDrift) {
      return GatherAttribution(signal, window, reading.baseline);
    }
    return signal.fairness         ? GatherFairness(signal, window)
           : signal.quality        ? GatherQuality(signal, window, reading.baseline)
           : signal.performance    ? GatherPerformance(signal, window)
           : signal.metric.empty() ? GatherRatio(signal, window)
                                   : GatherMean(signal, window);
  }
  const auto wrong = reading.expressions.wrong.find(signal.name);
  if (wrong != reading.expressions.wrong.end()) return Wrong("expression: " + wrong->second);
  const scrape::Expression& expression = reading.expressions.parsed.at(signal.name);
  std::vector<scrape::RangeView> views;
  for (const scrape::Range& range : expression.ranges()) {
    const scrape::Range real = RangeOf(spec, signal, range);
    views.push_back({range, real.length, &reading.window(real)});
  }
  return GatherExpression(expression, views);
}

Evaluation EvaluateBound(const api::DriftMonitorSpec& spec, const api::Signal& declared,
                         const Reading& reading) {
  auto bounded = WithBounds(declared, reading.version);
  if (auto* failed = std::get_if<Evaluation>(&bounded)) return std::move(*failed);
  const api::Signal signal = WithPreset(spec, std::get<api::Signal>(bounded), false);
  if (!signal.max && !signal.min) return Wrong("the signal has no bound: set max or min");
  return JudgeBound(signal, GatherWanted(spec, signal, reading), spec.min_samples);
}

}  // namespace

bool ComparesDistributions(const api::Signal& signal) {
  return signal.type == api::SignalType::kDataDrift ||
         signal.type == api::SignalType::kPredictionDrift;
}

bool NeedsBaseline(const api::Signal& signal) {
  return ComparesDistributions(signal) || signal.type == api::SignalType::kAttributionDrift;
}

std::vector<Evaluation> EvaluateSignals(const api::DriftMonitorSpec& spec, const Reading& reading) {
  std::vector<Evaluation> evaluations;
  std::vector<Compared> compared;
  for (const api::Signal& signal : spec.signals) {
    if (ComparesDistributions(signal)) {
      compared.push_back(Compare(spec, signal, reading.window(RangeOf(spec, signal)),
                                 reading.baseline, LiveMetricOf(reading, signal)));
    } else {
      evaluations.push_back(EvaluateBound(spec, signal, reading));
    }
  }
  if (spec.false_discovery_rate) AdjustTogether(compared);
  std::vector<Evaluation> out;
  auto bound = evaluations.begin();
  auto drift = compared.begin();
  for (const api::Signal& signal : spec.signals) {
    out.push_back(ComparesDistributions(signal) ? JudgeComparison(spec, *drift++)
                                                : std::move(*bound++));
  }
  return out;
}

std::vector<std::string> WantedMetrics(const api::DriftMonitorSpec& spec,
                                       const Expressions& expressions) {
  std::set<std::string> names;
  const auto add = [&](const std::string& name) {
    if (!name.empty()) names.insert(name);
  };
  for (const api::Signal& signal : spec.signals) {
    add(signal.metric);
    add(signal.numerator);
    add(signal.denominator);
    if (signal.fairness) add(signal.fairness->metric);
    if (signal.quality) {
      add(signal.quality->metric);
      add(signal.quality->counter);
      add(signal.quality->rows);
    }
    if (signal.performance) {
      add(signal.performance->metric);
      add(signal.performance->squares);
    }
  }
  for (const auto& [signal, expression] : expressions.parsed) {
    names.insert(expression.metrics().begin(), expression.metrics().end());
  }
  return {names.begin(), names.end()};
}

}  // namespace perennial::drift
