#pragma once

#include <string>

#include "api/model_version.h"

namespace perennial::api {

// True where a person made the version or asked for it, and is not on record. Drifts, schedules and
// events have no author.
bool LacksAuthor(const Origin& origin);

// What puts the author of such versions on record from now on.
std::string HowToNameAuthor(const Origin& origin);

// What separationOfDuties comes to for a version that lacks its author.
std::string NoApprovalCounts(const Origin& origin);

}  // namespace perennial::api
