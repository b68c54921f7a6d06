#include "drift/evaluation.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "drift/comparison.h"
#include "drift/gather.h"
#include "drift/preset.h"

namespace perennial::drift {
namespace {

using api::SignalState;

Evaluation EvaluateBound(const api::Signal& signal, const scrape::WindowView& window,
                         std::int64_t min_samples) {
  if (!signal.max && !signal.min) return Wrong("the signal has no bound: set max or min");
  auto gathered = signal.metric.empty() ? GatherRatio(signal, window) : GatherMean(signal, window);
  if (auto* failed = std::get_if<Evaluation>(&gathered)) return std::move(*failed);
  const auto& quantity = std::get<Quantity>(gathered);
  if (quantity.observations && quantity.samples < static_cast<double>(min_samples)) {
    return NoData(TooFewSamples(quantity.samples, min_samples), quantity.samples);
  }
  Evaluation evaluation;
  evaluation.value = NumberText(quantity.value);
  evaluation.samples = static_cast<std::int64_t>(quantity.samples);
  const bool above = signal.max && quantity.value > signal.max->value;
  const bool below = signal.min && quantity.value < signal.min->value;
  evaluation.outcome = above || below ? SignalState::kDrifted : SignalState::kOk;
  const bool show_max = signal.max && !below;
  evaluation.threshold = show_max ? signal.max->text : signal.min->text;
  const char* relation = above ? ", above max " : below ? ", below min " : ", within ";
  evaluation.message = (signal.metric.empty() ? signal.numerator + " / " + signal.denominator
                                              : "mean of " + signal.metric) +
                       " is " + evaluation.value + relation +
                       (above || below ? ""
                        : show_max     ? "max "
                                       : "min ") +
                       evaluation.threshold;
  if (!quantity.note.empty()) evaluation.message += " (" + quantity.note + ")";
  return evaluation;
}

}  // namespace

bool NeedsBaseline(const api::Signal& signal) {
  return signal.type == api::SignalType::kDataDrift ||
         signal.type == api::SignalType::kPredictionDrift;
}

std::vector<Evaluation> EvaluateSignals(const api::DriftMonitorSpec& spec,
                                        const scrape::WindowView& window,
                                        const api::Profile* baseline) {
  std::vector<Evaluation> evaluations;
  std::vector<Compared> compared;
  for (const api::Signal& signal : spec.signals) {
    if (NeedsBaseline(signal)) {
      compared.push_back(Compare(spec, signal, window, baseline));
    } else {
      evaluations.push_back(
          EvaluateBound(WithPreset(spec, signal, false), window, spec.min_samples));
    }
  }
  if (spec.false_discovery_rate) AdjustTogether(compared);
  std::vector<Evaluation> out;
  auto bound = evaluations.begin();
  auto drift = compared.begin();
  for (const api::Signal& signal : spec.signals) {
    out.push_back(NeedsBaseline(signal) ? JudgeComparison(spec, *drift++) : std::move(*bound++));
  }
  return out;
}

std::vector<std::string> WantedMetrics(const api::DriftMonitorSpec& spec) {
  std::set<std::string> names;
  for (const api::Signal& signal : spec.signals) {
    for (const std::string* name : {&signal.metric, &signal.numerator, &signal.denominator}) {
      if (!name->empty()) names.insert(*name);
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace perennial::drift
