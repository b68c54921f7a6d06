#pragma once

#include <cstdint>
#include <string>

#include "api/model_deployment.h"
#include "api/model_version.h"
#include "kube/plan.h"

namespace perennial::deployment {

// A ModelVersion that a ModelDeployment's spec declares.
struct Declaration {
  std::string variant;  // fixed variant, or empty for spec.model
  api::ModelReference model;
  std::string predecessor;  // the declared version before it, or empty
  std::int64_t revision = 1;
};

// Its name derives from the deployment's UID, the artifact and the predecessor: a crash repeats the
// same name, and a revert to an earlier artifact, which has another predecessor, gets a new one.
kube::CreateObject RenderVersion(const api::ModelDeployment& deployment,
                                 const Declaration& declaration);

// A new version of the artifact of `version`, asked for by the annotation value `request`, which
// its name derives from. Its gates and approvals are judged anew, against the same parent.
kube::CreateObject RenderCopy(const api::ModelDeployment& deployment,
                              const api::ModelVersion& version, const std::string& request,
                              std::int64_t revision);

// Rejects a version on the record, so that it is never selected again, even if every status is
// lost. One name a version: a second rollback of the same version is the same rejection.
kube::CreateObject RenderRejection(const api::ModelVersion& version, const std::string& approver,
                                   const std::string& reason);

// The annotations that say when a version was promoted, and why.
kube::ApplyObject RenderPromoted(const api::ModelVersion& version, WallTime at,
                                 const std::string& why);

// The owner reference by which a deployment's objects are deleted with it.
std::string OwnerJson(const api::ModelDeployment& deployment);

}  // namespace perennial::deployment
