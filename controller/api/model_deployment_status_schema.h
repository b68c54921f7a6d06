#pragma once

#include "api/condition_schema.h"
#include "api/model_deployment.h"
#include "api/schema.h"

// Tables of what a ModelDeployment's status says.
namespace perennial::api {

template <>
struct EnumNames<RolloutPhase> {
  static constexpr std::array<std::string_view, 7> kNames{
      "Starting", "Progressing", "Paused", "Promoting", "Promoted", "RollingBack", "RolledBack"};
};

template <>
struct Schema<VariantStatus> {
  using T = VariantStatus;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "champion, challenger, or the fixed variant's name.",
            Rules{.required = true, .max_length = 63}},
      Field{"version", &T::version, "Its ModelVersion.", Rules{}},
      Field{"service", &T::service, "Its Service.", Rules{}},
      Field{"model", &T::model, "Its artifact.", Rules{}},
      Field{"replicas", &T::replicas, "Pods wanted.", Rules{.always = true}},
      Field{"readyReplicas", &T::ready_replicas, "Pods ready.", Rules{.always = true}},
      Field{"weightWanted", &T::weight_wanted, "Percent of the traffic that it should get.",
            Rules{.always = true}},
      Field{"weight", &T::weight, "Percent in effect, as the accepted route says.",
            Rules{.always = true}},
  };
};

template <>
struct Schema<CheckStatus> {
  using T = CheckStatus;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The check or guardrail.", Rules{.required = true}},
      Field{"challenger", &T::challenger, "The challenger's value.", Rules{}},
      Field{"champion", &T::champion, "The champion's value.", Rules{}},
      Field{"threshold", &T::threshold, "The bound.", Rules{}},
      Field{"samples", &T::samples, "The challenger's observations.", Rules{}},
      Field{"verdict", &T::verdict, "Pass, Fail, Inconclusive or NoData.", Rules{.always = true}},
      Field{"message", &T::message, "Why.", kMessage},
      Field{"looks", &T::looks, "Looks with a verdict, where count ends them.", Rules{.min = 0}},
      Field{"failures", &T::failures, "Failing looks in a row.", Rules{.min = 0}},
      Field{"inconclusive", &T::inconclusive, "Undecided looks in a row.", Rules{.min = 0}},
      Field{"lookedAt", &T::looked_at, "The look that was counted last.", Rules{}},
      Field{"job", &T::job, "The Job of a probe.", Rules{}},
      Field{"jobUID", &T::job_uid, "Its UID, since it is there: it never runs twice.", Rules{}},
  };
};

template <>
struct Schema<ArmCounts> {
  using T = ArmCounts;
  static constexpr std::tuple kFields{
      Field{"n", &T::n, "Observations.", Rules{}},
      Field{"sum", &T::sum, "Their sum, or how many were successes.", Rules{}},
      Field{"squares", &T::squares, "Sum of their squares, where it is known.", Rules{}},
      Field{"denominator", &T::denominator, "Ratio: what the sum is divided by.", Rules{}},
      Field{"denominatorSquares", &T::denominator_squares,
            "Ratio: sum of its squares, where known.", Rules{}},
      Field{"products", &T::products, "Ratio: sum of the products, where known.", Rules{}},
  };
};

template <>
struct Schema<QuantityCounts> {
  using T = QuantityCounts;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The quantity.", Rules{.required = true}},
      Field{"champion", &T::champion, "What the champion counted.", Rules{}},
      Field{"challenger", &T::challenger, "What the challenger counted.", Rules{}},
      Field{"definition", &T::definition,
            "A hash of the metrics that the quantity consists of: counts of others are not added.",
            Rules{}},
  };
};

template <>
struct Schema<ExperimentStatus> {
  using T = ExperimentStatus;
  static constexpr std::tuple kFields{
      Field{"effect", &T::effect, "Challenger minus champion.", Rules{}},
      Field{"lower", &T::lower, "Lower end of its always-valid confidence interval.", Rules{}},
      Field{"upper", &T::upper, "Upper end.", Rules{}},
      Field{"pValue", &T::p_value, "Smallest p-value of the looks that found the same one better.",
            Rules{}},
      Field{"championSamples", &T::champion_samples, "Observations of the champion.", Rules{}},
      Field{"challengerSamples", &T::challenger_samples, "Observations of the challenger.",
            Rules{}},
      Field{"verdict", &T::verdict, "Pass, Fail, Inconclusive or NoData.", Rules{.always = true}},
      Field{"message", &T::message, "Why, and what happens next.", kMessage},
      Field{"sampleRatioMismatch", &T::mismatch,
            "Whether the variants' numbers of requests are not what their weights should have "
            "given: a win is then none.",
            Rules{}},
      Field{"probabilityBetter", &T::probability_better,
            "Bayesian probability that the challenger's primary is better. Information only: it "
            "is not valid when looked at repeatedly.",
            Rules{}},
      Field{"expectedLoss", &T::expected_loss,
            "What choosing the challenger is expected to cost in the primary. Information only.",
            Rules{}},
      Field{"guardrails", &T::guardrails, "Each guardrail's verdict.", Rules{}},
      Field{"counts", &T::counts,
            "What was counted so far. A restarted controller goes on counting from here.", Rules{}},
  };
};

