#pragma once

#include "api/model_deployment.h"
#include "api/rules.h"
#include "api/schema.h"
#include "api/source_schema.h"

// Tables of how a rollout is judged: quantities, checks, experiment.
namespace perennial::api {

template <>
struct EnumNames<QuantityKind> {
  static constexpr std::array<std::string_view, 4> kNames{"Mean", "Proportion", "Value", "Ratio"};
};
template <>
struct EnumNames<Goal> {
  static constexpr std::array<std::string_view, 2> kNames{"Increase", "Decrease"};
};
template <>
struct EnumNames<Allocation> {
  static constexpr std::array<std::string_view, 2> kNames{"Fixed", "Thompson"};
};
template <>
struct EnumNames<OnInconclusive> {
  static constexpr std::array<std::string_view, 2> kNames{"KeepChampion", "Promote"};
};

constexpr bool Divides(const Quantity& quantity) {
  return quantity.kind == QuantityKind::kProportion || quantity.kind == QuantityKind::kRatio;
}

template <>
struct Schema<Quantity> {
  using T = Quantity;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "What people call it; unique in its list.", Required(kItemName)},
      Field{"kind", &T::kind,
            "Mean: of a histogram or summary, from its sum and count. Proportion: of two "
            "counters. Value: of a gauge. Ratio: of two sums over units of different size, such as "
            "cost per token or errors per item, where one request has many.",
            Rules{.required = true}},
      Field{"metric", &T::metric, "Mean: the histogram. Value: the gauge.", kMetricName},
      Field{"squares", &T::squares,
            "Mean: a counter of the squared values, for an exact variance; without it the "
            "variance is estimated from the buckets. Ratio: of each unit's squared numerator.",
            kMetricName},
      Field{
          "numerator", &T::numerator,
          "Proportion: the counter of what is counted. Ratio: that adds up each unit's numerator.",
          kMetricName},
      Field{"denominator", &T::denominator,
            "Proportion: the counter of all. Ratio: that adds up each unit's denominator.",
            kMetricName},
      Field{"units", &T::units, "Ratio: the counter of units, such as requests.", kMetricName},
      Field{"denominatorSquares", &T::denominator_squares,
            "Ratio: a counter of each unit's squared denominator.", kMetricName},
      Field{"products", &T::products,
            "Ratio: a counter of each unit's numerator times its denominator.", kMetricName},
  };
  static constexpr std::array kCel{
      Cel<T>{"self.kind in ['Proportion', 'Ratio'] || has(self.metric)",
             "kind Mean or Value reads a metric: set metric", "metric",
             [](const T& v) { return Divides(v) || !v.metric.empty(); }},
      Cel<T>{"!(self.kind in ['Proportion', 'Ratio']) || "
             "(has(self.numerator) && has(self.denominator))",
             "kind Proportion or Ratio divides two counters: set numerator and denominator",
             "numerator",
             [](const T& v) {
               return !Divides(v) || (!v.numerator.empty() && !v.denominator.empty());
             }},
      Cel<T>{"self.kind in ['Proportion', 'Ratio'] ? !has(self.metric) : "
             "!has(self.numerator) && !has(self.denominator)",
             "metric goes with kind Mean or Value, numerator and denominator with Proportion or "
             "Ratio: remove what doesn't belong to the kind",
             "kind",
             [](const T& v) {
               return Divides(v) ? v.metric.empty() : v.numerator.empty() && v.denominator.empty();
             }},
      Cel<T>{"!has(self.squares) || self.kind in ['Mean', 'Ratio']",
             "squares goes with kind Mean or Ratio: remove it", "squares",
             [](const T& v) {
               return v.squares.empty() || v.kind == QuantityKind::kMean ||
                      v.kind == QuantityKind::kRatio;
             }},
      Cel<T>{"self.kind != 'Ratio' || has(self.units)",
             "kind Ratio needs the number of its units: set units to a counter of them", "units",
             [](const T& v) { return v.kind != QuantityKind::kRatio || !v.units.empty(); }},
      Cel<T>{"self.kind == 'Ratio' || "
             "(!has(self.units) && !has(self.denominatorSquares) && !has(self.products))",
             "units, denominatorSquares and products go with kind Ratio: remove them", "kind",
             [](const T& v) {
               return v.kind == QuantityKind::kRatio ||
                      (v.units.empty() && v.denominator_squares.empty() && v.products.empty());
             }},
  };
};

