#pragma once

#include "api/drift_monitor.h"
#include "api/measure_names.h"
#include "api/rules.h"
#include "api/schema.h"

// The tables of the rates and scores that a DriftMonitor's signal may name.
namespace perennial::api {

template <>
struct Schema<Quality> {
  using T = Quality;
  static constexpr std::tuple kFields{
      Field{"measure", &T::measure,
            "null_value_rate and data_type_error_rate: the share that counter counts. "
            "out_of_bounds_rate: the share outside the range, or the categories, of the baseline.",
            Rules{.required = true, .names = kQualityNames}},
      Field{"metric", &T::metric,
            "The feature: a histogram, or a counter with the signal's label. It doesn't observe "
            "what counter counts.",
            kMetricName},
      Field{"counter", &T::counter, "The counter of values that are null or of another type.",
            kMetricName},
      Field{"rows", &T::rows, "Instead of metric: what counts all values, the others too.",
            kMetricName},
  };
  static constexpr std::array kCel{
      Cel<T>{"self.measure != 'out_of_bounds_rate' || "
             "(has(self.metric) && !has(self.counter) && !has(self.rows))",
             "out_of_bounds_rate compares metric with the baseline: set metric alone", "metric",
             [](const T& v) {
               return v.measure != "out_of_bounds_rate" ||
                      (!v.metric.empty() && v.counter.empty() && v.rows.empty());
             }},
      Cel<T>{"self.measure == 'out_of_bounds_rate' || "
             "(has(self.counter) && has(self.metric) != has(self.rows))",
             "this rate is counter's share of all values: set counter, and either metric or rows",
             "counter",
             [](const T& v) {
               return v.measure == "out_of_bounds_rate" ||
                      (!v.counter.empty() && v.metric.empty() != v.rows.empty());
             }},
  };
};

template <>
struct Schema<Performance> {
  using T = Performance;
  static constexpr std::tuple kFields{
      Field{"measure", &T::measure,
            "accuracy, precision, recall and f1_score are bounded by min, errors by max.",
            Rules{.required = true, .names = kPerformanceNames}},
      Field{"metric", &T::metric,
            "Classification: the counter of predictions, labelled by what was predicted and what "
            "was true. Errors: a histogram or summary of absolute errors.",
            Required(kMetricName)},
      Field{"squares", &T::squares,
            "root_mean_squared_error: a counter that adds up the squares of the errors that metric "
            "observes, or a histogram or summary of them.",
            kMetricName},
      Field{"predictedLabel", &T::predicted_label, "The label that names the prediction.",
            kLabelName},
      Field{"actualLabel", &T::actual_label, "The label that names what was true.", kLabelName},
      Field{"positive", &T::positive,
            "The value of both labels that counts as positive; accuracy doesn't need it.",
            Rules{.max_length = 128}},
  };
  static constexpr std::array kCel{
      Cel<T>{"(self.measure == 'root_mean_squared_error') == has(self.squares)",
             "root_mean_squared_error needs squares, and squares goes with nothing else", "squares",
             [](const T& v) {
               return (v.measure == "root_mean_squared_error") == !v.squares.empty();
             }},
  };
};

}  // namespace perennial::api
