#pragma once

#include <string>

#include "api/drift_monitor.h"
#include "api/model_version.h"

// What the values of enumerations are called in objects, for text and metrics about them.
namespace perennial::api {

std::string NameOf(SignalState state);
std::string NameOf(Severity severity);
std::string NameOf(VersionPhase phase);

}  // namespace perennial::api
