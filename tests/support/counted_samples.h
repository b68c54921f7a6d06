#pragma once

#include <cmath>

#include "api/model_deployment.h"
#include "deployment/decide.h"

namespace perennial::deployment {

// `n` requests with `failures`, and an error of mean `mean` and standard deviation 1.
inline scrape::WindowView Counted(double n, double failures, double mean) {
  scrape::WindowView view;
  view.targets = view.targets_up = 1;
  view.newest_age = Millis(1000);
  scrape::SeriesWindow error;
  error.metric = "error";
  error.kind = scrape::SeriesKind::kHistogram;
  error.bounds = {1, 5, 20, INFINITY};
  error.counts = {n / 4, n / 4, n / 4, n / 4};
  error.count = n;
  error.sum = n * mean;
  scrape::SeriesWindow squares;
  squares.metric = "error_squares";
  squares.kind = scrape::SeriesKind::kCounter;
  squares.increase = n * (mean * mean + 1);
  scrape::SeriesWindow failed = squares;
  failed.metric = "failures";
  failed.increase = failures;
  scrape::SeriesWindow all = squares;
  all.metric = "requests";
  all.increase = n;
  view.series = {error, squares, failed, all};
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

}  // namespace perennial::deployment
