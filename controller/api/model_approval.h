#pragma once

#include <string>

#include "kube/meta.h"

namespace perennial::api {

enum class ApprovalDecision { kApprove, kReject };

// Create-only: one person's (or pipeline's) decision about one ModelVersion. Admission guarantees
// that `approver` is the user who created the object and has the verb `approve` on the version.
struct ModelApprovalSpec {
  std::string model_version;
  std::string digest;  // must equal the version's digest, or the approval is void
  ApprovalDecision decision = ApprovalDecision::kApprove;
  std::string approver;
  std::string reason;
  int step = 0;  // of its rollout (1 is the first), that it may end; 0: that the version may serve
  bool operator==(const ModelApprovalSpec&) const = default;
};

struct ModelApproval {
  kube::Meta meta;
  ModelApprovalSpec spec;
  bool operator==(const ModelApproval&) const = default;
};

}  // namespace perennial::api
