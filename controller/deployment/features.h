#pragma once

#include <string>

#include "deployment/decide.h"
#include "deployment/weights.h"

namespace perennial::deployment {

// What the route was to have and has not: an API server leaves out fields that its CRDs don't know,
// and says nothing. Empty: nothing.
std::string LeftOut(const Observed& seen, const Intent& intent, const api::HttpRouteView& route);

// What the spec asks for and a Gateway's implementation says that it can't do
// (GatewayClass.status.supportedFeatures). Empty: nothing, or it doesn't say.
std::string BeyondGateway(const Observed& seen);

}  // namespace perennial::deployment
