#include "support/exposition_property.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <tuple>
#include <vector>

#include "scrape/exposition.h"
#include "scrape/window.h"

namespace perennial::test {
namespace {

using scrape::Series;

constexpr Millis kMinute{60'000};

const std::vector<std::string>& Names() {
  static const std::vector<std::string> names{"c", "c_total", "g", "h", "h_sum", "s", "x:y"};
  return names;
}

bool Same(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

bool Same(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b, [](double x, double y) { return Same(x, y); });
}

bool Same(const Series& a, const Series& b) {
  return a.metric == b.metric && a.labels == b.labels && a.kind == b.kind &&
         Same(a.bounds, b.bounds) && Same(a.cumulative, b.cumulative) && Same(a.sum, b.sum) &&
         Same(a.count, b.count) && Same(a.value, b.value) && a.created == b.created;
}

std::string Difference(const Result<scrape::Scrape>& whole, const Result<scrape::Scrape>& cut) {
  if (whole.ok() != cut.ok()) return "accepted in one way of cutting only";
  if (!whole.ok()) {
    return whole.error() == cut.error() ? "" : "errors differ by the way of cutting";
  }
  const bool same = std::ranges::equal(whole->series, cut->series,
                                       [](const Series& a, const Series& b) { return Same(a, b); });
  if (!same) return "series differ by the way of cutting";
  if (whole->process_start_time != cut->process_start_time || whole->problems != cut->problems ||
      whole->samples != cut->samples || whole->bytes != cut->bytes) {
    return "facts about the page differ by the way of cutting";
  }
  return "";
}

std::string Malformed(const Series& series) {
  if (std::ranges::find(Names(), series.metric) == Names().end()) return "unwanted metric";
  for (std::size_t i = 0; i < series.labels.size(); ++i) {
    if (series.labels[i].second.empty()) return "label without a value";
  }
  if (series.kind != scrape::SeriesKind::kHistogram) return "";
  if (series.bounds.empty() || series.bounds.size() != series.cumulative.size()) {
    return "histogram without buckets";
  }
  if (series.bounds.back() != std::numeric_limits<double>::infinity()) return "no +Inf bucket";
  for (std::size_t i = 0; i < series.bounds.size(); ++i) {
    if (!(series.cumulative[i] >= (i > 0 ? series.cumulative[i - 1] : 0))) return "counts fall";
    if (i > 0 && !(series.bounds[i] > series.bounds[i - 1])) return "bounds do not ascend";
  }
  return "";
}

// Everything that counts up, in the order of the view.
std::vector<double> CountsOf(const scrape::WindowView& view) {
  std::vector<double> counts;
  for (const scrape::SeriesWindow& series : view.series) {
    counts.insert(counts.end(), series.counts.begin(), series.counts.end());
    counts.push_back(series.increase);
    if (series.kind == scrape::SeriesKind::kHistogram) counts.push_back(series.count);
  }
  return counts;
}

std::string MiscountedByWindow(const scrape::Scrape& scrape) {
  scrape::VariantWindow window({.retention = 120 * kMinute, .max_series = 50},
                               scrape::WantedSince::Always(Names()), Millis{0});
  window.AddTarget("pod");
  const WallTime wall(Millis{1'700'000'000'000});
  window.Ingest("pod", scrape, kMinute, wall);
  const auto first = CountsOf(window.View(60 * kMinute, Millis{0}, kMinute));
  window.Ingest("pod", scrape, 2 * kMinute, wall + kMinute);
  // From the same moment on: a young process has counted since its start.
  const auto second = CountsOf(window.View(61 * kMinute, Millis{0}, 2 * kMinute));
  // Unknown series may be negative, and series that contradict themselves count nothing.
  return Same(first, second) ? "" : "the same page counted twice";
}

}  // namespace

std::string ViolatedByPage(std::string_view input) {
  if (input.size() < 2) return "";
  const auto choice = static_cast<std::uint8_t>(input[0]);
  const std::size_t piece = static_cast<std::uint8_t>(input[1]) % 32 + 1;
  const std::string_view page = input.substr(2);
  const scrape::Format format =
      (choice & 1) != 0 ? scrape::Format::kOpenMetrics : scrape::Format::kText;
  scrape::ParseLimits limits;
  if ((choice & 2) != 0) {
    limits = {.line = 100,
              .samples = 12,
              .wanted_series = 4,
              .wanted_label_bytes = 64,
              .buckets = 3,
              .labels = 2,
              .label_length = 10};
  }
  static const scrape::WantedMetrics wanted(Names());
  const auto whole = scrape::ParseExposition(page, wanted, format, limits);
  scrape::ExpositionParser parser(wanted, format, limits);
  for (std::size_t at = 0; at < page.size(); at += piece) {
    if (!parser.Feed(page.substr(at, piece)).ok()) break;
  }
  if (std::string why = Difference(whole, parser.Finish()); !why.empty()) return why;
  if (!whole.ok()) return "";
  for (const Series& series : whole->series) {
    if (std::string why = Malformed(series); !why.empty()) return why;
  }
  return MiscountedByWindow(*whole);
}

}  // namespace perennial::test
