#include "faults/story_rollouts.h"

#include <optional>
#include <utility>

#include "api/names.h"
#include "deployment/weights.h"

namespace perennial::testing {
namespace {

using api::RolloutPhase;
using api::RolloutStatus;
using api::Verdict;

bool IsOneRollout(const std::optional<RolloutStatus>& a, const std::optional<RolloutStatus>& b) {
  return a && b && a->version == b->version && a->started == b->started;
}

// It has nothing of the rollout before it.
bool BeginsAnew(const RolloutStatus& rollout) {
  return rollout.phase == RolloutPhase::kStarting && rollout.step == 0 && !rollout.in_effect &&
         rollout.released == 0 && rollout.checks.empty() && !rollout.experiment &&
         !rollout.experiment_started;
}

bool HasVerdict(const RolloutStatus& rollout, const std::string& check) {
  for (const api::CheckStatus& row : rollout.checks) {
    if (row.name == check) return row.verdict != Verdict::kNoData;
  }
  return false;
}

// Whoever measured it to no end says so by the spec.
std::string WithoutVerdict(const api::Rollout& spec, const RolloutStatus& rollout, int steps) {
  const auto counts = [&](const api::LookRules& rules) {
    return !rules.dry_run && rules.step <= steps;
  };
  if (spec.analysis) {
    for (const api::AnalysisCheck& check : spec.analysis->checks) {
      if (!counts(check.rules) || HasVerdict(rollout, check.quantity.name)) continue;
      return "without a verdict of check " + check.quantity.name;
    }
    for (const api::AnalysisProbe& probe : spec.analysis->probes) {
      if (!counts(probe.rules) || HasVerdict(rollout, probe.name)) continue;
      return "without a verdict of probe " + probe.name;
    }
  }
  if (!spec.experiment || spec.experiment->on_inconclusive == api::OnInconclusive::kPromote) {
    return "";
  }
  const bool won = rollout.experiment && rollout.experiment->verdict == Verdict::kPass;
  return won ? "" : "without having won its experiment";
}

// What the rollout lacks that is promoted `now`, which was `before` when last looked at.
std::string Skipped(const api::Rollout& spec, const RolloutStatus& before,
                    const RolloutStatus& rollout, WallTime now) {
  const auto steps = deployment::StepsOf(spec);
  if (steps.empty()) return "";
  const auto last = static_cast<int>(steps.size()) - 1;
  if (before.step < last || !before.in_effect) return "before its last step was in effect";
  // Unless somebody ended the step before its time.
  if (before.released == 0 && now < before.step_started.value + steps.back().hold.value) {
    return "before its last step was over";
  }
  return WithoutVerdict(spec, rollout, last + 1);
}

// Somebody asked for it, whatever was measured.
bool IsAskedFor(const api::ModelDeployment& object, const std::string& version) {
  const std::string* asked = kube::Find(object.meta.annotations, api::kAnnotationPromote);
  return asked != nullptr && asked->starts_with(version);
}

}  // namespace

std::vector<std::string> StoryRollouts::Check(const api::ModelDeployment& object, WallTime now,
                                              const MayServe& may_serve) {
  std::vector<std::string> wrong;
  if (!object.spec.variants.empty()) return wrong;  // a fixed split promotes nobody
  const api::ModelDeploymentStatus before = std::exchange(seen_[object.meta.uid], object.status);
  const std::optional<RolloutStatus>& rollout = object.status.rollout;
  const bool same = IsOneRollout(before.rollout, rollout);
  if (rollout && !same && !BeginsAnew(*rollout)) {
    wrong.push_back("the rollout of " + rollout->version + " does not begin anew");
  }
  const bool was_decided = same && before.rollout->phase == RolloutPhase::kPromoting;
  const bool has_champion = !before.champion.empty();
  if (same && !was_decided && rollout->phase == RolloutPhase::kPromoting && has_champion &&
      may_serve(before.champion) && !IsAskedFor(object, rollout->version)) {
    const std::string skipped = Skipped(object.spec.rollout, *before.rollout, *rollout, now);
    if (!skipped.empty()) wrong.push_back(rollout->version + " is promoted " + skipped);
  }
  if (has_champion && object.status.champion != before.champion &&
      !(was_decided && rollout->version == object.status.champion)) {
    wrong.push_back(object.status.champion + " is champion without a decision on record");
  }
  return wrong;
}

}  // namespace perennial::testing
