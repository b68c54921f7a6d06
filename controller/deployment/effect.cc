#include "deployment/effect.h"

#include "deployment/features.h"
#include "deployment/fleet.h"
#include "deployment/render.h"

namespace perennial::deployment {
namespace {

Effect RouteEffect(const Observed& seen, const Intent& intent) {
  Effect effect;
  // Traffic flows all the same; but no version takes a step.
  effect.unsupported = BeyondGateway(seen);
  const api::HttpRouteView* route = FindRoute(seen, seen.deployment->meta.key.name);
  if (route == nullptr) {
    effect.settled = intent.shares.empty();
    effect.known = effect.settled;
    return effect;
  }
  effect.message = route->message;
  const std::string left_out = LeftOut(seen, intent, *route);
  if (!left_out.empty()) effect.message = effect.unsupported = left_out;
  effect.known = route->accepted;
  if (!route->accepted) return effect;
  size_t matched = 0;
  for (const WantedVariant& variant : intent.variants) {
    for (const api::BackendWeight& backend : route->backends) {
      if (backend.service != ChildName(*seen.deployment, variant.version)) continue;
      if (backend.weight > 0) effect.shares.push_back({variant.version, backend.weight});
      if (WeightOf(intent.shares, variant.version) == backend.weight) ++matched;
    }
  }
  const size_t named = intent.shares.size() + intent.extras.announced.size();
  effect.settled = matched == named && matched == route->backends.size() && matched > 0 &&
                   route->others == OtherBackends(*seen.deployment, intent.shares, intent.extras) &&
                   left_out.empty();
  return effect;
}

Effect ServiceEffect(const Observed& seen, const Intent& intent) {
  Effect effect;
  effect.settled = effect.known = intent.shares.empty();
  const api::ServiceView* service = FindService(seen, seen.deployment->meta.key.name);
  if (service == nullptr || effect.settled) return effect;
  const std::string* hash = kube::Find(service->meta.annotations, kAnnotationHash);
  const Rendered wanted = RenderMainService(*seen.deployment, intent.main_version);
  effect.settled = hash != nullptr && *hash == wanted.hash;
  if (!effect.settled) return effect;
  effect.known = true;
  if (intent.shares.size() == 1) {
    effect.shares = intent.shares;
    return effect;
  }
  std::vector<int> pods;
  for (const Share& share : intent.shares) {
    pods.push_back(RunningOf(seen, share.version).ready_endpoints);
  }
  const std::vector<int> percent = Percentages(pods);
  for (size_t i = 0; i < pods.size(); ++i) {
    effect.shares.push_back({intent.shares[i].version, percent[i]});
  }
  return effect;
}

}  // namespace

Effect EffectOf(const Observed& seen, const Intent& intent) {
  const bool gateway = seen.deployment->spec.traffic.gateway.has_value();
  return gateway ? RouteEffect(seen, intent) : ServiceEffect(seen, intent);
}

}  // namespace perennial::deployment
