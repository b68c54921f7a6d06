#include "deployment/weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

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

// The step of that number, or the nearest: steps may have been taken out of the spec meanwhile.
std::optional<api::RolloutStep> StepAt(const api::ModelDeploymentSpec& spec, int step) {
  const auto steps = StepsOf(spec.rollout);
  if (steps.empty()) return std::nullopt;
  return steps[std::min(static_cast<size_t>(std::max(step, 0)), steps.size() - 1)];
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
  if (md.spec.traffic.gateway) return RouteWeight(seen, version) == kAll;
  const api::ServiceView* service = FindService(seen, md.meta.key.name);
  const std::string* hash =
      service == nullptr ? nullptr : kube::Find(service->meta.annotations, kAnnotationHash);
  return hash != nullptr && *hash == RenderMainService(md, version).hash;
}

// Whether the gateway, if there is one, has found the version's Service: it has traffic by the
// route already, or the gateway has resolved a route that only announces it.
bool Resolved(const Observed& seen, const std::string& version) {
  if (!seen.deployment->spec.traffic.gateway) return true;
  const api::HttpRouteView* route = FindRoute(seen, seen.deployment->meta.key.name);
  if (route == nullptr) return false;
  const std::string child = ChildName(*seen.deployment, version);
  const auto& others = route->others;
  if (std::find(others.begin(), others.end(), child) != others.end()) return true;
  for (const api::BackendWeight& backend : route->backends) {
    if (backend.service == child) return backend.weight > 0 || route->accepted;
  }
  return false;
}

// A version takes everything only with as many pods as are to serve and known to the gateway, or
// where it is all there is. Once it has it, scaling moves no traffic back, nor does a missing pod;
// only when none is left does the champion serve again.
bool MayTakeAll(const Observed& seen, const std::string& champion, const std::string& version) {
  if (champion.empty() || !RunningOf(seen, champion).Serving()) return true;
  const Running running = RunningOf(seen, version);
  return running.Serving() &&
         (HasAll(seen, version) || (running.Complete(PodsForAll(seen)) && Resolved(seen, version)));
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
  const int next = steps ? StepWeight(seen.deployment->spec, rollout->step) : kAll;
  // The share that the challenger has until it may take more: of the step that was in effect last.
  int last = !steps && rollout->in_effect ? rollout->step : rollout->step - 1;
  // Where it had everything and has lost it, of the one before: its first pod can't carry all.
  while (next == kAll && last >= 0 && StepWeight(seen.deployment->spec, last) == kAll) --last;
  const int held = last < 0 ? 0 : StepWeight(seen.deployment->spec, last);
  const bool take = next < kAll ? HasPodsFor(seen, *rollout, held, next)
                                : MayTakeAll(seen, champion, rollout->version);
  if (champion.empty()) return {{rollout->version, kAll}};
  return Pair(champion, rollout->version, take ? next : held);
}

// Who of them counts in the split: those that can take traffic. Where nobody can, whoever has ready
// endpoints, and then everybody: nothing is lost by trying.
std::vector<bool> Counting(const Observed& seen, const std::vector<Share>& wanted) {
  std::vector<bool> can;
  std::vector<bool> serve;
  for (const Share& share : wanted) {
    can.push_back(CanTake(seen, share.version));
    serve.push_back(RunningOf(seen, share.version).Serving());
  }
  for (std::vector<bool>* some : {&can, &serve}) {
    if (std::find(some->begin(), some->end(), true) != some->end()) return *some;
  }
  return std::vector<bool>(wanted.size(), true);
}

