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

// The differences between groups that a fairness signal may name; compared likewise with
// stats/fairness.h's.
inline constexpr std::array<std::string_view, 7> kFairnessNames{
    "demographic_parity_difference",
    "demographic_parity_ratio",
    "equalized_odds_difference",
    "equalized_odds_ratio",
    "equal_opportunity_difference",
    "error_rate_difference",
    "error_rate_ratio",
};

// The rates and scores that other signals may name (drift/quality.h, drift/performance.h).
inline constexpr std::array<std::string_view, 3> kQualityNames{
    "null_value_rate",
    "data_type_error_rate",
    "out_of_bounds_rate",
};
inline constexpr std::array<std::string_view, 6> kPerformanceNames{
    "accuracy", "precision", "recall", "f1_score", "mean_absolute_error", "root_mean_squared_error",
};

}  // namespace perennial::api
