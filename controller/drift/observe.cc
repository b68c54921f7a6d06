#include "drift/observe.h"

#include <algorithm>
#include <set>
#include <utility>

#include "api/names.h"
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

std::optional<int> PortOf(const api::EndpointSliceView& slice, const std::string& name) {
  for (const api::EndpointPort& port : slice.ports) {
    if (port.name == name && port.port > 0 && port.port <= 65'535) return port.port;
  }
  return std::nullopt;
}

// The champion first, then the other variants in the order of the status, each once.
std::vector<std::string> VersionsOf(const api::ModelDeployment& deployment) {
  std::vector<std::string> versions;
  const auto add = [&](const std::string& version) {
    if (version.empty()) return;
    if (std::find(versions.begin(), versions.end(), version) == versions.end()) {
      versions.push_back(version);
    }
  };
  add(deployment.status.champion);
  for (const api::VariantStatus& variant : deployment.status.variants) add(variant.version);
  return versions;
}

// How far back the signals look, and how long their shortest window is.
struct Reach {
  Millis longest{0};
  Millis shortest = Millis::max();

  void Add(const scrape::Range& range) {
    longest = std::max(longest, range.length + range.offset);
    shortest = std::min(shortest, range.length);
  }
  // What is only compared with needs no finer slots.
  void AddEarlier(const scrape::Range& range) {
    longest = std::max(longest, range.length + range.offset);
  }
};

Reach ReachOf(const api::DriftMonitorSpec& spec, const Expressions& expressions) {
  Reach reach;
  for (const api::Signal& signal : spec.signals) {
    reach.Add(RangeOf(spec, signal));
    const auto expression = expressions.parsed.find(signal.name);
    if (expression == expressions.parsed.end()) continue;
    for (const scrape::Range& range : expression->second.ranges()) {
      reach.Add(RangeOf(spec, signal, range));
    }
  }
  if (spec.baseline.window) {
    for (const api::Signal& signal : spec.signals) {
      if (NeedsBaseline(signal)) reach.AddEarlier(EarlierRangeOf(spec, signal));
    }
  }
  return reach;
}

// As fine as the shortest judged window needs it, though the longest decides how much is kept: an
// edge is exact to one slot. An earlier window that lies far back must not take more than 500
// slots: 100 windows of 5.
Millis ResolutionOf(const api::DriftMonitorSpec& spec, const Reach& reach) {
  const Millis fine = std::max(spec.interval.value, reach.shortest / 60);
  return spec.baseline.window ? std::max(fine, reach.longest / 500) : fine;
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
  return monitor.spec.baseline.config_map ? std::set<kube::Resource>{api::kConfigMaps}
                                          : std::set<kube::Resource>();
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
  seen.deployment = stores_.deployments.Get({key.ns, spec.target.model_deployment});
  if (spec.suspend) {
    Forget(key);
    return seen;
  }
  const std::shared_ptr<Memory> memory = Recall(*seen.monitor);
  const std::string id = SubscriptionOf(memory->uid);
  if (seen.deployment != nullptr && !seen.deployment->status.champion.empty()) {
    seen.versions = VersionsOf(*seen.deployment);
  }
  if (memory->generation != seen.monitor->meta.generation) {
    memory->expressions = ParseExpressions(spec);
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
      place->history.Resume(monitor.status);
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

// Without a known target nothing is scraped: addresses of pods that are gone may be anybody's. What
// was counted stays until it ages out.
void DriftReconciler::Subscribe(const std::string& id, const Expressions& expressions,
                                Observed& seen) {
  const api::DriftMonitorSpec& spec = seen.monitor->spec;
  scrape::Subscription subscription;
  subscription.interval = spec.interval.value;
  const Reach reach = ReachOf(spec, expressions);
  subscription.retention = reach.longest;
  subscription.resolution = ResolutionOf(spec, reach);
  subscription.metrics = WantedMetrics(spec, expressions);
  if (!seen.versions.empty()) {
    for (const api::VariantStatus& variant : seen.deployment->status.variants) {
      std::string problem;
      AddTargets(seen, variant, subscription, problem);
      if (variant.version == seen.versions.front()) seen.problem = problem;
    }
    if (const Status reached = AddSource(seen, subscription); !reached.ok()) {
      // Without the credentials that were asked for, nothing is asked.
      seen.problem = reached.error().message;
      seen.targets = static_cast<int>(subscription.targets.size());
      subscription.targets.clear();
      subscription.promql.reset();
      samples_.Set(id, std::move(subscription));
      return;
    }
  }
  seen.targets = static_cast<int>(subscription.targets.size());
  samples_.Set(id, std::move(subscription));
}

Status DriftReconciler::AddSource(const Observed& seen, scrape::Subscription& subscription) const {
  const std::string& ns = seen.monitor->meta.key.ns;
  const std::optional<api::Source>& source = seen.monitor->spec.source;
  scrape::Access& access = subscription.access;
  const auto fill = [&](const api::Credentials& from) {
    access.bearer_token = from.bearer_token;
    access.username = from.username;
    access.password = from.password;
    access.ca_pem = from.ca_pem;
    access.server_name = from.server_name;
  };
  if (!source || !source->prometheus) {
    const api::MetricsEndpoint& metrics = seen.deployment->spec.metrics;
    access.tls = metrics.scheme == api::Scheme::kHttps;
    PERENNIAL_TRY(const api::Credentials credentials, CredentialsOf(metrics, ns, secrets_));
    fill(credentials);
    return Ok();
  }
  const api::PrometheusSource& prometheus = *source->prometheus;
  PERENNIAL_TRY(const api::Credentials credentials, CredentialsOf(prometheus, ns, secrets_));
  fill(credentials);
  scrape::PromqlSource promql;
  promql.url = prometheus.url;
  promql.ns = ns;
  promql.namespace_label = prometheus.namespace_label;
  promql.pod_label = prometheus.pod_label;
  promql.version_label = prometheus.version_label;
  for (const api::LabelMatch& match : prometheus.matchers) {
    promql.matchers.emplace_back(match.label, match.value);
  }
  for (const api::VariantStatus& variant : seen.deployment->status.variants) {
    // A version's Deployment has its Service's name.
    if (variant.service.empty() || variant.version.empty()) continue;
    promql.variants.emplace_back(variant.version, variant.service);
  }
  if (!promql.variants.empty()) subscription.promql = std::move(promql);
  return Ok();
}

// Whoever may write EndpointSlices could name any address in one with the Service's label. Only
// those that the Service controls count, and the Service must be the ModelDeployment's: an object
// of the same name that somebody else made isn't.
std::vector<std::shared_ptr<const api::EndpointSliceView>> DriftReconciler::SlicesOf(
    const Observed& seen, const api::VariantStatus& variant) const {
  const kube::Key key{seen.monitor->meta.key.ns, variant.service};
  const auto service = stores_.services.Get(key);
  if (service == nullptr) return {};
  const kube::OwnerReference* owner = kube::ControllerOf(service->meta);
  if (owner == nullptr || owner->uid != seen.deployment->meta.uid) return {};
  auto slices = stores_.slices.ByIndex(kByService, kube::ToString(key));
  std::erase_if(slices, [&](const auto& slice) {
    const kube::OwnerReference* of = kube::ControllerOf(slice->meta);
    return of == nullptr || of->uid != service->meta.uid;
  });
  return slices;
}

void DriftReconciler::AddTargets(const Observed& seen, const api::VariantStatus& variant,
                                 scrape::Subscription& subscription, std::string& problem) const {
  if (variant.service.empty() || variant.version.empty()) return;
  const api::MetricsEndpoint& metrics = seen.deployment->spec.metrics;
  const std::string service = seen.monitor->meta.key.ns + "/" + variant.service;
  std::set<std::string> known;
  for (const scrape::Target& target : subscription.targets) known.insert(target.id);
  bool has_port = false;
  bool any = false;
  const bool promql = seen.monitor->spec.source && seen.monitor->spec.source->prometheus;
  const auto slices = SlicesOf(seen, variant);
  for (const auto& slice : slices) {
    const auto port = PortOf(*slice, metrics.port);
    // A Prometheus finds the port itself.
    if (!port && !promql) continue;
    has_port = true;
    for (const api::Endpoint& endpoint : slice->endpoints) {
      if (!endpoint.ready || endpoint.pod_uid.empty() || endpoint.address.empty()) continue;
      any = true;
      // A pod is in one slice for each of its address families.
      const std::string& id = promql ? endpoint.pod : endpoint.pod_uid;
      if (id.empty() || !known.insert(id).second) continue;
      subscription.targets.push_back({id, endpoint.address,
                                      static_cast<std::uint16_t>(port.value_or(0)), metrics.path,
                                      variant.version});
    }
  }
  if (any) return;
  problem = slices.empty() ? "Service " + service + " of version " + variant.version +
                                 " has no EndpointSlices yet"
            : !has_port ? "Service " + service + " has no port named " + metrics.port +
                              ": name a container port in spec.metrics.port of the ModelDeployment"
                        : "no pod of version " + variant.version + " is ready";
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
      History::Id entry{spec.signals[i].name, version};
      memory.history.Add(entry, std::move(evaluations[i]), spec.of_evaluations);
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
