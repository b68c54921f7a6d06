#include "stats/false_discovery.h"

#include <algorithm>
#include <numeric>

namespace perennial::stats {

std::vector<double> AdjustForFalseDiscoveries(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  const double count = static_cast<double>(p_values.size());
  double least = 1;
  for (std::size_t rank = order.size(); rank > 0; --rank) {
    const std::size_t i = order[rank - 1];
    least = std::min(least, p_values[i] * count / static_cast<double>(rank));
    adjusted[i] = least;
  }
  return adjusted;
}

}  // namespace perennial::stats
