#include "deployment/converge.h"

#include <algorithm>
#include <optional>

#include "api/names.h"
#include "deployment/batch.h"
#include "deployment/fleet.h"
#include "deployment/moves.h"
#include "deployment/probes.h"
#include "deployment/records.h"
#include "deployment/render.h"
#include "deployment/scaling.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;

// The object that was observed is the one that was rendered.
bool IsAsRendered(const kube::Meta& meta, const Rendered& rendered) {
  const std::string* hash = kube::Find(meta.annotations, kAnnotationHash);
  return hash != nullptr && *hash == rendered.hash;
}

class Converger {
 public:
  explicit Converger(Turn& turn)
      : turn_(turn), seen_(turn.seen), md_(*turn.seen.deployment), intent_(turn.intent) {}

  std::vector<kube::Action> Run() {
    // Whoever serves first; the challenger last, so that trouble with it holds up nobody.
    if (!intent_.variants.empty()) ApplyVariant(intent_.variants.front());
    if (!intent_.variants.empty()) ApplyMainService();
    ApplyRoute();
    for (size_t i = 1; i < intent_.variants.size(); ++i) ApplyVariant(intent_.variants[i]);
    RemoveUnneeded();
    WriteRecords();
    // Last, since nothing else rests on these: what is refused here holds up no rollback.
    for (kube::CreateObject& job : MissingJobs(seen_)) actions_.emplace_back(std::move(job));
    ScaleVariants();
    ScheduleBatches();
    return std::move(actions_);
  }

 private:
  void Apply(const kube::Resource& resource, const std::string& name, const Rendered& rendered,
             bool fresh) {
    actions_.emplace_back(kube::ApplyObject{
        {resource, {md_.meta.key.ns, name}}, rendered.body, /*owned=*/true, {}, fresh});
  }

  template <class View>
  static const kube::Meta* MetaIn(const std::vector<std::shared_ptr<const View>>& views,
                                  const std::string& name) {
    for (const auto& view : views) {
      if (view->meta.key.name == name) return &view->meta;
    }
    return nullptr;
  }

  // Applies a version's object of its own, unless it is as it should be or is somebody else's.
  template <class View>
  void ApplyOwn(const kube::Resource& resource,
                const std::vector<std::shared_ptr<const View>>& views, const std::string& name,
                const Rendered& rendered) {
    const kube::Meta* found = MetaIn(views, name);
    const bool right = found != nullptr && (found->deleting || IsAsRendered(*found, rendered));
    if (!right && !Foreign(resource, name)) Apply(resource, name, rendered, found == nullptr);
  }

  // A foreign object of the name is told in a condition; trying to apply it would only be refused.
  bool Foreign(const kube::Resource& resource, const std::string& name) const {
    const kube::Ref ref{resource, {md_.meta.key.ns, name}};
    return std::find(seen_.foreign.begin(), seen_.foreign.end(), ref) != seen_.foreign.end();
  }

  void ApplyVariant(const WantedVariant& variant) {
    const std::string name = ChildName(md_, variant.version);
    const Running running = RunningOf(seen_, variant.version);
    const Rendered pods = RenderDeployment(md_, variant);
    const bool right = running.deployment != nullptr &&
                       IsAsRendered(running.deployment->meta, pods) &&
                       (running.autoscaled || running.deployment->replicas == variant.replicas);
    // One that is being deleted comes again when it is gone.
    const bool going = running.deployment != nullptr && running.deployment->meta.deleting;
    if (!right && !going && !Foreign(api::kDeployments, name)) {
      Apply(api::kDeployments, name, pods, running.deployment == nullptr);
      if (running.autoscaled) {
        std::get<kube::ApplyObject>(actions_.back()).left_alone = "/spec/replicas";
      }
    }
    const Rendered service = RenderService(md_, variant.version);
    const bool found = running.service != nullptr && IsAsRendered(running.service->meta, service);
    if (!found && !Foreign(api::kServices, name)) {
      Apply(api::kServices, name, service, running.service == nullptr);
    }
  }

  void ApplyMainService() {
    const std::string& name = md_.meta.key.name;
    const api::ServiceView* service = FindService(seen_, name);
    const Rendered rendered = RenderMainService(md_, intent_.main_version);
    const bool found = service != nullptr && IsAsRendered(service->meta, rendered);
    if (!found && !Foreign(api::kServices, name)) {
      Apply(api::kServices, name, rendered, service == nullptr);
    }
  }

