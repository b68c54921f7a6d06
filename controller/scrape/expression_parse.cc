#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "scrape/expression.h"
#include "scrape/expression_tokens.h"
#include "scrape/expression_tree.h"
#include "scrape/expression_value.h"

namespace perennial::scrape::expression {
namespace {

using Kind = Token::Kind;

// What a function takes: so many numbers first, then a metric's range or any value with a metric.
struct Signature {
  std::string_view name;
  Function function;
  std::size_t numbers;
  enum class Takes { kNothing, kRange, kValue } takes;
  std::string_view usage;
};
using Takes = Signature::Takes;
constexpr std::array<Signature, 11> kFunctions{{
    {"rate", Function::kRate, 0, Takes::kRange, "rate(x[1h])"},
    {"increase", Function::kIncrease, 0, Takes::kRange, "increase(x[1h])"},
    {"avg_over_time", Function::kAvgOverTime, 0, Takes::kRange, "avg_over_time(x[1h])"},
    {"histogram_quantile", Function::kHistogramQuantile, 1, Takes::kValue,
     "histogram_quantile(0.9, rate(x_bucket[1h]))"},
    {"histogram_fraction", Function::kHistogramFraction, 2, Takes::kValue,
     "histogram_fraction(0, 0.5, rate(x_bucket[1h]))"},
    {"histogram_avg", Function::kHistogramAvg, 0, Takes::kValue, "histogram_avg(rate(x[1h]))"},
    {"histogram_count", Function::kHistogramCount, 0, Takes::kValue,
     "histogram_count(increase(x[1h]))"},
    {"histogram_sum", Function::kHistogramSum, 0, Takes::kValue, "histogram_sum(increase(x[1h]))"},
    {"abs", Function::kAbs, 0, Takes::kValue, "abs(y)"},
    {"sqrt", Function::kSqrt, 0, Takes::kValue, "sqrt(y)"},
    {"vector", Function::kVector, 1, Takes::kNothing, "vector(0)"},
}};

constexpr std::array<std::pair<std::string_view, Aggregation>, 5> kAggregations{
    {{"sum", Aggregation::kSum},
     {"avg", Aggregation::kAvg},
     {"min", Aggregation::kMin},
     {"max", Aggregation::kMax},
     {"count", Aggregation::kCount}}};

// From the loosest to the tightest.
constexpr std::array<std::pair<std::string_view, Operator>, 11> kOperators{{
    {"or", Operator::kOr},
    {"==", Operator::kEqual},
    {"!=", Operator::kNotEqual},
    {"<", Operator::kLess},
    {"<=", Operator::kLessOrEqual},
    {">", Operator::kGreater},
    {">=", Operator::kGreaterOrEqual},
    {"+", Operator::kAdd},
    {"-", Operator::kSubtract},
    {"*", Operator::kMultiply},
    {"/", Operator::kDivide},
}};
int Precedence(Operator op) {
  switch (op) {
    case Operator::kOr:
      return 1;
    case Operator::kAdd:
    case Operator::kSubtract:
      return 3;
    case Operator::kMultiply:
    case Operator::kDivide:
      return 4;
    default:
      return 2;
  }
}

bool IsComparison(Operator op) {
  return Precedence(op) == 2;
}
bool IsNumber(const Node& node) {
  return std::holds_alternative<double>(node.what);
}

// What people write who know PromQL, and what to write instead.
std::string UnknownFunction(const std::string& name) {
  for (const std::string_view known : {"delta", "idelta", "irate", "deriv", "changes", "resets"}) {
    if (name == known) {
      return name +
             " needs single samples, which windows don't keep: use increase, rate or "
             "avg_over_time";
    }
  }
  if (name == "quantile") {
    return "quantile over series is not offered; of a histogram's buckets use "
           "histogram_quantile(0.9, rate(x_bucket[1h]))";
  }
  std::string names;
  for (const auto& [aggregation, how] : kAggregations) names += std::string(aggregation) + ", ";
  for (const Signature& known : kFunctions) {
    names += std::string(known.name) + (&known == &kFunctions.back() ? "" : ", ");
  }
  return "there is no function " + name + ": use one of " + names;
}

class Parser : private Cursor {
 public:
  Parser(std::vector<Token> tokens, const ExpressionLimits& limits)
      : Cursor(std::move(tokens)), limits_(limits) {}

