#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "scrape/expression.h"
#include "scrape/expression_tree.h"
#include "scrape/expression_value.h"
#include "stats/histogram.h"

namespace perennial::scrape::expression {
namespace {

std::string LabelOf(const Labels& labels, const std::string& name) {
  for (const auto& [label, value] : labels) {
    if (label == name) return value;
  }
  return "";
}

const char* Remedy(SeriesKind kind) {
  switch (kind) {
    case SeriesKind::kGauge:
      return "read it as it is, or with avg_over_time(x[1h])";
    case SeriesKind::kCounter:
      return "take rate(x[1h]) or increase(x[1h])";
    case SeriesKind::kHistogram:
      return "take histogram_avg, histogram_quantile or histogram_count of rate(x[1h])";
    case SeriesKind::kSummary:
      return "take histogram_avg or histogram_count of rate(x[1h])";
    case SeriesKind::kUnknown:
      break;
  }
  return "give it a TYPE in the exposition";
}

class Evaluator {
 public:
  explicit Evaluator(std::span<const RangeView> views) : views_(views) {}

  Result<Vector> Run(const Node& node) {
    if (const auto* number = std::get_if<double>(&node.what)) return Constant(*number);
    if (const auto* selector = std::get_if<Selector>(&node.what)) {
      return Select(*selector, Function::kVector, node.column);
    }
    if (const auto* call = std::get_if<Call>(&node.what)) return RunCall(*call, node.column);
    if (const auto* aggregate = std::get_if<Aggregate>(&node.what)) {
      return RunAggregate(*aggregate, node.column);
    }
    return RunBinary(std::get<Binary>(node.what), node.column);
  }

  // Why there is no number, the first reason met.
  std::string note;

 private:
  static Vector Constant(double number) {
    Element element;
    element.value = number;
    return {std::move(element)};
  }

  void Note(std::size_t column, const std::string& text) {
    if (note.empty()) note = At(column, text).message;
  }

  const RangeView& ViewOf(const Range& range) const {
    const auto found = std::ranges::find(views_, range, &RangeView::range);
    PERENNIAL_CHECK(found != views_.end() && found->view != nullptr && found->length > Millis{0});
    return *found;
  }

  // how: kVector for the bare metric.
  Result<Vector> Select(const Selector& selector, Function how, std::size_t column) {
    const RangeView& range = ViewOf(selector.range);
    const double seconds = std::chrono::duration<double>(range.length).count();
    const double scale = how == Function::kRate ? 1 / seconds : 1;
    Vector out;
    bool any = false;
    for (const SeriesWindow& series : range.view->series) {
      if (series.metric != selector.metric) continue;
      const auto fits = [&](const Matcher& matcher) {
        return matcher.Matches(LabelOf(series.labels, matcher.label));
      };
      if (!std::ranges::all_of(selector.matchers, fits)) continue;
      any = true;
      PERENNIAL_TRY(std::optional<Element> element,
                    how == Function::kRate || how == Function::kIncrease
                        ? Rise(selector, series, scale, column)
                        : Level(series, how, column));
      if (element) out.push_back(*std::move(element));
    }
    if (!any) {
      Note(column, "no pod exposes " + selector.metric +
                       (selector.matchers.empty() ? "" : " with these labels"));
    }
    return out;
  }

  Error WrongKind(const SeriesWindow& series, std::size_t column) const {
    return At(column,
              series.metric + " is a " + ToString(series.kind) + ": " + Remedy(series.kind));
  }

  // rate() and increase().
  Result<std::optional<Element>> Rise(const Selector& selector, const SeriesWindow& series,
                                      double scale, std::size_t column) {
    Element element;
    element.labels = series.labels;
    switch (series.kind) {
      case SeriesKind::kGauge:
        return WrongKind(series, column);
      case SeriesKind::kCounter:
      case SeriesKind::kUnknown:
        if (selector.buckets) {
          return At(column, series.metric + "_bucket is no histogram's: its pods expose a " +
                                ToString(series.kind));
        }
        element.value = series.increase * scale;
        // What is added up in a sum is no count of observations.
        if (!series.metric.ends_with("_sum")) {
          element.observations = series.increase;
          element.counts = true;
        }
        return std::optional(std::move(element));
      case SeriesKind::kHistogram:
      case SeriesKind::kSummary:
        break;
    }
    element.observations = series.count;
    element.counts = true;
    Observed observed{std::nullopt, series.sum * scale, series.count * scale};
    if (series.kind == SeriesKind::kHistogram) {
      auto histogram = stats::MakeHistogram(series.bounds, series.counts);
      if (!histogram.ok()) return At(column, series.metric + ": " + histogram.error().message);
      for (double& count : histogram->counts) count *= scale;
      observed.buckets = *std::move(histogram);
    }
    if (!selector.le) {
      element.distribution = std::move(observed);
      return std::optional(std::move(element));
    }
    const auto share = UpTo(observed, *selector.le);
    if (!share) {
      Note(column, "no bucket of " + series.metric + " ends at this le: name one of its bounds");
      return std::optional<Element>();
    }
    element.value = *share;
    return std::optional(std::move(element));
  }

  // The bare metric and avg_over_time().
  Result<std::optional<Element>> Level(const SeriesWindow& series, Function how,
                                       std::size_t column) {
    if (series.kind != SeriesKind::kGauge && series.kind != SeriesKind::kUnknown) {
      return WrongKind(series, column);
    }
    Element element;
    element.labels = series.labels;
    element.value = how == Function::kAvgOverTime
                        ? (series.count > 0 ? series.sum / series.count : std::nan(""))
                        : series.last;
    if (!std::isfinite(element.value)) {
      Note(column, "no value of " + series.metric + " now");
      return std::optional<Element>();
    }
    return std::optional(std::move(element));
  }

