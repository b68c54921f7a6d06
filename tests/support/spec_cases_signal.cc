#include "support/spec_cases_by_kind.h"

namespace perennial::testing {

std::vector<SpecCase> SignalCases() {
  const auto signal = [](const char* text) {
    return R"({"signals": [)" + std::string(text) + "]}";
  };
  return {
      Patched("drift without tests", kDm,
              signal(R"({"name": "a", "type": "PredictionDrift", "metric": "m"})").c_str(),
              "spec.signals", "set tests"),
      Patched("drift without metric", kDm,
              signal(R"({"name": "a", "type": "DataDrift",
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].metric", "set metric"),
      Patched("drift with a preset", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "preset": "azure"})")
                  .c_str()),
      Patched("drift and quality of a monitor with a preset", kDm,
              R"({"preset": "azure", "signals": [
                   {"name": "a", "type": "PredictionDrift", "metric": "m", "weight": "0",
                    "severity": "Critical"},
                   {"name": "b", "type": "DataQuality", "metric": "m"}]})"),
      Patched("performance with a preset", kDm,
              R"({"preset": "azure", "signals": [
                   {"name": "a", "type": "ModelPerformance", "metric": "m"}]})",
              "spec.signals", "no preset has a default"),
      Patched("attribution", kDm,
              R"({"preset": "azure", "signals": [
                   {"name": "a", "type": "AttributionDrift", "metric": "m"},
                   {"name": "b", "type": "DataQuality", "metric": "m"}]})"),
      Patched("attribution with its own bound and label", kDm,
              signal(R"({"name": "a", "type": "AttributionDrift", "metric": "m", "label": "column",
                         "min": "0.8"})")
                  .c_str()),
      Patched("attribution without a bound", kDm,
              signal(R"({"name": "a", "type": "AttributionDrift", "metric": "m"})").c_str(),
              "spec.signals", "a signal has no threshold"),
      Patched("attribution with a greatest value", kDm,
              signal(R"({"name": "a", "type": "AttributionDrift", "metric": "m", "min": "0.9",
                         "max": "1"})")
                  .c_str(),
              "spec.signals[0].metric", "set metric and min, remove max"),
      Patched("attribution twice", kDm,
              R"({"preset": "azure", "signals": [
                   {"name": "a", "type": "AttributionDrift", "metric": "m"},
                   {"name": "b", "type": "AttributionDrift", "metric": "n"}]})",
              "spec.signals", "keep one signal of type AttributionDrift"),
      Patched("importances in a baseline", kDm,
              R"({"baseline": {"from": "Inline", "profile": {"featureAttribution": [
                   {"feature": "a", "importance": -0.25}, {"feature": "b", "importance": 1}]}}})"),
      Patched("importances of one feature twice", kDm,
              R"({"baseline": {"from": "Inline", "profile": {"featureAttribution": [
                   {"feature": "a", "importance": 0.25}, {"feature": "a", "importance": 1}]}}})",
              "spec.baseline.profile.featureAttribution[1]"),
      Patched("effect of a distance", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "mean_shift", "threshold": "1", "minEffect": "0.1"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].minEffect", "goes with a measure that is a p-value"),
      Patched("effect and critical p-value", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "pearsons_chi_squared_test", "threshold": "0.05", "minEffect": "0.1",
                          "critical": "0.0001"}]})")
                  .c_str()),
      Patched("negative effect", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "pearsons_chi_squared_test", "threshold": "0.05", "minEffect": "-1"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].minEffect", "can't be negative"),
      Patched("critical before threshold", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "mean_shift", "threshold": "1", "critical": "0.5"}]})")
                  .c_str(),
              "spec.signals[0].tests[0].critical", "calm side of threshold"),
      Patched("negative weight", kDm,
              signal(R"({"name": "a", "type": "Custom", "metric": "m", "max": "1",
                         "weight": "-1"})")
                  .c_str(),
              "spec.signals[0].weight", "can't be negative"),
      Patched("drift with a bound", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "max": "1",
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].type", "is judged by tests"),
      Patched("quality without bound", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "metric": "m"})").c_str(),
              "spec.signals", "max or min"),
      Patched("quality with tests", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "metric": "m", "max": "1",
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].tests", "remove them, or change type"),
      Patched("ratio", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "numerator": "n",
                         "denominator": "d", "max": "0.01"})")
                  .c_str()),
      Patched(
          "half a ratio", kDm,
          signal(R"({"name": "a", "type": "DataQuality", "numerator": "n", "max": "1"})").c_str(),
          "spec.signals[0].metric", "set one of them"),
      Patched("ratio and metric", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "numerator": "n", "metric": "m",
                         "denominator": "d", "max": "0.01"})")
                  .c_str(),
              "spec.signals[0].metric", "set one of them"),
      Patched("expression", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "max": "4.5", "window": "24h",
                         "expression": "rate(e_sum[1h]) / rate(e_count) ", "offset": "24h"})")
                  .c_str()),
      Patched("fairness", kDm,
              signal(R"({"name": "a", "type": "Fairness", "max": "0.1", "fairness": {
                         "metric": "p_total", "measure": "equalized_odds_difference"}})")
                  .c_str()),
      Patched("fairness by an unknown measure", kDm,
              signal(R"({"name": "a", "type": "Fairness", "max": "0.1", "fairness": {
                         "metric": "p_total", "measure": "parity"}})")
                  .c_str(),
              "spec.signals[0].fairness.measure"),
      Patched("fairness and metric", kDm,
              signal(R"({"name": "a", "type": "Fairness", "max": "0.1", "metric": "m", "fairness": {
                         "metric": "p_total", "measure": "equalized_odds_difference"}})")
                  .c_str(),
              "spec.signals[0].metric", "set one of them"),
      Patched("quality of three kinds", kDm, R"({"signals": [
          {"name": "a", "type": "DataQuality", "max": "0", "quality": {
           "measure": "out_of_bounds_rate", "metric": "m"}},
          {"name": "b", "type": "DataQuality", "max": "0.1", "quality": {
           "measure": "null_value_rate", "metric": "m", "counter": "m_nulls_total"}},
          {"name": "c", "type": "DataQuality", "max": "0.1", "quality": {
           "measure": "data_type_error_rate", "counter": "n_total", "rows": "rows_total"}}]})"),
      Patched("bounds and a counter", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "max": "0", "quality": {
                         "measure": "out_of_bounds_rate", "metric": "m", "counter": "n"}})")
                  .c_str(),
              "spec.signals[0].quality.metric", "set metric alone"),
      Patched("nulls without a counter", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "max": "0", "quality": {
                         "measure": "null_value_rate", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].quality.counter", "set counter"),
      Patched("nulls of both", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "max": "0", "quality": {
                         "measure": "null_value_rate", "metric": "m", "counter": "n", "rows": "r"}})")
                  .c_str(),
              "spec.signals[0].quality.counter", "either metric or rows"),
      Patched("quality and performance", kDm,
              signal(R"({"name": "a", "type": "DataQuality", "max": "0", "quality": {
                         "measure": "out_of_bounds_rate", "metric": "m"}, "performance": {
                         "measure": "accuracy", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].metric", "set one of them"),
      Patched("performance", kDm, R"({"signals": [
          {"name": "a", "type": "ModelPerformance", "min": "0.8", "performance": {
           "measure": "recall", "metric": "outcomes_total", "positive": "late"}},
          {"name": "b", "type": "ModelPerformance", "max": "6", "performance": {
           "measure": "root_mean_squared_error", "metric": "e", "squares": "e_squares_total"}}]})"),
      Patched("performance by an unknown measure", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "min": "0", "performance": {
                         "measure": "auc", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].performance.measure"),
      Patched("performance without squares", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "max": "6", "performance": {
                         "measure": "root_mean_squared_error", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].performance.squares", "needs squares"),
      Patched("drift by quality", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "tests": [
                         {"measure": "population_stability_index", "threshold": "0.2"}],
                         "quality": {"measure": "out_of_bounds_rate", "metric": "m"}})")
                  .c_str(),
              "spec.signals[0].type", "choose another type"),
      Patched("versus baseline", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "metric": "m",
                         "versusBaseline": {"metric": "mae", "maxRelativeIncrease": "0.1"}})")
                  .c_str()),
      Patched("versus baseline without a distance", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "metric": "m",
                         "versusBaseline": {"metric": "mae"}})")
                  .c_str(),
              "spec.signals[0].versusBaseline.maxIncrease", "say how far"),
      Patched("drift versus baseline", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m",
                         "versusBaseline": {"metric": "mae", "maxIncrease": "1"},
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].versusBaseline", "by tests: remove"),
      Patched("expression and metric", kDm,
              signal(R"({"name": "a", "type": "ModelPerformance", "max": "4.5", "metric": "m",
                         "expression": "m"})")
                  .c_str(),
              "spec.signals[0].metric", "set one of them"),
      Patched("drift by expression", kDm,
              signal(R"({"name": "a", "type": "DataDrift", "metric": "m", "expression": "m",
                         "tests": [{"measure": "mean_shift", "threshold": "1"}]})")
                  .c_str(),
              "spec.signals[0].type", "is judged by tests"),
      Patched("window of a moment", kDm,
              signal(R"({"name": "a", "type": "Custom", "metric": "m", "max": "1",
                         "window": "10ms"})")
                  .c_str(),
              "spec.signals[0].window", "at least 1s"),
      Patched("min above max", kDm,
              signal(R"({"name": "a", "type": "Custom", "metric": "m", "max": "1", "min": "2"})")
                  .c_str(),
              "spec.signals[0].min", "min is above max"),
      Patched(
          "metric with a dash", kDm,
          signal(R"({"name": "a", "type": "Custom", "metric": "my-metric", "max": "1"})").c_str(),
          "spec.signals[0].metric"),
  };
}

}  // namespace perennial::testing
