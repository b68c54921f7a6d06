#include "deployment/features.h"

#include <algorithm>
#include <vector>

#include "deployment/fleet.h"
#include "deployment/render.h"

namespace perennial::deployment {
namespace {

// A feature by its name in the Gateway API (pkg/features), and the field that asks for it.
struct Needed {
  std::string feature;
  std::string field;
};

// What not every implementation has, of what we ask. Sticky sessions have no name there yet.
std::vector<Needed> NeededOf(const api::ModelDeploymentSpec& spec) {
  if (spec.traffic.protocol == api::TrafficProtocol::kGrpc) {
    return {{"GRPCRoute", "traffic.protocol"}};
  }
  std::vector<Needed> needed;
  const auto& timeouts = spec.traffic.timeouts;
  if (timeouts && timeouts->request.value > Millis{0}) {
    needed.push_back({"HTTPRouteRequestTimeout", "traffic.timeouts.request"});
  }
  if (timeouts && timeouts->backend_request.value > Millis{0}) {
    needed.push_back({"HTTPRouteBackendTimeout", "traffic.timeouts.backendRequest"});
  }
  const auto& steps = spec.rollout.steps;
  const auto mirrors = [&](auto how) {
    return std::any_of(steps.begin(), steps.end(),
                       [&](const api::RolloutStep& step) { return how(step.mirror); });
  };
  if (mirrors([](int percent) { return percent > 0 && percent < 100; })) {
    needed.push_back({"HTTPRouteRequestPercentageMirror", "mirror in rollout.steps"});
  } else if (mirrors([](int percent) { return percent == 100; })) {
    needed.push_back({"HTTPRouteRequestMirror", "mirror in rollout.steps"});
  }
  return needed;
}

}  // namespace

std::string LeftOut(const Observed& seen, const Intent& intent, const api::HttpRouteView& route) {
  const api::Traffic& traffic = seen.deployment->spec.traffic;
  std::vector<std::string> wanted;
  if (traffic.sticky) wanted.emplace_back("sessionPersistence");
  // 0 leaves them to the gateway, and out of the route.
  const auto& timeouts = traffic.timeouts;
  if (timeouts && std::max(timeouts->request.value, timeouts->backend_request.value) > Millis{0}) {
    wanted.emplace_back("timeouts");
  }
  if (intent.extras.mirror.weight > 0) wanted.emplace_back("requestMirror.percent");
  if (wanted.empty()) return "";
  const std::string* hash = kube::Find(route.meta.annotations, kAnnotationHash);
  if (hash == nullptr ||
      *hash != RenderRoute(*seen.deployment, intent.shares, intent.extras).hash) {
    return "";
  }
  for (const std::string& feature : wanted) {
    const auto& has = route.features;
    if (std::find(has.begin(), has.end(), feature) != has.end()) continue;
    return "this cluster's " + RouteKind(*seen.deployment).kind + " has no " + feature +
           ": install the Gateway API's experimental channel, or remove the field that asks for it "
           "(traffic.sticky, traffic.timeouts, or mirror in a step)";
  }
  return "";
}

std::string BeyondGateway(const Observed& seen) {
  for (const auto& gateway_class : seen.gateway_classes) {
    const auto& has = gateway_class->features;
    if (has.empty()) continue;
    for (const Needed& needed : NeededOf(seen.deployment->spec)) {
      if (std::find(has.begin(), has.end(), needed.feature) != has.end()) continue;
      return "GatewayClass " + gateway_class->meta.key.name + " does not support " +
             needed.feature + ": use a Gateway of another class, or remove " + needed.field;
    }
  }
  return "";
}

}  // namespace perennial::deployment