  Result<NodePtr> Run() {
    PERENNIAL_TRY(NodePtr root, Operation(1));
    if (Peek().kind != Kind::kEnd) {
      return At(Peek().column, "'" + Peek().text +
                                   "' doesn't continue what stands before it: an operator or the "
                                   "end is missing");
    }
    if (metrics.empty()) {
      return At(1, "reads no metric: name one, as in rate(requests_total[1h])");
    }
    if (root->type == Type::kHistogram) return NotANumber(root->column);
    return root;
  }

  std::set<std::string> metrics;
  std::set<Range> ranges;

 private:
  template <class What>
  Result<NodePtr> Make(std::size_t column, What what) {
    if (++nodes_ > limits_.nodes) {
      return At(column, "more than " + std::to_string(limits_.nodes) +
                            " numbers, metrics, calls and operators: split it into several "
                            "signals");
    }
    const Type type = TypeOf(what);
    return NodePtr(std::make_unique<const Node>(Node{column, std::move(what), type}));
  }

  std::optional<Operator> PeekOperator() const {
    for (const auto& [text, op] : kOperators) {
      if (Sees(text)) return op;
    }
    return std::nullopt;
  }

  // Operators that bind at least as tightly as `precedence`; from left to right, as in PromQL.
  Result<NodePtr> Operation(int precedence) {
    PERENNIAL_TRY(NodePtr left, Signed());
    for (auto op = PeekOperator(); op && Precedence(*op) >= precedence; op = PeekOperator()) {
      const std::size_t column = Peek().column;
      Skip(1);
      if (IsComparison(*op)) Accept("bool");
      for (const std::string_view match : {"on", "ignoring", "group_left", "group_right"}) {
        if (Sees(match)) {
          return At(Peek().column, std::string(match) +
                                       "(...) is not offered: give both sides the same labels "
                                       "with sum by (...)");
        }
      }
      PERENNIAL_TRY(NodePtr right, Operation(Precedence(*op) + 1));
      PERENNIAL_TRY(NodePtr both, Combine(*op, column, std::move(left), std::move(right)));
      left = std::move(both);
    }
    return left;
  }

  Result<NodePtr> Combine(Operator op, std::size_t column, NodePtr left, NodePtr right) {
    if (op == Operator::kDivide && IsNumber(*right) && std::get<double>(right->what) == 0) {
      return At(column, "divides by 0: nothing would ever be judged");
    }
    if (IsNumber(*left) && IsNumber(*right)) {
      if (op == Operator::kOr) return At(column, "'or' between two numbers: leave one out");
      return Make(column, Apply(op, std::get<double>(left->what), std::get<double>(right->what)));
    }
    for (const NodePtr* side : {&left, &right}) {
      if (op != Operator::kOr && (*side)->type == Type::kHistogram) {
        return NotANumber((*side)->column);
      }
    }
    const std::set<Type> types{left->type, right->type};
    if (types.contains(Type::kHistogram) && types.contains(Type::kNumber)) {
      return At(column,
                "'or' between a histogram and a number: make a number of the histogram first");
    }
    return Make(column, Binary{op, std::move(left), std::move(right)});
  }

  Result<NodePtr> Signed() {
    const std::size_t column = Peek().column;
    if (++depth_ > limits_.depth) {
      return At(column, "nested more than " + std::to_string(limits_.depth) +
                            " deep: take parentheses away or split it into several signals");
    }
    Result<NodePtr> result = SignedInside(column);
    --depth_;
    return result;
  }