template <>
struct Schema<RolloutStatus> {
  using T = RolloutStatus;
  static constexpr std::tuple kFields{
      Field{"version", &T::version, "The challenger's ModelVersion.", Rules{.required = true}},
      Field{"champion", &T::champion, "What it is compared with.", Rules{}},
      Field{"phase", &T::phase, "Where the rollout is.", Rules{.always = true}},
      Field{"step", &T::step, "Index into spec.rollout.steps.", Rules{.always = true, .min = 0}},
      Field{"progress", &T::progress,
            "Which step it is in, counted from 1, of how many (\"2/4\"); empty outside of steps.",
            Rules{}},
      Field{"started", &T::started, "When it began.", Rules{}},
      Field{"stepStarted", &T::step_started,
            "Since when the step's weight is in effect, or is awaited.", Rules{}},
      Field{"inEffect", &T::in_effect, "Whether the route has the step's weight.", Rules{}},
      Field{"paused", &T::paused, "Whether somebody paused it, by annotation.", Rules{}},
      Field{"podsReady", &T::pods_ready,
            "Before a step is in effect: the pods are ready and the route is awaited, which has a "
            "progressDeadline of its own.",
            Rules{}},
      Field{"scaledToZero", &T::scaled_to_zero,
            "The rollout stands still because spec.replicas is 0; its deadlines begin anew "
            "afterwards.",
            Rules{}},
      Field{"released", &T::released,
            "The step (1 is the first) that somebody ended before its time; 0: none.",
            Rules{.min = 0}},
      Field{"message", &T::message, "What it waits for.", kMessage},
      Field{
          "until", &T::until,
          "When the wait ends by itself: a hold, a deadline, the experiment's maxDuration, or the "
          "time for which the previous version's pods are kept. Absent: it waits for data, or for "
          "a person.",
          Rules{}},
      Field{"then", &T::then, "What happens at that time.", Rules{.max_length = 256}},
      Field{"experimentStarted", &T::experiment_started,
            "Since when both have had traffic, from which minDuration and maxDuration count. It "
            "moves "
            "on by as long as spec.replicas is 0.",
            Rules{}},
      Field{"experimentEnds", &T::experiment_ends,
            "When the experiment's maxDuration is over: how much longer it may take.", Rules{}},
      Field{"checks", &T::checks, "Verdicts of the analysis.", Rules{}},
      Field{"experiment", &T::experiment, "State of the A/B test.", Rules{}},
  };
};

template <>
struct Schema<HistoryEntry> {
  using T = HistoryEntry;
  static constexpr std::tuple kFields{
      Field{"version", &T::version, "The ModelVersion.", Rules{.required = true}},
      Field{"outcome", &T::outcome, "Promoted, RolledBack or Superseded.", Rules{.required = true}},
      Field{"at", &T::at, "When.", Rules{}},
      Field{"message", &T::message, "Why.", kMessage},
  };
};

template <>
struct Schema<CommandStatus> {
  using T = CommandStatus;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The annotation, without perennial.dev/.",
            Rules{.required = true, .max_length = 63}},
      Field{"value", &T::value, "Its value then.", Rules{.required = true}},
      Field{"at", &T::at, "When it was answered.", Rules{}},
      Field{"outcome", &T::outcome, "What was done, or why nothing was.", kMessage},
  };
};

template <>
struct Schema<Comparison> {
  using T = Comparison;
  static constexpr std::tuple kFields{
      Field{"variant", &T::variant, "The variant.", Rules{.required = true}},
      Field{"control", &T::control, "What it is compared with: the first variant.", Rules{}},
      Field{"identity", &T::identity,
            "Versions and weights of the split; another split begins to count anew.", Rules{}},
      Field{"experiment", &T::experiment, "What is known so far.", Rules{}},
  };
};

template <>
struct Schema<ModelDeploymentStatus> {
  using T = ModelDeploymentStatus;
  static constexpr std::tuple kFields{
      Field{"observedGeneration", &T::observed_generation, kObservedGenerationDoc,
            Rules{.always = true, .min = -1}},
      Field{"champion", &T::champion, "The ModelVersion that serves.", Rules{}},
      Field{"challenger", &T::challenger, "The ModelVersion that is being rolled out.", Rules{}},
      Field{"variants", &T::variants, "What serves, and with which share.",
            Rules{.max_items = 32, .list_key = "name"}},
      Field{"rollout", &T::rollout, "The rollout that runs, or the last one.", Rules{}},
      Field{"comparisons", &T::comparisons,
            "A fixed split with an experiment: each variant against the first.",
            Rules{.max_items = 15}},
      Field{"history", &T::history, "How earlier rollouts ended, newest first.", Rules{}},
      Field{"commands", &T::commands,
            "The last request of each kind that was answered; none is carried out twice.",
            Rules{.max_items = 16, .list_key = "name"}},
      Field{"replicas", &T::replicas, "Pods wanted, of all variants.", Rules{.always = true}},
      Field{"readyReplicas", &T::ready_replicas, "Pods ready.", Rules{.always = true}},
      Field{"selector", &T::selector, "Label selector of all pods.", Rules{}},
      Field{"approximateSplit", &T::approximate_split,
            "Whether the split is by number of replicas, which is approximate.", Rules{}},
      Field{"why", &T::why, "What the controller is doing, in one sentence.", kMessage},
      Field{"conditions", &T::conditions, kConditionsDoc, kConditions},
  };
};

}  // namespace perennial::api
