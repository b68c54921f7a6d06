#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/transport.h"

namespace perennial::app {

// The name by which the API server knows us (SelfSubjectReview, authentication.k8s.io/v1): what we
// must write as `approver` in a ModelApproval of our own.
Result<std::string> WhoAmI(kube::Transport& transport);

// Ok if the API server serves all five kinds; kNotFound says which are missing and how to install
// them. Errors of the connection pass through.
Status CheckInstalled(kube::Transport& transport);

// Those of crds/admission.yaml: each a policy and its binding.
inline constexpr std::array<std::string_view, 5> kAdmissionPolicies{
    "perennial-modelapprovals", "perennial-modeldeployments", "perennial-retrainpolicies",
    "perennial-modelversions", "perennial-authors"};

// Which of them are not in force. An error where that can't be found out.
Result<std::vector<std::string>> MissingAdmission(kube::Transport& transport);

}  // namespace perennial::app
