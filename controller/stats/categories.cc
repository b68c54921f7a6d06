#include "stats/categories.h"

#include <map>
#include <utility>

namespace perennial::stats {

double Total(const Categories& categories) {
  double total = 0;
  for (const CategoryCount& category : categories) total += category.count;
  return total;
}

AlignedCategories Align(const Categories& baseline, const Categories& current) {
  std::map<std::string_view, std::pair<double, double>> counts;
  for (const CategoryCount& category : baseline) counts[category.name].first += category.count;
  for (const CategoryCount& category : current) counts[category.name].second += category.count;
  AlignedCategories aligned;
  aligned.names.reserve(counts.size());
  for (const auto& [name, pair] : counts) {
    aligned.names.emplace_back(name);
    aligned.baseline.push_back(pair.first);
    aligned.current.push_back(pair.second);
  }
  return aligned;
}

}  // namespace perennial::stats
