#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace perennial::stats {

// How often one value of a categorical quantity was seen.
struct CategoryCount {
  std::string name;
  double count = 0;  // >= 0

  bool operator==(const CategoryCount&) const = default;
};

// A categorical distribution; order has no meaning, names are distinct.
using Categories = std::vector<CategoryCount>;

// What a baseline counts its rare categories under.
inline constexpr std::string_view kOtherCategory = "__other__";

double Total(const Categories& categories);

// Two categorical distributions over the union of their categories, sorted by name: a category that
// one of them never saw counts 0 there. A name that occurs twice is summed.
struct AlignedCategories {
  std::vector<std::string> names;
  std::vector<double> baseline;
  std::vector<double> current;
};
AlignedCategories Align(const Categories& baseline, const Categories& current);

}  // namespace perennial::stats
