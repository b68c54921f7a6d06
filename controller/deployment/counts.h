#pragma once

#include <string>
#include <vector>

#include "api/model_deployment.h"
#include "deployment/quantity.h"

namespace perennial::deployment {

// What was counted of one quantity in both variants since the experiment began, across restarts of
// the controller: `measured` is what this process saw, `carried` what was on record before.

// What the quantity is counted of, whatever its name: another text is another quantity.
std::string DefinitionOf(const api::Quantity& quantity);

stats::Arm ArmOf(const api::ArmCounts& counts);

// The record of the quantity as it is defined now, or nullptr: a metric of another name under the
// same one is another quantity.
const api::QuantityCounts* RecordOf(const std::vector<api::QuantityCounts>& counts,
                                    const api::Quantity& quantity);

// Adds the carried counts of the quantity. A measurement that is wrong stays as it is; one that has
// no data yet becomes what was carried.
void AddCarried(const std::vector<api::QuantityCounts>& carried, const api::Quantity& quantity,
                Measured& champion, Measured& challenger);

// The record from which another process goes on.
api::QuantityCounts Recorded(const api::Quantity& quantity, const Measured& champion,
                             const Measured& challenger);

}  // namespace perennial::deployment
