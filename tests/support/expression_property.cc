#include "support/expression_property.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "scrape/expression.h"

namespace perennial::test {
namespace {

using scrape::Expression;
using scrape::ExpressionLimits;
using scrape::ExpressionValue;
using scrape::RangeView;
using scrape::SeriesKind;
using scrape::SeriesWindow;
using scrape::WindowView;

constexpr Millis kHour{3'600'000};

std::size_t Characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// "column 7: ..." with a column of the text or just behind it.
std::string Misplaced(const Error& error, std::string_view text) {
  constexpr std::string_view kPrefix = "column ";
  if (error.code != Errc::kInvalid) return "an error of another kind: " + error.message;
  if (!error.message.starts_with(kPrefix)) return "an error without a column: " + error.message;
  const std::string_view rest = std::string_view(error.message).substr(kPrefix.size());
  std::size_t column = 0;
  const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), column);
  if (failed != std::errc() || *end != ':') return "an error without a column: " + error.message;
  if (column < 1 || column > Characters(text) + 1) return "a column outside: " + error.message;
  return "";
}

SeriesWindow Measured(const std::string& metric, std::size_t number, SeriesKind kind) {
  SeriesWindow series;
  series.metric = metric;
  series.kind = kind;
  series.labels = {{"a", std::to_string(number % 2)}, {"le", "1"}, {"pod", "p"}};
  if (number % 3 == 0) series.labels.clear();
  series.bounds = {-1, 0.5, 1, std::numeric_limits<double>::infinity()};
  series.counts = {1, 2, 0, static_cast<double>(number)};
  series.count = 3 + static_cast<double>(number);
  series.sum = number == 2 ? std::nan("") : 4.5;
  series.increase = static_cast<double>(number);
  series.last = number == 2 ? std::nan("") : -1.5;
  if (kind != SeriesKind::kHistogram) {
    series.bounds.clear();
    series.counts.clear();
  }
  return series;
}

// The metrics of the expression, of one kind or, without one, of a different kind each.
WindowView WindowOf(const Expression& expression, std::optional<SeriesKind> kind) {
  WindowView view;
  view.targets = view.targets_up = 1;
  view.newest_age = Millis{0};
  std::size_t number = 0;
  for (const std::string& metric : expression.metrics()) {
    for (int twice = 0; twice < 2; ++twice, ++number) {
      const auto mixed = static_cast<SeriesKind>(number / 2 % 5);
      view.series.push_back(Measured(metric, number, kind.value_or(mixed)));
    }
  }
  return view;
}

Result<ExpressionValue> Value(const Expression& expression, const WindowView& window) {
  std::vector<RangeView> views;
  for (const scrape::Range& range : expression.ranges()) {
    views.push_back({range, range.length > Millis{0} ? range.length : kHour, &window});
  }
  return expression.Evaluate(views);
}

bool Same(const Result<ExpressionValue>& a, const Result<ExpressionValue>& b) {
  if (a.ok() != b.ok()) return false;
  return !a.ok() || (a->value == b->value && a->observations == b->observations);
}

std::string ViolatedByLists(const Expression& expression, const ExpressionLimits& limits) {
  const auto& metrics = expression.metrics();
  const auto& ranges = expression.ranges();
  const auto ascending = [](const auto& list) {
    return std::ranges::adjacent_find(list, std::greater_equal<>()) == list.end();
  };
  if (metrics.empty() || metrics.size() > limits.metrics) return "a wrong number of metrics";
  if (ranges.empty() || ranges.size() > limits.ranges) return "a wrong number of ranges";
  if (!ascending(metrics) || !ascending(ranges)) return "not sorted, or twice the same";
  for (const scrape::Range& range : ranges) {
    if (range.length < Millis{0} || range.offset < Millis{0}) return "a range into the future";
  }
  return "";
}

}  // namespace

std::string ViolatedByExpression(std::string_view input) {
  const ExpressionLimits limits;
  const auto parsed = Expression::Parse(input, limits);
  if (!parsed.ok()) return Misplaced(parsed.error(), input);
  if (parsed->text() != input) return "another text";
  if (std::string why = ViolatedByLists(*parsed, limits); !why.empty()) return why;
  const auto nothing = Value(*parsed, WindowView{});
  if (!nothing.ok()) return "an error where nothing was measured: " + nothing.error().message;

  // As deep as may be and at full length there is no room for more.
  const auto wrapped = Expression::Parse("(" + std::string(input) + ")", limits);
  std::vector<std::optional<SeriesKind>> kinds{std::nullopt};
  for (int kind = 0; kind < 5; ++kind) kinds.emplace_back(static_cast<SeriesKind>(kind));
  for (const auto& kind : kinds) {
    const WindowView window = WindowOf(*parsed, kind);
    const auto value = Value(*parsed, window);
    if (!Same(value, Value(*parsed, window))) return "another value the second time";
    if (wrapped.ok() && !Same(value, Value(*wrapped, window))) return "parentheses change it";
    if (!value.ok()) {
      if (std::string why = Misplaced(value.error(), input); !why.empty()) return why;
      continue;
    }
    if (value->value && !std::isfinite(*value->value)) return "a value that is no number";
    if (!value->value && value->note.empty()) return "no value, and no reason";
    if (value->observations && !(*value->observations >= 0)) return "observations below 0";
  }
  return "";
}

}  // namespace perennial::test