  Result<NodePtr> SignedInside(std::size_t column) {
    if (Accept("+")) return Signed();
    if (!Accept("-")) return Primary();
    PERENNIAL_TRY(NodePtr of, Signed());
    PERENNIAL_TRY(NodePtr minus, Make(column, -1.0));
    return Combine(Operator::kMultiply, column, std::move(minus), std::move(of));
  }

  Result<NodePtr> Primary() {
    const Token& token = Peek();
    if (token.kind == Kind::kNumber) {
      Skip(1);
      return Make(token.column, token.number);
    }
    if (Accept("(")) {
      PERENNIAL_TRY(NodePtr inside, Operation(1));
      PERENNIAL_TRY(Unit closed,
                    Expect(")", "to close the '(' at column " + std::to_string(token.column)));
      static_cast<void>(closed);
      return inside;
    }
    if (token.kind == Kind::kName) {
      for (const auto& [name, how] : kAggregations) {
        const bool grouped = Peek(1).text == "by" || Peek(1).text == "without";
        if (token.text == name && (Peek(1).text == "(" || grouped)) return Aggregated(how);
      }
      if (Peek(1).kind == Kind::kSign && Peek(1).text == "(") return Called();
      return Selected(false);
    }
    if (token.kind == Kind::kDuration) {
      return At(token.column, token.text +
                                  " is a duration: it belongs into brackets behind a "
                                  "metric, as in rate(x[" +
                                  token.text + "])");
    }
    if (token.kind == Kind::kSign && token.text == "{") {
      return At(token.column, "a metric's name is missing before '{'");
    }
    return At(token.column,
              token.kind == Kind::kEnd
                  ? "ends too early: a metric, number or function is missing"
                  : "a metric, number or function is missing before '" + token.text + "'");
  }

  Result<NodePtr> Called() {
    const Token name = Peek();
    const auto* known = std::ranges::find(kFunctions, name.text, &Signature::name);
    if (known == kFunctions.end()) return At(name.column, UnknownFunction(name.text));
    const auto wrong = [&](std::size_t column) {
      return At(column, name.text + " is used like " + std::string(known->usage));
    };
    Skip(2);
    const std::size_t wanted = known->numbers + (known->takes == Takes::kNothing ? 0 : 1);
    Call call{known->function, {}, nullptr};
    for (std::size_t i = 0; i < wanted; ++i) {
      if (i > 0 && !Accept(",")) return wrong(Peek().column);
      const Token first = Peek();
      const bool range = i == known->numbers && known->takes == Takes::kRange;
      if (range && (first.kind != Kind::kName || Peek(1).text == "(")) return wrong(first.column);
      Result<NodePtr> argument = range ? Selected(true) : Operation(1);
      if (!argument.ok()) return argument;
      if (IsNumber(**argument) != (i < known->numbers)) return wrong(first.column);
      if (i < known->numbers) {
        call.numbers.push_back(std::get<double>((*argument)->what));
      } else {
        const Type type = (*argument)->type;
        if (TakesHistogram(known->function) && type == Type::kNumber) return wrong(first.column);
        if (!range && !TakesHistogram(known->function) && type == Type::kHistogram) {
          return NotANumber(first.column);
        }
        call.of = *std::move(argument);
      }
    }
    if (Sees(",")) return wrong(Peek().column);
    PERENNIAL_TRY(Unit closed, Expect(")", "after the arguments of " + name.text));
    static_cast<void>(closed);
    if (known->function == Function::kHistogramQuantile &&
        !(call.numbers[0] >= 0 && call.numbers[0] <= 1)) {
      return At(name.column, "the quantile must lie from 0 to 1, such as 0.9");
    }
    if (known->function == Function::kHistogramFraction && !(call.numbers[0] < call.numbers[1])) {
      return At(name.column, "the lower bound must lie below the upper one");
    }
    return Make(name.column, std::move(call));
  }