std::vector<Share> ToReady(const Observed& seen, const std::vector<Share>& wanted) {
  const std::vector<bool> counting = Counting(seen, wanted);
  std::vector<int> weights;
  for (size_t i = 0; i < wanted.size(); ++i) {
    weights.push_back(counting[i] ? wanted[i].weight : 0);
  }
  // All that count have weight 0 (a fixed variant may): they share what the others can't take.
  if (std::accumulate(weights.begin(), weights.end(), 0) == 0) {
    for (size_t i = 0; i < wanted.size(); ++i) weights[i] = counting[i] ? 1 : 0;
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

// Who gets copies of requests in the rollout's step.
Share MirrorOf(const Observed& seen) {
  const api::ModelDeploymentSpec& spec = seen.deployment->spec;
  const api::RolloutStatus* rollout = ActiveRollout(seen.deployment->status);
  if (!spec.variants.empty() || !TakesSteps(rollout)) return {};
  const auto step = StepAt(spec, rollout->step);
  if (!step || step->mirror == 0 || !RunningOf(seen, rollout->version).Serving()) return {};
  return {rollout->version, step->mirror};
}

// The challenger that gets a share of the split now or as soon as it can take it; or nobody.
std::string VersionThatRises(const Observed& seen) {
  const api::ModelDeploymentSpec& spec = seen.deployment->spec;
  const api::RolloutStatus* rollout = ActiveRollout(seen.deployment->status);
  if (rollout == nullptr || !spec.variants.empty()) return "";
  if (rollout->phase == RolloutPhase::kPromoting) return rollout->version;
  return TakesSteps(rollout) && StepWeight(spec, rollout->step) > 0 ? rollout->version : "";
}

// Adds who is ready for traffic that it doesn't get by the split or otherwise.
void Announce(const Observed& seen, const std::vector<Share>& shares, const std::string& version,
              Extras& extras) {
  if (!RunningOf(seen, version).Serving() || WeightOf(shares, version) > 0) return;
  const auto among = [&](const std::vector<std::string>& some) {
    return std::find(some.begin(), some.end(), version) != some.end();
  };
  if (extras.mirror.version == version || among(extras.matched) || among(extras.announced)) return;
  extras.announced.push_back(version);
}

Extras ExtrasOf(const Observed& seen, const Intent& intent) {
  Extras extras;
  const api::ModelDeploymentSpec& spec = seen.deployment->spec;
  if (!spec.traffic.gateway || intent.shares.empty()) return extras;
  for (const api::TrafficRule& rule : spec.traffic.rules) {
    const std::string version = VersionOf(seen, intent, rule.variant);
    extras.matched.push_back(Resolved(seen, version) ? version : "");
    Announce(seen, intent.shares, version, extras);
  }
  const Share mirror = MirrorOf(seen);
  if (Resolved(seen, mirror.version)) extras.mirror = mirror;
  Announce(seen, intent.shares, mirror.version, extras);
  for (const Share& share : intent.wanted) {
    if (share.weight > 0) Announce(seen, intent.shares, share.version, extras);
  }
  Announce(seen, intent.shares, VersionThatRises(seen), extras);
  for (const std::string& version : NextOfVariants(seen)) {
    Announce(seen, intent.shares, version, extras);
  }
  return extras;
}

}  // namespace

std::vector<api::RolloutStep> StepsOf(const api::Rollout& rollout) {
  if (!rollout.steps.empty()) return rollout.steps;
  if (rollout.experiment) return {{50, 0, {}, false}};
  if (rollout.analysis) {
    // A Job or a monitor takes the time that it takes; what is measured needs traffic first.
    const auto& probes = rollout.analysis->probes;
    const bool metrics = !rollout.analysis->checks.empty() ||
                         std::any_of(probes.begin(), probes.end(),
                                     [](const auto& probe) { return probe.query.has_value(); });
    return {{kAll, 0, metrics ? rollout.analysis->window : api::Duration{}, false}};
  }
  return {};
}

int StepWeight(const api::ModelDeploymentSpec& spec, int step) {
  const auto at = StepAt(spec, step);
  return at ? std::clamp(at->weight, 0, kAll) : 0;
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

int WeightOf(const std::vector<Share>& shares, const std::string& version) {
  int weight = 0;
  for (const Share& share : shares) {
    if (share.version == version) weight += share.weight;
  }
  return weight;
}

std::vector<Share> BackendsOf(const std::vector<Share>& shares, const Extras& extras) {
  std::vector<Share> backends = shares;
  for (const std::string& version : extras.announced) backends.push_back({version, 0});
  return backends;
}

bool CanTake(const Observed& seen, const std::string& version) {
  return RunningOf(seen, version).Serving() && Resolved(seen, version);
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
