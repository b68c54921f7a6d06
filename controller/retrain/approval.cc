#include "retrain/approval.h"

#include <algorithm>

#include "api/author.h"

namespace perennial::retrain {
namespace {

using api::ApprovalDecision;

std::string Void(const Votes& votes, const api::ModelVersion& version) {
  std::string out;
  const auto add = [&](int count, const char* what) {
    if (count > 0) out += "; " + std::to_string(count) + " approval(s) " + what;
  };
  add(votes.other_digest, "of another digest are void");
  add(votes.late, "came too late and are void");
  if (votes.own) {
    out += "; " + version.spec.origin.author +
           " made this version, so somebody else must approve it (separationOfDuties)";
  }
  if (votes.no_author) {
    out += "; " + api::NoApprovalCounts(version.spec.origin);
  }
  return out;
}

// Adds what the other rule asks for beyond this one.
void Tighten(api::ApprovalRule& rule, const api::ApprovalRule& other) {
  rule.approvers = std::max(rule.approvers, other.approvers);
  rule.separation_of_duties |= other.separation_of_duties;
  if (!rule.expires_after ||
      (other.expires_after && other.expires_after->value < rule.expires_after->value)) {
    rule.expires_after = other.expires_after;
  }
}

std::string HaveOf(const api::ApprovalRule& rule, const Votes& votes) {
  return std::to_string(votes.approved.size()) + " of " + std::to_string(rule.approvers) +
         " approvals";
}

}  // namespace

api::ApprovalRule EffectiveApproval(const api::ModelVersion& version,
                                    const api::ModelDeployment* deployment) {
  api::ApprovalRule rule = version.spec.requirements.approval;
  if (deployment != nullptr && deployment->spec.approval && deployment->spec.approval->required) {
    if (!rule.required) {
      rule = *deployment->spec.approval;
    } else {
      Tighten(rule, *deployment->spec.approval);
    }
  }
  rule.approvers = std::max(rule.approvers, 1);
  return rule;
}

std::optional<WallTime> DeadlineOf(const api::ModelVersion& version,
                                   const api::ApprovalRule& rule) {
  if (!rule.required || !rule.expires_after) return std::nullopt;
  return version.meta.created + rule.expires_after->value;
}

// An approval counts for the very artifact that it names: one given to another digest is void. A
// rejection is final for its version; the way back is a new version of the same artifact.
Votes CountVotes(const api::ModelVersion& version, const api::ApprovalRule& rule,
                 const Approvals& approvals, int step) {
  Votes votes;
  const auto deadline = DeadlineOf(version, rule);
  const api::Origin& origin = version.spec.origin;
  const bool separate = rule.required && rule.separation_of_duties;
  votes.no_author = separate && api::LacksAuthor(origin);
  for (const auto& approval : approvals) {
    const bool rejects = approval->spec.decision == ApprovalDecision::kReject;
    if (!rejects && approval->spec.step != step) continue;
    if (approval->spec.digest != version.spec.model.digest) {
      ++votes.other_digest;
    } else if (rejects) {
      if (votes.rejection == nullptr || approval->meta.key < votes.rejection->meta.key) {
        votes.rejection = approval.get();
      }
    } else if (deadline && approval->meta.created > *deadline) {
      ++votes.late;
    } else if (separate && approval->spec.approver == origin.author) {
      votes.own = true;
    } else if (!votes.no_author) {
      votes.approved.insert(approval->spec.approver);
    }
  }
  return votes;
}

// `required` speaks of the first pod alone: it is the step that asks for its approval.
std::vector<int> ApprovedSteps(const api::ModelVersion& version,
                               const api::ModelDeployment* deployment, const Approvals& approvals) {
  api::ApprovalRule rule = version.spec.requirements.approval;
  if (deployment != nullptr && deployment->spec.approval) {
    Tighten(rule, *deployment->spec.approval);
  }
  rule.approvers = std::max(rule.approvers, 1);
  rule.required = true;
  rule.expires_after.reset();
  std::set<int> steps;
  for (const auto& approval : approvals) {
    if (approval->spec.step > 0) steps.insert(approval->spec.step);
  }
  std::vector<int> approved;
  for (const int step : steps) {
    const auto have = static_cast<int>(CountVotes(version, rule, approvals, step).approved.size());
    if (have >= rule.approvers) approved.push_back(step);
  }
  return approved;
}

std::string WhyAwaiting(const api::ModelVersion& version, const api::ApprovalRule& rule,
                        const Votes& votes) {
  std::string why = HaveOf(rule, votes) + "; create a ModelApproval for this version";
  if (!version.spec.model.digest.empty()) why += " with digest " + version.spec.model.digest;
  if (const auto deadline = DeadlineOf(version, rule)) why += " by " + FormatTime(*deadline);
  return why + Void(votes, version);
}

std::string WhyExpired(const api::ModelVersion& version, const api::ApprovalRule& rule,
                       const Votes& votes, WallTime deadline) {
  return HaveOf(rule, votes) + " by " + FormatTime(deadline) +
         ", so the request has expired: retrain, or create a new ModelVersion of this artifact" +
         Void(votes, version);
}

}  // namespace perennial::retrain
