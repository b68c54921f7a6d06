#include "drift/observe.h"

#include <algorithm>
#include <set>
#include <utility>

#include "api/names.h"
#include "drift/definition.h"
#include "drift/evaluation.h"

namespace perennial::drift {
namespace {

// Steady time at which the next look is due if a round of scrapes is over by then: a little less
// than an interval, so that a round that ends early isn't left for the next.
Millis DueAfterRound(Millis looked, Millis interval) {
  return looked + interval - interval / 10;
}

// When to look without a new round: scrapes fail or take long.
Millis DueAnyway(Millis looked, Millis interval) {
  return looked + interval + interval / 2;
}

// The champion first, then the other variants in the order of the status, each once.
std::vector<std::string> VersionsOf(const Observed& seen) {
  std::vector<std::string> versions;
  const auto add = [&](const std::string& version) {
    if (version.empty()) return;
    if (std::find(versions.begin(), versions.end(), version) == versions.end()) {
      versions.push_back(version);
    }
  };
  add(ChampionOf(seen));
  if (versions.empty() || seen.deployment == nullptr) return versions;
  for (const api::VariantStatus& variant : seen.deployment->status.variants) add(variant.version);
  return versions;
}

// Windows of one variant as of now, each added up once.
class Windows {
 public:
  Windows(const scrape::SampleStore& samples, const std::string& id, const std::string& variant,
          Millis now)
      : samples_(samples), id_(id), variant_(variant), now_(now) {}

  const scrape::WindowView& Of(const scrape::Range& range) {
    const auto known = views_.find(range);
    if (known != views_.end()) return known->second;
    return views_.emplace(range, samples_.View(id_, variant_, range.length, range.offset, now_))
        .first->second;
  }

