#pragma once

#include <compare>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/window_view.h"

namespace perennial::scrape {

// A stretch of time that an expression reads: x[length] offset `offset`. Length 0 is what rate(x)
// without brackets means: the window of whoever evaluates it.
struct Range {
  Millis length{0};
  Millis offset{0};
  auto operator<=>(const Range&) const = default;
};

// What was measured over one of an expression's ranges. `length` is how long it really is, so never
// 0; the view outlives the evaluation.
struct RangeView {
  Range range;
  Millis length{0};
  const WindowView* view = nullptr;
};

struct ExpressionValue {
  std::optional<double> value;  // absent: no data, for the reason in `note`
  // Observations on which it rests: of a quotient those of the divisor, of a histogram's quantile
  // or mean its count. Absent where nothing was counted (gauges).
  std::optional<double> observations;
  std::string note;
};

// What an expression may cost.
struct ExpressionLimits {
  std::size_t length = 2'048;
  std::size_t depth = 32;     // of parentheses and calls
  std::size_t nodes = 128;    // numbers, metrics, calls and operators
  std::size_t metrics = 16;   // different ones
  std::size_t ranges = 4;     // different ones
  std::size_t matchers = 16;  // of one metric
};

// A number computed from metrics, in a part of PromQL that windows can answer:
//
//   histogram_quantile(0.9, sum by (route) (rate(latency_bucket{code!~"5.."}[30m])))
//   sum(increase(errors_total[1h])) / sum(increase(requests_total[1h])) > 0.01
//
// As in PromQL but for: series are added up over pods before anything else, so no label tells pods
// apart; increases are whole numbers, nothing is extrapolated; x / 0 is no data instead of NaN or
// Inf; a comparison gives 1 or 0; a bare metric is a gauge's mean over the pods that are up; the
// brackets of rate(x[1h]) may be left out, which reads the window of whoever evaluates. Immutable
// and cheap to copy.
class Expression {
 public:
  // kInvalid: "column 7: what is wrong, and what to write instead". Columns count characters, from
  // 1.
  static Result<Expression> Parse(std::string_view text, const ExpressionLimits& limits = {});

  const std::string& text() const;
  // The families to measure (Subscription::metrics), sorted, each once.
  const std::vector<std::string>& metrics() const;
  // Sorted, each once.
  const std::vector<Range>& ranges() const;

  // `views` has one entry for each of ranges(). kInvalid, with a column, if what the pods expose
  // doesn't fit what the expression does with it: the rate of a gauge, several series where one
  // number is wanted. Pure.
  Result<ExpressionValue> Evaluate(std::span<const RangeView> views) const;

 private:
  struct Parsed;
  explicit Expression(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}

  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace perennial::scrape
