#include "scrape/expression_tree.h"

namespace perennial::scrape::expression {
namespace {

// Of the rise of a metric: buckets are a histogram's, one of them (le) is a counter.
Type RiseOf(const Selector& selector) {
  if (selector.le) return Type::kNumber;
  return selector.buckets ? Type::kHistogram : Type::kEither;
}

}  // namespace

bool TakesHistogram(Function function) {
  switch (function) {
    case Function::kHistogramQuantile:
    case Function::kHistogramFraction:
    case Function::kHistogramAvg:
    case Function::kHistogramCount:
    case Function::kHistogramSum:
      return true;
    default:
      return false;
  }
}

// The parts are checked, so that only sums, 'or' and rises are more than numbers.
Type TypeOf(const Call& call) {
  const bool rise = call.function == Function::kRate || call.function == Function::kIncrease;
  return rise ? RiseOf(std::get<Selector>(call.of->what)) : Type::kNumber;
}
Type TypeOf(const Aggregate& aggregate) {
  return aggregate.how == Aggregation::kSum ? aggregate.of->type : Type::kNumber;
}
Type TypeOf(const Binary& binary) {
  if (binary.op != Operator::kOr) return Type::kNumber;
  return binary.left->type != Type::kEither ? binary.left->type : binary.right->type;
}
Type TypeOf(const Selector& /*level*/) {
  return Type::kNumber;
}
Type TypeOf(double /*constant*/) {
  return Type::kNumber;
}

}  // namespace perennial::scrape::expression
