#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "scrape/expression.h"

namespace re2 {
class RE2;
}

// Internal to expressions: what the parser makes and the evaluator walks. Numbers without a metric
// are computed by the parser, so that a number in the tree is a constant.
namespace perennial::scrape::expression {

// Like PromQL's, a missing label is an empty value.
struct Matcher {
  std::string label;
  bool negated = false;
  std::string value;
  std::shared_ptr<const re2::RE2> pattern;  // absent: compared as text

  bool Matches(std::string_view text) const;
};

struct Selector {
  std::string metric;        // the family: without the "_bucket" that PromQL's names have
  bool buckets = false;      // named with it
  std::optional<double> le;  // only what is at most this, as a counter
  std::vector<Matcher> matchers;
  bool ranged = false;
  Range range;
};

enum class Function {
  kRate,
  kIncrease,
  kAvgOverTime,
  kHistogramQuantile,
  kHistogramFraction,
  kHistogramAvg,
  kHistogramCount,
  kHistogramSum,
  kAbs,
  kSqrt,
  kVector,
};
enum class Aggregation { kSum, kAvg, kMin, kMax, kCount };
enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kOr,
};

struct Node;
using NodePtr = std::unique_ptr<const Node>;

struct Call {
  Function function;
  std::vector<double> numbers;
  NodePtr of;  // absent for vector(number)
};
struct Aggregate {
  Aggregation how;
  bool without = false;
  std::vector<std::string> labels;
  NodePtr of;
};
struct Binary {
  Operator op;
  NodePtr left;
  NodePtr right;
};

// What a part of an expression is: rate(x) is what the pods expose as x, so that it is known only
// when it is evaluated.
enum class Type { kNumber, kHistogram, kEither };

struct Node {
  std::size_t column = 0;
  std::variant<double, Selector, Call, Aggregate, Binary> what;
  Type type = Type::kNumber;
};

// Of a node of this kind, whose parts have their types.
Type TypeOf(double constant);
Type TypeOf(const Selector& level);
Type TypeOf(const Call& call);
Type TypeOf(const Aggregate& aggregate);
Type TypeOf(const Binary& binary);
bool TakesHistogram(Function function);

// Of two numbers; a quotient by 0 is NaN.
double Apply(Operator op, double left, double right);

class Cursor;
// A metric with its matchers, brackets and offset; a name comes next. ranged: directly inside
// rate(...) and the like.
Result<Selector> ParseSelector(Cursor& at, bool ranged, const ExpressionLimits& limits);

Error At(std::size_t column, const std::string& message);

}  // namespace perennial::scrape::expression

namespace perennial::scrape {

struct Expression::Parsed {
  std::string text;
  std::vector<std::string> metrics;
  std::vector<Range> ranges;
  expression::NodePtr root;
};

}  // namespace perennial::scrape