  void ApplyRoute() {
    const std::string& name = md_.meta.key.name;
    const kube::Resource& kind = RouteKind(md_);
    const api::HttpRouteView* route = FindRoute(seen_, name);
    // What the other kind led to, the new one does by then.
    if (!md_.spec.traffic.gateway || turn_.effect.settled) {
      for (const auto& other : seen_.other_routes) Delete(OtherRouteKind(md_), other->meta);
    }
    if (!md_.spec.traffic.gateway) {
      if (route != nullptr) Delete(kind, route->meta);
      return;
    }
    if (intent_.shares.empty()) {
      // Nobody has served yet; or the only version that did is being rolled back.
      const api::RolloutStatus* rollout = ActiveRollout(md_.status);
      const bool withdrawn = rollout != nullptr && rollout->phase == RolloutPhase::kRollingBack;
      if (route != nullptr && withdrawn) Delete(kind, route->meta);
      return;
    }
    std::vector<api::BackendWeight> backends;
    for (const Share& share : BackendsOf(intent_.shares, intent_.extras)) {
      backends.push_back({ChildName(md_, share.version), share.weight});
    }
    const Rendered rendered = RenderRoute(md_, intent_.shares, intent_.extras);
    const bool found = route != nullptr && IsAsRendered(route->meta, rendered) &&
                       route->backends == backends &&
                       route->others == OtherBackends(md_, intent_.shares, intent_.extras);
    if (!found && !Foreign(kind, name)) Apply(kind, name, rendered, route == nullptr);
  }

  // Batches are scored by who serves. What an earlier version has begun it also ends.
  void ScheduleBatches() {
    std::vector<std::string> wanted;
    for (const WantedVariant& variant : intent_.variants) {
      const bool serves = md_.spec.variants.empty() ? variant.version == md_.status.champion
                                                    : WeightOf(intent_.wanted, variant.version) > 0;
      if (!serves || md_.spec.batch.empty()) continue;
      wanted.push_back(ChildName(md_, variant.version));
      ApplyOwn(api::kCronJobs, seen_.cron_jobs, wanted.back(), RenderBatch(md_, variant));
    }
    if (!KnowsWhatServes()) return;
    for (const auto& view : seen_.cron_jobs) {
      const std::string& name = view->meta.key.name;
      if (std::find(wanted.begin(), wanted.end(), name) != wanted.end()) continue;
      const api::ModelVersion* version = VersionOfChild(name);
      if (view->active == 0 || version == nullptr || md_.spec.batch.empty()) {
        Delete(api::kCronJobs, view->meta);
        continue;
      }
      const WantedVariant ended{version->meta.key.name, version->spec.model, 0};
      ApplyOwn(api::kCronJobs, seen_.cron_jobs, name, RenderBatch(md_, ended, /*ending=*/true));
    }
  }

  const api::ModelVersion* VersionOfChild(const std::string& child) const {
    for (const auto& version : seen_.versions) {
      if (ChildName(md_, version->meta.key.name) == child) return version.get();
    }
    return nullptr;
  }

  // Autoscalers and budgets of those that have pods, and none where the spec names none. Those of
  // versions that nobody needs go with their pods.
  void ScaleVariants() {
    const bool scales = md_.spec.autoscaling.has_value();
    const bool guards = !md_.spec.disruption_budget.empty();
    for (const WantedVariant& variant : intent_.variants) {
      const std::string name = ChildName(md_, variant.version);
      if (scales) {
        ApplyOwn(api::kAutoscalers, seen_.autoscalers, name, RenderAutoscaler(md_, variant));
      }
      if (guards) {
        ApplyOwn(api::kDisruptionBudgets, seen_.budgets, name, RenderBudget(md_, variant.version));
      }
    }
    const auto prune = [&](const kube::Resource& resource, const auto& views, bool wanted) {
      for (const auto& view : views) {
        const std::string& name = view->meta.key.name;
        const bool orphan = MetaIn(seen_.deployments, name) == nullptr && !Needed(name);
        if (!wanted || (orphan && KnowsWhatServes())) Delete(resource, view->meta);
      }
    };
    prune(api::kAutoscalers, seen_.autoscalers, scales);
    prune(api::kDisruptionBudgets, seen_.budgets, guards);
  }

  void Delete(const kube::Resource& resource, const kube::Meta& meta) {
    if (meta.deleting) return;
    actions_.emplace_back(
        kube::DeleteObject{{resource, meta.key}, meta.uid, meta.resource_version});
  }

  // The version before the champion, whose pods stay for a while so that it can come back at once.
  // Empty: none.
  std::string Previous() const {
    const api::HistoryEntry* promotion = Promotion();
    if (promotion == nullptr) return "";
    const api::HistoryEntry* end = md_.status.history.data() + md_.status.history.size();
    const auto* before = std::find_if(promotion + 1, end, [&](const api::HistoryEntry& entry) {
      return entry.outcome == "Promoted" && entry.version != md_.status.champion;
    });
    if (before == end || Rejected(FindVersion(seen_, before->version))) return "";
    return before->version;
  }

