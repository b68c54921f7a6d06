#include "deployment/weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "deployment/features.h"
#include "deployment/fixed.h"
#include "deployment/fleet.h"
#include "deployment/render.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;

constexpr int kAll = 100;

// The artifact of a version: from its record, or, if that is gone, as status remembers it.
api::ModelReference ModelOf(const Observed& seen, const std::string& version) {
  if (const api::ModelVersion* record = FindVersion(seen, version)) return record->spec.model;
  for (const api::VariantStatus& variant : seen.deployment->status.variants) {
    if (variant.version == version) return variant.model;
  }
  return {};
}

bool Proportional(const api::ModelDeploymentSpec& spec) {
  return spec.traffic.gateway &&
         spec.rollout.challenger_replicas == api::ChallengerReplicas::kProportional;
}

// The weight that our route, accepted or not, gives the version.
int RouteWeight(const Observed& seen, const std::string& version) {
  const api::HttpRouteView* route = FindRoute(seen, seen.deployment->meta.key.name);
  if (route == nullptr) return 0;
  const std::string child = ChildName(*seen.deployment, version);
  for (const api::BackendWeight& backend : route->backends) {
    if (backend.service == child) return backend.weight;
  }
  return 0;
}

// How many pods the champion's load takes now: as many as an autoscaler gives it.
int ChampionPods(const Observed& seen) {
  const int least = Replicas(*seen.deployment);
  const auto& autoscaling = seen.deployment->spec.autoscaling;
  const std::string& champion = seen.deployment->status.champion;
  const api::DeploymentView* pods =
      autoscaling && !champion.empty() ? RunningOf(seen, champion).deployment : nullptr;
  if (pods == nullptr) return least;
  return std::clamp(pods->replicas, least, std::max(least, autoscaling->max_replicas));
}

// How many pods take all traffic. An autoscaled champion that has a share of it has fewer than
// that, and the autoscaler of whoever takes over would follow only after the load has come.
int PodsForAll(const Observed& seen) {
  const int pods = ChampionPods(seen);
  const auto& autoscaling = seen.deployment->spec.autoscaling;
  const int share = RouteWeight(seen, seen.deployment->status.champion);
  if (!autoscaling || share <= 0 || share >= kAll) return pods;
  return std::min((pods * kAll + share - 1) / share, std::max(pods, autoscaling->max_replicas));
}

// Without a gateway the split is by numbers of pods: c pods beside the champion's n take c / (n +
// c). Never more than n: a challenger must not cost more than the champion does.
int ChallengerReplicas(const Observed& seen, const api::RolloutStatus& rollout) {
  const int n = ChampionPods(seen);
  const api::ModelDeploymentSpec& spec = seen.deployment->spec;
  if (rollout.phase == RolloutPhase::kPromoting || n == 0) return PodsForAll(seen);
  const int weight = StepWeight(spec, rollout.step);
  if (weight >= kAll) return PodsForAll(seen);
  if (Proportional(spec) && !rollout.champion.empty() && !StepsOf(spec.rollout).empty()) {
    return std::clamp((n * weight + kAll - 1) / kAll, 1, n);
  }
  if (spec.traffic.gateway) return n;
  if (rollout.champion.empty() || StepsOf(spec.rollout).empty() || weight >= kAll) return n;
  const double pods = static_cast<double>(n) * weight / (kAll - weight);
  return std::clamp(static_cast<int>(std::lround(pods)), 1, n);
}

std::vector<Share> Pair(const std::string& champion, const std::string& challenger, int weight) {
  std::vector<Share> shares;
  if (weight < kAll) shares.push_back({champion, kAll - weight});
  if (weight > 0) shares.push_back({challenger, weight});
  return shares;
}

// All traffic goes to this version already, as the route or the main Service stands.
bool HasAll(const Observed& seen, const std::string& version) {
  const api::ModelDeployment& md = *seen.deployment;
  if (md.spec.traffic.gateway) {
    const api::HttpRouteView* route = FindRoute(seen, md.meta.key.name);
    return route != nullptr && route->backends.size() == 1 &&
           route->backends.front().service == ChildName(md, version);
  }
  const api::ServiceView* service = FindService(seen, md.meta.key.name);
  const std::string* hash =
      service == nullptr ? nullptr : kube::Find(service->meta.annotations, kAnnotationHash);
  return hash != nullptr && *hash == RenderMainService(md, version).hash;
}

// A version takes everything only with as many pods as are to serve, or where it is all there is.
// Once it has it, scaling moves no traffic back.
bool MayTakeAll(const Observed& seen, const std::string& champion, const std::string& version) {
  return champion.empty() || HasAll(seen, version) ||
         RunningOf(seen, version).Complete(PodsForAll(seen)) ||
         !RunningOf(seen, champion).Serving();
}

