#include "deployment/judgement.h"

#include <algorithm>
#include <map>

#include "deployment/analysis.h"
#include "deployment/comparison.h"
#include "deployment/experiment.h"
#include "deployment/fleet.h"
#include "deployment/moves.h"
#include "deployment/probes.h"
#include "deployment/tally.h"

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

const api::CheckStatus* Recorded(const RolloutStatus& rollout, const std::string& name) {
  for (const api::CheckStatus& check : rollout.checks) {
    if (check.name == name) return &check;
  }
  return nullptr;
}

// Looks at one check or probe, if it belongs to this step and has looks left; what is on record of
// it otherwise.
class Looks {
 public:
  explicit Looks(const Turn& turn) : turn_(turn), rollout_(*turn.status.rollout) {}

  template <class Look>
  void Take(const std::string& name, const api::LookRules& rules, const Limits& limits, Look look) {
    const api::CheckStatus* before = Recorded(rollout_, name);
    const bool ours = IsLookedAt(rules, rollout_);
    const bool over = before != nullptr && (!ours || Ended(limits, *before));
    if (!over && !ours) return;
    rows_.push_back(over ? *before : Tally(limits, before, look(before), turn_.now));
    if (ours) limits_.emplace(name, limits);
  }

  std::vector<api::CheckStatus> rows_;
  std::map<std::string, Limits> limits_;  // of what counts in this step

 private:
  const Turn& turn_;
  const RolloutStatus& rollout_;
};

void LookAtChecks(Turn& turn, const api::Analysis& analysis, Measurement& measured) {
  RolloutStatus& rollout = *turn.status.rollout;
  Looks looks(turn);
  for (const api::AnalysisCheck& check : analysis.checks) {
    looks.Take(check.quantity.name, check.rules, LimitsOf(analysis, check.rules), [&](const auto*) {
      return LookAtCheck(analysis, check, SamplesOf(turn, rollout.champion).window,
                         SamplesOf(turn, rollout.version).window);
    });
  }
  for (const api::AnalysisProbe& probe : analysis.probes) {
    looks.Take(probe.name, probe.rules, LimitsOf(analysis, probe),
               [&](const api::CheckStatus* before) {
                 return LookAtProbe(turn.seen, rollout, probe, before);
               });
  }
  const std::vector<api::CheckStatus> now = looks.rows_;
  if (TellsMore(rollout.checks, now)) rollout.checks = now;
  Outcome gravest = Outcome::kGood;
  for (const api::CheckStatus& check : now) {
    const auto limits = looks.limits_.find(check.name);
    if (limits == looks.limits_.end()) continue;
    const Outcome outcome = OutcomeOf(limits->second, check);
    if (outcome <= gravest) continue;
    gravest = outcome;
    // In the words on record, so that numbers that moved a little rewrite no status.
    measured.why = Explain(outcome, limits->second, *Recorded(rollout, check.name));
  }
  measured.failed = gravest == Outcome::kFailed;
  measured.waits = gravest != Outcome::kGood;
  measured.pauses = gravest == Outcome::kNoData || gravest == Outcome::kInconclusive;
}

// The challenger's share of what both count in this step, copies included; 0 where the split is
// approximate, or not in effect.
double ChallengerShare(const Turn& turn) {
  const RolloutStatus& rollout = *turn.status.rollout;
  const bool exact = turn.seen.deployment->spec.traffic.gateway.has_value();
  const int weight = exact && rollout.in_effect ? WeightOf(turn.intent.wanted, rollout.version) : 0;
  if (weight == 0) return 0;
  const Share& mirror = turn.intent.extras.mirror;
  const int copies = mirror.version == rollout.version ? mirror.weight : 0;
  return static_cast<double>(weight + copies) / (100 + copies);
}

void LookAtExperiment(Turn& turn, const api::Experiment& experiment, Measurement& measured) {
  RolloutStatus& rollout = *turn.status.rollout;
  const auto carried = turn.seen.carried.find(rollout.version);
  api::ExperimentStatus look = Judge(
      experiment, rollout.experiment,
      carried == turn.seen.carried.end() ? std::vector<api::QuantityCounts>{} : carried->second,
      SamplesOf(turn, rollout.champion), SamplesOf(turn, rollout.version), ChallengerShare(turn));
  // What was seen of a step stays true of it, though a restart or another spec has taken the
  // samples that showed it: the counts that were carried over are of that traffic, too.
  if (rollout.experiment && rollout.experiment->mismatch && look.verdict != Verdict::kFail) {
    look.mismatch = true;
    look.verdict = Verdict::kInconclusive;
    look.message = rollout.experiment->message;
  }
  if (!rollout.experiment_started) rollout.experiment_started = api::Time{turn.now};
  const WallTime end = rollout.experiment_started->value + experiment.max_duration.value;
  rollout.experiment_ends = api::Time{end};
  const Verdict verdict = look.verdict;
  const bool mismatch = look.mismatch;
  const std::string message = look.message;
  if (mismatch && !(rollout.experiment && rollout.experiment->mismatch)) {
    turn.Emit(kube::EmitEvent::Type::kWarning, "SampleRatioMismatch",
              rollout.version + ": " + message);
  }
  if (TellsMore(rollout.experiment, look)) rollout.experiment = std::move(look);
  if (verdict == Verdict::kFail) {
    measured.failed = true;
    measured.why = "failed experiment: " + message;
  } else if (mismatch) {
    // A win on such traffic counts for nothing; without anybody to look into it, the champion
    // stays.
    measured.failed = turn.now >= end;
    if (!measured.failed) EndsAt(turn, end, "the champion stays");
    measured.waits = true;
    measured.pauses = true;
    measured.why = "experiment " + message;
  }
}