// A check compares values; a test needs their variance too.
template <class T>
inline constexpr Cel<T> kRatioHasVariance{
    "self.kind != 'Ratio' || "
    "(has(self.squares) && has(self.denominatorSquares) && has(self.products))",
    "a Ratio in an experiment needs its variance: set squares, denominatorSquares and products",
    "kind", [](const T& v) {
      const Quantity& q = v.quantity;
      return q.kind != QuantityKind::kRatio ||
             (!q.squares.empty() && !q.denominator_squares.empty() && !q.products.empty());
    }};

inline constexpr Rules kLookExpression{.min_length = 1, .max_length = 1024};

template <>
struct Schema<LookRules> {
  using T = LookRules;
  static constexpr std::tuple kFields{
      Field{"step", &T::step,
            "The one step (1 is the first) that it belongs to; 0: all, in the background.",
            Rules{.min = 0, .max = 32}},
      Field{"count", &T::count,
            "Looks with a verdict that it needs: until then its step does not end, afterwards it "
            "is not looked at any more. 0: looked at throughout.",
            Rules{.min = 0, .max = 1000}},
      Field{"interval", &T::interval, "Time between two of its looks; else the analysis' own.",
            Rules{}},
      Field{"failureLimit", &T::failure_limit,
            "Failing looks in a row that roll back; else the analysis' own.",
            Rules{.min = 1, .max = 100}},
      Field{"inconclusiveLimit", &T::inconclusive_limit,
            "Undecided looks in a row after which the rollout pauses; else the analysis' own.",
            Rules{.min = 0, .max = 100}},
      Field{"dryRun", &T::dry_run, "Looked at and told in status, but never heeded.", Rules{}},
      Field{"success", &T::success,
            "An expression that holds where a look passes. A check's speaks of challenger, "
            "champion and samples (\"challenger < champion && samples > 500\"), that of a "
            "driftMonitor of state, value and samples of each signal, that of a prometheus of "
            "result.",
            kLookExpression},
      Field{"failure", &T::failure,
            "An expression that holds where a look fails. With both, a look where neither holds "
            "is inconclusive.",
            kLookExpression},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.interval) || duration(self.interval) >= duration('1s')",
             "interval must be at least 1s", "interval",
             [](const T& v) { return !v.interval || v.interval->value >= Seconds(1); }},
  };
};

template <>
struct Schema<DriftProbe> {
  using T = DriftProbe;
  static constexpr std::tuple kFields{
      Field{"name", &T::monitor, "A DriftMonitor in this namespace that watches this model.",
            Required(kObjectName)},
      Field{"signals", &T::signals, "Which of its signals; none: all.",
            Rules{.min_length = 1, .max_length = 63, .max_items = 32, .set = true}},
  };
};

template <>
struct Schema<JobProbe> {
  using T = JobProbe;
  static constexpr std::tuple kFields{
      Field{"template", &T::job_template,
            "A batch/v1 JobTemplateSpec. Its containers get MODEL_URI, MODEL_DIGEST, MODEL_VERSION "
            "and MODEL_SERVICE (host:port) of the challenger.",
            Rules{.required = true}},
  };
};

template <>
struct Schema<QueryProbe> {
  using T = QueryProbe;
  static constexpr std::tuple kFields{
      Inline{&T::server},
      Field{"query", &T::query,
            "A PromQL expression with one value; success and failure call it result. ${version} "
            "and ${service} are the challenger's ModelVersion and Service (the name of its "
            "Deployment as well), ${championVersion} and ${championService} the champion's, and "
            "${namespace} is this namespace. Without a Secret to ask with it is asked only where "
            "the chart's controller.anonymousQueries allows it.",
            Rules{.required = true, .min_length = 1, .max_length = 4096}},
  };
};

