#include "stats/ranking.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "base/check.h"

namespace perennial::stats {
namespace {

double Discount(std::size_t rank, std::size_t at) {
  return rank < at ? 1 / std::log2(static_cast<double>(rank) + 2) : 0;
}

}  // namespace

double NormalizedDiscountedCumulativeGain(std::span<const double> reference,
                                          std::span<const double> current, std::size_t at) {
  PERENNIAL_CHECK(!reference.empty() && reference.size() == current.size());
  const std::size_t size = reference.size();
  if (at == 0) at = size;
  std::vector<std::size_t> order(size);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto importance = [&](std::size_t i) { return std::abs(current[i]); };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return importance(a) > importance(b); });
  double gain = 0;
  for (std::size_t from = 0; from < size;) {
    std::size_t to = from;
    double worth = 0;
    double discounts = 0;
    for (; to < size && importance(order[to]) == importance(order[from]); ++to) {
      worth += std::abs(reference[order[to]]);
      discounts += Discount(to, at);
    }
    gain += worth / static_cast<double>(to - from) * discounts;
    from = to;
  }
  std::vector<double> ideal(size);
  std::transform(reference.begin(), reference.end(), ideal.begin(),
                 [](double value) { return std::abs(value); });
  std::sort(ideal.begin(), ideal.end(), std::greater<>());
  double best = 0;
  for (std::size_t rank = 0; rank < size; ++rank) best += ideal[rank] * Discount(rank, at);
  return best > 0 ? gain / best : 0;
}

}  // namespace perennial::stats
