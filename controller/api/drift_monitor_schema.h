#pragma once

#include <algorithm>

#include "api/baseline_schema.h"
#include "api/condition_schema.h"
#include "api/drift_monitor.h"
#include "api/signal_schema.h"
#include "api/source_schema.h"

namespace perennial::api {

template <>
struct EnumNames<SignalState> {
  static constexpr std::array<std::string_view, 5> kNames{"Ok", "Warning", "Drifted", "NoData",
                                                          "Error"};
};
template <>
struct EnumNames<PolicyMode> {
  static constexpr std::array<std::string_view, 3> kNames{"Any", "Share", "Score"};
};

template <>
struct Schema<MonitoredService> {
  using T = MonitoredService;
  static constexpr std::tuple kFields{
      Field{"name", &T::name,
            "A Service in the monitor's namespace with the label perennial.dev/use: metrics.",
            Required(kObjectName)},
      Field{"metrics", &T::metrics, "Where its pods serve metrics.", Rules{}},
  };
};

template <>
struct Schema<MonitorTarget> {
  using T = MonitorTarget;
  static constexpr std::tuple kFields{
      Field{"modelDeployment", &T::model_deployment,
            "Name of the ModelDeployment, in the monitor's namespace.", kObjectName},
      Field{"service", &T::service,
            "Instead of modelDeployment: the pods behind a Service that Perennial doesn't manage.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"has(self.modelDeployment) != has(self.service)",
             "set either modelDeployment or service", "modelDeployment",
             [](const T& v) { return v.model_deployment.empty() == v.service.has_value(); }},
  };
};

template <>
struct Schema<VerdictPolicy> {
  using T = VerdictPolicy;
  static constexpr std::tuple kFields{
      Field{"mode", &T::mode,
            "Any: one drifted signal is enough. Share: the weights of the drifted signals make at "
            "least this share of all. Score: they add up to at least this.",
            Rules{}},
      Field{"atLeast", &T::at_least, "Share: above 0, at most 1. Score: above 0.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"(has(self.mode) && self.mode in ['Share', 'Score']) == has(self.atLeast)",
             "mode Share and Score need atLeast, mode Any has none", "atLeast",
             [](const T& v) { return (v.mode != PolicyMode::kAny) == v.at_least.has_value(); }},
      Cel<T>{"!has(self.atLeast) || (double(self.atLeast) > 0.0 && "
             "(!has(self.mode) || self.mode != 'Share' || double(self.atLeast) <= 1.0))",
             "atLeast must be above 0, and for mode Share at most 1", "atLeast",
             [](const T& v) {
               return !v.at_least || (v.at_least->value > 0 &&
                                      (v.mode != PolicyMode::kShare || v.at_least->value <= 1));
             }},
  };
};

template <>
struct Schema<DriftMonitorSpec> {
  using T = DriftMonitorSpec;
  static constexpr std::tuple kFields{
      Field{"target", &T::target, "What to watch.", Rules{.required = true}},
      Field{"source", &T::source, "Where the metrics come from.", Rules{}},
      Field{"interval", &T::interval, "Time between two evaluations.", Rules{}},
      Field{"window", &T::window, "How far back an evaluation reaches.", Rules{}},
      Field{"baseline", &T::baseline, "What the window is compared with.", Rules{}},
      Field{"signals", &T::signals, "What to measure.",
            Rules{.required = true, .min_items = 1, .max_items = 64, .list_key = "name"}},
      Field{"preset", &T::preset,
            "Thresholds for signals that have none. azure: Azure ML's defaults "
            "(normalized_wasserstein_distance 0.1 for histograms, jensen_shannon_distance 0.1 for "
            "categories, DataQuality 0, AttributionDrift 0.9).",
            Rules{}},
      Field{"falseDiscoveryRate", &T::false_discovery_rate,
            "Of the signals that p-value tests find drifted in one look at one version, the share "
            "that may be by chance (Benjamini and Hochberg). Without it each test stands alone.",
            Rules{}},
      Field{"policy", &T::policy, "From how many drifted signals on the model has drifted.",
            Rules{}},
      Field{"minSamples", &T::min_samples,
            "Observations that a variant needs inside the window; with fewer the answer is "
            "NoData, which is neither drift nor its absence.",
            Rules{.min = 1}},
      Field{"for", &T::for_evaluations,
            "Breaching evaluations out of the last `of` that make a drift, and calm ones that end "
            "it.",
            Rules{.min = 1, .max = 32}},
      Field{"of", &T::of_evaluations, "See `for`.", Rules{.min = 1, .max = 32}},
      Field{"suspend", &T::suspend, "Look at nothing.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"has(self.preset) || self.signals.all(s, has(s.preset) || has(s.max) || has(s.min) || "
             "has(s.versusBaseline) || (has(s.tests) && size(s.tests) > 0))",
             "a signal has no threshold: set tests (DataDrift, PredictionDrift), max or min (the "
             "other types), or a preset",
             "signals",
             [](const T& v) {
               return std::all_of(v.signals.begin(), v.signals.end(), [&](const Signal& signal) {
                 return v.preset || signal.preset || signal.max || signal.min ||
                        signal.versus_baseline || !signal.tests.empty();
               });
             }},
      Cel<T>{"self.signals.all(s, s.type in ['DataDrift', 'PredictionDrift', 'DataQuality', "
             "'AttributionDrift'] || has(s.max) || has(s.min) || has(s.versusBaseline))",
             "a signal of this type bounds a number, for which no preset has a default: set max or "
             "min, or versusBaseline",
             "signals",
             [](const T& v) {
               return std::all_of(v.signals.begin(), v.signals.end(), [](const Signal& signal) {
                 return internal::IsDrift(signal) || signal.type == SignalType::kDataQuality ||
                        signal.type == SignalType::kAttributionDrift || signal.max || signal.min ||
                        signal.versus_baseline;
               });
             }},
      Cel<T>{"!has(self.target.service) || !has(self.source) || !has(self.source.prometheus)",
             "the pods of a Service are read directly: remove source.prometheus", "source",
             [](const T& v) { return !v.target.service || !v.source || !v.source->prometheus; }},
      Cel<T>{"!has(self.target.service) || (has(self.baseline) && has(self.baseline.from) && "
             "self.baseline.from in ['Inline', 'ConfigMap', 'Window']) || self.signals.all(s, "
             "!(s.type in ['DataDrift', 'PredictionDrift', 'AttributionDrift']))",
             "no ModelVersion records how a Service's model was trained: set baseline.from to "
             "ConfigMap, Inline or Window",
             "baseline",
             [](const T& v) {
               return !v.target.service || v.baseline.from == BaselineFrom::kInline ||
                      v.baseline.from == BaselineFrom::kConfigMap ||
                      v.baseline.from == BaselineFrom::kWindow ||
                      std::ranges::all_of(v.signals, [](const Signal& signal) {
                        return !internal::IsDrift(signal) &&
                               signal.type != SignalType::kAttributionDrift;
                      });
             }},
      Cel<T>{"!has(self.target.service) || self.signals.all(s, !has(s.versusBaseline))",
             "no ModelVersion records what a Service's model was evaluated at: set max or min "
             "instead of versusBaseline",
             "signals",
             [](const T& v) {
               return !v.target.service || std::ranges::none_of(v.signals, [](const Signal& s) {
                 return s.versus_baseline.has_value();
               });
             }},
      Cel<T>{"self.signals.filter(s, s.type == 'AttributionDrift').size() <= 1",
             "a baseline holds one list of importances: keep one signal of type AttributionDrift",
             "signals",
             [](const T& v) {
               return std::count_if(v.signals.begin(), v.signals.end(), [](const Signal& signal) {
                        return signal.type == SignalType::kAttributionDrift;
                      }) <= 1;
             }},
      Cel<T>{"!has(self.falseDiscoveryRate) || (double(self.falseDiscoveryRate) > 0.0 && "
             "double(self.falseDiscoveryRate) < 1.0)",
             "falseDiscoveryRate is a share: set it above 0 and below 1, such as \"0.05\"",
             "falseDiscoveryRate",
             [](const T& v) {
               return !v.false_discovery_rate ||
                      (v.false_discovery_rate->value > 0 && v.false_discovery_rate->value < 1);
             }},
      Cel<T>{"!has(self.interval) || duration(self.interval) >= duration('1s')",
             "interval must be at least 1s", "interval",
             [](const T& v) { return v.interval.value >= Seconds(1); }},
      Cel<T>{"duration(has(self.window) ? self.window : '1h') >= "
             "duration(has(self.interval) ? self.interval : '1m')",
             "window must be at least as long as interval: raise window or lower interval",
             "window", [](const T& v) { return v.window.value >= v.interval.value; }},
      Cel<T>{"!has(self.baseline) || !has(self.baseline.window) || "
             "duration(self.baseline.window.offset) >= "
             "duration(has(self.window) ? self.window : '1h')",
             "the earlier window overlaps what is judged: raise baseline.window.offset to at "
             "least window",
             "baseline",
             [](const T& v) {
               return !v.baseline.window || v.baseline.window->offset.value >= v.window.value;
             }},
      Cel<T>{
          "!has(self.baseline) || !has(self.baseline.window) || "
          "self.signals.all(s, !has(s.window) || "
          "duration(self.baseline.window.offset) >= duration(s.window))",
          "the earlier window overlaps what a signal with a window of its own judges: raise "
          "baseline.window.offset to at least the signals' windows",
          "baseline",
          [](const T& v) {
            return !v.baseline.window || std::ranges::all_of(v.signals, [&](const Signal& signal) {
              return !signal.window || v.baseline.window->offset.value >= signal.window->value;
            });
          }},
      // The sample store has 512 time slots for all of it.
      Cel<T>{"!has(self.baseline) || !has(self.baseline.window) || "
             "(duration(self.baseline.window.offset) + duration(has(self.baseline.window.length) ? "
             "self.baseline.window.length : '1h')).getSeconds() <= "
             "100 * duration(has(self.window) ? self.window : '1h').getSeconds()",
             "the earlier window reaches back more than 100 times window: raise window, or lower "
             "baseline.window.offset or length",
             "baseline",
             [](const T& v) {
               return !v.baseline.window ||
                      std::chrono::floor<Seconds>(v.baseline.window->offset.value +
                                                  v.baseline.window->length.value) <=
                          100 * std::chrono::floor<Seconds>(v.window.value);
             }},
      Cel<T>{"(has(self.__for__) ? self.__for__ : 3) <= (has(self.of) ? self.of : 4)",
             "for is greater than of, so nothing could ever drift: lower for or raise of", "for",
             [](const T& v) { return v.for_evaluations <= v.of_evaluations; }},
  };
};

template <>
struct Schema<TestStatus> {
  using T = TestStatus;
  static constexpr std::tuple kFields{
      Field{"measure", &T::measure, "The measure.", Rules{.required = true}},
      Field{"value", &T::value, "What it says.", Rules{}},
      Field{"threshold", &T::threshold, "The threshold.", Rules{}},
      Field{"pValue", &T::p_value, "Probability of this by chance, where there is a test.",
            Rules{}},
      Field{"adjustedPValue", &T::adjusted_p_value,
            "With falseDiscoveryRate: the p-value by Benjamini and Hochberg over the look's tests.",
            Rules{}},
      Field{"effect", &T::effect, "Size of the difference, free of the sample size.", Rules{}},
      Field{"noiseFloor", &T::noise_floor, "What chance alone reaches at this sample size (95 %).",
            Rules{}},
      Field{"state", &T::state, "Ok, Warning, Drifted, NoData or Error.", Rules{.always = true}},
  };
};

template <>
struct Schema<BinShift> {
  using T = BinShift;
  static constexpr std::tuple kFields{
      Field{"bin", &T::bin, "The bucket's range, or the category.", Rules{.max_length = 128}},
      Field{"baseline", &T::baseline, "Its share in the baseline, 0 to 1.", Rules{}},
      Field{"current", &T::current, "Its share in the window.", Rules{}},
  };
};

template <>
struct Schema<SignalStatus> {
  using T = SignalStatus;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The signal.", Rules{.required = true}},
      Field{"variant", &T::variant, "The ModelVersion whose pods were read.", Rules{}},
      Field{"state", &T::state, "Ok, Warning, Drifted, NoData or Error.", Rules{.always = true}},
      Field{"value", &T::value, "Of the test or bound that decides.", Rules{}},
      Field{"threshold", &T::threshold, "Its threshold.", Rules{}},
      Field{"samples", &T::samples, "Observations inside the window.", Rules{.always = true}},
      Field{"since", &T::since, "When it took this state.", Rules{}},
      Field{"severity", &T::severity, "Of a drift: Minor, Major or Critical.", Rules{}},
      Field{"recent", &T::recent,
            "The last evaluations, newest first: C critical breach, B breach, w warning, - calm, ? "
            "no data, E error.",
            Rules{}},
      Field{"definition", &T::definition,
            "A hash of what is measured and compared with: looks at something else don't count.",
            Rules{}},
      Field{"message", &T::message, "Why.", kMessage},
      Field{"tests", &T::tests, "Each test.", Rules{}},
      Field{"moved", &T::moved,
            "Of a breach or warning, the buckets or categories whose shares differ most from the "
            "baseline's.",
            Rules{}},
  };
};

template <>
struct Schema<Episode> {
  using T = Episode;
  static constexpr std::tuple kFields{
      Field{"id", &T::id, "Its identity: at most one retraining starts from it.",
            Rules{.required = true}},
      Field{"started", &T::started, "When it began.", Rules{}},
      Field{"version", &T::version, "The ModelVersion that drifted.", Rules{}},
      Field{"signals", &T::signals, "The signals that are drifted.", Rules{}},
      Field{"severity", &T::severity,
            "The greatest that any of its signals has had; rises while the drift lasts, never "
            "falls.",
            Rules{.always = true}},
  };
};

template <>
struct Schema<DriftMonitorStatus> {
  using T = DriftMonitorStatus;
  static constexpr std::tuple kFields{
      Field{"observedGeneration", &T::observed_generation, kObservedGenerationDoc,
            Rules{.always = true, .min = -1}},
      Field{"champion", &T::champion, "What is judged: the ModelVersion, or the Service.", Rules{}},
      Field{"baseline", &T::baseline, "What the champion is compared with.", Rules{}},
      Field{"baselineRecorded", &T::baseline_recorded,
            "When that was recorded; absent where the baseline is live or inline.", Rules{}},
      Field{"lastEvaluation", &T::last_evaluation, "When something last changed here.", Rules{}},
      Field{"signals", &T::signals, "Each signal of each variant.", Rules{.max_items = 1024}},
      Field{"episode", &T::episode, "The drift, as long as it lasts.", Rules{}},
      Field{"targets", &T::targets, "Pods that should be read.", Rules{.always = true}},
      Field{"targetsUp", &T::targets_up, "Pods that could be read.", Rules{.always = true}},
      Field{"why", &T::why, "What it found, in one sentence.", kMessage},
      Field{"conditions", &T::conditions, kConditionsDoc, kConditions},
  };
};

}  // namespace perennial::api