  Result<Vector> RunCall(const Call& call, std::size_t column) {
    switch (call.function) {
      case Function::kRate:
      case Function::kIncrease:
      case Function::kAvgOverTime:
        return Select(std::get<Selector>(call.of->what), call.function, call.of->column);
      case Function::kVector:
        return Constant(call.numbers[0]);
      case Function::kAbs:
      case Function::kSqrt: {
        PERENNIAL_TRY(Vector of, Run(*call.of));
        for (Element& element : of) {
          if (element.distribution) return NotANumber(column);
          element.value =
              call.function == Function::kAbs ? std::abs(element.value) : std::sqrt(element.value);
          element.counts = false;
        }
        return Kept(std::move(of), column, "the root of a negative number");
      }
      default:
        break;
    }
    PERENNIAL_TRY(Vector of, Run(*call.of));
    for (Element& element : of) {
      const bool needs_buckets = call.function == Function::kHistogramQuantile ||
                                 call.function == Function::kHistogramFraction;
      if (!element.distribution || (needs_buckets && !element.distribution->buckets)) {
        return At(column, "this function goes with a histogram" +
                              std::string(needs_buckets ? "" : " or summary") +
                              ", as in rate(x_bucket[1h]); what is given is " +
                              (element.distribution ? "a summary" : "a number"));
      }
      element.value = OfDistribution(call, *element.distribution);
      element.counts = call.function == Function::kHistogramCount;
      element.distribution.reset();
    }
    return Kept(std::move(of), column, "nothing was observed in the window");
  }

  // Without what isn't a number.
  Vector Kept(Vector of, std::size_t column, const char* reason) {
    const auto lost = std::erase_if(of, [](const Element& e) { return !std::isfinite(e.value); });
    if (lost > 0) Note(column, reason);
    return of;
  }

  static Labels Group(const Labels& labels, const Aggregate& aggregate) {
    Labels kept;
    for (const auto& label : labels) {
      const bool named = std::ranges::find(aggregate.labels, label.first) != aggregate.labels.end();
      if (named != aggregate.without) kept.push_back(label);
    }
    return kept;
  }

  Result<Vector> RunAggregate(const Aggregate& aggregate, std::size_t column) {
    PERENNIAL_TRY(Vector of, Run(*aggregate.of));
    std::map<Labels, Vector> groups;
    for (Element& element : of) {
      if (element.distribution && aggregate.how != Aggregation::kSum) return NotANumber(column);
      Labels group = Group(element.labels, aggregate);
      groups[std::move(group)].push_back(std::move(element));
    }
    Vector out;
    for (auto& [labels, members] : groups) {
      PERENNIAL_TRY(Element one, Combine(aggregate.how, std::move(members), column));
      one.labels = labels;
      out.push_back(std::move(one));
    }
    return out;
  }

  Result<Vector> RunBinary(const Binary& binary, std::size_t column) {
    PERENNIAL_TRY(Vector left, Run(*binary.left));
    PERENNIAL_TRY(Vector right, Run(*binary.right));
    if (binary.op == Operator::kOr) {
      for (Element& element : right) {
        if (std::ranges::find(left, element.labels, &Element::labels) == left.end()) {
          left.push_back(std::move(element));
        }
      }
      return left;
    }
    for (const Vector* side : {&left, &right}) {
      for (const Element& element : *side) {
        if (element.distribution) return NotANumber(column);
      }
    }
    const bool constant_left = std::holds_alternative<double>(binary.left->what);
    const bool constant_right = std::holds_alternative<double>(binary.right->what);
    Vector out;
    for (Element& l : left) {
      for (Element& r : right) {
        if (!constant_left && !constant_right && l.labels != r.labels) continue;
        out.push_back(Join(binary.op, l, r, constant_left, constant_right));
      }
    }
    if (out.empty() && !left.empty() && !right.empty()) {
      Note(column,
           "no two series of the two sides have the same labels: put sum(...) or "
           "sum by (...) around both");
    }
    return Kept(std::move(out), column,
                binary.op == Operator::kDivide ? "divided by 0: nothing was counted there"
                                               : "too large for a number");
  }

  std::span<const RangeView> views_;
};

std::string DifferingLabels(const Vector& elements) {
  std::set<std::string> names;
  for (const Element& element : elements) {
    for (const auto& [name, value] : element.labels) names.insert(name);
  }
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? " by " : ", ") + name;
  return out;
}

}  // namespace

}  // namespace perennial::scrape::expression

namespace perennial::scrape {

Result<ExpressionValue> Expression::Evaluate(std::span<const RangeView> views) const {
  expression::Evaluator evaluator(views);
  PERENNIAL_TRY(expression::Vector result, evaluator.Run(*parsed_->root));
  ExpressionValue out;
  if (result.size() > 1) {
    return expression::At(1, "gives " + std::to_string(result.size()) + " series" +
                                 expression::DifferingLabels(result) +
                                 " where one number is wanted: put sum(...), avg(...) or "
                                 "max(...) around what has them");
  }
  if (result.empty()) {
    out.note = evaluator.note.empty() ? "no series" : evaluator.note;
    return out;
  }
  if (result.front().distribution) return expression::NotANumber(1);
  out.value = result.front().value;
  out.observations = result.front().observations;
  return out;
}

}  // namespace perennial::scrape
