#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/children.h"
#include "api/drift_monitor.h"
#include "api/model_approval.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "api/retrain_policy.h"
#include "base/clock.h"
#include "kube/informer.h"
#include "kube/informer_set.h"
#include "kube/transport.h"

namespace perennial::app {

// DriftMonitors by the ModelDeployment that they watch, ModelVersions by the version that served
// when they were made, "namespace/name": whom a change there wakes.
inline constexpr std::string_view kMonitorsByTarget = "target";
inline constexpr std::string_view kVersionsByParent = "parent";

// DriftMonitors by the ConfigMap that holds their baseline, and by the Service that they watch,
// "namespace/name".
inline constexpr std::string_view kMonitorsByBaseline = "baseline";
inline constexpr std::string_view kMonitorsByService = "service";

// ModelDeployments by the Gateways that their routes name, "namespace/name", and Gateways by the
// name of their class.
inline constexpr std::string_view kDeploymentsByGateway = "gateway";
inline constexpr std::string_view kGatewaysByClass = "class";

// ModelDeployments, DriftMonitors and RetrainPolicies by their UID: subscriptions to samples carry
// it.
inline constexpr std::string_view kByUid = "uid";

// All that the controllers know of the cluster: one informer for each resource, with the indexes
// that the reconcilers ask for. Of other APIs' resources only our own objects are watched, found by
// labels (and Gateways, of which there are few), so that memory follows the number of models and
// not the size of the cluster.
struct ClusterCache {
  using Keep = std::function<bool(std::string_view ns)>;
  // `ns` empty: all namespaces. `workload_kinds`: what RetrainPolicies may make beside Jobs.
  // `keep`, where set: only what is in these namespaces is taken in.
  ClusterCache(kube::Transport& transport, const Clock& clock, const std::string& ns,
               std::vector<kube::Resource> workload_kinds = {}, const Keep& keep = {});

  kube::Unreadable unreadable;  // of our own kinds; first, since informers write to it
  kube::Informer<api::ModelDeployment> model_deployments;
  kube::Informer<api::DriftMonitor> drift_monitors;
  kube::Informer<api::RetrainPolicy> retrain_policies;
  kube::Informer<api::ModelVersion> model_versions;
  kube::Informer<api::ModelApproval> model_approvals;
  kube::Informer<api::DeploymentView> deployments;
  kube::Informer<api::ServiceView> services;
  // Optional: clusters without the Gateway API.
  kube::Informer<api::HttpRouteView> http_routes;
  kube::Informer<api::HttpRouteView> grpc_routes;
  kube::Informer<api::GatewayView> gateways;
  kube::Informer<api::GatewayClassView> gateway_classes;
  kube::Informer<api::EndpointSliceView> endpoint_slices;
  kube::Informer<api::ChildView> autoscalers;
  kube::Informer<api::ChildView> disruption_budgets;
  kube::Informer<api::CronJobView> cron_jobs;
  kube::Informer<api::JobView> jobs;
  kube::Informer<api::PodView> pods;  // of our runs
  // Of models, until their containers run.
  kube::Informer<api::PodView> pending_pods;
  // Workloads, and ConfigMaps with results: only what some policy needs is watched.
  const std::vector<kube::Resource> workload_kinds;
  kube::InformerSet<api::RunObjectView> run_objects;
  // ConfigMaps with profiles, and Services that others made: while some monitor names one.
  kube::InformerSet<api::ProfileMapView> baselines;
  kube::InformerSet<api::ServiceView> monitored_services;
  kube::InformerSet<api::EndpointSliceView> monitored_slices;

  // Calls visit(resource name, informer) for each.
  template <class Visit>
  void ForEach(Visit visit) {
    VisitAll(*this, visit);
  }
  template <class Visit>
  void ForEach(Visit visit) const {
    VisitAll(*this, visit);
  }

  void Start();
  void Stop();
  // Names of the resources of which no whole list has been taken in yet.
  std::vector<std::string> Unsynced() const;

 private:
  template <class Self, class Visit>
  static void VisitAll(Self& self, Visit& visit) {
    visit("modeldeployments", self.model_deployments);
    visit("driftmonitors", self.drift_monitors);
    visit("retrainpolicies", self.retrain_policies);
    visit("modelversions", self.model_versions);
    visit("modelapprovals", self.model_approvals);
    visit("deployments", self.deployments);
    visit("services", self.services);
    visit("httproutes", self.http_routes);
    visit("grpcroutes", self.grpc_routes);
    visit("gateways", self.gateways);
    visit("gatewayclasses", self.gateway_classes);
    visit("endpointslices", self.endpoint_slices);
    visit("horizontalpodautoscalers", self.autoscalers);
    visit("poddisruptionbudgets", self.disruption_budgets);
    visit("cronjobs", self.cron_jobs);
    visit("jobs", self.jobs);
    visit("pods", self.pods);
    visit("pods/pending", self.pending_pods);
  }

  // Calls visit(set) for each set of informers that come and go.
  template <class Self, class Visit>
  static void VisitSets(Self& self, Visit visit) {
    visit(self.run_objects);
    visit(self.baselines);
    visit(self.monitored_services);
    visit(self.monitored_slices);
  }

  void AddIndexes();
};

// Whether the resource that ForEach() shows under this name may be absent.
inline bool IsOptional(std::string_view name) {
  return name == "httproutes" || name == "grpcroutes" || name == "gateways" ||
         name == "gatewayclasses";
}

}  // namespace perennial::app
