#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/children.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "api/source.h"
#include "base/clock.h"
#include "deployment/decide.h"
#include "kube/runner.h"
#include "kube/store.h"
#include "scrape/instant_query_pool.h"
#include "scrape/sample_store.h"

namespace perennial::deployment {

// Indexes that the stores must have before their informers start, and what they answer to, beside
// those of api/store_index.h.
// Its children of every kind by the UID of the ModelDeployment that controls them.
inline constexpr std::string_view kChildrenByOwner = "owner-uid";
std::vector<std::string> OwnerOf(const kube::Meta& child);
// Pods that don't run yet by their ModelVersion, "namespace/name".
inline constexpr std::string_view kPendingByVersion = "model-version";
std::vector<std::string> VersionOf(const api::PodView& pod);

// Who asks what probes want to know of a Prometheus. Without a pool they are never answered.
struct ProbeQueries {
  scrape::InstantQueryPool* pool = nullptr;
  bool anonymous = false;  // also without a Secret to ask with
};

// Reconciler of ModelDeployments over the stores (kube/runner.h). While a rollout is being measured
// it keeps the subscription "rollout/<uid>" in the sample store, and removes it afterwards.
class DeploymentReconciler {
 public:
  static constexpr std::string_view kName = "modeldeployment";
  using Observed = deployment::Observed;

  struct Stores {
    const kube::Store<api::ModelDeployment>& deployments;
    const kube::Store<api::ModelVersion>& versions;
    const kube::Store<api::DeploymentView>& workloads;
    const kube::Store<api::ServiceView>& services;
    const kube::Store<api::HttpRouteView>& http_routes;
    const kube::Store<api::HttpRouteView>& grpc_routes;
    const kube::Store<api::EndpointSliceView>& slices;
    const kube::Store<api::ChildView>& autoscalers;
    const kube::Store<api::ChildView>& budgets;
    const kube::Store<api::CronJobView>& cron_jobs;
    const kube::Store<api::JobView>& jobs;
    const kube::Store<api::DriftMonitor>& monitors;
    const kube::Store<api::PodView>& pending_pods;
    const kube::Store<api::GatewayView>& gateways;
    const kube::Store<api::GatewayClassView>& gateway_classes;
  };

  // `own_identity` is the user name that the API server knows this process by: an automatic
  // rollback rejects the version under it.
  DeploymentReconciler(Stores stores, scrape::SampleStore& samples, const Clock& clock,
                       std::string own_identity, api::SecretLookup secrets = nullptr,
                       ProbeQueries queries = {});

  std::optional<Observed> Observe(const kube::Key& key, const kube::Attempt& attempt);
  static kube::Plan Decide(const Observed& seen, WallTime now) {
    return deployment::Decide(seen, now);
  }

 private:
  void AddChildren(const kube::Key& key, Observed& seen) const;
  void AddGateways(const kube::Key& key, Observed& seen) const;
  void AddProbes(const kube::Key& key, Observed& seen) const;
  void AddSamples(const kube::Key& key, Observed& seen, WallTime now);
  void AddAnswers(Observed& seen) const;
  void AddTotals(const kube::Key& key, Observed& seen);
  Millis EvenSince(const kube::Key& key, const Observed& seen);
  void Subscribe(const kube::Key& key, Observed& seen);
  void Unsubscribe(const kube::Key& key);
  void Forget(const std::string& subscription);

  Stores stores_;
  scrape::SampleStore& samples_;
  const Clock& clock_;
  std::string own_identity_;
  api::SecretLookup secrets_;
  ProbeQueries queries_;
  std::mutex mutex_;
  // Of each deployment that is being measured.
  struct Measuring {
    std::string identity;  // what makes counts comparable
    std::string subscription;
    std::map<std::string, std::vector<api::QuantityCounts>> carried;
    // Steady: since when this process has counted, and a fixed split is what the spec asks for.
    Millis even_since{0};
  };
  std::map<kube::Key, Measuring> measuring_;
};

// The key under which the sample store measures a rollout.
std::string SubscriptionOf(std::string_view uid);

}  // namespace perennial::deployment
