#pragma once

#include <cstddef>
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

// What the categories beyond a limit are counted under.
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

// The `limit` most frequent categories, by name; everything else is added up as kOtherCategory. A
// label with unbounded values costs a bounded amount.
Categories FoldRare(const Categories& categories, std::size_t limit);

}  // namespace perennial::stats
