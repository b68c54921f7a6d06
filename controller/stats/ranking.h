#pragma once

#include <cstddef>
#include <span>

namespace perennial::stats {

// Normalised discounted cumulative gain of the order in which `current` puts the items, against
// their worth in `reference`: 1 if the order is the reference's own, less the more and the higher
// up they differ. With importances of features (mean |SHAP|, |coefficients|) it is the measure of
// attribution drift that Azure ML has as normalized_discounted_cumulative_gain, alarm below 0.9.
//
// Gain is the absolute importance, discount 1 / log2(rank + 1), equal values of `current` share the
// mean of their ranks' discounts (McSherry and Najork 2008; scikit-learn's ndcg_score). Only the
// first `at` ranks count; 0 means all. 0 if every reference importance is 0. Both of one size, not
// empty.
double NormalizedDiscountedCumulativeGain(std::span<const double> reference,
                                          std::span<const double> current, std::size_t at = 0);

}  // namespace perennial::stats
