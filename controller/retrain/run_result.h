#pragma once

#include <optional>
#include <string>

#include "api/codec.h"
#include "base/result.h"
#include "retrain/decide.h"

namespace perennial::retrain {

// The result of a Job or workload that succeeded, from where spec.result says. nullopt: not there
// yet; kInvalid: there, and unusable, with where it was read and which field is wrong.
Result<std::optional<api::TrainingResult>> FindResult(const Observed& seen,
                                                      const api::JobView& job);

}  // namespace perennial::retrain