// In an outage of the champion its challenger has the traffic of both. What it fails by then is no
// comparison, and without it nobody would answer.
bool StandsIn(const Turn& turn) {
  return !RunningOf(turn.seen, turn.status.champion).Serving() &&
         RunningOf(turn.seen, turn.status.rollout->version).Serving();
}

std::string Unless(const std::string& version) {
  return "; annotate perennial.dev/promote=" + version + " or perennial.dev/abort=" + version +
         " to decide by hand";
}

}  // namespace

Measurement TakeMeasurements(Turn& turn) {
  Measurement measured;
  const api::Rollout& rollout = turn.seen.deployment->spec.rollout;
  if (!BeingMeasured(*turn.seen.deployment) || StandsIn(turn)) return measured;
  if (rollout.analysis) LookAtChecks(turn, *rollout.analysis, measured);
  if (rollout.experiment && !measured.failed && BothHaveTraffic(*turn.seen.deployment)) {
    LookAtExperiment(turn, *rollout.experiment, measured);
  }
  measured.next_look = turn.now + LookInterval(rollout);
  return measured;
}

Gatekeeping JudgePromotion(const Turn& turn) {
  using Answer = Gatekeeping::Answer;
  const RolloutStatus& rollout = *turn.status.rollout;
  const auto& experiment = turn.seen.deployment->spec.rollout.experiment;
  if (!experiment) return {Answer::kPromote, "all steps are done"};
  const api::ExperimentStatus status = rollout.experiment.value_or(api::ExperimentStatus{});
  const WallTime started = rollout.experiment_started.value_or(api::Time{turn.now}).value;
  const WallTime least = started + experiment->min_duration.value;
  if (status.verdict == Verdict::kPass && turn.now < least) {
    return {Answer::kWait,
            "the experiment passes so far and runs until " + FormatTime(least) + " at least", least,
            "it is promoted if it still passes"};
  }
  if (status.verdict == Verdict::kPass) {
    return {Answer::kPromote, "experiment passed: " + status.message};
  }
  const WallTime end = started + experiment->max_duration.value;
  if (turn.now < end) {
    const std::string what =
        status.verdict == Verdict::kNoData ? "has too little data" : "is undecided";
    const bool promotes = experiment->on_inconclusive == api::OnInconclusive::kPromote;
    return {Answer::kWait,
            "the experiment " + what + " and runs until " + FormatTime(end) + " at the latest", end,
            status.verdict == Verdict::kNoData ? "it waits for a person"
            : promotes                         ? "it is promoted"
                                               : "the champion stays"};
  }
  // Silence is no verdict, however long it lasts.
  if (status.verdict == Verdict::kNoData) {
    return {Answer::kPause, "the experiment has no data after its maxDuration: " + status.message +
                                Unless(rollout.version)};
  }
  if (experiment->on_inconclusive == api::OnInconclusive::kPromote) {
    return {Answer::kPromote,
            "experiment inconclusive after maxDuration (onInconclusive: Promote)"};
  }
  return {Answer::kRollBack,
          "experiment inconclusive after maxDuration (onInconclusive: KeepChampion): " +
              status.message};
}

Millis LookInterval(const api::Rollout& rollout) {
  const auto& own = rollout.experiment ? rollout.experiment->interval : std::nullopt;
  if (!rollout.analysis) return own ? own->value : kExperimentInterval;
  Millis interval = rollout.analysis->interval.value;
  if (own) interval = std::min(interval, own->value);
  const auto consider = [&](const api::LookRules& rules) {
    if (rules.interval) interval = std::min(interval, rules.interval->value);
  };
  for (const api::AnalysisCheck& check : rollout.analysis->checks) consider(check.rules);
  for (const api::AnalysisProbe& probe : rollout.analysis->probes) consider(probe.rules);
  return std::max(kShortestInterval, interval);
}

bool IsLookedAt(const api::LookRules& rules, const RolloutStatus& rollout) {
  return rules.step == 0 || (rules.step == rollout.step + 1 && rollout.in_effect);
}

bool BothHaveTraffic(const api::ModelDeployment& deployment) {
  if (!deployment.spec.variants.empty()) return !ComparedVersions(deployment).empty();
  const RolloutStatus* rollout = ActiveRollout(deployment.status);
  if (rollout == nullptr) return false;
  // What was counted then stays, though the first step with weight is not in effect for a moment.
  if (rollout->experiment_started) return true;
  const int in_effect = rollout->in_effect ? rollout->step : rollout->step - 1;
  for (int step = 0; step <= in_effect; ++step) {
    if (StepWeight(deployment.spec, step) > 0) return true;
  }
  return false;
}

// A rollout: from its first step on, be it one without weight.
bool BeingMeasured(const api::ModelDeployment& deployment) {
  if (!deployment.spec.variants.empty()) return !ComparedVersions(deployment).empty();
  const api::Rollout& spec = deployment.spec.rollout;
  const bool wanted = spec.experiment || spec.analysis;
  const RolloutStatus* rollout = ActiveRollout(deployment.status);
  if (!wanted || rollout == nullptr || rollout->champion.empty()) return false;
  if (rollout->phase != RolloutPhase::kProgressing && rollout->phase != RolloutPhase::kPaused) {
    return false;
  }
  return rollout->step > 0 || rollout->in_effect;
}

}  // namespace perennial::deployment
