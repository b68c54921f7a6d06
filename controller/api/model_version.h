#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/scalars.h"
#include "kube/kept.h"
#include "kube/meta.h"

namespace perennial::api {

// An artifact: where it is and what it must hash to. `digest` is "sha256:<64 hex>" or empty.
struct ModelReference {
  std::string uri;
  std::string digest;
  bool operator==(const ModelReference&) const = default;
};

enum class MetricType { kNumeric, kCategorical };

struct Category {
  std::string name;
  double count = 0;
  bool operator==(const Category&) const = default;
};

// The distribution of one metric at training time, in the buckets that serving pods expose.
// counts has one element more than bounds: the last is the share above the highest bound.
struct MetricProfile {
  std::string metric;
  MetricType type = MetricType::kNumeric;
  std::vector<double> bounds;
  std::vector<double> counts;
  std::optional<double> sum;
  std::optional<double> sum_squares;
  std::optional<double> min;
  std::optional<double> max;
  std::int64_t nulls = 0;
  std::string label;  // categorical: the metric's label that names the category
  std::vector<Category> categories;
  bool operator==(const MetricProfile&) const = default;
};

// How much a feature counts for the predictions, such as its mean absolute SHAP value. Only the
// order and the proportions matter; the sign doesn't.
struct FeatureImportance {
  std::string feature;
  double importance = 0;
  bool operator==(const FeatureImportance&) const = default;
};

struct Profile {
  std::int64_t rows = 0;
  std::vector<MetricProfile> metrics;
  std::vector<FeatureImportance> feature_attribution;
  bool operator==(const Profile&) const = default;
};

// One evaluation metric of a trained model, of all rows or of one group.
struct EvaluationMetric {
  std::string name;
  std::string group;  // empty: all rows
  double value = 0;
  std::int64_t samples = 0;  // 0: not given
  bool operator==(const EvaluationMetric&) const = default;
};

struct DataReference {
  std::string uri;
  std::string digest;
  std::int64_t rows = 0;
  bool operator==(const DataReference&) const = default;
};

// Rows of one actual class that were predicted as one class.
struct ConfusionCell {
  std::string group;  // empty: all rows
  std::string actual;
  std::string predicted;
  std::int64_t count = 0;
  bool operator==(const ConfusionCell&) const = default;
};

struct CodeReference {
  std::string repository;
  std::string commit;
  bool operator==(const CodeReference&) const = default;
};

enum class OriginType { kSpec, kRun, kExternal };

// Why this version exists.
struct Origin {
  OriginType type = OriginType::kExternal;
  std::string policy;        // Run: the RetrainPolicy's name
  std::string run;           // Run: the run's name
  std::string job_uid;       // Run: UID of the Job that trained it
  std::string shared_job;    // Run: the Job's name, where another policy's run made it
  std::string trigger_type;  // Run: Drift, Schedule or Manual
  std::string trigger;       // Run: the trigger's identity
  std::string evidence;      // Run: JSON of what was seen when the trigger fired
  std::string variant;       // Spec: the fixed variant that declares it, or empty for spec.model
  std::string requested_by;  // External: free text
  std::string author;        // the user who made or asked for it, as admission saw them
  std::string copy_of;       // the version whose retry or restoration this is
  bool operator==(const Origin&) const = default;
};

// A requirement on an evaluation metric. Exactly one of max, min, max_increase, max_decrease.
// Champion: the version that served when this one was made (spec.parent); Parent: the version that
// it was trained from (spec.trainedFrom, or the champion). So the verdict is a function of
// immutable objects and can be repeated years later.
enum class GateComparison { kAbsolute, kChampion, kParent };
// What a gate looks at: one value, or the values of groups.
enum class GateAcross { kSingle, kWorstGroup, kGroupDifference, kGroupRatio };
// What a comparison is worth whose two evaluations were not of the same data.
enum class OtherData { kFlag, kFail };
struct Gate {
  std::string metric;
  std::string group;
  GateAcross across = GateAcross::kSingle;
  std::vector<std::string> groups;      // those that count; empty: all
  std::int64_t min_group_samples = 30;  // smaller groups are left out
  std::string positive;                 // class, where the metric comes from a confusion matrix
  GateComparison versus = GateComparison::kAbsolute;
  OtherData on_other_data = OtherData::kFlag;
  std::optional<Decimal> max;
  std::optional<Decimal> min;
  std::optional<Decimal> max_increase;  // versus another: value - reference <= this
  std::optional<Decimal> max_decrease;  // versus another: reference - value <= this
  bool operator==(const Gate&) const = default;
};

enum class GateMode { kEnforce, kDryRun };

struct ApprovalRule {
  bool required = false;
  int approvers = 1;                        // distinct people
  std::optional<Duration> expires_after{};  // from the version's creation; absent: never
  bool separation_of_duties = false;        // the version's author's approval doesn't count
  bool operator==(const ApprovalRule&) const = default;
};

// What this version must satisfy before it may serve, copied from the policy when it was made, so
// that a later edit of the policy rewrites no history.
struct Requirements {
  std::vector<Gate> gates;
  GateMode mode = GateMode::kEnforce;
  ApprovalRule approval;
  bool operator==(const Requirements&) const = default;
};

// Immutable record of one model. `revision` orders the versions of a deployment by intent; it lives
// in spec so that the order survives the loss of status and of creation times.
struct ModelVersionSpec {
  std::string model_deployment;
  std::int64_t revision = 0;
  ModelReference model;
  Origin origin;
  std::string parent;        // the version that served when this one was made
  std::string trained_from;  // the version whose training it continues, if any
  std::vector<EvaluationMetric> metrics;
  std::optional<DataReference> evaluation_data;  // what the metrics were computed from
  std::vector<DataReference> data;
  CodeReference code;
  std::string image;  // training image, with digest where known
  std::map<std::string, std::string> parameters;
  std::string report;
  std::string explanation;                      // URI of a report that explains the model
  std::vector<ConfusionCell> confusion_matrix;  // of the evaluation
  std::optional<Profile> profile;
  Requirements requirements;
  bool operator==(const ModelVersionSpec&) const = default;
};

enum class Verdict { kPass, kFail, kInconclusive, kNoData };
// Whether a comparison's two evaluations were of the same data, by its digest.
enum class ComparedOn { kUnknown, kSameData, kOtherData };

struct GateStatus {
  std::string gate;       // "mae max", "mae versus Champion maxIncrease"
  std::string group;      // the group that was the worst
  std::string value;      // decimal text, or empty where the metric is missing
  std::string reference;  // the champion's or parent's value, where compared
  std::string threshold;
  Verdict verdict = Verdict::kNoData;
  ComparedOn compared_on = ComparedOn::kUnknown;
  std::string message;
  bool operator==(const GateStatus&) const = default;
};

enum class VersionPhase {
  kPending,
  kGatesFailed,
  kAwaitingApproval,
  kApproved,
  kRejected,
  kExpired  // nobody decided in time
};

struct Serving {
  std::string role;  // champion, challenger or the fixed variant's name
  Time from;
  std::optional<Time> to;
  int share = 0;        // the greatest share of traffic, percent
  std::string outcome;  // Promoted, RolledBack, Superseded, Retired; empty while it serves
  std::string verdict;  // why it ended so
  bool operator==(const Serving&) const = default;
};

struct ModelVersionStatus {
  std::int64_t observed_generation = -1;
  VersionPhase phase = VersionPhase::kPending;
  std::string why;
  std::vector<GateStatus> gates;
  std::vector<std::string> approved_by;
  std::vector<int> approved_steps;  // of its rollout (1 is the first)
  std::string rejected_by;
  std::vector<Serving> serving;                     // newest first, at most 10
  std::optional<std::int64_t> trained_to_deployed;  // seconds
  std::vector<kube::Condition> conditions;
  bool operator==(const ModelVersionStatus&) const = default;
};

struct ModelVersion {
  kube::Meta meta;
  ModelVersionSpec spec;
  ModelVersionStatus status;
  bool operator==(const ModelVersion&) const = default;
};

// When it became champion, as annotation kAnnotationPromoted says; nullopt: never, or not readable.
std::optional<WallTime> PromotedAt(const ModelVersion& version);

}  // namespace perennial::api

namespace perennial::kube {

// A model has several, with the profile of their training, and most of them never change again.
template <>
struct Kept<api::ModelVersion> : Packed<api::ModelVersion> {};

}  // namespace perennial::kube
