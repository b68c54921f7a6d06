#include "deployment/quantity.h"

#include <cmath>
#include <cstdio>

#include "stats/histogram.h"

namespace perennial::deployment {
namespace {

using scrape::SeriesKind;
using scrape::SeriesWindow;

double Increase(const scrape::WindowView& view, const std::string& metric, bool& found) {
  double sum = 0;
  for (const SeriesWindow& series : view.series) {
    if (series.metric != metric) continue;
    if (series.kind != SeriesKind::kCounter && series.kind != SeriesKind::kUnknown) continue;
    found = true;
    sum += series.increase;
  }
  return sum;
}

// Sum of squares that the buckets imply: each observation stands for the middle of its bucket. The
// open last bucket makes it an underestimate where much lies beyond the last bound.
std::optional<double> SquaresOfBuckets(const SeriesWindow& series) {
  const auto histogram = stats::MakeHistogram(series.bounds, series.counts);
  if (!histogram.ok() || series.count <= 0) return std::nullopt;
  const auto deviation = stats::BinnedStandardDeviation(*histogram);
  if (!deviation) return std::nullopt;
  const double mean = series.sum / series.count;
  return series.count * (*deviation * *deviation + mean * mean);
}

Measured Mean(const api::Quantity& quantity, const scrape::WindowView& view) {
  Measured measured;
  double squares = 0;
  bool all_squares = true;
  bool found = false;
  for (const SeriesWindow& series : view.series) {
    if (series.metric != quantity.metric) continue;
    if (series.kind != SeriesKind::kHistogram && series.kind != SeriesKind::kSummary) continue;
    found = true;
    measured.arm.n += series.count;
    measured.arm.sum += series.count > 0 ? series.sum : 0;
    if (series.count <= 0) continue;
    const auto of_buckets =
        series.kind == SeriesKind::kHistogram ? SquaresOfBuckets(series) : std::nullopt;
    all_squares = all_squares && of_buckets.has_value();
    squares += of_buckets.value_or(0);
  }
  if (!quantity.squares.empty()) {
    all_squares = false;
    squares = Increase(view, quantity.squares, all_squares);
  }
  if (!found) {
    measured.note = "no pod exposes the histogram " + quantity.metric;
    return measured;
  }
  if (all_squares) measured.arm.sum_squares = squares;
  measured.samples = measured.arm.n;
  if (measured.arm.n > 0) measured.value = measured.arm.sum / measured.arm.n;
  if (measured.value && !std::isfinite(*measured.value)) {
    measured.value.reset();
    measured.note = quantity.metric + " has no finite sum";
  } else if (!measured.value) {
    measured.note = quantity.metric + " has counted nothing yet";
  }
  return measured;
}

Measured Proportion(const api::Quantity& quantity, const scrape::WindowView& view) {
  Measured measured;
  bool has_denominator = false;
  bool has_numerator = false;  // a counter of failures may appear with the first of them
  measured.arm.n = Increase(view, quantity.denominator, has_denominator);
  measured.arm.sum = Increase(view, quantity.numerator, has_numerator);
  if (!has_denominator) {
    measured.note = "no pod exposes the counter " + quantity.denominator;
    return measured;
  }
  measured.samples = measured.arm.n;
  if (measured.arm.n <= 0) {
    measured.note = quantity.denominator + " has counted nothing yet";
  } else if (measured.arm.sum > measured.arm.n) {
    measured.note = quantity.numerator + " has counted more than " + quantity.denominator;
  } else {
    measured.value = measured.arm.sum / measured.arm.n;
  }
  return measured;
}

// What a counter added up. One that is not there is 0 if it may appear with its first increase,
// else unknown.
std::optional<double> SumOf(const scrape::WindowView& view, const std::string& metric,
                            bool appears_later) {
  if (metric.empty()) return std::nullopt;
  bool found = false;
  const double sum = Increase(view, metric, found);
  return found || appears_later ? std::optional(sum) : std::nullopt;
}

Measured Ratio(const api::Quantity& quantity, const scrape::WindowView& view) {
  Measured measured;
  bool has_count = false;
  bool has_denominator = false;
  bool has_numerator = false;
  stats::Arm& arm = measured.arm;
  stats::Divisor& by = arm.divisor.emplace();
  arm.n = Increase(view, quantity.units, has_count);
  by.sum = Increase(view, quantity.denominator, has_denominator);
  arm.sum = Increase(view, quantity.numerator, has_numerator);
  // Counters of numerators may appear with the first that is not 0, all three at once.
  arm.sum_squares = SumOf(view, quantity.squares, !has_numerator);
  by.squares = SumOf(view, quantity.denominator_squares, false);
  by.products = SumOf(view, quantity.products, !has_numerator);
  measured.samples = arm.n;
  if (!has_count || !has_denominator) {
    measured.note =
        "no pod exposes the counter " + (has_count ? quantity.denominator : quantity.units);
  } else if (arm.n <= 0) {
    measured.note = quantity.units + " has counted nothing yet";
  } else if (by.sum <= 0) {
    measured.note = quantity.denominator + " has counted nothing yet";
  } else if (!(measured.value = stats::ValueOf(arm))) {
    measured.note = quantity.numerator + " has no finite sum";
  }
  return measured;
}

Measured Gauge(const api::Quantity& quantity, const scrape::WindowView& view) {
  Measured measured;
  double sum = 0;
  for (const SeriesWindow& series : view.series) {
    if (series.metric != quantity.metric) continue;
    if (series.kind != SeriesKind::kGauge && series.kind != SeriesKind::kUnknown) continue;
    sum += series.sum;
    measured.samples += series.count;
  }
  if (measured.samples > 0 && std::isfinite(sum)) {
    measured.value = sum / measured.samples;
  } else {
    measured.note = "no pod exposes the gauge " + quantity.metric;
  }
  return measured;
}

}  // namespace

Measured Measure(const api::Quantity& quantity, const scrape::WindowView& view) {
  switch (quantity.kind) {
    case api::QuantityKind::kMean:
      return Mean(quantity, view);
    case api::QuantityKind::kProportion:
      return Proportion(quantity, view);
    case api::QuantityKind::kValue:
      return Gauge(quantity, view);
    case api::QuantityKind::kRatio:
      return Ratio(quantity, view);
  }
  return {};
}

stats::ArmKind ArmKindOf(const api::Quantity& quantity) {
  switch (quantity.kind) {
    case api::QuantityKind::kProportion:
      return stats::ArmKind::kProportion;
    case api::QuantityKind::kRatio:
      return stats::ArmKind::kRatio;
    case api::QuantityKind::kMean:
    case api::QuantityKind::kValue:
      break;
  }
  return stats::ArmKind::kMean;
}

std::vector<std::string> MetricsOf(const api::Quantity& quantity) {
  std::vector<std::string> metrics;
  for (const std::string* name :
       {&quantity.metric, &quantity.squares, &quantity.numerator, &quantity.denominator,
        &quantity.units, &quantity.denominator_squares, &quantity.products}) {
    if (!name->empty()) metrics.push_back(*name);
  }
  return metrics;
}

}  // namespace perennial::deployment
