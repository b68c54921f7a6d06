#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/model_version.h"
#include "api/scalars.h"
#include "api/source.h"
#include "kube/kept.h"
#include "kube/meta.h"

namespace perennial::api {

// The pods of a Service that somebody else made and labelled kLabelUse = kUseMetrics.
struct MonitoredService {
  std::string name;
  MetricsEndpoint metrics;
  bool operator==(const MonitoredService&) const = default;
};

// Exactly one of both.
struct MonitorTarget {
  std::string model_deployment;
  std::optional<MonitoredService> service;
  bool operator==(const MonitorTarget&) const = default;
};

enum class BaselineFrom { kModelVersion, kInline, kConfigMap, kChampion, kWindow };

// A profile as JSON under a key of a ConfigMap in the monitor's namespace.
struct BaselineConfigMap {
  std::string name;
  std::string key = "profile.json";
  bool operator==(const BaselineConfigMap&) const = default;
};

// An earlier window of the same variant: (now - offset - length, now - offset].
struct BaselineWindow {
  Duration offset;
  Duration length{Millis(3'600'000)};
  bool operator==(const BaselineWindow&) const = default;
};

// What the window is compared with: the profile recorded when the served version was trained, one
// written here or in a ConfigMap, what the champion sees now, or what the variant saw before.
struct Baseline {
  BaselineFrom from = BaselineFrom::kModelVersion;
  std::optional<Profile> profile;               // Inline
  std::optional<BaselineConfigMap> config_map;  // ConfigMap
  std::optional<BaselineWindow> window;         // Window
  bool operator==(const Baseline&) const = default;
};

enum class SignalType {
  kDataDrift,
  kPredictionDrift,
  kModelPerformance,
  kDataQuality,
  kFairness,
  kCustom,
  kAttributionDrift
};

// Thresholds that other tools have as defaults (drift/preset.h).
enum class Preset { kAzure };

// How bad a drift is, for a RetrainPolicy to choose from.
enum class Severity { kMinor, kMajor, kCritical };

// One measure with its thresholds. `measure` is a name of stats/measure.h's table.
struct DriftTest {
  std::string measure;
  std::optional<Decimal> warn;
  Decimal threshold;
  std::optional<Decimal> critical{};    // beyond this a drift is critical
  std::optional<Decimal> min_effect{};  // p-values: smaller differences are no drift
  bool operator==(const DriftTest&) const = default;
};

// How far a number may move from what was measured when the served version was trained. `metric` is
// one of the evaluation metrics that the ModelVersion records.
struct VersusBaseline {
  std::string metric;
  std::string group;  // empty: of all rows
  std::optional<Decimal> max_increase;
  std::optional<Decimal> max_decrease;
  std::optional<Decimal> max_relative_increase;  // 0.1: ten per cent of the recorded value
  std::optional<Decimal> max_relative_decrease;
  bool operator==(const VersusBaseline&) const = default;
};

// A difference between groups of one counter's label, by a name of stats/fairness.h's table.
struct Fairness {
  std::string metric;
  std::string measure;
  std::string group_label = "group";
  std::string predicted_label = "predicted";
  std::string actual_label = "actual";
  std::string positive = "1";  // the value of both that counts as positive
  std::int64_t min_group_samples = 30;
  bool operator==(const Fairness&) const = default;
};

// A rate of values that should not be there. out_of_bounds_rate: of the metric's observations those
// outside the range, or the categories, that training saw. null_value_rate, data_type_error_rate:
// of all values those that `counter` counts; they are not observed by `metric`, but counted by
// `rows`.
struct Quality {
  std::string measure;
  std::string metric;   // the feature itself
  std::string counter;  // of the values that are null or of another type
  std::string rows;     // instead of metric: a counter of all values
  bool operator==(const Quality&) const = default;
};

// How well the model does by what turned out to be true. Classification: `metric` counts
// predictions by what was predicted and what was true. Regression: it observes errors.
struct Performance {
  std::string measure;
  std::string metric;
  std::string squares;  // root_mean_squared_error: a counter that adds up squared errors
  std::string predicted_label = "predicted";
  std::string actual_label = "actual";
  std::string positive = "1";  // the value of both that counts as positive
  bool operator==(const Performance&) const = default;
};

// A quantity to watch. Drift signals compare the distribution of `metric` with the baseline by
// `tests`; the others bound a number: the mean of a histogram, a ratio of counters, an expression,
// or how well the ranking of features agrees with the baseline's.
struct Signal {
  std::string name;
  SignalType type = SignalType::kDataDrift;
  std::string metric;
  std::string label;  // whose values are the categories, or the features (AttributionDrift)
  std::vector<DriftTest> tests;
  std::optional<Preset> preset;  // tests or bound where none is given; else the monitor's
  Severity severity = Severity::kMajor;
  std::optional<Decimal> weight;  // in the monitor's policy; 1 if absent
  std::string numerator;          // instead of metric: ratio of two counters
  std::string denominator;
  std::string expression;  // instead of metric: see scrape/expression.h
  std::optional<Duration> window;
  std::optional<Duration> offset;  // how long ago the window ends: labels come late
  std::optional<Decimal> max;
  std::optional<Decimal> min;
  std::optional<VersusBaseline> versus_baseline;
  std::optional<Fairness> fairness;        // instead of metric
  std::optional<Quality> quality;          // instead of metric
  std::optional<Performance> performance;  // instead of metric
  bool operator==(const Signal&) const = default;
};

// From how many drifted signals on the model has drifted.
enum class PolicyMode { kAny, kShare, kScore };

struct VerdictPolicy {
  PolicyMode mode = PolicyMode::kAny;
  std::optional<Decimal> at_least;  // Share: of the weights of all signals; Score: their sum
  bool operator==(const VerdictPolicy&) const = default;
};

struct DriftMonitorSpec {
  MonitorTarget target;
  std::optional<Source> source;  // absent: scrape
  Duration interval{Millis(60'000)};
  Duration window{Millis(3'600'000)};
  Baseline baseline;
  std::vector<Signal> signals;
  std::optional<Preset> preset;
  std::optional<Decimal> false_discovery_rate;  // over the p-value tests of one look
  VerdictPolicy policy;
  std::int64_t min_samples = 500;
  int for_evaluations = 3;  // "for": breaching evaluations out of the last `of` that make a drift
  int of_evaluations = 4;   // "of"
  bool suspend = false;
  bool operator==(const DriftMonitorSpec&) const = default;
};

enum class SignalState { kOk, kWarning, kDrifted, kNoData, kError };

struct TestStatus {
  std::string measure;
  std::string value;
  std::string threshold;
  std::string p_value;           // where the test has one
  std::string adjusted_p_value;  // with falseDiscoveryRate: by Benjamini and Hochberg
  std::string effect;            // size of the difference, free of the sample size
  std::string noise_floor;       // what chance alone reaches at this sample size (95 %)
  SignalState state = SignalState::kNoData;
  bool operator==(const TestStatus&) const = default;
};

// The share of a bucket or category in the baseline and in the window.
struct BinShift {
  std::string bin;       // "(10, 20]", "<= 10", "> 40", or the category's name
  std::string baseline;  // decimal text, 0 to 1
  std::string current;
  bool operator==(const BinShift&) const = default;
};

struct SignalStatus {
  std::string name;
  std::string variant;  // name of the ModelVersion
  SignalState state = SignalState::kNoData;
  std::string value;  // of the test or bound that decides the state
  std::string threshold;
  std::int64_t samples = 0;
  Time since;                        // when it took this state
  std::optional<Severity> severity;  // of a drift
  // The last evaluations, newest first: C critical breach, B breach, w warning, - ok, ? no data,
  // E error.
  std::string recent;
  std::string definition;  // a hash of what the signal measures (drift/definition.h)
  std::string message;
  std::vector<TestStatus> tests;
  std::vector<BinShift> moved;  // what moved most, at most kMostBinShifts, greatest first
  bool operator==(const SignalStatus&) const = default;
};

// A drift as long as it lasts: its identity is what starts at most one retraining.
struct Episode {
  std::string id;  // derived from the monitor's UID, the champion and the start
  Time started;
  std::string version;  // the champion that drifted
  std::vector<std::string> signals;
  // The greatest that any of its signals has had: it rises while the drift lasts and never falls.
  Severity severity = Severity::kMajor;
  bool operator==(const Episode&) const = default;
};

struct DriftMonitorStatus {
  std::int64_t observed_generation = -1;
  std::string champion;  // the ModelVersion, or the Service
  std::string baseline;  // what the champion is compared with, such as the ModelVersion's name
  std::optional<Time> baseline_recorded;  // when that was recorded; absent where it moves along
  std::optional<Time> last_evaluation;
  std::vector<SignalStatus> signals;
  std::optional<Episode> episode;
  int targets = 0;
  int targets_up = 0;
  std::string why;
  std::vector<kube::Condition> conditions;
  bool operator==(const DriftMonitorStatus&) const = default;
};

struct DriftMonitor {
  kube::Meta meta;
  DriftMonitorSpec spec;
  DriftMonitorStatus status;
  bool operator==(const DriftMonitor&) const = default;
};

}  // namespace perennial::api

namespace perennial::kube {

// Looked at once an interval, and a few kilobytes instead of a dozen.
template <>
struct Kept<api::DriftMonitor> : Packed<api::DriftMonitor> {};

}  // namespace perennial::kube
