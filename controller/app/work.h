#pragma once

#include <string>
#include <vector>

#include "app/cluster_cache.h"
#include "app/watchdog.h"
#include "deployment/observe.h"
#include "drift/observe.h"
#include "kube/client.h"
#include "kube/events.h"
#include "kube/execute.h"
#include "kube/runner.h"
#include "kube/transport.h"
#include "retrain/budget.h"
#include "retrain/observe.h"
#include "retrain/version.h"
#include "scrape/sample_store.h"

namespace perennial::app {

// The four reconcilers with their runners, wired to the cache and to the samples. Made before
// informers and scrapes start.
class Work {
 public:
  struct Dependencies {
    kube::Transport& transport;
    const Clock& clock;
    ClusterCache& cache;
    scrape::SampleStore& samples;
    kube::EventRecorder& events;
    kube::WritePermit permit;
    std::string identity;  // our user name at the API server
    kube::ClientOptions client{};
    api::SecretLookup secrets{};
    retrain::RunBudgets budgets{};
    deployment::ProbeQueries queries{};
  };
  // The field manager of what RetrainPolicies' status says.
  static constexpr const char* kPolicyManager = "perennial-retrainpolicy";
  explicit Work(Dependencies dependencies);
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  void Start(int workers);
  // Returns when no worker runs any more.
  void Stop();

  // One look at a key that is due, on the caller's thread, for tests; false if none is.
  bool Step();

  std::vector<kube::RunnerCore*> Cores();
  std::vector<WorkerSign> Signs();

 private:
  // Each controller is a field manager of its own.
  kube::Client deployment_client_;
  kube::Client monitor_client_;
  kube::Client policy_client_;
  kube::Client version_client_;
  deployment::DeploymentReconciler deployments_;
  drift::DriftReconciler monitors_;
  retrain::RunBudget budget_;
  retrain::DataWatch data_;
  retrain::RetrainReconciler policies_;
  retrain::VersionReconciler versions_;
  kube::Runner<deployment::DeploymentReconciler, api::ModelDeployment> deployment_runner_;
  kube::Runner<drift::DriftReconciler, api::DriftMonitor> monitor_runner_;
  kube::Runner<retrain::RetrainReconciler, api::RetrainPolicy> policy_runner_;
  kube::Runner<retrain::VersionReconciler, api::ModelVersion> version_runner_;
};

}  // namespace perennial::app
