#pragma once

#include <span>
#include <vector>

namespace perennial::stats {

// p-values adjusted for their number after Benjamini and Hochberg (1995, J. R. Stat. Soc. B 57): of
// the hypotheses whose adjusted value is at most q, no more than a share of q are expected to be
// true, for independent tests and for those that lean the same way, as features that drift together
// do. In the order of the input: p * count / rank, running minimum from the greatest, at most 1.
std::vector<double> AdjustForFalseDiscoveries(std::span<const double> p_values);

}  // namespace perennial::stats
