#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/model_approval.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "base/clock.h"

namespace perennial::retrain {

// The approval that holds for a version: what its policy asked for and what its deployment asks
// for, whichever is stricter.
api::ApprovalRule EffectiveApproval(const api::ModelVersion& version,
                                    const api::ModelDeployment* deployment);

// Until when approvals count. It derives from the version's creation alone, so no restart and no
// loss of status moves it.
std::optional<WallTime> DeadlineOf(const api::ModelVersion& version, const api::ApprovalRule& rule);

// What the ModelApprovals of a version come to under a rule.
struct Votes {
  std::set<std::string> approved;  // distinct approvers whose approval counts
  const api::ModelApproval* rejection = nullptr;
  int other_digest = 0;    // void: about another artifact
  int late = 0;            // void: created after the deadline, by the API server's clock
  bool own = false;        // the author's own doesn't count
  bool no_author = false;  // none counts: who the author is, is not on record
};
using Approvals = std::vector<std::shared_ptr<const api::ModelApproval>>;
// `step`: the step of its rollout that is approved; 0: that it may serve at all.
Votes CountVotes(const api::ModelVersion& version, const api::ApprovalRule& rule,
                 const Approvals& approvals, int step = 0);

// The steps that as many people approved as policy and deployment ask for, whether or not they
// require one before the first pod; ascending.
std::vector<int> ApprovedSteps(const api::ModelVersion& version,
                               const api::ModelDeployment* deployment, const Approvals& approvals);

// What is missing and what to do, in one sentence.
std::string WhyAwaiting(const api::ModelVersion& version, const api::ApprovalRule& rule,
                        const Votes& votes);
std::string WhyExpired(const api::ModelVersion& version, const api::ApprovalRule& rule,
                       const Votes& votes, WallTime deadline);

}  // namespace perennial::retrain
