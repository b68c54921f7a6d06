#include "retrain/version.h"

#include <algorithm>

#include "api/codec.h"
#include "base/text.h"
#include "retrain/approval.h"
#include "retrain/gates.h"
#include "retrain/serving.h"

namespace perennial::retrain {
namespace {

using api::VersionPhase;

// The API server's times have whole seconds: until this one is over, an approval can be in time.
constexpr Millis kTick{1000};

std::string FailedGates(const std::vector<api::GateStatus>& gates) {
  std::string out;
  for (const api::GateStatus& gate : gates) {
    if (gate.verdict == api::Verdict::kPass) continue;
    if (!out.empty()) out += "; ";
    out += gate.gate + ": " + gate.message;
  }
  return out;
}

std::ptrdiff_t OnOtherData(const std::vector<api::GateStatus>& gates) {
  return std::count_if(gates.begin(), gates.end(), [](const api::GateStatus& gate) {
    return gate.compared_on == api::ComparedOn::kOtherData;
  });
}

// A comparison with a version that was deleted since stays as it was made: what served and was
// judged by it must not fall because somebody tidies up.
void KeepComparisons(const VersionObserved& seen, const Compared& compared,
                     std::vector<api::GateStatus>& gates) {
  const std::vector<api::GateStatus>& before = seen.version->status.gates;
  const api::ModelVersionSpec& spec = seen.version->spec;
  const std::vector<api::Gate>& asked = spec.requirements.gates;
  if (before.size() != gates.size()) return;
  for (size_t i = 0; i < gates.size(); ++i) {
    if (asked[i].versus == api::GateComparison::kAbsolute) continue;
    if (VersionOf(compared, spec, asked[i]) != nullptr) continue;
    // Of several groups, which one was the worst depended on the version that is gone.
    const bool same_value =
        before[i].value == gates[i].value || asked[i].across == api::GateAcross::kWorstGroup;
    if (before[i].gate == gates[i].gate && before[i].threshold == gates[i].threshold &&
        same_value) {
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
               const api::ApprovalRule& rule, const Votes& votes, WallTime now) {
  if (votes.rejection != nullptr) {
    return {VersionPhase::kRejected, "Rejected",
            "rejected by " + votes.rejection->spec.approver +
                (votes.rejection->spec.reason.empty() ? "" : ": " + votes.rejection->spec.reason)};
  }
  const api::ModelVersionSpec& spec = seen.version->spec;
  if (!GatesPass(gates, spec.requirements.mode)) {
    return {VersionPhase::kGatesFailed, "GatesFailed", FailedGates(gates)};
  }
  const int have = static_cast<int>(votes.approved.size());
  if (rule.required && have < rule.approvers) {
    const auto deadline = DeadlineOf(*seen.version, rule);
    if (deadline && now >= *deadline + kTick) {
      return {VersionPhase::kExpired, "ApprovalExpired",
              WhyExpired(*seen.version, rule, votes, *deadline)};
    }
    return {VersionPhase::kAwaitingApproval, "AwaitingApproval",
            WhyAwaiting(*seen.version, rule, votes)};
  }
  std::string why = gates.empty() ? "no gates" : std::to_string(gates.size()) + " gates passed";
  if (const auto flagged = OnOtherData(gates); flagged > 0) {
    why += ", " + std::to_string(flagged) + " of them compared on other evaluation data";
  }
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
  event.type = standing.phase == VersionPhase::kGatesFailed ||
                       standing.phase == VersionPhase::kRejected ||
                       standing.phase == VersionPhase::kExpired
                   ? kube::EmitEvent::Type::kWarning
                   : kube::EmitEvent::Type::kNormal;
  event.reason = standing.reason;
  event.action = "Judge";
  event.note = CutText(standing.why, 1000);
  plan.actions.emplace_back(std::move(event));
}

}  // namespace

kube::Plan DecideVersion(const VersionObserved& seen, WallTime now) {
  kube::Plan plan;
  const api::ModelVersion& version = *seen.version;
  const api::ApprovalRule rule = EffectiveApproval(version, seen.deployment.get());
  const Votes votes = CountVotes(version, rule, seen.approvals);
  api::ModelVersionStatus status = version.status;
  status.observed_generation = version.meta.generation;
  const Compared compared{seen.parent.get(), seen.trained_from.get()};
  status.gates = EvaluateGates(version, compared);
  KeepComparisons(seen, compared, status.gates);
  status.approved_by.assign(votes.approved.begin(), votes.approved.end());
  status.approved_steps = ApprovedSteps(version, seen.deployment.get(), seen.approvals);
  status.rejected_by = votes.rejection == nullptr ? "" : votes.rejection->spec.approver;
  const Standing standing = Judge(seen, status.gates, rule, votes, now);
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
  UpdateServing(version, seen.deployment.get(), now, status);
  AddEvent(version.status.phase, standing, plan);
  if (standing.phase == VersionPhase::kAwaitingApproval) {
    if (const auto deadline = DeadlineOf(version, rule)) plan.wake_at = *deadline + kTick;
  }
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
  if (!spec.trained_from.empty()) seen.trained_from = versions_.Get({key.ns, spec.trained_from});
  seen.deployment = deployments_.Get({key.ns, spec.model_deployment});
  seen.approvals = approvals_.ByIndex(kByVersion, kube::ToString(key));
  return seen;
}

}  // namespace perennial::retrain
