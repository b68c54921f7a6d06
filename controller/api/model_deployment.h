#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/model_version.h"
#include "api/scalars.h"
#include "api/source.h"
#include "kube/kept.h"
#include "kube/meta.h"

namespace perennial::api {

struct ParentReference {
  std::string name;
  std::string section_name;  // listener; empty: all
  bool operator==(const ParentReference&) const = default;
};

// A Gateway in the same namespace, or none: then a Service and a replica-ratio split.
struct Gateway {
  std::vector<ParentReference> parent_refs;
  std::vector<std::string> hostnames;
  bool operator==(const Gateway&) const = default;
};

// A request header or cookie of exactly that value.
struct NameValue {
  std::string name;
  std::string value;
  bool operator==(const NameValue&) const = default;
};

// Requests that one variant answers, whatever the weights are.
struct TrafficRule {
  std::optional<NameValue> header;
  std::optional<NameValue> cookie;
  std::string variant;  // champion, challenger, or a fixed variant's name
  bool operator==(const TrafficRule&) const = default;
};

// A client keeps the variant (and pod) that answered it first, while that gets traffic at all.
struct Sticky {
  std::string cookie = "perennial-variant";
  Duration ttl{Millis(3'600'000)};
  bool operator==(const Sticky&) const = default;
};

// Passed through to the route; 0: the gateway's own.
struct Timeouts {
  Duration request;
  Duration backend_request;
  bool operator==(const Timeouts&) const = default;
};

// What the serving port speaks, and so which kind of route leads to it.
enum class TrafficProtocol { kHttp, kGrpc };

struct Traffic {
  std::string port = "http";  // name of the container port that serves predictions
  TrafficProtocol protocol = TrafficProtocol::kHttp;
  std::optional<Gateway> gateway;
  std::optional<Sticky> sticky;
  std::vector<TrafficRule> rules;
  std::optional<Timeouts> timeouts;
  bool headless = false;          // Services without a cluster address; never changes
  Duration drain{Millis(5'000)};  // how long a pod that is to end still serves
  bool operator==(const Traffic&) const = default;
};

// One step of a rollout: the challenger's share and how long it stays before the next step.
struct RolloutStep {
  int weight = 0;  // percent
  int mirror = 0;  // percent of the requests that are copied to the challenger, unanswered
  Duration hold;
  bool pause = false;     // stay until somebody resumes or promotes
  bool approval = false;  // stay until a ModelApproval says that this step may end
  bool operator==(const RolloutStep&) const = default;
};

enum class QuantityKind { kMean, kProportion, kValue, kRatio };
enum class Goal { kIncrease, kDecrease };

// A quantity per variant, read from the variant's own pods.
// Mean: `metric` is a histogram (sum and count), `squares` an optional counter of squared values.
// Proportion: `numerator` of `denominator`, both counters. Value: `metric` is a gauge.
// Ratio: the sum of one thing by the sum of another, each added up over `units` of any size;
// an experiment needs the sums of `squares`, `denominator_squares` and `products` as well.
struct Quantity {
  std::string name;
  QuantityKind kind = QuantityKind::kMean;
  std::string metric;
  std::string squares;
  std::string numerator;
  std::string denominator;
  std::string units{};
  std::string denominator_squares{};
  std::string products{};
  bool operator==(const Quantity&) const = default;
};

// How looks at one thing add up. Limits count looks in a row.
struct LookRules {
  int step = 0;                      // looked at in this step alone (1 is the first); 0: in all
  int count = 0;                     // looks with a verdict that end it; 0: until all is over
  std::optional<Duration> interval;  // else the analysis' own
  std::optional<int> failure_limit;  // else the analysis' own
  std::optional<int> inconclusive_limit;  // else the analysis' own
  bool dry_run = false;                   // reported, never heeded
  std::string success;                    // expressions (api/object_expression.h)
  std::string failure;
  bool operator==(const LookRules&) const = default;
};

// A threshold on the challenger, looked at throughout each step: absolute (max, min) or against the
// champion (max_increase, max_decrease).
struct AnalysisCheck {
  Quantity quantity;
  std::optional<Decimal> max;
  std::optional<Decimal> min;
  std::optional<Decimal> max_increase;
  std::optional<Decimal> max_decrease;
  LookRules rules{};
  bool operator==(const AnalysisCheck&) const = default;
};

// What a DriftMonitor of the same ModelDeployment says about the challenger.
struct DriftProbe {
  std::string monitor;
  std::vector<std::string> signals;  // empty: all
  bool operator==(const DriftProbe&) const = default;
};

// A Job that is run once, and whose success is the verdict.
struct JobProbe {
  RawJson job_template;  // "template": a JobTemplateSpec
  bool operator==(const JobProbe&) const = default;
};

// Any PromQL expression with one value, of which the rules' `success` and `failure` judge.
struct QueryProbe {
  PrometheusServer server;
  std::string query;  // with placeholders, see deployment/query_probe.h
  bool operator==(const QueryProbe&) const = default;
};

// A verdict that is not of a quantity of the pods.
struct AnalysisProbe {
  std::string name;
  std::optional<DriftProbe> drift;
  std::optional<JobProbe> job;
  std::optional<QueryProbe> query;
  LookRules rules;
  bool operator==(const AnalysisProbe&) const = default;
};

struct Analysis {
  Duration interval{Millis(30'000)};
  Duration window{Millis(300'000)};
  std::int64_t min_samples = 30;  // a variant below this answers NoData
  int failure_limit = 1;          // failing looks in a row that roll back
  int inconclusive_limit = 3;     // undecided looks in a row that still only wait
  std::vector<AnalysisCheck> checks;
  std::vector<AnalysisProbe> probes;
  bool operator==(const Analysis&) const = default;
};

struct Primary {
  Quantity quantity;
  Goal goal = Goal::kDecrease;
  bool operator==(const Primary&) const = default;
};

struct Guardrail {
  Quantity quantity;
  Decimal max_increase;  // non-inferiority margin on the challenger minus the champion
  bool operator==(const Guardrail&) const = default;
};

// How a fixed split's weights move while an experiment compares: not at all, or by Thompson's rule,
// each variant in proportion to the probability that it is the best.
enum class Allocation { kFixed, kThompson };

enum class OnInconclusive { kKeepChampion, kPromote };

// An A/B test with always-valid sequential inference: looking at every reconcile is safe.
struct Experiment {
  Primary primary;
  std::vector<Guardrail> guardrails;
  Decimal alpha{0.05, "0.05"};
  std::int64_t min_samples = 500;        // per variant, before any decision; never below 100
  std::int64_t expected_samples = 5000;  // total at which the test is most sensitive (AsympCS)
  Duration min_duration;                 // a win before it waits
  Duration max_duration{Millis(259'200'000)};
  OnInconclusive on_inconclusive = OnInconclusive::kKeepChampion;
  Allocation weights = Allocation::kFixed;  // of spec.variants
  int floor = 5;                            // Thompson: the least and most percent of a variant
  int ceiling = 90;
  std::optional<Duration> interval;  // of looks; else the analysis' own, or ten seconds
  bool operator==(const Experiment&) const = default;
};

// Pods of a challenger behind a gateway: as many as the champion has, or what its weight needs.
enum class ChallengerReplicas { kFull, kProportional };

struct Rollout {
  std::vector<RolloutStep> steps;  // empty: see deployment::StepsOf
  Duration progress_deadline{Millis(600'000)};
  ChallengerReplicas challenger_replicas = ChallengerReplicas::kFull;
  Duration keep_previous;        // how long after a promotion the old version's pods stay
  std::optional<Source> source;  // of checks and experiment; absent: the pods themselves
  std::optional<Analysis> analysis;
  std::optional<Experiment> experiment;
  bool operator==(const Rollout&) const = default;
};

struct FixedVariant {
  std::string name;
  int weight = 0;
  ModelReference model;
  bool operator==(const FixedVariant&) const = default;
};

enum class Delivery { kDownload, kImageVolume };

// How the artifact gets into the pods, beside its address in the environment.
struct Storage {
  Delivery type = Delivery::kDownload;
  std::string image;               // Download: of the init container
  std::string credentials_secret;  // Download: its variables
  std::string path = "/models";    // where the containers find it
  bool operator==(const Storage&) const = default;
};

enum class Protocol { kNone, kOpenInference };

// A HorizontalPodAutoscaler (autoscaling/v2) for each variant; metrics and behavior are its own.
struct Autoscaling {
  int min_replicas = 1;
  int max_replicas = 0;
  std::vector<RawJson> metrics;
  RawJson behavior;
  bool operator==(const Autoscaling&) const = default;
};

enum class Updates { kAutomatic, kManual };

struct ModelDeploymentSpec {
  std::optional<ModelReference> model;
  std::vector<FixedVariant> variants;
  Updates updates = Updates::kAutomatic;
  std::optional<int> replicas;  // 1 unless set
  std::optional<Autoscaling> autoscaling;
  RawJson disruption_budget;  // a PodDisruptionBudgetSpec without its selector
  RawJson batch;              // a CronJobSpec
  RawJson pod_template;       // "template": a PodTemplateSpec
  std::optional<Storage> storage;
  Protocol protocol = Protocol::kNone;
  MetricsEndpoint metrics;
  Traffic traffic;
  Rollout rollout;
  std::optional<ApprovalRule> approval;
  bool operator==(const ModelDeploymentSpec&) const = default;
};

struct VariantStatus {
  std::string name;  // champion, challenger, or the fixed variant's name
  std::string version;
  std::string service;
  ModelReference model;
  int replicas = 0;
  int ready_replicas = 0;
  int weight_wanted = 0;  // percent
  int weight = 0;         // percent in effect: what the accepted route says
  bool operator==(const VariantStatus&) const = default;
};

struct CheckStatus {
  std::string name;
  std::string challenger;  // decimal text
  std::string champion;
  std::string threshold;
  std::int64_t samples = 0;  // the challenger's
  Verdict verdict = Verdict::kNoData;
  std::string message;
  int looks = 0;                  // with a verdict, where they are counted
  int failures = 0;               // failing ones in a row
  int inconclusive = 0;           // undecided ones in a row
  std::optional<Time> looked_at;  // the look that was counted last
  std::string job;                // of a probe that runs one
  std::string job_uid;            // since that Job was seen: a second one is none of ours
  bool operator==(const CheckStatus&) const = default;
};

// What one quantity has counted in one variant: its sufficient statistics, as decimal text.
struct ArmCounts {
  std::string n;
  std::string sum;
  std::string squares;  // empty: not known
  // Of a Ratio, else empty.
  std::string denominator{};
  std::string denominator_squares{};
  std::string products{};
  bool operator==(const ArmCounts&) const = default;
};

struct QuantityCounts {
  std::string name;  // of the quantity
  ArmCounts champion;
  ArmCounts challenger;
  std::string definition{};  // a hash of what the quantity is counted of
  bool operator==(const QuantityCounts&) const = default;
};

// The running state of the sequential test: the p-value doesn't rise as long as the same one is
// better, and with what was counted it survives restarts.
struct ExperimentStatus {
  std::string effect;  // challenger minus champion
  std::string lower;   // always-valid confidence interval
  std::string upper;
  std::string p_value;  // running minimum
  std::int64_t champion_samples = 0;
  std::int64_t challenger_samples = 0;
  Verdict verdict = Verdict::kNoData;
  std::string message;
  bool mismatch = false;  // numbers of requests are not what the weights should have given
  // What a Bayesian would bet on the primary: information, not part of the verdict.
  std::string probability_better;
  std::string expected_loss;
  std::vector<CheckStatus> guardrails;
  std::vector<QuantityCounts> counts;  // of the primary and each guardrail
  bool operator==(const ExperimentStatus&) const = default;
};

enum class RolloutPhase {
  kStarting,
  kProgressing,
  kPaused,
  kPromoting,
  kPromoted,
  kRollingBack,
  kRolledBack
};

struct RolloutStatus {
  std::string version;   // the challenger
  std::string champion;  // what it is compared with
  RolloutPhase phase = RolloutPhase::kStarting;
  int step = 0;            // index into spec.rollout.steps
  std::string progress{};  // "2/4": in the second of four steps; empty outside of steps
  Time started;
  Time step_started;       // since when the step's weight is in effect, or is awaited
  bool in_effect = false;  // which of the two
  bool paused = false;     // by the annotation perennial.dev/pause
  // Until a step is in effect, what the deadline is measured against:
  bool pods_ready = false;      // the pods are ready, the route is awaited
  bool scaled_to_zero = false;  // nothing is to run, nothing can be judged
  int released = 0;             // the step (1 is the first) that a person ended
  std::string message;
  std::optional<Time> until;  // when what it waits for is over, whatever comes
  std::string then;           // and what happens then
  // Since when both have traffic; moved on by as long as nothing ran.
  std::optional<Time> experiment_started;
  std::optional<Time> experiment_ends;
  std::vector<CheckStatus> checks;
  std::optional<ExperimentStatus> experiment;
  bool operator==(const RolloutStatus&) const = default;
};

// The A/B/n test of a fixed split: one variant against the control.
struct Comparison {
  std::string variant;
  std::string control;
  std::string identity;  // versions and weights of the whole split: counts hold for this one alone
  ExperimentStatus experiment;
  bool operator==(const Comparison&) const = default;
};

struct HistoryEntry {
  std::string version;
  std::string outcome;  // Promoted, RolledBack, Superseded
  Time at;
  std::string message;
  bool operator==(const HistoryEntry&) const = default;
};

// A request by annotation that was answered: the same value is never carried out twice.
struct CommandStatus {
  std::string name;  // abort, promote, ...
  std::string value;
  Time at;
  std::string outcome;
  bool operator==(const CommandStatus&) const = default;
};

struct ModelDeploymentStatus {
  std::int64_t observed_generation = -1;
  std::string champion;  // name of the ModelVersion; empty before the first serves
  std::string challenger;
  std::vector<VariantStatus> variants;
  std::optional<RolloutStatus> rollout;
  std::vector<Comparison> comparisons;  // of a fixed split
  std::vector<HistoryEntry> history;    // newest first, at most 10
  std::vector<CommandStatus> commands;  // the last of each name
  int replicas = 0;
  int ready_replicas = 0;
  std::string selector;  // label selector of all pods, for the scale subresource
  bool approximate_split = false;
  std::string why;
  std::vector<kube::Condition> conditions;
  bool operator==(const ModelDeploymentStatus&) const = default;
};

struct ModelDeployment {
  kube::Meta meta;
  ModelDeploymentSpec spec;
  ModelDeploymentStatus status;
  bool operator==(const ModelDeployment&) const = default;
};

}  // namespace perennial::api

namespace perennial::kube {

// Looked at when it or one of its children changes.
template <>
struct Kept<api::ModelDeployment> : Packed<api::ModelDeployment> {};

}  // namespace perennial::kube
