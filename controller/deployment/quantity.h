#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/model_deployment.h"
#include "scrape/window_view.h"
#include "stats/arm.h"

namespace perennial::deployment {

// A quantity of one variant, read from what its pods counted. Series of one metric are added up
// over their labels.
struct Measured {
  std::optional<double> value;
  double samples = 0;  // observations; for a gauge, scraped values
  stats::Arm arm;      // sufficient statistics; not for a gauge
  std::string note;    // why there is no value
};

Measured Measure(const api::Quantity& quantity, const scrape::WindowView& view);

// How a test reads a quantity that is not a gauge.
stats::ArmKind ArmKindOf(const api::Quantity& quantity);

// The metric families that a quantity reads.
std::vector<std::string> MetricsOf(const api::Quantity& quantity);

}  // namespace perennial::deployment
