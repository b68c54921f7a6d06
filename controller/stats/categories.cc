#include "stats/categories.h"

#include <algorithm>
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

Categories FoldRare(const Categories& categories, std::size_t limit) {
  Categories folded = categories;
  // Ties by name, so that the result doesn't depend on the order of the input.
  std::sort(folded.begin(), folded.end(), [](const CategoryCount& a, const CategoryCount& b) {
    return a.count != b.count ? a.count > b.count : a.name < b.name;
  });
  if (folded.size() > limit) {
    double rest = 0;
    for (std::size_t i = limit; i < folded.size(); ++i) rest += folded[i].count;
    folded.resize(limit);
    const auto other =
        std::find_if(folded.begin(), folded.end(),
                     [](const CategoryCount& category) { return category.name == kOtherCategory; });
    if (other == folded.end()) {
      folded.push_back({std::string(kOtherCategory), rest});
    } else {
      other->count += rest;
    }
  }
  std::sort(folded.begin(), folded.end(),
            [](const CategoryCount& a, const CategoryCount& b) { return a.name < b.name; });
  return folded;
}

}  // namespace perennial::stats
