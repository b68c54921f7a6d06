#include "deployment/decide.h"

#include <algorithm>

#include "api/codec.h"
#include "base/text.h"
#include "deployment/batch.h"
#include "deployment/converge.h"
#include "deployment/fixed.h"
#include "deployment/fleet.h"
#include "deployment/probes.h"
#include "deployment/render.h"
#include "deployment/rollout.h"
#include "deployment/scaling.h"
#include "deployment/selection.h"
#include "deployment/status.h"

namespace perennial::deployment {
namespace {

std::vector<std::string> Problems(const api::ModelDeployment& deployment) {
  std::vector<std::string> problems = api::Validate(deployment.spec);
  if (auto problem = TemplateProblem(deployment)) problems.push_back(*std::move(problem));
  if (auto problem = ScalingProblem(deployment)) problems.push_back(*std::move(problem));
  if (auto problem = ProbeProblem(deployment)) problems.push_back(*std::move(problem));
  if (auto problem = BatchProblem(deployment)) problems.push_back(*std::move(problem));
  if (!IsDnsLabel(deployment.meta.key.name)) {
    problems.push_back(
        "the ModelDeployment's name is a Service's and a label's too: make one with a name of at "
        "most 63 lower-case letters, digits and '-' that begins with a letter");
  }
  return problems;
}

// Declared versions are made even while a decision is being recorded: they are its input, not its
// effect.
void Act(Turn& turn, kube::Plan& plan) {
  for (kube::CreateObject& missing : MissingVersions(turn.seen)) {
    plan.actions.emplace_back(std::move(missing));
  }
  for (kube::CreateObject& record : turn.records) plan.actions.emplace_back(std::move(record));
  if (turn.decided) {
    for (kube::EmitEvent& event : turn.events) plan.actions.emplace_back(std::move(event));
    return;
  }
  std::vector<kube::Action> effects = Converge(turn);
  plan.actions.insert(plan.actions.end(), std::make_move_iterator(effects.begin()),
                      std::make_move_iterator(effects.end()));
  for (kube::EmitEvent& event : turn.events) plan.actions.emplace_back(std::move(event));
}

// A new deployment's first version is being made: once the store shows it, the next look has more
// to say, and two writes of the status within a moment tell no one more than one. A version that
// can't be made is told of, by the look that knows the error.
bool SaidSoon(const Turn& turn) {
  return turn.seen.versions.empty() && turn.seen.last_error.empty() &&
         turn.status.variants.empty() && !MissingVersions(turn.seen).empty();
}

// The same where that version is there, and is about to be judged: as a rule a moment later, else
// the deployment says so after this time.
constexpr Millis kJudgedWithin{5'000};
std::optional<WallTime> JudgedSoon(const Turn& turn) {
  if (turn.seen.versions.size() != 1 || !turn.seen.last_error.empty() ||
      turn.seen.deployment->status.observed_generation >= 0) {
    return std::nullopt;
  }
  const api::ModelVersion& version = *turn.seen.versions.front();
  if (version.status.observed_generation >= 0 || version.meta.deleting) return std::nullopt;
  const Millis age = turn.now - version.meta.created;
  if (age < -kJudgedWithin || age >= kJudgedWithin) return std::nullopt;  // another clock
  return turn.now + kJudgedWithin;
}

}  // namespace

kube::Plan Decide(const Observed& seen, WallTime now) {
  const api::ModelDeployment& deployment = *seen.deployment;
  const std::vector<std::string> problems = Problems(deployment);
  kube::Plan plan;
  const bool readable = problems.empty();
  const Intent intent = readable ? IntentOf(seen) : Intent{};
  const Effect effect = readable ? EffectOf(seen, intent) : Effect{};
  Turn turn{seen, intent, effect, now, deployment.status, {}, {}, {}, {}, {}, false};
  turn.status.observed_generation = deployment.meta.generation;
  if (readable) {
    if (deployment.spec.variants.empty()) {
      AdvanceRollout(turn);
    } else {
      AdvanceFixed(turn);
    }
    Act(turn, plan);
  }
  TellStatus(turn, problems);
  plan.why = turn.why;
  plan.wake_at = turn.wake_at;
  if (turn.status != deployment.status && !(readable && SaidSoon(turn))) {
    const auto soon = readable ? JudgedSoon(turn) : std::nullopt;
    if (soon) {
      plan.wake_at = std::min(plan.wake_at.value_or(*soon), *soon);
    } else {
      plan.status = api::EncodeStatus(turn.status);
    }
  }
  if (plan.wake_at && *plan.wake_at <= now) plan.wake_at = now + Millis(1000);
  return plan;
}

}  // namespace perennial::deployment