template <>
struct Schema<AnalysisProbe> {
  using T = AnalysisProbe;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "What people call it; unique among checks and probes.",
            Required(kItemName)},
      Field{"driftMonitor", &T::drift,
            "Passes while no signal of the challenger is Drifted; fails where one is.", Rules{}},
      Field{"job", &T::job,
            "A Job that is started once a rollout; its success passes, its failure fails.",
            Rules{}},
      Field{"prometheus", &T::query,
            "A query that is asked once an interval, of whatever that Prometheus knows.", Rules{}},
      Inline{&T::rules},
  };
  static constexpr std::array kCel{
      Cel<T>{"[has(self.driftMonitor), has(self.job), has(self.prometheus)].filter(s, s).size() "
             "== 1",
             "a probe asks a driftMonitor or a prometheus, or runs a job: set one of them", "",
             [](const T& v) {
               return int{v.drift.has_value()} + int{v.job.has_value()} +
                          int{v.query.has_value()} ==
                      1;
             }},
      Cel<T>{"!has(self.prometheus) || has(self.success) || has(self.failure)",
             "a query needs a rule: set success or failure, such as \"result < 0.01\"", "success",
             [](const T& v) {
               return !v.query || !v.rules.success.empty() || !v.rules.failure.empty();
             }},
      Cel<T>{"!has(self.job) || !((has(self.count) && self.count > 0) || has(self.interval) || "
             "has(self.failureLimit) || has(self.inconclusiveLimit) || has(self.success) || "
             "has(self.failure))",
             "a job runs once and succeeds or fails: remove count, interval, limits, success and "
             "failure, and set backoffLimit in its template",
             "job",
             [](const T& v) {
               const LookRules& r = v.rules;
               return !v.job || !(r.count > 0 || r.interval || r.failure_limit ||
                                  r.inconclusive_limit || !r.success.empty() || !r.failure.empty());
             }},
  };
};

template <>
struct Schema<AnalysisCheck> {
  using T = AnalysisCheck;
  static constexpr std::tuple kFields{
      Inline{&T::quantity},
      Field{"max", &T::max, "The challenger's quantity may be at most this.", Rules{}},
      Field{"min", &T::min, "The challenger's quantity must be at least this.", Rules{}},
      Field{"maxIncrease", &T::max_increase, "Challenger minus champion may be at most this.",
            Rules{}},
      Field{"maxDecrease", &T::max_decrease, "Champion minus challenger may be at most this.",
            Rules{}},
      Inline{&T::rules},
  };
  static constexpr std::array kCel{
      Cel<T>{"[has(self.max), has(self.min), has(self.maxIncrease), has(self.maxDecrease), "
             "has(self.success) || has(self.failure)].filter(b, b).size() == 1",
             "a check has exactly one bound: set one of max, min, maxIncrease, maxDecrease, or "
             "success and failure",
             "",
             [](const T& v) {
               return v.max.has_value() + v.min.has_value() + v.max_increase.has_value() +
                          v.max_decrease.has_value() +
                          (!v.rules.success.empty() || !v.rules.failure.empty()) ==
                      1;
             }},
  };
};

template <>
struct Schema<Analysis> {
  using T = Analysis;
  static constexpr std::tuple kFields{
      Field{"interval", &T::interval, "Time between two looks.", Rules{}},
      Field{"window", &T::window, "How far back a look reaches.", Rules{}},
      Field{"minSamples", &T::min_samples,
            "Observations that a variant needs inside the window; with fewer the check answers "
            "NoData, which neither passes nor fails.",
            Rules{.min = 1}},
      Field{"failureLimit", &T::failure_limit, "Failing looks in a row that roll back.",
            Rules{.min = 1, .max = 100}},
      Field{"inconclusiveLimit", &T::inconclusive_limit,
            "Undecided looks in a row after which the rollout pauses.",
            Rules{.min = 0, .max = 100}},
      Field{"checks", &T::checks, "Metrics that are looked at.",
            Rules{.max_items = 16, .list_key = "name"}},
      Field{"probes", &T::probes, "Other verdicts: of a DriftMonitor, or of a Job.",
            Rules{.max_items = 8, .list_key = "name"}},
  };
  static constexpr std::array kCel{
      Cel<T>{"(has(self.checks) && size(self.checks) > 0) || "
             "(has(self.probes) && size(self.probes) > 0)",
             "an analysis looks at something: set checks or probes", "checks",
             [](const T& v) { return !v.checks.empty() || !v.probes.empty(); }},
      Cel<T>{"!has(self.checks) || !has(self.probes) || "
             "self.probes.all(p, !self.checks.exists(c, c.name == p.name))",
             "checks and probes share one list of verdicts: give each its own name", "probes",
             [](const T& v) {
               return std::none_of(v.probes.begin(), v.probes.end(), [&](const AnalysisProbe& p) {
                 return std::any_of(v.checks.begin(), v.checks.end(), [&](const AnalysisCheck& c) {
                   return c.quantity.name == p.name;
                 });
               });
             }},
      Cel<T>{"!has(self.interval) || duration(self.interval) >= duration('1s')",
             "interval must be at least 1s", "interval",
             [](const T& v) { return v.interval.value >= Seconds(1); }},
      Cel<T>{"duration(has(self.window) ? self.window : '5m') >= "
             "duration(has(self.interval) ? self.interval : '30s')",
             "window must be at least as long as interval: raise window or lower interval",
             "window", [](const T& v) { return v.window.value >= v.interval.value; }},
  };
};

