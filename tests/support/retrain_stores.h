#pragma once

#include <vector>

#include "base/clock.h"
#include "retrain/observe.h"
#include "retrain/version.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"

namespace perennial::testing {

// What the retraining controllers look at, with the indexes that the controller gives its stores.
class RetrainStores {
 public:
  RetrainStores() {
    retrain::AddIndexes(policies_, versions_, jobs_, pods_, objects_);
    approvals_.AddIndex(retrain::VersionReconciler::kByVersion,
                        retrain::VersionReconciler::VersionOf);
  }

  retrain::RetrainReconciler Reconciler(retrain::RunBudget* budget = nullptr) {
    return retrain::RetrainReconciler(
        {policies_, deployments_, monitors_, versions_, jobs_, pods_, objects_, kinds_}, budget);
  }

  kube::Store<api::RetrainPolicy> policies_;
  kube::Store<api::ModelDeployment> deployments_;
  kube::Store<api::DriftMonitor> monitors_;
  kube::Store<api::ModelVersion> versions_;
  kube::Store<api::ModelApproval> approvals_;
  kube::Store<api::JobView> jobs_;
  kube::Store<api::PodView> pods_;

 private:
  FakeApiServer api_{InProcess()};
  std::vector<kube::Resource> kinds_;
  kube::InformerSet<api::RunObjectView> objects_{
      api_.transport(), SystemClock(), {}, api::DecodeRunObjectView};
};

}  // namespace perennial::testing
