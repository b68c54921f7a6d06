#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kube/transport.h"

namespace perennial::app {

// The name by which the API server knows us (SelfSubjectReview, authentication.k8s.io/v1): what we
// must write as `approver` in a ModelApproval of our own.
Result<std::string> WhoAmI(kube::Transport& transport);

// Ok if the API server serves all five kinds; kNotFound says which are missing and how to install
// them. Errors of the connection pass through.
// Under which addresses the API server is reached from inside the cluster, as far as it tells: the
// endpoints of its own Service. Best effort.
std::vector<std::string> ApiServerAddresses(kube::Transport& transport);

Status CheckInstalled(kube::Transport& transport);

}  // namespace perennial::app
