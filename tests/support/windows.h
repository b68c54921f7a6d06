#pragma once

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "drift/evaluation.h"

// Windows, baselines and signals of one metric x, as short as a test wants them.
namespace perennial::testing {

inline api::Decimal Decimal(const std::string& text) {
  return {std::stod(text), text};
}

inline scrape::SeriesWindow Histogram(std::vector<double> bounds, std::vector<double> counts,
                                      double sum, scrape::Labels labels = {}) {
  scrape::SeriesWindow series;
  series.metric = "x";
  series.labels = std::move(labels);
  series.kind = scrape::SeriesKind::kHistogram;
  series.bounds = std::move(bounds);
  series.bounds.push_back(std::numeric_limits<double>::infinity());
  for (const double count : counts) series.count += count;
  series.counts = std::move(counts);
  series.sum = sum;
  return series;
}

inline scrape::SeriesWindow Counter(std::string metric, double increase,
                                    scrape::Labels labels = {}) {
  scrape::SeriesWindow series;
  series.metric = std::move(metric);
  series.labels = std::move(labels);
  series.kind = scrape::SeriesKind::kCounter;
  series.increase = increase;
  return series;
}

inline scrape::WindowView View(std::vector<scrape::SeriesWindow> series) {
  scrape::WindowView view;
  view.series = std::move(series);
  view.targets = view.targets_up = 1;
  view.newest_age = Millis{0};
  return view;
}

inline api::Profile Numeric(std::vector<double> bounds, std::vector<double> counts) {
  api::MetricProfile metric;
  metric.metric = "x";
  metric.bounds = std::move(bounds);
  metric.counts = std::move(counts);
  return {0, {metric}, {}};
}

inline api::Profile Categorical(std::vector<api::Category> categories) {
  api::MetricProfile metric;
  metric.metric = "x";
  metric.type = api::MetricType::kCategorical;
  metric.label = "kind";
  metric.categories = std::move(categories);
  return {0, {metric}, {}};
}

inline api::Signal Drift(std::vector<api::DriftTest> tests) {
  api::Signal signal;
  signal.name = "s";
  signal.metric = "x";
  signal.tests = std::move(tests);
  return signal;
}

inline api::DriftTest Index(const std::string& threshold, std::optional<std::string> warn = {}) {
  api::DriftTest test{"population_stability_index", std::nullopt, Decimal(threshold)};
  if (warn) test.warn = Decimal(*warn);
  return test;
}

// Every signal reads the one window, whatever its own is.
inline std::vector<drift::Evaluation> EvaluateSignals(const api::DriftMonitorSpec& spec,
                                                      const scrape::WindowView& window,
                                                      const api::Profile* baseline) {
  const drift::Expressions expressions = drift::ParseExpressions(spec);
  const auto whole = [&](const scrape::Range&) -> const scrape::WindowView& { return window; };
  return drift::EvaluateSignals(spec, {whole, expressions, nullptr, baseline});
}

inline drift::Evaluation Evaluate(const api::Signal& signal, const scrape::WindowView& window,
                                  const api::Profile* baseline, std::int64_t min_samples) {
  api::DriftMonitorSpec spec;
  spec.signals = {signal};
  spec.min_samples = min_samples;
  return EvaluateSignals(spec, window, baseline).at(0);
}

}  // namespace perennial::testing