// Pods come ahead of weight. Once a step is in effect, scaling moves no traffic back.
bool HasPodsFor(const Observed& seen, const api::RolloutStatus& rollout, int held, int next) {
  return !Proportional(seen.deployment->spec) || rollout.in_effect || next <= held ||
         RouteWeight(seen, rollout.version) == next ||
         RunningOf(seen, rollout.version).Complete(ChallengerReplicas(seen, rollout));
}

// What the recorded status asks for, whoever is ready. The champion keeps everything unless a
// rollout is under way; a challenger that is being rolled back is not in it any more.
std::vector<Share> WantedShares(const Observed& seen, const std::string& champion) {
  const api::RolloutStatus* rollout = ActiveRollout(seen.deployment->status);
  std::vector<Share> alone;
  if (!champion.empty()) alone.push_back({champion, kAll});
  if (rollout == nullptr) return alone;
  const bool steps =
      rollout->phase == RolloutPhase::kProgressing || rollout->phase == RolloutPhase::kPaused;
  if (!steps && rollout->phase != RolloutPhase::kPromoting) return alone;
  // The share that the challenger has until it may take everything.
  int held = steps && rollout->step == 0
                 ? 0
                 : StepWeight(seen.deployment->spec, steps ? rollout->step - 1 : rollout->step);
  if (!steps && !rollout->in_effect) held = 0;
  const int next = steps ? StepWeight(seen.deployment->spec, rollout->step) : kAll;
  const bool take = next < kAll ? HasPodsFor(seen, *rollout, held, next)
                                : MayTakeAll(seen, champion, rollout->version);
  if (champion.empty()) return {{rollout->version, kAll}};
  return Pair(champion, rollout->version, take ? next : std::min(held, kAll - 1));
}

std::vector<Share> ToReady(const Observed& seen, const std::vector<Share>& wanted) {
  std::vector<int> weights;
  bool any_serves = false;
  for (const Share& share : wanted) {
    any_serves = any_serves || RunningOf(seen, share.version).Serving();
  }
  for (const Share& share : wanted) {
    const bool counts = !any_serves || RunningOf(seen, share.version).Serving();
    weights.push_back(counts ? share.weight : 0);
  }
  // All that serve have weight 0 (a fixed variant may): they share what the others can't take.
  if (any_serves && std::accumulate(weights.begin(), weights.end(), 0) == 0) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      weights[i] = RunningOf(seen, wanted[i].version).Serving() ? 1 : 0;
    }
  }
  const std::vector<int> percent = Percentages(weights);
  std::vector<Share> shares;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (percent[i] > 0) shares.push_back({wanted[i].version, percent[i]});
  }
  return shares;
}

std::string MainVersion(const Observed& seen, const Intent& intent, const std::string& champion) {
  if (intent.shares.size() == 1) return intent.shares.front().version;
  const bool gateway = seen.deployment->spec.traffic.gateway.has_value();
  return gateway ? champion : "";
}

// A first version has nothing to keep traffic away from it: nobody serves before it is ready.
Intent ManagedIntent(const Observed& seen) {
  Intent intent;
  const api::ModelDeploymentStatus& status = seen.deployment->status;
  if (!status.champion.empty()) {
    intent.variants.push_back(
        {status.champion, ModelOf(seen, status.champion), Replicas(*seen.deployment)});
  }
  const api::RolloutStatus* rollout = ActiveRollout(status);
  if (rollout != nullptr && rollout->phase != RolloutPhase::kRollingBack &&
      rollout->version != status.champion) {
    intent.variants.push_back(
        {rollout->version, ModelOf(seen, rollout->version), ChallengerReplicas(seen, *rollout)});
  }
  intent.wanted = WantedShares(seen, status.champion);
  intent.shares = ToReady(seen, intent.wanted);
  intent.main_version = MainVersion(seen, intent, status.champion);
  return intent;
}

bool TakesSteps(const api::RolloutStatus* rollout) {
  return rollout != nullptr &&
         (rollout->phase == RolloutPhase::kProgressing || rollout->phase == RolloutPhase::kPaused);
}

// The version that a traffic rule means, if it may answer now. A challenger that is being rolled
// back answers nobody any more.
std::string VersionOf(const Observed& seen, const Intent& intent, const std::string& variant) {
  const api::ModelDeploymentStatus& status = seen.deployment->status;
  std::string version;
  if (!seen.deployment->spec.variants.empty()) {
    for (const api::VariantStatus& row : status.variants) {
      if (row.name == variant) version = row.version;
    }
  } else if (variant == "champion") {
    version = status.champion;
  } else if (const auto* rollout = ActiveRollout(status);
             variant == "challenger" &&
             (TakesSteps(rollout) ||
              (rollout != nullptr && rollout->phase == RolloutPhase::kPromoting))) {
    version = rollout->version;
  }
  const bool has_pods =
      std::any_of(intent.variants.begin(), intent.variants.end(),
                  [&](const WantedVariant& wanted) { return wanted.version == version; });
  return has_pods && RunningOf(seen, version).Serving() ? version : "";
}

