#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "scrape/exposition.h"
#include "scrape/expression_tree.h"
#include "stats/histogram.h"

// Internal to expressions: intermediate results, and what can be done with them.
namespace perennial::scrape::expression {

// What a histogram or summary counted.
struct Observed {
  std::optional<stats::Histogram> buckets;  // absent: a summary
  double sum = 0;
  double count = 0;
};

// One series of an intermediate result: a number, or a distribution.
struct Element {
  Labels labels;
  double value = 0;
  std::optional<Observed> distribution;
  // See ExpressionValue. `counts`: the number is itself made of counts, so that sums of it rest on
  // the sum of the observations.
  std::optional<double> observations;
  bool counts = false;
};
using Vector = std::vector<Element>;

Error NotANumber(std::size_t column);

// Observations of at most `bound`, which must be a bucket's; nullopt otherwise.
std::optional<double> UpTo(const Observed& observed, double bound);

// histogram_quantile() and the like; NaN without observations.
double OfDistribution(const Call& call, const Observed& observed);

// What an aggregation makes of a group, which isn't empty. kInvalid where histograms can't be
// added.
Result<Element> Combine(Aggregation how, Vector members, std::size_t column);

// Of two numbers; constant_left, constant_right: that side is written in the expression.
Element Join(Operator op, const Element& left, const Element& right, bool constant_left,
             bool constant_right);

}  // namespace perennial::scrape::expression
