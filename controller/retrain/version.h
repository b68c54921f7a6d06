#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/model_approval.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "kube/plan.h"
#include "kube/runner.h"
#include "kube/store.h"

namespace perennial::retrain {

// What a ModelVersion's state depends on.
struct VersionObserved {
  std::shared_ptr<const api::ModelVersion> version;
  std::shared_ptr<const api::ModelVersion> parent;         // spec.parent, if it exists
  std::shared_ptr<const api::ModelVersion> trained_from;   // spec.trainedFrom, if it exists
  std::shared_ptr<const api::ModelDeployment> deployment;  // spec.modelDeployment, if it exists
  std::vector<std::shared_ptr<const api::ModelApproval>> approvals;  // that name this version
};

// Gates, approvals, rejections and serving history of one version. Pure.
kube::Plan DecideVersion(const VersionObserved& seen, WallTime now);

// Reconciler of ModelVersions over the stores (kube/runner.h).
class VersionReconciler {
 public:
  static constexpr std::string_view kName = "modelversion";
  using Observed = VersionObserved;

  VersionReconciler(const kube::Store<api::ModelVersion>& versions,
                    const kube::Store<api::ModelDeployment>& deployments,
                    const kube::Store<api::ModelApproval>& approvals)
      : versions_(versions), deployments_(deployments), approvals_(approvals) {}

  // Nothing that a version's plan writes can be refused for good, so the attempt tells it nothing.
  std::optional<Observed> Observe(const kube::Key& key, const kube::Attempt& attempt) const;
  static kube::Plan Decide(const Observed& seen, WallTime now) { return DecideVersion(seen, now); }

  // The index by which `approvals` must answer: "namespace/name" of the version that an approval is
  // about.
  static constexpr std::string_view kByVersion = "version";
  static std::vector<std::string> VersionOf(const api::ModelApproval& approval) {
    return {approval.meta.key.ns + "/" + approval.spec.model_version};
  }

 private:
  const kube::Store<api::ModelVersion>& versions_;
  const kube::Store<api::ModelDeployment>& deployments_;
  const kube::Store<api::ModelApproval>& approvals_;
};

}  // namespace perennial::retrain
