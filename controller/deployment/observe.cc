#include "deployment/observe.h"

#include <algorithm>
#include <set>
#include <utility>

#include "api/names.h"
#include "api/store_index.h"
#include "deployment/allocation.h"
#include "deployment/comparison.h"
#include "deployment/counts.h"
#include "deployment/effect.h"
#include "deployment/fleet.h"
#include "deployment/judgement.h"
#include "deployment/quantity.h"
#include "deployment/query_probe.h"
#include "deployment/weights.h"
#include "source/access.h"

namespace perennial::deployment {
namespace {

// How far back the counts of one split are looked at.
constexpr Millis kLongestStep{3'600'000};
// How often most servers are asked to scrape, where somebody else's Prometheus does it.
constexpr Millis kPrometheusInterval{60'000};

// How long one split has lasted, as far as its counts are compared with it; and the share of that
// by which a version's counts may be of more or less time than another's.
struct EvenTime {
  Millis length{0};  // none if not above 0
  double edges = 0;
};

// Proxies take a moment to follow the route, and scrapes to see it: what was counted then belongs
// to the split before. Pods are asked one after the other, so that each end of the time lies up to
// an interval of theirs apart.
EvenTime EvenTimeOf(const Observed& seen, Millis since) {
  const auto& source = seen.deployment->spec.rollout.source;
  Millis interval = LookInterval(seen.deployment->spec.rollout);
  if (source && source->prometheus) interval += kPrometheusInterval;
  EvenTime even;
  even.length = std::min(kLongestStep, since - 2 * interval);
  if (even.length <= Millis{0}) return even;
  even.edges = std::min(
      1.0, 2.0 * static_cast<double>(interval.count()) / static_cast<double>(even.length.count()));
  return even;
}

// The traffic of a fixed split is split as the spec says.
bool SplitsAsWanted(const Observed& seen) {
  const Intent intent = IntentOf(seen);
  const std::vector<std::string> versions = ComparedVersions(*seen.deployment);
  const std::vector<int> weights = VariantWeights(*seen.deployment);
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (WeightOf(intent.shares, versions[i]) != weights[i]) return false;
  }
  return EffectOf(seen, intent).settled;
}

// Versions that may have children: by record, and in this look or the next.
std::set<std::string> VersionsInPlay(const Observed& seen) {
  const api::ModelDeploymentStatus& status = seen.deployment->status;
  std::set<std::string> names{status.champion, status.challenger};
  if (status.rollout) names.insert(status.rollout->version);
  for (const api::VariantStatus& variant : status.variants) names.insert(variant.version);
  names.erase("");
  return names;
}

template <class T>
void AddForeign(const kube::Store<T>& store, const kube::Resource& resource, const kube::Key& key,
                const std::string& uid, std::vector<kube::Ref>& foreign) {
  const auto object = store.Get(key);
  if (object == nullptr) return;
  const kube::OwnerReference* owner = kube::ControllerOf(object->meta);
  if (owner == nullptr || owner->uid != uid) foreign.push_back({resource, key});
}

std::vector<const api::Quantity*> QuantitiesOf(const api::Rollout& rollout) {
  std::vector<const api::Quantity*> quantities;
  if (rollout.analysis) {
    for (const auto& check : rollout.analysis->checks) quantities.push_back(&check.quantity);
  }
  if (rollout.experiment) {
    quantities.push_back(&rollout.experiment->primary.quantity);
    for (const auto& guardrail : rollout.experiment->guardrails) {
      quantities.push_back(&guardrail.quantity);
    }
  }
  return quantities;
}

std::vector<std::string> MetricsOf(const api::Rollout& rollout) {
  std::set<std::string> names;
  for (const api::Quantity* quantity : QuantitiesOf(rollout)) {
    for (std::string& name : deployment::MetricsOf(*quantity)) names.insert(std::move(name));
  }
  return {names.begin(), names.end()};
}

std::vector<scrape::Target> TargetsOf(const Observed& seen, const std::string& version) {
  const api::MetricsEndpoint& metrics = seen.deployment->spec.metrics;
  const auto& source = seen.deployment->spec.rollout.source;
  const bool prometheus = source && source->prometheus;  // it finds the port itself
  const std::string service = ChildName(*seen.deployment, version);
  std::vector<scrape::Target> targets;
  std::set<std::string> known;
  for (const auto& slice : seen.slices) {
    if (slice->service != service) continue;
    const auto port = std::find_if(
        slice->ports.begin(), slice->ports.end(),
        [&](const api::EndpointPort& candidate) { return candidate.name == metrics.port; });
    const bool has_port = port != slice->ports.end() && port->port > 0 && port->port <= 65'535;
    if (!has_port && !prometheus) continue;
    const auto number = static_cast<std::uint16_t>(has_port ? port->port : 0);
    for (const api::Endpoint& endpoint : slice->endpoints) {
      if (!endpoint.ready || (prometheus && endpoint.pod.empty())) continue;
      const std::string& uid = endpoint.pod_uid.empty() ? endpoint.address : endpoint.pod_uid;
      const std::string& id = prometheus ? endpoint.pod : uid;
      // A pod is in one slice for each of its address families.
      if (!known.insert(id).second) continue;
      targets.push_back({id, endpoint.address, number, metrics.path, version});
    }
  }
  return targets;
}

// Champion and challenger of a rollout, or the variants that are compared.
std::vector<std::string> MeasuredVersions(const api::ModelDeployment& deployment) {
  if (!deployment.spec.variants.empty()) return ComparedVersions(deployment);
  return {deployment.status.rollout->champion, deployment.status.rollout->version};
}

// A Prometheus that scrapes the pods, or nothing: then the pods are asked.
std::optional<scrape::PromqlSource> PrometheusOf(const Observed& seen) {
  const auto& from = seen.deployment->spec.rollout.source;
  if (!from || !from->prometheus) return std::nullopt;
  scrape::PromqlSource promql = source::QueriesOf(*from->prometheus, seen.deployment->meta.key.ns);
  for (const std::string& version : MeasuredVersions(*seen.deployment)) {
    promql.variants.emplace_back(version, ChildName(*seen.deployment, version));
  }
  return promql;
}

// How they are asked. With an error they are not asked at all.
Result<scrape::Access> AccessOf(const Observed& seen, const api::SecretLookup& secrets) {
  const api::ModelDeploymentSpec& spec = seen.deployment->spec;
  const std::string& ns = seen.deployment->meta.key.ns;
  const auto& from = spec.rollout.source;
  return from && from->prometheus ? source::AccessTo(from->prometheus->server, ns, secrets)
                                  : source::AccessTo(spec.metrics, ns, secrets);
}

// What makes counts comparable. A metric that an edit leaves in has been counted for longer than
// those that it brings: quantities of both would mix two times. And a Prometheus counts again what
// was counted by asking the pods.
std::string IdentityOf(const api::ModelDeployment& deployment) {
  std::string identity = deployment.spec.variants.empty() ? deployment.status.rollout->version
                                                          : ComparisonIdentity(deployment);
  std::set<std::string> definitions;
  for (const api::Quantity* quantity : QuantitiesOf(deployment.spec.rollout)) {
    definitions.insert(DefinitionOf(*quantity));
  }
  for (const std::string& definition : definitions) identity += ' ' + definition;
  const auto& from = deployment.spec.rollout.source;
  if (from && from->prometheus) identity += " of a Prometheus";
  return identity;
}

// What is on record of the experiment, by the version that is compared.
std::map<std::string, std::vector<api::QuantityCounts>> RecordedCounts(
    const api::ModelDeployment& deployment) {
  std::map<std::string, std::vector<api::QuantityCounts>> counts;
  const api::ModelDeploymentStatus& status = deployment.status;
  if (deployment.spec.variants.empty()) {
    if (status.rollout->experiment) {
      counts.emplace(status.rollout->version, status.rollout->experiment->counts);
    }
    return counts;
  }
  for (const api::Comparison& row : status.comparisons) {
    if (row.identity != ComparisonIdentity(deployment)) continue;
    for (const api::VariantStatus& variant : status.variants) {
      if (variant.name == row.variant) counts.emplace(variant.version, row.experiment.counts);
    }
  }
  return counts;
}

scrape::Subscription SubscriptionFor(const Observed& seen, const api::SecretLookup& secrets) {
  const api::Rollout& rollout = seen.deployment->spec.rollout;
  scrape::Subscription subscription;
  subscription.interval = LookInterval(rollout);
  subscription.retention = kLongestStep;
  if (rollout.analysis) {
    subscription.retention = std::max(subscription.retention, rollout.analysis->window.value);
  }
  // At most 512 slots are kept; the edges of a window are as exact as a slot.
  subscription.resolution = std::max(subscription.interval, subscription.retention / 500);
  subscription.metrics = MetricsOf(rollout);
  subscription.totals = rollout.experiment && BothHaveTraffic(*seen.deployment);
  // Probes alone read nothing of the pods.
  if (subscription.metrics.empty()) return subscription;
  auto access = AccessOf(seen, secrets);
  if (!access.ok()) return subscription;
  subscription.access = *std::move(access);
  subscription.promql = PrometheusOf(seen);
  for (const std::string& version : MeasuredVersions(*seen.deployment)) {
    auto targets = TargetsOf(seen, version);
    subscription.targets.insert(subscription.targets.end(), targets.begin(), targets.end());
  }
  return subscription;
}

}  // namespace

std::vector<std::string> OwnerOf(const kube::Meta& child) {
  const kube::OwnerReference* owner = kube::ControllerOf(child);
  if (owner == nullptr || owner->kind != api::kModelDeployments.kind) return {};
  return {owner->uid};
}

std::vector<std::string> VersionOf(const api::PodView& pod) {
  const std::string* version = kube::Find(pod.meta.labels, api::kLabelVersion);
  if (version == nullptr) return {};
  return {pod.meta.key.ns + "/" + *version};
}

std::string SubscriptionOf(std::string_view uid) {
  return "rollout/" + std::string(uid);
}

DeploymentReconciler::DeploymentReconciler(Stores stores, scrape::SampleStore& samples,
                                           const Clock& clock, std::string own_identity,
                                           api::SecretLookup secrets, ProbeQueries queries)
    : stores_(stores),
      samples_(samples),
      clock_(clock),
      own_identity_(std::move(own_identity)),
      secrets_(std::move(secrets)),
      queries_(queries) {}

std::optional<Observed> DeploymentReconciler::Observe(const kube::Key& key,
                                                      const kube::Attempt& attempt) {
  Observed seen;
  seen.deployment = stores_.deployments.Get(key);
  // Its children and versions go with it: they are owned.
  if (seen.deployment == nullptr || seen.deployment->meta.deleting) {
    Unsubscribe(key);
    return std::nullopt;
  }
  seen.versions = stores_.versions.ByIndex(api::kVersionsByDeployment, kube::ToString(key));
  AddChildren(key, seen);
  AddSamples(key, seen, attempt.now);
  seen.own_identity = own_identity_;
  seen.last_error = attempt.last_error;
  return seen;
}

void DeploymentReconciler::AddChildren(const kube::Key& key, Observed& seen) const {
  const std::string& uid = seen.deployment->meta.uid;
  seen.deployments = stores_.workloads.ByIndex(kChildrenByOwner, uid);
  seen.services = stores_.services.ByIndex(kChildrenByOwner, uid);
  const bool grpc = seen.deployment->spec.traffic.protocol == api::TrafficProtocol::kGrpc;
  const auto& routes = grpc ? stores_.grpc_routes : stores_.http_routes;
  seen.routes = routes.ByIndex(kChildrenByOwner, uid);
  seen.other_routes =
      (grpc ? stores_.http_routes : stores_.grpc_routes).ByIndex(kChildrenByOwner, uid);
  seen.autoscalers = stores_.autoscalers.ByIndex(kChildrenByOwner, uid);
  seen.budgets = stores_.budgets.ByIndex(kChildrenByOwner, uid);
  seen.cron_jobs = stores_.cron_jobs.ByIndex(kChildrenByOwner, uid);
  AddProbes(key, seen);
  AddGateways(key, seen);
  for (const auto& service : seen.services) {
    auto slices =
        stores_.slices.ByIndex(api::kSlicesByService, key.ns + "/" + service->meta.key.name);
    // Not those that somebody else made in the Service's name: their addresses would be scraped.
    std::erase_if(slices, [&](const auto& slice) {
      const kube::OwnerReference* owner = kube::ControllerOf(slice->meta);
      return owner == nullptr || owner->uid != service->meta.uid;
    });
    seen.slices.insert(seen.slices.end(), slices.begin(), slices.end());
  }
  AddForeign(stores_.services, api::kServices, key, uid, seen.foreign);
  if (seen.deployment->spec.traffic.gateway) {
    AddForeign(routes, RouteKind(*seen.deployment), key, uid, seen.foreign);
  }
  for (const std::string& version : VersionsInPlay(seen)) {
    for (auto& pod : stores_.pending_pods.ByIndex(kPendingByVersion, key.ns + "/" + version)) {
      const std::string* model = kube::Find(pod->meta.labels, api::kLabelDeployment);
      if (model != nullptr && *model == key.name) seen.pending_pods.push_back(std::move(pod));
    }
    const kube::Key child{key.ns, ChildName(*seen.deployment, version)};
    AddForeign(stores_.workloads, api::kDeployments, child, uid, seen.foreign);
    AddForeign(stores_.services, api::kServices, child, uid, seen.foreign);
    if (seen.deployment->spec.autoscaling) {
      AddForeign(stores_.autoscalers, api::kAutoscalers, child, uid, seen.foreign);
    }
    if (!seen.deployment->spec.batch.empty()) {
      AddForeign(stores_.cron_jobs, api::kCronJobs, child, uid, seen.foreign);
    }
    if (!seen.deployment->spec.disruption_budget.empty()) {
      AddForeign(stores_.budgets, api::kDisruptionBudgets, child, uid, seen.foreign);
    }
  }
}

void DeploymentReconciler::AddGateways(const kube::Key& key, Observed& seen) const {
  const auto& gateway = seen.deployment->spec.traffic.gateway;
  if (!gateway) return;
  for (const api::ParentReference& parent : gateway->parent_refs) {
    const auto found = stores_.gateways.Get({key.ns, parent.name});
    if (found == nullptr) continue;
    if (auto of = stores_.gateway_classes.Get({"", found->gateway_class})) {
      seen.gateway_classes.push_back(std::move(of));
    }
  }
}

void DeploymentReconciler::AddProbes(const kube::Key& key, Observed& seen) const {
  const auto& analysis = seen.deployment->spec.rollout.analysis;
  if (!analysis || ActiveRollout(seen.deployment->status) == nullptr) return;
  for (const api::AnalysisProbe& probe : analysis->probes) {
    if (probe.job) {
      seen.jobs = stores_.jobs.ByIndex(kChildrenByOwner, seen.deployment->meta.uid);
    } else if (probe.drift) {
      if (auto monitor = stores_.monitors.Get({key.ns, probe.drift->monitor})) {
        seen.monitors[probe.drift->monitor] = std::move(monitor);
      }
    }
  }
}

void DeploymentReconciler::AddSamples(const kube::Key& key, Observed& seen, WallTime now) {
  if (!BeingMeasured(*seen.deployment)) return Unsubscribe(key);
  Subscribe(key, seen);
  if (!seen.deployment->spec.variants.empty()) return AddTotals(key, seen);
  AddAnswers(seen);
  const std::string id = SubscriptionOf(seen.deployment->meta.uid);
  const api::RolloutStatus& rollout = *seen.deployment->status.rollout;
  const auto& analysis = seen.deployment->spec.rollout.analysis;
  const Millis steady = clock_.Steady();
  // After a restart the step is older than what was counted of it.
  const auto step = std::chrono::duration_cast<Millis>(now - rollout.step_started.value);
  const EvenTime even = EvenTimeOf(seen, std::min(step, steady - EvenSince(key, seen)));
  for (const std::string& version : {rollout.champion, rollout.version}) {
    Samples samples;
    if (analysis) samples.window = samples_.View(id, version, analysis->window.value, {}, steady);
    samples.totals = samples_.TotalsView(id, version, steady);
    if (rollout.in_effect && even.length > Millis{0}) {
      samples.step = samples_.View(id, version, even.length, {}, steady);
      samples.step_edges = even.edges;
    }
    seen.samples.emplace(version, std::move(samples));
  }
}

void DeploymentReconciler::AddAnswers(Observed& seen) const {
  if (queries_.pool == nullptr) return;
  const auto& analysis = seen.deployment->spec.rollout.analysis;
  const std::vector<api::AnalysisProbe> none;
  const std::vector<api::AnalysisProbe>& probes = analysis ? analysis->probes : none;
  const std::string id = SubscriptionOf(seen.deployment->meta.uid);
  const api::RolloutStatus& rollout = *seen.deployment->status.rollout;
  scrape::InstantQueryPool::Queries wanted;
  for (const api::AnalysisProbe& probe : probes) {
    if (!probe.query || !IsLookedAt(probe.rules, rollout)) continue;
    auto query = QueryOf(*seen.deployment, probe, queries_.anonymous, secrets_);
    if (query.ok()) {
      wanted.emplace(probe.name, *std::move(query));
    } else {
      seen.answers.insert({probe.name, {query.error()}});
    }
  }
  queries_.pool->Set(id, std::move(wanted));
  for (const api::AnalysisProbe& probe : probes) {
    if (auto newest = queries_.pool->Newest(id, probe.name)) {
      const Millis age = clock_.Steady() - newest->at;
      seen.answers.insert({probe.name, {std::move(newest->value), age}});
    }
  }
}

void DeploymentReconciler::AddTotals(const kube::Key& key, Observed& seen) {
  const std::string id = SubscriptionOf(seen.deployment->meta.uid);
  const Millis now = clock_.Steady();
  const EvenTime even = EvenTimeOf(seen, now - EvenSince(key, seen));
  for (const std::string& version : MeasuredVersions(*seen.deployment)) {
    Samples samples;
    samples.totals = samples_.TotalsView(id, version, now);
    if (even.length > Millis{0}) {
      samples.step = samples_.View(id, version, even.length, {}, now);
      samples.step_edges = even.edges;
    }
    seen.samples.emplace(version, std::move(samples));
  }
}

// While a fixed variant is not ready, the others have its share.
Millis DeploymentReconciler::EvenSince(const kube::Key& key, const Observed& seen) {
  const bool even = seen.deployment->spec.variants.empty() || SplitsAsWanted(seen);
  const std::lock_guard lock(mutex_);
  Measuring& known = measuring_[key];
  if (!even) known.even_since = clock_.Steady();
  return known.even_since;
}

void DeploymentReconciler::Subscribe(const kube::Key& key, Observed& seen) {
  const std::string subscription = SubscriptionOf(seen.deployment->meta.uid);
  const std::string identity = IdentityOf(*seen.deployment);
  {
    const std::lock_guard lock(mutex_);
    Measuring& known = measuring_[key];
    if (known.subscription != subscription || known.identity != identity) {
      // Another object of the same name, another challenger, split or quantity: counts of the one
      // before are not its. What is on record was counted before those that begin now.
      if (!known.subscription.empty()) Forget(known.subscription);
      known = {identity, subscription, RecordedCounts(*seen.deployment), clock_.Steady()};
    }
    seen.carried = known.carried;
  }
  samples_.Set(subscription, SubscriptionFor(seen, secrets_));
}

void DeploymentReconciler::Forget(const std::string& subscription) {
  samples_.Remove(subscription);
  if (queries_.pool != nullptr) queries_.pool->Set(subscription, {});
}

void DeploymentReconciler::Unsubscribe(const kube::Key& key) {
  const std::lock_guard lock(mutex_);
  const auto it = measuring_.find(key);
  if (it == measuring_.end()) return;
  Forget(it->second.subscription);
  measuring_.erase(it);
}

}  // namespace perennial::deployment
