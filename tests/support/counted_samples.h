#pragma once

#include <cmath>

#include "api/model_deployment.h"
#include "deployment/decide.h"

namespace perennial::deployment {

inline void AddCounter(const char* metric, double increase, scrape::WindowView& view) {
  scrape::SeriesWindow series;
  series.metric = metric;
  series.kind = scrape::SeriesKind::kCounter;
  series.increase = increase;
  view.series.push_back(series);
}

// What counters of one healthy pod have counted.
inline scrape::WindowView OfOnePod() {
  scrape::WindowView view;
  view.targets = view.targets_up = 1;
  view.newest_age = Millis(1000);
  return view;
}

// `n` requests with `failures`, and an error of mean `mean` and standard deviation 1.
inline scrape::WindowView Counted(double n, double failures, double mean) {
  scrape::WindowView view = OfOnePod();
  scrape::SeriesWindow error;
  error.metric = "error";
  error.kind = scrape::SeriesKind::kHistogram;
  error.bounds = {1, 5, 20, INFINITY};
  error.counts = {n / 4, n / 4, n / 4, n / 4};
  error.count = n;
  error.sum = n * mean;
  view.series.push_back(error);
  AddCounter("error_squares", n * (mean * mean + 1), view);
  AddCounter("failures", failures, view);
  AddCounter("requests", n, view);
  return view;
}

// Adds what `n` requests of two items each (variance 1) counted, of which `errors` items failed,
// each in a request of its own.
inline scrape::WindowView WithItems(scrape::WindowView view, double n, double errors) {
  AddCounter("item_errors", errors, view);
  AddCounter("item_errors_squares", errors, view);
  AddCounter("items", 2 * n, view);
  AddCounter("items_squares", 5 * n, view);
  AddCounter("item_products", 2 * errors, view);
  AddCounter("batches", n, view);
  return view;
}

inline Samples All(const scrape::WindowView& view) {
  return {view, view, view};
}

inline api::Quantity ErrorMean() {
  return {"error", api::QuantityKind::kMean, "error", "error_squares", "", ""};
}
inline api::Quantity FailureRate() {
  return {"failures", api::QuantityKind::kProportion, "", "", "failures", "requests"};
}
inline api::Quantity ErrorsPerItem() {
  return {"errors-per-item",
          api::QuantityKind::kRatio,
          "",
          "item_errors_squares",
          "item_errors",
          "items",
          "batches",
          "items_squares",
          "item_products"};
}

}  // namespace perennial::deployment
