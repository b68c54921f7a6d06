// What a monitor has scraped, and of whom: the other half of DriftReconciler's observation.
#include <algorithm>
#include <set>
#include <utility>

#include "api/names.h"
#include "api/store_index.h"
#include "drift/evaluation.h"
#include "drift/observe.h"
#include "source/access.h"

namespace perennial::drift {
namespace {

std::optional<int> PortOf(const api::EndpointSliceView& slice, const std::string& name) {
  for (const api::EndpointPort& port : slice.ports) {
    // The one port of a Service needs no name.
    const bool only = slice.ports.size() == 1 && port.name.empty();
    if ((port.name == name || only) && port.port > 0 && port.port <= 65'535) return port.port;
  }
  return std::nullopt;
}

// A Service is one variant, called like it.
std::vector<api::VariantStatus> VariantsOf(const Observed& seen) {
  if (seen.service == nullptr) return seen.deployment->status.variants;
  api::VariantStatus variant;
  variant.name = "service";
  variant.version = variant.service = seen.service->meta.key.name;
  return {variant};
}

const api::MetricsEndpoint& MetricsOf(const Observed& seen) {
  return seen.service != nullptr ? seen.monitor->spec.target.service->metrics
                                 : seen.deployment->spec.metrics;
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

}  // namespace

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
    for (const api::VariantStatus& variant : VariantsOf(seen)) {
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
  const std::optional<api::Source>& from = seen.monitor->spec.source;
  if (!from || !from->prometheus) {
    PERENNIAL_TRY(subscription.access, source::AccessTo(MetricsOf(seen), ns, secrets_));
    return Ok();
  }
  const api::PrometheusSource& prometheus = *from->prometheus;
  PERENNIAL_TRY(subscription.access, source::AccessTo(prometheus.server, ns, secrets_));
  scrape::PromqlSource promql = source::QueriesOf(prometheus, ns);
  for (const api::VariantStatus& variant : VariantsOf(seen)) {
    // A version's Deployment has its Service's name.
    if (variant.service.empty() || variant.version.empty()) continue;
    promql.variants.emplace_back(variant.version, variant.service);
  }
  if (!promql.variants.empty()) subscription.promql = std::move(promql);
  return Ok();
}

// Whoever may write EndpointSlices could name any address in one with the Service's label. Only
// those that the Service controls count, and the Service must be the ModelDeployment's: an object
// of the same name that somebody else made isn't. A target Service carries its owner's label.
std::vector<std::shared_ptr<const api::EndpointSliceView>> DriftReconciler::SlicesOf(
    const Observed& seen, const api::VariantStatus& variant) const {
  const kube::Key key{seen.monitor->meta.key.ns, variant.service};
  std::shared_ptr<const api::ServiceView> service = seen.service;
  std::vector<std::shared_ptr<const api::EndpointSliceView>> slices;
  if (service != nullptr) {
    const auto informer = stores_.monitored_slices.Find(api::kEndpointSlices);
    if (informer == nullptr) return {};
    slices = informer->store().ByIndex(api::kSlicesByService, kube::ToString(key));
  } else {
    service = stores_.services.Get(key);
    if (service == nullptr) return {};
    const kube::OwnerReference* owner = kube::ControllerOf(service->meta);
    if (owner == nullptr || owner->uid != seen.deployment->meta.uid) return {};
    slices = stores_.slices.ByIndex(api::kSlicesByService, kube::ToString(key));
  }
  std::erase_if(slices, [&](const auto& slice) {
    const kube::OwnerReference* of = kube::ControllerOf(slice->meta);
    return of == nullptr || of->uid != service->meta.uid;
  });
  return slices;
}

void DriftReconciler::AddTargets(const Observed& seen, const api::VariantStatus& variant,
                                 scrape::Subscription& subscription, std::string& problem) const {
  if (variant.service.empty() || variant.version.empty()) return;
  const api::MetricsEndpoint& metrics = MetricsOf(seen);
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
                              (seen.service != nullptr
                                   ? ": name one of its ports in spec.target.service.metrics.port"
                                   : ": name a container port in spec.metrics.port of the "
                                     "ModelDeployment")
                        : "no pod of version " + variant.version + " is ready";
}

}  // namespace perennial::drift
