#pragma once

#include <array>
#include <string_view>

// The measures that a DriftMonitor may name. This layer knows no statistics: a test compares the
// list with stats/measure.h's table.
namespace perennial::api {

inline constexpr std::array<std::string_view, 12> kMeasureNames{
    "jensen_shannon_distance",
    "population_stability_index",
    "normalized_wasserstein_distance",
    "two_sample_kolmogorov_smirnov_test",
    "pearsons_chi_squared_test",
    "hellinger_distance",
    "total_variation_distance",
    "chebyshev_distance",
    "mean_shift",
    "welchs_t_test",
    "mann_whitney_u_test",
    "chi_squared_equivalence_test",
};

}  // namespace perennial::api