template <>
struct Schema<Primary> {
  using T = Primary;
  static constexpr std::tuple kFields{
      Inline{&T::quantity},
      Field{"goal", &T::goal, "Which direction is better.", Rules{.required = true}},
  };
  static constexpr std::array kCel{kRatioHasVariance<T>};
};

template <>
struct Schema<Guardrail> {
  using T = Guardrail;
  static constexpr std::tuple kFields{
      Inline{&T::quantity},
      Field{"maxIncrease", &T::max_increase,
            "Non-inferiority margin: challenger minus champion that is still acceptable.",
            Rules{.required = true}},
  };
  static constexpr std::array kCel{
      Cel<T>{"double(self.maxIncrease) >= 0.0",
             "maxIncrease must not be negative: a guardrail tolerates, the primary improves",
             "maxIncrease", [](const T& v) { return v.max_increase.value >= 0; }},
      kRatioHasVariance<T>,
  };
};

template <>
struct Schema<Experiment> {
  using T = Experiment;
  static constexpr std::tuple kFields{
      Field{"primary", &T::primary, "What the challenger must improve.", Rules{.required = true}},
      Field{"guardrails", &T::guardrails, "What it must not worsen.",
            Rules{.max_items = 16, .list_key = "name"}},
      Field{"alpha", &T::alpha,
            "Probability of promoting a challenger that is no better, whenever one looks.",
            Rules{}},
      Field{"minSamples", &T::min_samples,
            "Observations of each variant before any decision. Below 100 the normal "
            "approximation is not safe.",
            Rules{.min = 100}},
      Field{"expectedSamples", &T::expected_samples,
            "Observations in total at which the test is most sensitive.", Rules{.min = 200}},
      Field{"minDuration", &T::min_duration,
            "Time before which a win promotes nothing, such as a day, whose hours differ. A "
            "challenger that is worse goes at once.",
            Rules{}},
      Field{"maxDuration", &T::max_duration, "Time after which it ends without a decision.",
            Rules{}},
      Field{"onInconclusive", &T::on_inconclusive, "What to do then.", Rules{}},
      Field{"weights", &T::weights,
            "Of variants. Fixed: as they say. Thompson: once each has minSamples, in proportion to "
            "the probability that it is the best; one that is shown to be worse, or that breaks a "
            "guardrail, gets the floor.",
            Rules{}},
      Field{"floor", &T::floor, "Thompson: percent of the traffic that each variant keeps.",
            Rules{.min = 1, .max = 50}},
      Field{"ceiling", &T::ceiling, "Thompson: percent of the traffic that one may have at most.",
            Rules{.min = 10, .max = 99}},
      Field{
          "interval", &T::interval,
          "Time between two looks, and between two scrapes of a pod. None: the analysis' interval, "
          "or 10s without an analysis.",
          Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.alpha) || (double(self.alpha) > 0.0 && double(self.alpha) <= 0.5)",
             "alpha must be above 0 and at most 0.5, such as \"0.05\"", "alpha",
             [](const T& v) { return v.alpha.value > 0 && v.alpha.value <= 0.5; }},
      Cel<T>{"!has(self.interval) || duration(self.interval) >= duration('1s')",
             "interval must be at least 1s", "interval",
             [](const T& v) { return !v.interval || v.interval->value >= Seconds(1); }},
      Cel<T>{"!has(self.maxDuration) || duration(self.maxDuration) >= duration('1s')",
             "maxDuration must be at least 1s", "maxDuration",
             [](const T& v) { return v.max_duration.value >= Seconds(1); }},
      Cel<T>{"duration(has(self.minDuration) ? self.minDuration : '0s') <= "
             "duration(has(self.maxDuration) ? self.maxDuration : '72h')",
             "minDuration must not be longer than maxDuration: lower minDuration or raise "
             "maxDuration",
             "minDuration",
             [](const T& v) { return v.min_duration.value <= v.max_duration.value; }},
  };
};

}  // namespace perennial::api
