#include <re2/re2.h>

#include <limits>
#include <memory>
#include <utility>

#include "scrape/expression_tokens.h"
#include "scrape/expression_tree.h"

namespace perennial::scrape::expression {
namespace {

using Kind = Token::Kind;

// {le="0.5"}: what was at most that.
Status Bound(const Token& sign, const Token& value, Selector& selector) {
  if (sign.text != "=") return At(sign.column, "le takes '=' and one bound, as in {le=\"0.5\"}");
  if (value.text == "+Inf" || value.text == "Inf") {
    selector.le = std::numeric_limits<double>::infinity();
    return Ok();
  }
  const auto tokens = Tokenize(value.text);
  const std::size_t sign_tokens = tokens.ok() && tokens->front().text == "-" ? 1 : 0;
  if (!tokens.ok() || tokens->size() != 2 + sign_tokens ||
      (*tokens)[sign_tokens].kind != Kind::kNumber) {
    return At(value.column, "le must be a number or +Inf, as in {le=\"0.5\"}");
  }
  const double bound = (*tokens)[sign_tokens].number;
  selector.le = sign_tokens == 1 ? -bound : bound;
  return Ok();
}

Status Matchers(Cursor& at, const ExpressionLimits& limits, Selector& selector) {
  while (!at.Accept("}")) {
    const Token label = at.Peek();
    if (label.kind != Kind::kName || label.text.find(':') != std::string::npos) {
      return At(label.column, "a label's name or '}' is missing");
    }
    const Token sign = at.Peek(1);
    const bool pattern = sign.text == "=~" || sign.text == "!~";
    if (sign.kind != Kind::kSign || !(pattern || sign.text == "=" || sign.text == "!=")) {
      return At(sign.column, "=, !=, =~ or !~ is missing after the label " + label.text);
    }
    const Token value = at.Peek(2);
    if (value.kind != Kind::kString) {
      return At(value.column, "the value of " + label.text + " must stand in quotes");
    }
    at.Skip(3);
    if (label.text == "le" && selector.buckets) {
      if (Status bound = Bound(sign, value, selector); !bound.ok()) return bound;
    } else {
      Matcher matcher{label.text, sign.text.front() == '!', value.text, nullptr};
      if (pattern) {
        re2::RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(256 << 10);
        auto compiled = std::make_shared<const re2::RE2>(value.text, options);
        if (!compiled->ok()) {
          return At(value.column, "not a regular expression (RE2): " + compiled->error());
        }
        matcher.pattern = std::move(compiled);
      }
      selector.matchers.push_back(std::move(matcher));
      if (selector.matchers.size() > limits.matchers) {
        return At(label.column, "more than " + std::to_string(limits.matchers) +
                                    " matchers of one metric: use =~ with alternatives");
      }
    }
    if (!at.Accept(",") && !at.Sees("}")) {
      return At(at.Peek().column, "',' or '}' is missing after the value of " + label.text);
    }
  }
  return Ok();
}

Status RangeOf(Cursor& at, Selector& selector) {
  const std::size_t column = at.Peek().column;
  if (at.Accept("[")) {
    const Token length = at.Peek();
    if (length.kind != Kind::kDuration || length.duration < Seconds(1)) {
      return At(length.column, "a duration of at least 1s is missing, as in [1h]");
    }
    at.Skip(1);
    if (!at.Accept("]")) {
      return At(at.Peek().column, "']' is missing after the range; subqueries are not offered");
    }
    if (!selector.ranged) {
      return At(column, "brackets go with a metric inside rate, increase or avg_over_time");
    }
    selector.range.length = length.duration;
  }
  if (!at.Sees("offset")) return Ok();
  const Token offset = at.Peek(1);
  if (!selector.ranged) {
    return At(at.Peek().column, "offset goes with a range, as in avg_over_time(" + selector.metric +
                                    "[1h] offset 1h)");
  }
  if (offset.kind != Kind::kDuration) {
    return At(offset.column, "a duration is missing after offset, as in offset 24h");
  }
  at.Skip(2);
  selector.range.offset = offset.duration;
  return Ok();
}

}  // namespace

bool Matcher::Matches(std::string_view text) const {
  const bool same = pattern != nullptr ? re2::RE2::FullMatch(text, *pattern) : text == value;
  return same != negated;
}

Result<Selector> ParseSelector(Cursor& at, bool ranged, const ExpressionLimits& limits) {
  const Token name = at.Peek();
  for (const std::string_view reserved : {"by", "without", "offset", "bool", "or"}) {
    if (name.text == reserved) {
      return At(name.column,
                "'" + name.text + "' stands where a metric, number or function is missing");
    }
  }
  at.Skip(1);
  Selector selector;
  selector.metric = name.text;
  selector.ranged = ranged;
  constexpr std::string_view kBucket = "_bucket";
  if (selector.metric.ends_with(kBucket) && selector.metric.size() > kBucket.size()) {
    selector.metric.resize(selector.metric.size() - kBucket.size());
    selector.buckets = true;
  }
  if (at.Accept("{")) {
    if (Status matchers = Matchers(at, limits, selector); !matchers.ok()) return matchers.error();
  }
  if (Status range = RangeOf(at, selector); !range.ok()) return range.error();
  return selector;
}

}  // namespace perennial::scrape::expression
