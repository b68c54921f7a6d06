#pragma once

#include <string>

#include "api/drift_monitor.h"

namespace perennial::drift {

// What a signal measures of `version` and, if it compares, with what, whatever the signal's name:
// another text is another quantity. By which bounds and tests it is judged, over which window, how
// often, and with which credentials it is read is no part of it. Where the baseline is the
// champion's window, another `champion` makes another quantity.
std::string DefinitionOf(const api::DriftMonitorSpec& spec, const api::Signal& signal,
                         const std::string& version, const std::string& champion);

// True too if one of both is empty: controllers before this one recorded none.
bool SameDefinition(const std::string& a, const std::string& b);

}  // namespace perennial::drift