 private:
  const scrape::SampleStore& samples_;
  const std::string& id_;
  const std::string& variant_;
  Millis now_;
  std::map<scrape::Range, scrape::WindowView> views_;
};

}  // namespace

std::set<kube::Resource> NeedsOf(const api::DriftMonitor& monitor) {
  std::set<kube::Resource> needs;
  if (monitor.spec.baseline.config_map) needs.insert(api::kConfigMaps);
  if (monitor.spec.target.service) needs.insert({api::kServices, api::kEndpointSlices});
  return needs;
}

std::string SubscriptionOf(std::string_view uid) {
  return "drift/" + std::string(uid);
}

DriftReconciler::DriftReconciler(Stores stores, scrape::SampleStore& samples, const Clock& clock,
                                 api::SecretLookup secrets)
    : stores_(stores), samples_(samples), clock_(clock), secrets_(std::move(secrets)) {}

std::optional<Observed> DriftReconciler::Observe(const kube::Key& key,
                                                 const kube::Attempt& attempt) {
  Observed seen;
  seen.monitor = stores_.monitors.Get(key);
  if (seen.monitor == nullptr || seen.monitor->meta.deleting) {
    Forget(key);
    return std::nullopt;
  }
  const api::DriftMonitorSpec& spec = seen.monitor->spec;
  if (spec.target.service) {
    const auto services = stores_.monitored_services.Find(api::kServices);
    if (services != nullptr)
      seen.service = services->store().Get({key.ns, spec.target.service->name});
  } else {
    seen.deployment = stores_.deployments.Get({key.ns, spec.target.model_deployment});
  }
  if (spec.suspend) {
    Forget(key);
    return seen;
  }
  const std::shared_ptr<Memory> memory = Recall(*seen.monitor);
  const std::string id = SubscriptionOf(memory->uid);
  seen.versions = VersionsOf(seen);
  if (memory->generation != seen.monitor->meta.generation) {
    memory->expressions = ParseExpressions(spec);
    if (memory->generation >= 0) memory->history.BeginAnew();
    memory->generation = seen.monitor->meta.generation;
  }
  for (const auto& [signal, wrong] : memory->expressions.wrong) {
    if (seen.invalid.empty()) seen.invalid = "signal " + signal + ": expression: " + wrong;
  }
  Subscribe(id, memory->expressions, seen);
  Reference reference;
  if (!seen.versions.empty()) {
    reference = ReferenceOf(id, seen, seen.versions.front());
    seen.baseline = reference.source;
    seen.baseline_recorded = reference.recorded;
    seen.baseline_problem = reference.problem;
  }
  Count(id, seen);

  const Millis interval = spec.interval.value;
  const Millis now = clock_.Steady();
  const std::uint64_t round = samples_.Generation(id);
  const bool fresh = round != memory->round;
  const bool due = fresh && (!memory->any_look || now >= DueAfterRound(memory->looked, interval));
  if (!seen.versions.empty() && (due || now >= DueAnyway(memory->looked, interval))) {
    Look(id, seen, reference, *memory);
    memory->looked = now;
    memory->round = round;
    memory->any_look = true;
  }
  seen.history = memory->history;
  memory->history.Settle(
      [&](const History::Id& signal) { return TellsMore(seen, signal, attempt.now); });
  // Without versions a change of the ModelDeployment wakes us.
  if (!seen.versions.empty()) {
    const Millis next = now < memory->looked + interval ? memory->looked + interval
                                                        : DueAnyway(memory->looked, interval);
    seen.next_evaluation = attempt.now + (next - now);
  }
  return seen;
}

std::shared_ptr<DriftReconciler::Memory> DriftReconciler::Recall(const api::DriftMonitor& monitor) {
  std::string stale;
  std::shared_ptr<Memory> memory;
  {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Memory>& place = memories_[monitor.meta.key];
    if (place != nullptr && place->uid != monitor.meta.uid) stale = place->uid;
    if (place == nullptr || !stale.empty()) {
      place = std::make_shared<Memory>();
      place->uid = monitor.meta.uid;
      place->looked = clock_.Steady();
    }
    if (!place->any_look) {
      place->history.Resume(monitor.status);
      const bool edited = monitor.status.observed_generation != monitor.meta.generation;
      if (edited) place->history.BeginAnew();
    }
    memory = place;
  }
  // Deleted and made again under the same name before we looked.
  if (!stale.empty()) samples_.Remove(SubscriptionOf(stale));
  return memory;
}

void DriftReconciler::Forget(const kube::Key& key) {
  std::shared_ptr<Memory> memory;
  {
    const std::lock_guard lock(mutex_);
    const auto it = memories_.find(key);
    if (it == memories_.end()) return;
    memory = std::move(it->second);
    memories_.erase(it);
  }
  samples_.Remove(SubscriptionOf(memory->uid));
}

// What `version` is compared with now.
Reference DriftReconciler::ReferenceOf(const std::string& id, const Observed& seen,
                                       const std::string& version) const {
  const api::DriftMonitorSpec& spec = seen.monitor->spec;
  const api::Baseline& baseline = spec.baseline;
  const std::string& ns = seen.monitor->meta.key.ns;
  const std::string& champion = seen.versions.front();
  const bool of_champion = baseline.from == api::BaselineFrom::kChampion;
  Windows windows(samples_, id, of_champion ? champion : version, clock_.Steady());
  const WindowOf window = [&](const scrape::Range& range) -> const scrape::WindowView& {
    return windows.Of(range);
  };
  switch (baseline.from) {
    case api::BaselineFrom::kInline:
      return InlineReference(seen.monitor);
    case api::BaselineFrom::kConfigMap:
      return StoredReference(ns, *baseline.config_map);
    case api::BaselineFrom::kWindow:
      return WindowReference(spec, window);
    case api::BaselineFrom::kChampion:
      if (version != champion) return ChampionReference(spec, window);
      [[fallthrough]];
    case api::BaselineFrom::kModelVersion:
      return VersionReference(version, stores_.versions.Get({ns, version}));
  }
  return {};
}

Reference DriftReconciler::StoredReference(const std::string& ns,
                                           const api::BaselineConfigMap& where) const {
  const auto informer = stores_.baselines.Find(api::kConfigMaps);
  switch (informer == nullptr ? kube::Sight::kAwaited : kube::SightOf(*informer)) {
    case kube::Sight::kWhole:
      return ConfigMapReference(where, informer->store().Get({ns, where.name}));
    case kube::Sight::kAwaited:
      return NoReference("waiting for the first list of ConfigMaps with baselines");
    case kube::Sight::kAbsent:
    case kube::Sight::kRefused:
      break;
  }
  return NoReference(
      "ConfigMaps cannot be listed: baselines in ConfigMaps need the chart's value "
      "monitors.configMapBaselines");
}

void DriftReconciler::Look(const std::string& id, const Observed& seen, const Reference& champions,
                           Memory& memory) const {
  const api::DriftMonitorSpec& spec = seen.monitor->spec;
  const Millis now = clock_.Steady();
  std::set<History::Id> watched;
  for (const std::string& version : seen.versions) {
    Windows windows(samples_, id, version, now);
    const auto object = stores_.versions.Get({seen.monitor->meta.key.ns, version});
    std::vector<Evaluation> evaluations = EvaluateAgainst(
        version == seen.versions.front() ? champions : ReferenceOf(id, seen, version), spec,
        {[&](const scrape::Range& range) -> const scrape::WindowView& { return windows.Of(range); },
         memory.expressions, object.get()});
    for (std::size_t i = 0; i < evaluations.size(); ++i) {
      const api::Signal& signal = spec.signals[i];
      History::Id entry{signal.name, version};
      memory.history.Add(entry, DefinitionOf(spec, signal, version, seen.versions.front()),
                         std::move(evaluations[i]), spec.of_evaluations);
      watched.insert(std::move(entry));
    }
  }
  memory.history.Retain([&](const History::Id& entry) { return watched.contains(entry); });
}

void DriftReconciler::Count(const std::string& id, Observed& seen) const {
  std::string failing;
  for (const std::string& version : seen.versions) {
    const scrape::WindowView view = samples_.TargetsView(id, version, clock_.Steady());
    seen.targets_up += view.targets_up;
    if (version == seen.versions.front() && view.targets > 0 && view.targets_up == 0 &&
        !view.problems.empty()) {
      failing = view.problems.front();
    }
    // What a Prometheus warns of concerns the numbers; a pod that fails is counted above.
    const bool promql = seen.monitor->spec.source && seen.monitor->spec.source->prometheus;
    if (promql && version == seen.versions.front() && view.targets_up > 0 &&
        view.targets_up == view.targets && !view.problems.empty()) {
      seen.warning = view.problems.front();
    }
  }
  if (seen.problem.empty()) seen.problem = failing;
}

}  // namespace perennial::drift
