#pragma once

#include "api/drift_monitor.h"
#include "api/measure_names.h"
#include "api/named_signal_schema.h"
#include "api/rules.h"

// The tables of DriftMonitor's spec.signals.
namespace perennial::api {

template <>
struct EnumNames<SignalType> {
  static constexpr std::array<std::string_view, 7> kNames{
      "DataDrift", "PredictionDrift", "ModelPerformance", "DataQuality",
      "Fairness",  "Custom",          "AttributionDrift"};
};
template <>
struct EnumNames<Preset> {
  static constexpr std::array<std::string_view, 1> kNames{"azure"};
};
template <>
struct EnumNames<Severity> {
  static constexpr std::array<std::string_view, 3> kNames{"Minor", "Major", "Critical"};
};

namespace internal {

inline bool IsPValue(std::string_view measure) {
  return measure.ends_with("_test") && measure != "chi_squared_equivalence_test";
}

}  // namespace internal

template <>
struct Schema<DriftTest> {
  using T = DriftTest;
  static constexpr std::tuple kFields{
      Field{"measure", &T::measure, "How the two distributions are compared.",
            Rules{.required = true, .names = kMeasureNames}},
      Field{"warn", &T::warn, "Beyond this the signal is a Warning.", Rules{}},
      Field{"threshold", &T::threshold,
            "Beyond this a look breaches: above it, or below it for a p-value. 0 counts.",
            Rules{.required = true}},
      Field{"critical", &T::critical,
            "Beyond this a breach is critical; with as many critical breaches as `for` asks, the "
            "drift's severity is Critical.",
            Rules{}},
      Field{"minEffect", &T::min_effect,
            "p-values: a smaller difference is no drift, however significant. Default 0.05; the "
            "unit is the measure's effect.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.minEffect) || self.measure in ['two_sample_kolmogorov_smirnov_test', "
             "'pearsons_chi_squared_test', 'welchs_t_test', 'mann_whitney_u_test']",
             "minEffect goes with a measure that is a p-value: remove it, and set threshold to the "
             "size that matters",
             "minEffect",
             [](const T& v) { return !v.min_effect || internal::IsPValue(v.measure); }},
      Cel<T>{"!has(self.minEffect) || double(self.minEffect) >= 0.0",
             "minEffect is a size: it can't be negative", "minEffect",
             [](const T& v) { return !v.min_effect || v.min_effect->value >= 0; }},
      Cel<T>{"!has(self.critical) || (self.measure in ['two_sample_kolmogorov_smirnov_test', "
             "'pearsons_chi_squared_test', 'welchs_t_test', 'mann_whitney_u_test'] ? "
             "double(self.critical) <= double(self.threshold) : "
             "double(self.critical) >= double(self.threshold))",
             "critical lies on the calm side of threshold: swap them", "critical",
             [](const T& v) {
               return !v.critical ||
                      (internal::IsPValue(v.measure) ? v.critical->value <= v.threshold.value
                                                     : v.critical->value >= v.threshold.value);
             }},
  };
};

template <>
struct Schema<VersusBaseline> {
  using T = VersusBaseline;
  static constexpr std::tuple kFields{
      Field{"metric", &T::metric,
            "The evaluation metric of the ModelVersion to compare with, such as mae.",
            Required(kItemName)},
      Field{"group", &T::group, "Of this group of rows; default: of all.",
            Rules{.max_length = 253}},
      Field{"maxIncrease", &T::max_increase, "How far above the recorded value is still fine.",
            Rules{}},
      Field{"maxDecrease", &T::max_decrease, "How far below it.", Rules{}},
      Field{"maxRelativeIncrease", &T::max_relative_increase,
            "The same as a part of the recorded value: 0.1 is ten per cent.", Rules{}},
      Field{"maxRelativeDecrease", &T::max_relative_decrease, "The same for below.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"has(self.maxIncrease) || has(self.maxDecrease) || has(self.maxRelativeIncrease) || "
             "has(self.maxRelativeDecrease)",
             "say how far the number may move: set maxIncrease, maxDecrease, maxRelativeIncrease "
             "or maxRelativeDecrease",
             "maxIncrease",
             [](const T& v) {
               return v.max_increase || v.max_decrease || v.max_relative_increase ||
                      v.max_relative_decrease;
             }},
  };
};

template <>
struct Schema<Fairness> {
  using T = Fairness;
  static constexpr std::tuple kFields{
      Field{"metric", &T::metric,
            "The counter of predictions, labelled by group and prediction, and by what was true "
            "where the measure needs it.",
            Required(kMetricName)},
      Field{"measure", &T::measure,
            "How groups are compared. Differences are bounded by max, ratios by min.",
            Rules{.required = true, .names = kFairnessNames}},
      Field{"groupLabel", &T::group_label, "The label that names the group.", kLabelName},
      Field{"predictedLabel", &T::predicted_label, "The label that names the prediction.",
            kLabelName},
      Field{"actualLabel", &T::actual_label,
            "The label that names what was true; demographic parity doesn't need it.", kLabelName},
      Field{"positive", &T::positive, "The value of both labels that counts as positive.",
            Rules{.max_length = 128}},
      Field{"minGroupSamples", &T::min_group_samples,
            "A group counted less, or of a class less, is not judged.", Rules{.min = 1}},
  };
};

namespace internal {

inline bool IsDrift(const Signal& signal) {
  return signal.type == SignalType::kDataDrift || signal.type == SignalType::kPredictionDrift;
}

}  // namespace internal

template <>
struct Schema<Signal> {
  using T = Signal;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "Its name, unique in the list.", Required(kItemName)},
      Field{"type", &T::type,
            "DataDrift and PredictionDrift compare a distribution with the baseline by `tests`. "
            "The others bound a number by max or min: the mean of a histogram, a ratio of two "
            "counters, or an expression; AttributionDrift, how well the features' order by "
            "importance agrees with the baseline's (normalized discounted cumulative gain).",
            Rules{.required = true}},
      Field{"metric", &T::metric, "The metric to watch.", kMetricName},
      Field{"label", &T::label,
            "The label whose values are the categories; AttributionDrift: the features (default "
            "feature).",
            kLabelName},
      Field{"tests", &T::tests, "Measures of drift with their thresholds; any breach counts.",
            Rules{.max_items = 12, .list_key = "measure"}},
      Field{"preset", &T::preset,
            "Thresholds where the signal has none, instead of the monitor's preset. azure: Azure "
            "ML's defaults.",
            Rules{}},
      Field{"severity", &T::severity, "How bad a drift of this signal is.", Rules{}},
      Field{"weight", &T::weight,
            "How much a drift of this signal counts in spec.policy; 0: it is shown and starts "
            "nothing. Default 1.",
            Rules{}},
      Field{"numerator", &T::numerator, "Instead of metric: a counter, divided by denominator.",
            kMetricName},
      Field{"denominator", &T::denominator, "The counter that numerator is divided by.",
            kMetricName},
      Field{"expression", &T::expression,
            "Instead of metric: a number computed from metrics, in a part of PromQL, such as "
            "\"sum(rate(errors_total[1h])) / sum(rate(requests_total[1h]))\". A mistake in it is "
            "shown in condition Ready, with its column.",
            Rules{.max_length = 2048}},
      Field{"window", &T::window,
            "How far back this signal reaches; default: the monitor's window.", Rules{}},
      Field{"offset", &T::offset,
            "How long ago the window ends, for what is known late: with labels that come after a "
            "day, 24h.",
            Rules{}},
      Field{"max", &T::max, "Above this a look breaches.", Rules{}},
      Field{"min", &T::min, "Below this a look breaches.", Rules{}},
      Field{"fairness", &T::fairness,
            "Instead of metric: a difference between the groups of a counter's label.", Rules{}},
      Field{"quality", &T::quality,
            "Instead of metric: the rate of nulls, of type errors, or of values outside the "
            "baseline's range.",
            Rules{}},
      Field{"performance", &T::performance,
            "Instead of metric: accuracy, precision, recall, F1 or an error, from what turned out "
            "to be true.",
            Rules{}},
      Field{"versusBaseline", &T::versus_baseline,
            "Bounds relative to an evaluation metric that the served ModelVersion records, instead "
            "of max and min or beside them.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!(self.type in ['DataDrift', 'PredictionDrift']) || has(self.metric)",
             "type DataDrift or PredictionDrift compares distributions: set metric", "metric",
             [](const T& v) { return !internal::IsDrift(v) || !v.metric.empty(); }},
      Cel<T>{"!has(self.weight) || double(self.weight) >= 0.0",
             "weight can't be negative: 0 leaves the signal out of the verdict", "weight",
             [](const T& v) { return !v.weight || v.weight->value >= 0; }},
      Cel<T>{"!(self.type in ['DataDrift', 'PredictionDrift']) || "
             "!(has(self.max) || has(self.min) || has(self.numerator) || has(self.denominator) || "
             "has(self.expression) || has(self.fairness) || has(self.quality) || "
             "has(self.performance))",
             "type DataDrift or PredictionDrift is judged by tests: remove max, min, numerator, "
             "denominator, expression, fairness, quality and performance, or choose another type",
             "type",
             [](const T& v) {
               return !internal::IsDrift(v) ||
                      (!v.max && !v.min && v.numerator.empty() && v.denominator.empty() &&
                       v.expression.empty() && !v.fairness && !v.quality && !v.performance);
             }},
      Cel<T>{"!(self.type in ['DataDrift', 'PredictionDrift']) || !has(self.versusBaseline)",
             "DataDrift and PredictionDrift compare with the baseline by tests: remove "
             "versusBaseline",
             "versusBaseline",
             [](const T& v) { return !internal::IsDrift(v) || !v.versus_baseline; }},
      Cel<T>{"self.type in ['DataDrift', 'PredictionDrift'] || "
             "(has(self.numerator) == has(self.denominator) && "
             "[has(self.metric), has(self.numerator), has(self.expression), "
             "has(self.fairness), has(self.quality), has(self.performance)]"
             ".filter(given, given).size() == 1)",
             "this type reads either metric, or numerator and denominator, or expression, "
             "fairness, quality or performance: set one of them",
             "metric",
             [](const T& v) {
               return internal::IsDrift(v) ||
                      (v.numerator.empty() == v.denominator.empty() &&
                       (v.metric.empty() ? 0 : 1) + (v.numerator.empty() ? 0 : 1) +
                               (v.expression.empty() ? 0 : 1) + (v.fairness ? 1 : 0) +
                               (v.quality ? 1 : 0) + (v.performance ? 1 : 0) ==
                           1);
             }},
      Cel<T>{"self.type != 'AttributionDrift' || "
             "(has(self.metric) && !has(self.max) && !has(self.versusBaseline))",
             "type AttributionDrift scores the features' importances that metric shows, and 1 is "
             "best: set metric and min, remove max and versusBaseline",
             "metric",
             [](const T& v) {
               return v.type != SignalType::kAttributionDrift ||
                      (!v.metric.empty() && !v.max && !v.versus_baseline);
             }},
      Cel<T>{"self.type in ['DataDrift', 'PredictionDrift'] || !has(self.tests)",
             "tests go with type DataDrift or PredictionDrift: remove them, or change type",
             "tests", [](const T& v) { return internal::IsDrift(v) || v.tests.empty(); }},
      Cel<T>{"!has(self.max) || !has(self.min) || double(self.min) <= double(self.max)",
             "min is above max: nothing can lie between them", "min",
             [](const T& v) { return !v.max || !v.min || v.min->value <= v.max->value; }},
      Cel<T>{"!has(self.window) || duration(self.window) >= duration('1s')",
             "window must be at least 1s", "window",
             [](const T& v) { return !v.window || v.window->value >= Seconds(1); }},
  };
};

}  // namespace perennial::api
