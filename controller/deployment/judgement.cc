#include "deployment/judgement.h"

#include <algorithm>

#include "deployment/analysis.h"
#include "deployment/comparison.h"
#include "deployment/experiment.h"
#include "deployment/fleet.h"

namespace perennial::deployment {
namespace {

using api::RolloutPhase;
using api::RolloutStatus;
using api::Verdict;

constexpr Millis kExperimentInterval{10'000};
constexpr Millis kShortestInterval{1'000};

const Samples& SamplesOf(const Turn& turn, const std::string& version) {
  static const Samples kNone;
  const auto it = turn.seen.samples.find(version);
  return it == turn.seen.samples.end() ? kNone : it->second;
}

std::string Deciding(const std::vector<api::CheckStatus>& checks, Verdict verdict) {
  for (const api::CheckStatus& check : checks) {
    if (check.verdict == verdict) return check.name + ": " + check.message;
  }
  return "";
}

void LookAtChecks(Turn& turn, const api::Analysis& analysis, Measurement& measured) {
  RolloutStatus& rollout = *turn.status.rollout;
  AnalysisLook look = Analyse(analysis, SamplesOf(turn, rollout.champion).window,
                              SamplesOf(turn, rollout.version).window);
  if (TellsMore(rollout.checks, look.checks)) rollout.checks = look.checks;
  // In the words on record, so that numbers that moved a little rewrite no status.
  const std::string message = Deciding(rollout.checks, look.verdict);
  if (look.verdict != Verdict::kFail) {
    rollout.failures = 0;
    if (look.verdict == Verdict::kPass) return;
    measured.waits = true;
    measured.pauses = true;
    measured.why = "no verdict without data, so no next step; " + message;
    return;
  }
  const bool counts =
      !rollout.failed_at || turn.now >= rollout.failed_at->value + analysis.interval.value;
  if (counts) {
    ++rollout.failures;
    rollout.failed_at = api::Time{turn.now};
  }
  measured.failed = rollout.failures >= std::max(1, analysis.failure_limit);
  measured.waits = true;
  measured.why = std::string(measured.failed ? "failed check " : "failing check ") + message +
                 " (" + std::to_string(rollout.failures) + " of " +
                 std::to_string(std::max(1, analysis.failure_limit)) + " looks in a row)";
}

void LookAtExperiment(Turn& turn, const api::Experiment& experiment, Measurement& measured) {
  RolloutStatus& rollout = *turn.status.rollout;
  const bool exact = turn.seen.deployment->spec.traffic.gateway.has_value();
  const int weight = exact && rollout.in_effect ? WeightOf(turn.intent.wanted, rollout.version) : 0;
  const auto carried = turn.seen.carried.find(rollout.version);
  ExperimentLook look = Judge(
      experiment, rollout.experiment,
      carried == turn.seen.carried.end() ? std::vector<api::QuantityCounts>{} : carried->second,
      SamplesOf(turn, rollout.champion), SamplesOf(turn, rollout.version), weight / 100.0);
  const Verdict verdict = look.status.verdict;
  const std::string message = look.status.message;
  if (TellsMore(rollout.experiment, look.status)) rollout.experiment = std::move(look.status);
  if (verdict == Verdict::kFail) {
    measured.failed = true;
    measured.why = "failed experiment: " + message;
  } else if (look.mismatch) {
    // Whatever is measured on such traffic decides nothing, for either side; without anybody to
    // look into it, the champion stays.
    measured.failed = turn.now >= rollout.started.value + experiment.max_duration.value;
    measured.waits = true;
    measured.pauses = true;
    measured.why = "experiment " + message;
  }
}

std::string Unless(const std::string& version) {
  return "; annotate perennial.dev/promote=" + version + " or perennial.dev/abort=" + version +
         " to decide by hand";
}

}  // namespace

Measurement TakeMeasurements(Turn& turn) {
  Measurement measured;
  const api::Rollout& rollout = turn.seen.deployment->spec.rollout;
  if (!BeingMeasured(*turn.seen.deployment)) return measured;
  if (rollout.analysis) LookAtChecks(turn, *rollout.analysis, measured);
  if (rollout.experiment && !measured.failed) {
    LookAtExperiment(turn, *rollout.experiment, measured);
  }
  measured.next_look = turn.now + LookInterval(rollout);
  return measured;
}

Gatekeeping JudgePromotion(const Turn& turn) {
  using Answer = Gatekeeping::Answer;
  const RolloutStatus& rollout = *turn.status.rollout;
  const auto& experiment = turn.seen.deployment->spec.rollout.experiment;
  if (!experiment) return {Answer::kPromote, "all steps are done", {}};
  const api::ExperimentStatus status = rollout.experiment.value_or(api::ExperimentStatus{});
  if (status.verdict == Verdict::kPass) {
    return {Answer::kPromote, "experiment passed: " + status.message, {}};
  }
  const WallTime end = rollout.started.value + experiment->max_duration.value;
  if (turn.now < end) {
    const std::string what =
        status.verdict == Verdict::kNoData ? "has too little data" : "is undecided";
    return {Answer::kWait,
            "the experiment " + what + " and runs until " + FormatTime(end) + " at the latest",
            end};
  }
  // Silence is no verdict, however long it lasts.
  if (status.verdict == Verdict::kNoData) {
    return {Answer::kPause,
            "the experiment has no data after its maxDuration: " + status.message +
                Unless(rollout.version),
            {}};
  }
  if (experiment->on_inconclusive == api::OnInconclusive::kPromote) {
    return {Answer::kPromote,
            "experiment inconclusive after maxDuration (onInconclusive: Promote)",
            {}};
  }
  return {
      Answer::kRollBack,
      "experiment inconclusive after maxDuration (onInconclusive: KeepChampion): " + status.message,
      {}};
}

Millis LookInterval(const api::Rollout& rollout) {
  if (!rollout.analysis) return kExperimentInterval;
  return std::max(kShortestInterval, rollout.analysis->interval.value);
}

// A rollout: from the first moment at which the challenger had traffic.
bool BeingMeasured(const api::ModelDeployment& deployment) {
  if (!deployment.spec.variants.empty()) return !ComparedVersions(deployment).empty();
  const api::Rollout& spec = deployment.spec.rollout;
  const bool wanted = spec.experiment || (spec.analysis && !spec.analysis->checks.empty());
  const RolloutStatus* rollout = ActiveRollout(deployment.status);
  if (!wanted || rollout == nullptr || rollout->champion.empty()) return false;
  if (rollout->phase != RolloutPhase::kProgressing && rollout->phase != RolloutPhase::kPaused) {
    return false;
  }
  return rollout->step > 0 || rollout->in_effect;
}

}  // namespace perennial::deployment
