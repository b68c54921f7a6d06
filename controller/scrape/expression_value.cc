#include "scrape/expression_value.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace perennial::scrape::expression {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::optional<double> Smaller(const std::optional<double>& a, const std::optional<double>& b) {
  if (a && b) return std::min(*a, *b);
  return a ? a : b;
}

std::optional<double> Larger(const std::optional<double>& a, const std::optional<double>& b) {
  if (a && b) return std::max(*a, *b);
  return a ? a : b;
}

// Share of the observations in (lower, upper], linear inside buckets, as histogram_quantile is.
double Fraction(const stats::Histogram& histogram, double lower, double upper) {
  const auto below = [&](double at) {
    double sum = 0;
    for (std::size_t i = 0; i < histogram.bounds.size(); ++i) {
      const double end = histogram.bounds[i];
      if (at >= end) {
        sum += histogram.counts[i];
        continue;
      }
      const double begin = i > 0 ? histogram.bounds[i - 1] : std::min(0.0, end);
      if (at > begin) sum += histogram.counts[i] * (at - begin) / (end - begin);
      break;
    }
    return sum;
  };
  return (below(upper) - below(lower)) / stats::Total(histogram);
}

Status AddDistribution(Element& total, const Element& next, std::size_t column) {
  if (!total.distribution || !next.distribution ||
      total.distribution->buckets.has_value() != next.distribution->buckets.has_value()) {
    return At(column, "adds up series of different types: select one with matchers");
  }
  Observed& sum = *total.distribution;
  sum.sum += next.distribution->sum;
  sum.count += next.distribution->count;
  if (!sum.buckets) return Ok();
  const auto common = stats::AtCommonBounds(*sum.buckets, *next.distribution->buckets);
  if (!common.ok()) return At(column, common.error().message + ": expose the same buckets");
  sum.buckets = *stats::Add(common->first, common->second);
  return Ok();
}

}  // namespace

Error NotANumber(std::size_t column) {
  return At(column,
            "a histogram is no number: take histogram_quantile, histogram_avg, "
            "histogram_count or histogram_sum of it");
}

std::optional<double> UpTo(const Observed& observed, double bound) {
  if (!observed.buckets) return std::nullopt;
  const stats::Histogram& histogram = *observed.buckets;
  double sum = 0;
  for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
    sum += histogram.counts[i];
    const bool last = i == histogram.bounds.size();
    if (last ? std::isinf(bound) && bound > 0 : histogram.bounds[i] == bound) return sum;
  }
  return std::nullopt;
}

double OfDistribution(const Call& call, const Observed& observed) {
  switch (call.function) {
    case Function::kHistogramQuantile:
      return stats::HistogramQuantile(call.numbers[0], *observed.buckets);
    case Function::kHistogramFraction:
      return Fraction(*observed.buckets, call.numbers[0], call.numbers[1]);
    case Function::kHistogramAvg:
      return observed.sum / observed.count;
    case Function::kHistogramCount:
      return observed.count;
    case Function::kHistogramSum:
      return observed.sum;
    default:
      return kNaN;
  }
}

Result<Element> Combine(Aggregation how, Vector members, std::size_t column) {
  const auto size = static_cast<double>(members.size());
  Element total = std::move(members.front());
  for (std::size_t i = 1; i < members.size(); ++i) {
    Element& next = members[i];
    if (total.distribution || next.distribution) {
      if (Status added = AddDistribution(total, next, column); !added.ok()) return added.error();
    }
    total.counts = total.counts && next.counts;
    total.observations = how == Aggregation::kSum && total.counts
                             ? *total.observations + *next.observations
                             : Smaller(total.observations, next.observations);
    if (how == Aggregation::kMin) total.value = std::min(total.value, next.value);
    if (how == Aggregation::kMax) total.value = std::max(total.value, next.value);
    if (how == Aggregation::kSum || how == Aggregation::kAvg) total.value += next.value;
  }
  if (how == Aggregation::kAvg) total.value /= size;
  if (how == Aggregation::kCount) total.value = size;
  if (how != Aggregation::kSum) total.counts = false;
  return total;
}

Element Join(Operator op, const Element& left, const Element& right, bool constant_left,
             bool constant_right) {
  Element out;
  out.labels = constant_left ? right.labels : left.labels;
  out.value = Apply(op, left.value, right.value);
  const bool constant = constant_left || constant_right;
  const bool linear = op == Operator::kAdd || op == Operator::kSubtract;
  const bool both = left.counts && right.counts;
  if (constant) {
    out.observations = constant_left ? right.observations : left.observations;
    out.counts = (constant_left ? right.counts : left.counts) &&
                 (op == Operator::kMultiply || (op == Operator::kDivide && constant_right));
  } else if (op == Operator::kDivide) {
    out.observations = right.observations ? right.observations : left.observations;
  } else if (linear && both) {
    out.counts = true;
    out.observations = op == Operator::kAdd ? *left.observations + *right.observations
                                            : Larger(left.observations, right.observations);
  } else {
    out.observations = Smaller(left.observations, right.observations);
  }
  return out;
}

double Apply(Operator op, double left, double right) {
  switch (op) {
    case Operator::kAdd:
      return left + right;
    case Operator::kSubtract:
      return left - right;
    case Operator::kMultiply:
      return left * right;
    case Operator::kDivide:
      return right == 0 ? kNaN : left / right;
    case Operator::kEqual:
      return left == right ? 1 : 0;
    case Operator::kNotEqual:
      return left != right ? 1 : 0;
    case Operator::kLess:
      return left < right ? 1 : 0;
    case Operator::kLessOrEqual:
      return left <= right ? 1 : 0;
    case Operator::kGreater:
      return left > right ? 1 : 0;
    case Operator::kGreaterOrEqual:
      return left >= right ? 1 : 0;
    case Operator::kOr:
      break;
  }
  return kNaN;
}

}  // namespace perennial::scrape::expression
