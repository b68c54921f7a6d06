#include "retrain/version.h"

#include <algorithm>
#include <set>

#include "api/codec.h"
#include "base/text.h"
#include "retrain/gates.h"

namespace perennial::retrain {
namespace {

using api::ApprovalDecision;
using api::VersionPhase;

struct Votes {
  std::set<std::string> approved;  // distinct approvers
  const api::ModelApproval* rejection = nullptr;
  int void_votes = 0;  // about another digest
};

// An approval counts for the very artifact that it names: one given to another digest is void. A
// rejection is final for its version; the way back is a new version of the same artifact.
Votes Count(const VersionObserved& seen) {
  Votes votes;
  for (const auto& approval : seen.approvals) {
    if (approval->spec.digest != seen.version->spec.model.digest) {
      ++votes.void_votes;
    } else if (approval->spec.decision == ApprovalDecision::kReject) {
      if (votes.rejection == nullptr || approval->meta.key < votes.rejection->meta.key) {
        votes.rejection = approval.get();
      }
    } else {
      votes.approved.insert(approval->spec.approver);
    }
  }
  return votes;
}

std::string FailedGates(const std::vector<api::GateStatus>& gates) {
  std::string out;
  for (const api::GateStatus& gate : gates) {
    if (gate.verdict == api::Verdict::kPass) continue;
    if (!out.empty()) out += "; ";
    out += gate.gate + ": " + gate.message;
  }
  return out;
}

// A comparison with a version that was deleted since stays as it was made: what served and was
// judged by it must not fall because somebody tidies up.
void KeepComparisons(const VersionObserved& seen, std::vector<api::GateStatus>& gates) {
  const std::vector<api::GateStatus>& before = seen.version->status.gates;
  const std::vector<api::Gate>& asked = seen.version->spec.requirements.gates;
  if (seen.parent != nullptr || before.size() != gates.size()) return;
  for (size_t i = 0; i < gates.size(); ++i) {
    if (asked[i].versus == api::GateComparison::kChampion && before[i].gate == gates[i].gate &&
        before[i].threshold == gates[i].threshold && before[i].value == gates[i].value) {
      gates[i] = before[i];
    }
  }
}

struct Standing {
  VersionPhase phase;
  const char* reason;
  std::string why;
};

Standing Judge(const VersionObserved& seen, const std::vector<api::GateStatus>& gates,
               const Votes& votes) {
  if (votes.rejection != nullptr) {
    return {VersionPhase::kRejected, "Rejected",
            "rejected by " + votes.rejection->spec.approver +
                (votes.rejection->spec.reason.empty() ? "" : ": " + votes.rejection->spec.reason)};
  }
  const api::ModelVersionSpec& spec = seen.version->spec;
  if (!GatesPass(gates, spec.requirements.mode)) {
    return {VersionPhase::kGatesFailed, "GatesFailed", FailedGates(gates)};
  }
  const api::ApprovalRule rule = EffectiveApproval(*seen.version, seen.deployment.get());
  const int have = static_cast<int>(votes.approved.size());
  if (rule.required && have < rule.approvers) {
    std::string why = std::to_string(have) + " of " + std::to_string(rule.approvers) +
                      " approvals; create a ModelApproval for this version" +
                      (spec.model.digest.empty() ? "" : " with digest " + spec.model.digest);
    if (votes.void_votes > 0) {
      why += "; " + std::to_string(votes.void_votes) + " approval(s) of another digest are void";
    }
    return {VersionPhase::kAwaitingApproval, "AwaitingApproval", why};
  }
  std::string why = gates.empty() ? "no gates" : std::to_string(gates.size()) + " gates passed";
  if (spec.requirements.mode == api::GateMode::kDryRun &&
      !GatesPass(gates, api::GateMode::kEnforce)) {
    why = "gates would have failed (DryRun): " + FailedGates(gates);
  }
  why += rule.required ? "; approved by " + std::to_string(have) : "; no approval required";
  return {VersionPhase::kApproved, "Approved", why};
}

void AddEvent(VersionPhase before, const Standing& standing, kube::Plan& plan) {
  if (before == standing.phase) return;
  kube::EmitEvent event;
  event.type =
      standing.phase == VersionPhase::kGatesFailed || standing.phase == VersionPhase::kRejected
          ? kube::EmitEvent::Type::kWarning
          : kube::EmitEvent::Type::kNormal;
  event.reason = standing.reason;
  event.action = "Judge";
  event.note = CutText(standing.why, 1000);
  plan.actions.emplace_back(std::move(event));
}

}  // namespace

api::ApprovalRule EffectiveApproval(const api::ModelVersion& version,
                                    const api::ModelDeployment* deployment) {
  api::ApprovalRule rule = version.spec.requirements.approval;
  if (deployment != nullptr && deployment->spec.approval) {
    const api::ApprovalRule& other = *deployment->spec.approval;
    if (other.required) {
      rule.approvers = rule.required ? std::max(rule.approvers, other.approvers) : other.approvers;
      rule.required = true;
    }
  }
  rule.approvers = std::max(rule.approvers, 1);
  return rule;
}

kube::Plan DecideVersion(const VersionObserved& seen, WallTime now) {
  kube::Plan plan;
  const api::ModelVersion& version = *seen.version;
  const Votes votes = Count(seen);
  api::ModelVersionStatus status = version.status;
  status.observed_generation = version.meta.generation;
  status.gates = EvaluateGates(version, seen.parent.get());
  KeepComparisons(seen, status.gates);
  status.approved_by.assign(votes.approved.begin(), votes.approved.end());
  status.rejected_by = votes.rejection == nullptr ? "" : votes.rejection->spec.approver;
  const Standing standing = Judge(seen, status.gates, votes);
  status.phase = standing.phase;
  status.why = standing.why;
  const bool approved = standing.phase == VersionPhase::kApproved;
  kube::SetCondition(status.conditions,
                     {"Approved", approved ? "True" : "False", standing.reason, standing.why,
                      version.meta.generation, ""},
                     now);
  const bool passed = GatesPass(status.gates, version.spec.requirements.mode);
  kube::SetCondition(status.conditions,
                     {"GatesPassed", passed ? "True" : "False", passed ? "Passed" : "Failed",
                      passed ? "" : FailedGates(status.gates), version.meta.generation, ""},
                     now);
  AddEvent(version.status.phase, standing, plan);
  if (status != version.status) plan.status = api::EncodeStatus(status);
  plan.why = standing.why;
  return plan;
}

std::optional<VersionObserved> VersionReconciler::Observe(const kube::Key& key,
                                                          const kube::Attempt& /*attempt*/) const {
  VersionObserved seen;
  seen.version = versions_.Get(key);
  if (seen.version == nullptr || seen.version->meta.deleting) return std::nullopt;
  const api::ModelVersionSpec& spec = seen.version->spec;
  if (!spec.parent.empty()) seen.parent = versions_.Get({key.ns, spec.parent});
  seen.deployment = deployments_.Get({key.ns, spec.model_deployment});
  seen.approvals = approvals_.ByIndex(kByVersion, kube::ToString(key));
  return seen;
}

}  // namespace perennial::retrain
