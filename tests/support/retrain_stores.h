#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "retrain/observe.h"
#include "retrain/version.h"
#include "support/fake_api_server.h"
#include "support/in_process.h"

namespace perennial::testing {

// A policy of the group "stops" with a model of its own. Those of one image train together.
inline std::shared_ptr<api::RetrainPolicy> PolicyOfGroup(const std::string& name,
                                                         const std::string& image = "t:1") {
  auto policy = std::make_shared<api::RetrainPolicy>();
  policy->meta.key = {"transit", name};
  policy->meta.uid = "uid-" + name;
  policy->spec.model_deployment = "m-" + name;
  policy->spec.group = api::RunGroup{"stops"};
  policy->spec.job.emplace().job_template.text =
      R"({"spec":{"template":{"spec":{"containers":[{"name":"train","image":")" + image +
      R"("}]}}}})";
  return policy;
}

// What the retraining controllers look at, with the indexes that the controller gives its stores.
class RetrainStores {
 public:
  RetrainStores() {
    using namespace retrain;  // NOLINT(google-build-using-namespace)
    versions_.AddIndex(kVersionsByDeployment,
                       [](const api::ModelVersion& version) { return DeploymentOf(version); });
    jobs_.AddIndex(kJobsByPolicy, [](const api::JobView& job) { return PolicyOf(job); });
    jobs_.AddIndex(kJobsByMember, [](const api::JobView& job) { return ListedBy(job.meta); });
    pods_.AddIndex(kPodsByJob, JobOf);
    policies_.AddIndex(kPoliciesByGroup, GroupOf);
    policies_.AddIndex(kFollowers, FollowedBy);
    approvals_.AddIndex(VersionReconciler::kByVersion, VersionReconciler::VersionOf);
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
