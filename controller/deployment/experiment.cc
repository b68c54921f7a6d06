#include "deployment/experiment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "deployment/belief.h"
#include "deployment/counts.h"
#include "deployment/quantity.h"
#include "stats/sequential.h"

namespace perennial::deployment {
namespace {

using api::ExperimentStatus;
using api::Verdict;

// A false alarm stops an experiment, so it must be rare; with real mismatches the evidence grows
// without bound.
constexpr double kMismatchAlpha = 0.001;

stats::SequentialOptions Options(const api::Experiment& experiment) {
  stats::SequentialOptions options;
  options.alpha = experiment.alpha.value;
  options.min_samples = static_cast<double>(experiment.min_samples);
  options.expected_samples = static_cast<double>(experiment.expected_samples);
  return options;
}

struct Comparison {
  stats::SequentialResult result;
  Measured champion;
  Measured challenger;
  std::string note;
};

// What an experiment looks at.
struct Look {
  const api::Experiment& experiment;
  const std::vector<api::QuantityCounts>& carried;
  const Samples& champion;
  const Samples& challenger;
};

Comparison Compare(const Look& look, const api::Quantity& quantity) {
  Comparison out;
  if (quantity.kind == api::QuantityKind::kValue) {
    out.note = quantity.name + ": a gauge has no independent observations to test";
    return out;
  }
  out.champion = Measure(quantity, look.champion.totals);
  out.challenger = Measure(quantity, look.challenger.totals);
  AddCarried(look.carried, quantity, out.champion, out.challenger);
  if (!out.champion.value || !out.challenger.value) {
    const bool of_champion = !out.champion.value;
    out.note = std::string(of_champion ? "champion: " : "challenger: ") +
               (of_champion ? out.champion.note : out.challenger.note);
    return out;
  }
  out.result = stats::CompareArms(ArmKindOf(quantity), out.champion.arm, out.challenger.arm,
                                  Options(look.experiment));
  out.note = out.result.note;
  return out;
}

api::CheckStatus Guard(const api::Guardrail& guardrail, const Comparison& seen) {
  api::CheckStatus status;
  status.name = guardrail.quantity.name;
  status.threshold = "maxIncrease " + guardrail.max_increase.text;
  status.samples = static_cast<std::int64_t>(seen.challenger.samples);
  if (seen.challenger.value) status.challenger = NumberText(*seen.challenger.value);
  if (seen.champion.value) status.champion = NumberText(*seen.champion.value);
  const stats::SequentialResult& result = seen.result;
  if (!result.enough || !result.upper || !result.lower) {
    status.message = seen.note.empty() ? "not enough samples yet" : seen.note;
  } else if (*result.lower > guardrail.max_increase.value) {
    status.verdict = Verdict::kFail;
    status.message = "increase of at least " + NumberText(*result.lower) + " is above " +
                     guardrail.max_increase.text;
  } else if (*result.upper <= guardrail.max_increase.value) {
    status.verdict = Verdict::kPass;
  } else {
    status.verdict = Verdict::kInconclusive;
    status.message = "an increase of up to " + NumberText(*result.upper) + " is not ruled out yet";
  }
  return status;
}

// The counter that says how many requests each variant got: a guardrail's denominator counts them
// at once; the primary's observations may come with a delay, from an earlier split.
double Units(const api::Experiment& experiment, const scrape::WindowView& view) {
  for (const api::Guardrail& guardrail : experiment.guardrails) {
    if (guardrail.quantity.kind == api::QuantityKind::kProportion) {
      return Measure(guardrail.quantity, view).samples;
    }
  }
  return Measure(experiment.primary.quantity, view).samples;
}

// Who has more than its share may have been counted for longer: that much speaks for no mismatch.
bool Mismatch(const api::Experiment& experiment, const Samples& champion, const Samples& challenger,
              double share) {
  if (share <= 0 || share >= 1) return false;
  std::array<double, 2> counts{Units(experiment, champion.step),
                               Units(experiment, challenger.step)};
  const std::array<double, 2> shares{1 - share, share};
  const std::size_t more = counts[0] * shares[1] > counts[1] * shares[0] ? 0 : 1;
  const double fair = counts[1 - more] * shares[more] / shares[1 - more];
  const double least = counts[more] * (1 - std::max(champion.step_edges, challenger.step_edges));
  counts[more] = std::min(counts[more], std::max(fair, least));
  return stats::SampleRatioPValue(counts, shares) < kMismatchAlpha;
}

double PValueOf(const std::optional<ExperimentStatus>& status) {
  if (!status || status->p_value.empty()) return 1;
  return std::strtod(status->p_value.c_str(), nullptr);
}

// The smallest p of all looks counts, but for what they were about: not the same quantity as it was
// defined before, and not that the other one is better.
double SmallestPValue(const api::Quantity& primary, const std::optional<ExperimentStatus>& before,
                      const stats::SequentialResult& now) {
  const double smallest = PValueOf(before);
  const bool redefined =
      before && !before->counts.empty() && RecordOf(before->counts, primary) == nullptr;
  if (!now.enough) return redefined ? 1 : smallest;
  const double effect = before ? std::strtod(before->effect.c_str(), nullptr) : 0;
  const bool turned = now.effect && effect * *now.effect < 0;
  return redefined || turned ? now.p_value : std::min(smallest, now.p_value);
}

void TellBelief(const api::Primary& primary, const Comparison& seen, ExperimentStatus& status) {
  if (!seen.result.enough) return;
  const auto belief =
      Believe(ArmKindOf(primary.quantity), primary.goal, seen.champion.arm, seen.challenger.arm);
  if (!belief) return;
  status.probability_better = NumberText(std::round(belief->probability_better * 1e4) / 1e4);
  status.expected_loss = NumberText(belief->expected_loss);
}

void Record(const api::Quantity& quantity, const Comparison& seen, ExperimentStatus& status) {
  if (quantity.kind == api::QuantityKind::kValue) return;
  status.counts.push_back(Recorded(quantity, seen.champion, seen.challenger));
}

void JudgePrimary(const api::Experiment& experiment, const Comparison& seen, double p,
                  ExperimentStatus& status) {
  const stats::SequentialResult& result = seen.result;
  if (!result.enough || !result.effect || !seen.note.empty()) {
    status.verdict = Verdict::kNoData;
    status.message = seen.note.empty() ? "not enough samples yet" : seen.note;
    return;
  }
  const bool lower_is_better = experiment.primary.goal == api::Goal::kDecrease;
  const std::string what = experiment.primary.quantity.name + " changes by " + status.effect;
  if (p > experiment.alpha.value) {
    status.verdict = Verdict::kInconclusive;
    status.message = what + ", p " + status.p_value + " is above alpha " + experiment.alpha.text;
  } else if (lower_is_better ? *result.effect < 0 : *result.effect > 0) {
    status.verdict = Verdict::kPass;
    status.message = what + ", p " + status.p_value;
  } else {
    status.verdict = Verdict::kFail;
    status.message = what + ", p " + status.p_value + ": the challenger is worse";
  }
}

// A broken guardrail fails the experiment even before the primary can be judged; an undecided one
// holds back a Pass.
void JudgeGuardrails(ExperimentStatus& status) {
  for (const api::CheckStatus& guardrail : status.guardrails) {
    if (guardrail.verdict == Verdict::kFail) {
      status.verdict = Verdict::kFail;
      status.message = "guardrail " + guardrail.name + ": " + guardrail.message;
      return;
    }
  }
  for (const api::CheckStatus& guardrail : status.guardrails) {
    if (guardrail.verdict == Verdict::kPass || status.verdict != Verdict::kPass) continue;
    status.verdict = guardrail.verdict;
    status.message += "; guardrail " + guardrail.name + ": " + guardrail.message;
  }
}

}  // namespace

ExperimentStatus Judge(const api::Experiment& experiment,
                       const std::optional<ExperimentStatus>& before,
                       const std::vector<api::QuantityCounts>& carried, const Samples& champion,
                       const Samples& challenger, double challenger_share) {
  const Look counted{experiment, carried, champion, challenger};
  ExperimentStatus status;
  const Comparison primary = Compare(counted, experiment.primary.quantity);
  const double p = SmallestPValue(experiment.primary.quantity, before, primary.result);
  status.p_value = NumberText(p);
  status.champion_samples = static_cast<std::int64_t>(primary.champion.samples);
  status.challenger_samples = static_cast<std::int64_t>(primary.challenger.samples);
  if (primary.result.effect) status.effect = NumberText(*primary.result.effect);
  if (primary.result.lower) status.lower = NumberText(*primary.result.lower);
  if (primary.result.upper) status.upper = NumberText(*primary.result.upper);
  TellBelief(experiment.primary, primary, status);
  Record(experiment.primary.quantity, primary, status);
  for (const api::Guardrail& guardrail : experiment.guardrails) {
    const Comparison seen = Compare(counted, guardrail.quantity);
    status.guardrails.push_back(Guard(guardrail, seen));
    Record(guardrail.quantity, seen, status);
  }
  JudgePrimary(experiment, primary, p, status);
  JudgeGuardrails(status);
  status.mismatch = Mismatch(experiment, champion, challenger, challenger_share);
  if (status.mismatch && status.verdict != Verdict::kFail) {
    status.verdict = Verdict::kInconclusive;
    status.message =
        "stopped: the variants' numbers of requests don't match their weights (sample-ratio "
        "mismatch); look for requests that bypass the route, retries or sticky sessions";
  }
  return status;
}

bool TellsMore(const std::optional<ExperimentStatus>& before, const ExperimentStatus& after) {
  if (!before || before->verdict != after.verdict || before->mismatch != after.mismatch)
    return true;
  const auto samples = [](const ExperimentStatus& status) {
    return static_cast<double>(status.champion_samples + status.challenger_samples);
  };
  if (samples(after) > 1.05 * samples(*before) || samples(after) < samples(*before)) return true;
  if (PValueOf(after) < 0.8 * PValueOf(before)) return true;
  const auto differs = [](const api::CheckStatus& a, const api::CheckStatus& b) {
    return a.name != b.name || a.verdict != b.verdict;
  };
  return before->guardrails.size() != after.guardrails.size() ||
         !std::equal(before->guardrails.begin(), before->guardrails.end(), after.guardrails.begin(),
                     [&](const auto& a, const auto& b) { return !differs(a, b); });
}

}  // namespace perennial::deployment
