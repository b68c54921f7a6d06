#pragma once

#include <string>
#include <vector>

#include "api/model_deployment.h"
#include "deployment/quantity.h"

namespace perennial::deployment {

// What was counted of one quantity in both variants since the experiment began, across restarts of
// the controller: `measured` is what this process saw, `carried` what was on record before.

// Adds the carried counts of the named quantity. A measurement that is wrong stays as it is; one
// that has no data yet becomes what was carried.
void AddCarried(const std::vector<api::QuantityCounts>& carried, const std::string& name,
                Measured& champion, Measured& challenger);

// The record from which another process goes on.
api::QuantityCounts Recorded(const std::string& name, const Measured& champion,
                             const Measured& challenger);

}  // namespace perennial::deployment