Extras ExtrasOf(const Observed& seen, const Intent& intent) {
  Extras extras;
  const api::ModelDeploymentSpec& spec = seen.deployment->spec;
  if (!spec.traffic.gateway || intent.shares.empty()) return extras;
  for (const api::TrafficRule& rule : spec.traffic.rules) {
    extras.matched.push_back(VersionOf(seen, intent, rule.variant));
  }
  const api::RolloutStatus* rollout = ActiveRollout(seen.deployment->status);
  const auto steps = StepsOf(spec.rollout);
  if (!spec.variants.empty() || !TakesSteps(rollout) || steps.empty()) return extras;
  const auto at =
      std::clamp<size_t>(static_cast<size_t>(std::max(rollout->step, 0)), 0, steps.size() - 1);
  if (steps[at].mirror == 0 || !RunningOf(seen, rollout->version).Serving()) return extras;
  extras.mirror = {rollout->version, steps[at].mirror};
  return extras;
}

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
      effect.shares.push_back({variant.version, backend.weight});
      if (WeightOf(intent.shares, variant.version) == backend.weight) ++matched;
    }
  }
  effect.settled = matched == intent.shares.size() && matched == route->backends.size() &&
                   matched > 0 &&
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

std::vector<api::RolloutStep> StepsOf(const api::Rollout& rollout) {
  if (!rollout.steps.empty()) return rollout.steps;
  if (rollout.experiment) return {{50, 0, {}, false}};
  if (rollout.analysis) {
    // A Job or a monitor takes the time that it takes.
    const bool metrics = !rollout.analysis->checks.empty();
    return {{kAll, 0, metrics ? rollout.analysis->window : api::Duration{}, false}};
  }
  return {};
}

int StepWeight(const api::ModelDeploymentSpec& spec, int step) {
  const auto steps = StepsOf(spec.rollout);
  if (steps.empty()) return 0;
  const auto at = std::clamp<size_t>(static_cast<size_t>(std::max(step, 0)), 0, steps.size() - 1);
  return std::clamp(steps[at].weight, 0, kAll);
}

Intent IntentOf(const Observed& seen) {
  if (seen.deployment->spec.variants.empty()) {
    Intent intent = ManagedIntent(seen);
    intent.extras = ExtrasOf(seen, intent);
    return intent;
  }
  Intent intent = FixedIntent(seen);
  intent.shares = ToReady(seen, intent.wanted);
  intent.extras = ExtrasOf(seen, intent);
  intent.main_version = MainVersion(seen, intent, seen.deployment->status.champion);
  return intent;
}

Effect EffectOf(const Observed& seen, const Intent& intent) {
  const bool gateway = seen.deployment->spec.traffic.gateway.has_value();
  return gateway ? RouteEffect(seen, intent) : ServiceEffect(seen, intent);
}

int WeightOf(const std::vector<Share>& shares, const std::string& version) {
  int weight = 0;
  for (const Share& share : shares) {
    if (share.version == version) weight += share.weight;
  }
  return weight;
}

std::vector<std::string> OtherBackends(const api::ModelDeployment& deployment,
                                       const std::vector<Share>& shares, const Extras& extras) {
  std::vector<std::string> services;
  const auto add = [&](const std::string& version) {
    services.push_back(ChildName(deployment, version));
  };
  const auto copy = [&] {
    if (extras.mirror.weight > 0) add(extras.mirror.version);
  };
  copy();
  for (const std::string& version : extras.matched) {
    if (!version.empty()) {
      add(version);
      continue;
    }
    for (const Share& share : shares) add(share.version);
    copy();
  }
  return services;
}

std::vector<int> Percentages(const std::vector<int>& weights) {
  const int sum = std::accumulate(weights.begin(), weights.end(), 0);
  std::vector<int> percent(weights.size(), 0);
  if (sum <= 0) return percent;
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  int left = kAll;
  for (size_t i = 0; i < weights.size(); ++i) {
    percent[i] = weights[i] * kAll / sum;
    left -= percent[i];
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return weights[a] * kAll % sum > weights[b] * kAll % sum;
  });
  for (size_t i = 0; left > 0; ++i, --left) ++percent[order[i]];
  return percent;
}

}  // namespace perennial::deployment