  Status Labels(Aggregate& aggregate) {
    aggregate.without = Peek().text == "without";
    Skip(1);
    PERENNIAL_TRY(Unit opened, Expect("(", "before the labels"));
    static_cast<void>(opened);
    while (!Accept(")")) {
      if (Peek().kind != Kind::kName) {
        return At(Peek().column, "a label's name or ')' is missing");
      }
      aggregate.labels.push_back(Peek().text);
      Skip(1);
      if (!Accept(",") && !Sees(")")) {
        return At(Peek().column, "',' or ')' is missing between labels");
      }
    }
    return Ok();
  }

  // sum by (a) (x) or sum(x) by (a).
  Result<NodePtr> Aggregated(Aggregation how) {
    const Token name = Peek();
    Skip(1);
    Aggregate aggregate{how, false, {}, nullptr};
    const auto grouped = [&] { return Sees("by") || Sees("without"); };
    const bool before = grouped();
    if (before) {
      if (Status labels = Labels(aggregate); !labels.ok()) return labels.error();
    }
    PERENNIAL_TRY(Unit opened, Expect("(", "after " + name.text));
    const std::size_t column = Peek().column;
    PERENNIAL_TRY(NodePtr of, Operation(1));
    PERENNIAL_TRY(Unit closed, Expect(")", "after what " + name.text + " adds up"));
    static_cast<void>(opened);
    static_cast<void>(closed);
    if (IsNumber(*of)) {
      return At(column, name.text + " goes over the series of a metric, not over a number");
    }
    if (how != Aggregation::kSum && of->type == Type::kHistogram) return NotANumber(column);
    if (!before && grouped()) {
      if (Status labels = Labels(aggregate); !labels.ok()) return labels.error();
    }
    aggregate.of = std::move(of);
    return Make(name.column, std::move(aggregate));
  }

  // ranged: directly inside rate(...) and the like.
  Result<NodePtr> Selected(bool ranged) {
    const std::size_t column = Peek().column;
    PERENNIAL_TRY(Selector selector, ParseSelector(*this, ranged, limits_));
    metrics.insert(selector.metric);
    ranges.insert(selector.range);
    if (metrics.size() > limits_.metrics) {
      return At(column, "more than " + std::to_string(limits_.metrics) +
                            " metrics: split it into several signals");
    }
    if (ranges.size() > limits_.ranges) {
      return At(column, "more than " + std::to_string(limits_.ranges) +
                            " different ranges: use the same brackets where you can");
    }
    return Make(column, std::move(selector));
  }

  const ExpressionLimits& limits_;
  std::size_t depth_ = 0;
  std::size_t nodes_ = 0;
};

}  // namespace

}  // namespace perennial::scrape::expression

namespace perennial::scrape {

Result<Expression> Expression::Parse(std::string_view text, const ExpressionLimits& limits) {
  if (text.size() > limits.length) {
    return expression::At(1, "longer than " + std::to_string(limits.length) +
                                 " bytes: split it into several signals");
  }
  PERENNIAL_TRY(std::vector<expression::Token> tokens, expression::Tokenize(text));
  expression::Parser parser(std::move(tokens), limits);
  PERENNIAL_TRY(expression::NodePtr root, parser.Run());
  auto parsed = std::make_shared<Parsed>();
  parsed->text = text;
  parsed->metrics.assign(parser.metrics.begin(), parser.metrics.end());
  parsed->ranges.assign(parser.ranges.begin(), parser.ranges.end());
  parsed->root = std::move(root);
  return Expression(std::move(parsed));
}

const std::string& Expression::text() const {
  return parsed_->text;
}
const std::vector<std::string>& Expression::metrics() const {
  return parsed_->metrics;
}
const std::vector<Range>& Expression::ranges() const {
  return parsed_->ranges;
}

}  // namespace perennial::scrape