  // Behind a gateway pods get what the route says, whatever is rolled out meanwhile. Without one a
  // split is among all pods of the model: none may be there that is not to have a share.
  bool MayKeep() const {
    if (md_.spec.traffic.gateway) return true;
    return md_.spec.variants.empty() && ActiveRollout(md_.status) == nullptr;
  }

  // True while it is kept.
  bool Kept(const std::string& child) const {
    if (!MayKeep()) return false;
    const std::string previous = Previous();
    if (previous.empty() || ChildName(md_, previous) != child) return false;
    const WallTime until = Promotion()->at.value + md_.spec.rollout.keep_previous.value;
    if (turn_.now >= until) return false;
    if (turn_.status.rollout && ActiveRollout(turn_.status) == nullptr) {
      EndsAt(turn_, until, "the pods of " + previous + " go");
    } else {
      turn_.WakeAt(until);
    }
    return true;
  }

  bool Needed(const std::string& child) const {
    if (Kept(child)) return true;
    return std::any_of(
        intent_.variants.begin(), intent_.variants.end(),
        [&](const WantedVariant& variant) { return ChildName(md_, variant.version) == child; });
  }

  // Nothing is deleted on a status that knows of no champion and no rollout: it may be lost, and
  // what runs is then the best record of what served.
  bool KnowsWhatServes() const {
    const api::ModelDeploymentStatus& status = md_.status;
    return !status.champion.empty() || ActiveRollout(status) != nullptr;
  }

  // The champion's promotion, if that is known: what its ModelVersion must say too.
  const api::HistoryEntry* Promotion() const {
    for (const api::HistoryEntry& entry : md_.status.history) {
      const bool promotion = entry.outcome == "Promoted" && entry.version == md_.status.champion;
      if (promotion) return &entry;
    }
    return nullptr;
  }

  bool ChampionMarked() const {
    const api::ModelVersion* champion = FindVersion(seen_, md_.status.champion);
    const api::HistoryEntry* promotion = Promotion();
    if (champion == nullptr || champion->meta.deleting || promotion == nullptr) return true;
    const std::string* mark = kube::Find(champion->meta.annotations, api::kAnnotationPromoted);
    return mark != nullptr && *mark == FormatTime(promotion->at.value);
  }

  // Pods go only after the traffic has: when the route that is in effect does not name them, and a
  // moment later, since proxies follow the route with a delay.
  void RemoveUnneeded() {
    bool unneeded = false;
    for (const auto& view : seen_.deployments) unneeded |= !Needed(view->meta.key.name);
    for (const auto& view : seen_.services) {
      unneeded |= view->meta.key.name != md_.meta.key.name && !Needed(view->meta.key.name);
    }
    if (!unneeded || !KnowsWhatServes() || !turn_.effect.settled || !ChampionMarked()) return;
    if (md_.status.rollout) {
      const WallTime drained = md_.status.rollout->step_started.value + kDrain;
      if (turn_.now < drained) return turn_.WakeAt(drained);
    }
    for (const auto& view : seen_.deployments) {
      if (!Needed(view->meta.key.name)) Delete(api::kDeployments, view->meta);
    }
    for (const auto& view : seen_.services) {
      const std::string& name = view->meta.key.name;
      if (name != md_.meta.key.name && !Needed(name)) Delete(api::kServices, view->meta);
    }
  }

  // What later looks must find on the versions themselves.
  void WriteRecords() {
    if (!ChampionMarked()) {
      const api::HistoryEntry& promotion = *Promotion();
      actions_.emplace_back(RenderPromoted(*FindVersion(seen_, md_.status.champion),
                                           promotion.at.value, promotion.message));
    }
    const api::RolloutStatus* rollout = ActiveRollout(md_.status);
    if (rollout == nullptr || rollout->phase != RolloutPhase::kRollingBack) return;
    const api::ModelVersion* version = FindVersion(seen_, rollout->version);
    if (version == nullptr || version->meta.deleting || Rejected(version)) return;
    actions_.emplace_back(
        RenderRejection(*version, seen_.own_identity, "rolled back: " + rollout->message));
  }

  Turn& turn_;
  const Observed& seen_;
  const api::ModelDeployment& md_;
  const Intent& intent_;
  std::vector<kube::Action> actions_;
};

}  // namespace

std::vector<kube::Action> Converge(Turn& turn) {
  return Converger(turn).Run();
}

}  // namespace perennial::deployment
