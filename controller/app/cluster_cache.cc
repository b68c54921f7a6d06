#include "app/cluster_cache.h"

#include <algorithm>
#include <thread>

#include "api/codec.h"
#include "api/names.h"
#include "api/store_index.h"
#include "deployment/observe.h"
#include "deployment/seal.h"
#include "drift/observe.h"
#include "retrain/observe.h"
#include "retrain/version.h"

namespace perennial::app {
namespace {

struct Scope {
  std::string ns;
  ClusterCache::Keep keep;
};

kube::InformerOptions Options(const Scope& scope, std::uint64_t seed) {
  kube::InformerOptions options;
  options.ns = scope.ns;
  options.keep = scope.keep;
  options.seed = seed;  // watches of different resources end at different times
  return options;
}

// Of our own kinds, which a newer controller may have written.
kube::InformerOptions Own(const Scope& scope, std::uint64_t seed, kube::Unreadable& unreadable) {
  kube::InformerOptions options = Options(scope, seed);
  options.unreadable = &unreadable;
  return options;
}

// What we made carries this label; EndpointSlices take it over from our Services.
kube::InformerOptions Ours(const Scope& scope, std::uint64_t seed) {
  kube::InformerOptions options = Options(scope, seed);
  options.label_selector = std::string(api::kLabelManagedBy) + "=" + std::string(api::kManagedBy);
  return options;
}

kube::InformerOptions Optional(kube::InformerOptions options) {
  options.optional = true;
  return options;
}

// The pods of our runs; those that serve are seen through EndpointSlices, see StartingToServe.
kube::InformerOptions OfRuns(const Scope& scope, std::uint64_t seed) {
  kube::InformerOptions options = Options(scope, seed);
  options.label_selector = std::string(api::kLabelRun);
  return options;
}

// Pods that are to serve, only until their containers run: enough to say what keeps a version from
// starting, and next to nothing in a cluster where all is well.
kube::InformerOptions StartingToServe(const Scope& scope, std::uint64_t seed) {
  kube::InformerOptions options = Options(scope, seed);
  options.label_selector = std::string(api::kLabelDeployment) + "," +
                           std::string(deployment::kLabelComponent) + "=" +
                           std::string(deployment::kComponent);
  options.field_selector = "status.phase=Pending";
  return options;
}

// What others made and let us use.
kube::InformerOptions ForUse(std::string_view use, const Scope& scope, std::uint64_t seed) {
  kube::InformerOptions options = Options(scope, seed);
  options.label_selector = std::string(api::kLabelUse) + "=" + std::string(use);
  return options;
}

// What is awaited of informers that come and go. One that is refused must not keep everything else
// from beginning: those who need it tell of it.
template <class T>
void AddAwaited(const kube::InformerSet<T>& set, std::vector<std::string>& out) {
  for (const auto& [resource, informer] : set.All()) {
    if (kube::SightOf(*informer) == kube::Sight::kAwaited) out.push_back(resource.plural);
  }
}

std::vector<std::string> GatewaysOf(const api::ModelDeployment& deployment) {
  std::vector<std::string> out;
  const auto& gateway = deployment.spec.traffic.gateway;
  if (!gateway) return out;
  for (const api::ParentReference& parent : gateway->parent_refs) {
    std::string key = deployment.meta.key.ns + "/" + parent.name;
    // Listeners of one Gateway are parents each.
    if (std::find(out.begin(), out.end(), key) == out.end()) out.push_back(std::move(key));
  }
  return out;
}

template <class T>
std::vector<std::string> OwnerOfChild(const T& child) {
  return deployment::OwnerOf(child.meta);
}

template <class T>
std::vector<std::string> UidOf(const T& object) {
  return {object.meta.uid};
}

}  // namespace

ClusterCache::ClusterCache(kube::Transport& transport, const Clock& clock, const std::string& ns,
                           std::vector<kube::Resource> kinds, const Keep& keep)
    : model_deployments(transport, clock, api::kModelDeployments,
                        Own(Scope{ns, keep}, 1, unreadable), api::DecodeModelDeployment),
      drift_monitors(transport, clock, api::kDriftMonitors, Own(Scope{ns, keep}, 2, unreadable),
                     api::DecodeDriftMonitor),
      retrain_policies(transport, clock, api::kRetrainPolicies, Own(Scope{ns, keep}, 3, unreadable),
                       api::DecodeRetrainPolicy),
      model_versions(transport, clock, api::kModelVersions, Own(Scope{ns, keep}, 4, unreadable),
                     api::DecodeModelVersion),
      model_approvals(transport, clock, api::kModelApprovals, Own(Scope{ns, keep}, 5, unreadable),
                      api::DecodeModelApproval),
      deployments(transport, clock, api::kDeployments, Ours(Scope{ns, keep}, 6),
                  api::DecodeDeploymentView),
      services(transport, clock, api::kServices, Ours(Scope{ns, keep}, 7), api::DecodeServiceView),
      http_routes(transport, clock, api::kHttpRoutes, Optional(Ours(Scope{ns, keep}, 8)),
                  api::DecodeHttpRouteView),
      grpc_routes(transport, clock, api::kGrpcRoutes, Optional(Ours(Scope{ns, keep}, 15)),
                  api::DecodeHttpRouteView),
      gateways(transport, clock, api::kGateways, Optional(Options(Scope{ns, keep}, 18)),
               api::DecodeGatewayView),
      gateway_classes(transport, clock, api::kGatewayClasses, Optional(Options(Scope{"", {}}, 19)),
                      api::DecodeGatewayClassView),
      endpoint_slices(transport, clock, api::kEndpointSlices, Ours(Scope{ns, keep}, 9),
                      api::DecodeEndpointSliceView),
      autoscalers(transport, clock, api::kAutoscalers, Ours(Scope{ns, keep}, 13),
                  api::DecodeChildView),
      disruption_budgets(transport, clock, api::kDisruptionBudgets, Ours(Scope{ns, keep}, 14),
                         api::DecodeChildView),
      cron_jobs(transport, clock, api::kCronJobs, Ours(Scope{ns, keep}, 16),
                api::DecodeCronJobView),
      jobs(transport, clock, api::kJobs, Ours(Scope{ns, keep}, 10), api::DecodeJobView),
      pods(transport, clock, api::kPods, OfRuns(Scope{ns, keep}, 11), api::DecodePodView),
      pending_pods(transport, clock, api::kPods, StartingToServe(Scope{ns, keep}, 17),
                   api::DecodePodView),
      workload_kinds(std::move(kinds)),
      run_objects(transport, clock, Optional(OfRuns(Scope{ns, keep}, 12)),
                  api::DecodeRunObjectView),
      baselines(transport, clock, ForUse(api::kUseBaseline, Scope{ns, keep}, 13),
                api::DecodeProfileMapView),
      monitored_services(transport, clock, ForUse(api::kUseMetrics, Scope{ns, keep}, 14),
                         api::DecodeServiceView),
      monitored_slices(transport, clock, ForUse(api::kUseMetrics, Scope{ns, keep}, 15),
                       api::DecodeEndpointSliceView) {
  AddIndexes();
}

void ClusterCache::AddIndexes() {
  // The versions' index serves rollouts, too.
  retrain::AddIndexes(retrain_policies.store(), model_versions.store(), jobs.store(), pods.store(),
                      run_objects);
  model_versions.store().AddIndex(kVersionsByParent, [](const api::ModelVersion& version) {
    std::vector<std::string> out;
    for (const std::string& name : {version.spec.parent, version.spec.trained_from}) {
      const std::string key = version.meta.key.ns + "/" + name;
      if (!name.empty() && (out.empty() || out[0] != key)) out.push_back(key);
    }
    return out;
  });
  drift_monitors.store().AddIndex(kMonitorsByTarget, [](const api::DriftMonitor& monitor) {
    const std::string& name = monitor.spec.target.model_deployment;
    return name.empty() ? std::vector<std::string>{}
                        : std::vector<std::string>{monitor.meta.key.ns + "/" + name};
  });
  drift_monitors.store().AddIndex(kMonitorsByService, [](const api::DriftMonitor& monitor) {
    const auto& service = monitor.spec.target.service;
    return service ? std::vector<std::string>{monitor.meta.key.ns + "/" + service->name}
                   : std::vector<std::string>{};
  });
  monitored_slices.AddIndex(api::kSlicesByService, api::ServiceOf);
  drift_monitors.store().AddIndex(kMonitorsByBaseline, [](const api::DriftMonitor& monitor) {
    const auto& map = monitor.spec.baseline.config_map;
    return map ? std::vector<std::string>{monitor.meta.key.ns + "/" + map->name}
               : std::vector<std::string>{};
  });
  deployments.store().AddIndex(deployment::kChildrenByOwner, OwnerOfChild<api::DeploymentView>);
  services.store().AddIndex(deployment::kChildrenByOwner, OwnerOfChild<api::ServiceView>);
  http_routes.store().AddIndex(deployment::kChildrenByOwner, OwnerOfChild<api::HttpRouteView>);
  grpc_routes.store().AddIndex(deployment::kChildrenByOwner, OwnerOfChild<api::HttpRouteView>);
  autoscalers.store().AddIndex(deployment::kChildrenByOwner, OwnerOfChild<api::ChildView>);
  disruption_budgets.store().AddIndex(deployment::kChildrenByOwner, OwnerOfChild<api::ChildView>);
  endpoint_slices.store().AddIndex(api::kSlicesByService, api::ServiceOf);
  model_deployments.store().AddIndex(kDeploymentsByGateway, GatewaysOf);
  gateways.store().AddIndex(kGatewaysByClass, [](const api::GatewayView& gateway) {
    return std::vector<std::string>{gateway.gateway_class};
  });
  model_deployments.store().AddIndex(kByUid, UidOf<api::ModelDeployment>);
  retrain_policies.store().AddIndex(kByUid, UidOf<api::RetrainPolicy>);
  drift_monitors.store().AddIndex(kByUid, UidOf<api::DriftMonitor>);
  cron_jobs.store().AddIndex(deployment::kChildrenByOwner, OwnerOfChild<api::CronJobView>);
  jobs.store().AddIndex(deployment::kChildrenByOwner, OwnerOfChild<api::JobView>);
  pending_pods.store().AddIndex(deployment::kPendingByVersion, deployment::VersionOf);
  retrain_policies.store().AddIndex(retrain::kPoliciesByRun, retrain::RunsOf);
  retrain_policies.store().AddIndex(retrain::kPoliciesByDeployment, retrain::DeploymentOf);
  retrain_policies.store().AddIndex(retrain::kPoliciesByMonitor, retrain::MonitorsOf);
  model_approvals.store().AddIndex(retrain::VersionReconciler::kByVersion,
                                   retrain::VersionReconciler::VersionOf);
}

void ClusterCache::Start() {
  ForEach([](const char*, auto& informer) { informer.Start(); });
  VisitSets(*this, [](auto& set) { set.Start(); });
}

// All at once: one that lists waits for its page.
void ClusterCache::Stop() {
  {
    std::vector<std::jthread> ends;
    ForEach(
        [&](const char*, auto& informer) { ends.emplace_back([&informer] { informer.Stop(); }); });
  }
  VisitSets(*this, [](auto& set) { set.Stop(); });
}

std::vector<std::string> ClusterCache::Unsynced() const {
  std::vector<std::string> out;
  ForEach([&](const char* name, const auto& informer) {
    if (!informer.store().Synced()) out.emplace_back(name);
  });
  VisitSets(*this, [&](const auto& set) { AddAwaited(set, out); });
  return out;
}

}  // namespace perennial::app
