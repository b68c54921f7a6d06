#pragma once

#include <algorithm>

#include "api/condition_schema.h"
#include "api/model_version.h"
#include "api/rules.h"
#include "api/schema.h"
#include "base/clock.h"

// Tables of ModelVersion, and of what other kinds share with it: artifacts, gates, profiles.
namespace perennial::api {

template <>
struct EnumNames<MetricType> {
  static constexpr std::array<std::string_view, 2> kNames{"Numeric", "Categorical"};
};
template <>
struct EnumNames<GateComparison> {
  static constexpr std::array<std::string_view, 3> kNames{"Absolute", "Champion", "Parent"};
};
template <>
struct EnumNames<GateAcross> {
  static constexpr std::array<std::string_view, 4> kNames{"Single", "WorstGroup", "GroupDifference",
                                                          "GroupRatio"};
};
template <>
struct EnumNames<OtherData> {
  static constexpr std::array<std::string_view, 2> kNames{"Flag", "Fail"};
};
template <>
struct EnumNames<ComparedOn> {
  static constexpr std::array<std::string_view, 3> kNames{"Unknown", "SameData", "OtherData"};
};
template <>
struct EnumNames<GateMode> {
  static constexpr std::array<std::string_view, 2> kNames{"Enforce", "DryRun"};
};
template <>
struct EnumNames<Verdict> {
  static constexpr std::array<std::string_view, 4> kNames{"Pass", "Fail", "Inconclusive", "NoData"};
};

template <>
struct Schema<ModelReference> {
  using T = ModelReference;
  static constexpr std::tuple kFields{
      Field{"uri", &T::uri,
            "Where the artifact is. The serving container gets it as MODEL_URI and loads it.",
            Required(kUri)},
      Field{"digest", &T::digest,
            "What the artifact must hash to: \"sha256:\" and 64 hexadecimal digits. The serving "
            "container gets it as MODEL_DIGEST; an approval must name it.",
            kDigest},
  };
};

template <>
struct Schema<Category> {
  using T = Category;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "The label's value.", Rules{.required = true, .max_length = 256}},
      Field{"count", &T::count, "Rows of this category.", Rules{.required = true, .min = 0}},
  };
};

template <>
struct Schema<MetricProfile> {
  using T = MetricProfile;
  static constexpr std::tuple kFields{
      Field{"metric", &T::metric, "The metric that serving pods expose for the same quantity.",
            Required(kMetricName)},
      Field{"type", &T::type,
            "Numeric: a histogram, in `bounds` and `counts`. Categorical: `categories`, by "
            "`label`.",
            Rules{.required = true}},
      Field{"bounds", &T::bounds,
            "Upper bounds of the buckets, inclusive and ascending; those of the serving "
            "histogram. +Inf is implied.",
            Rules{.max_items = 256}},
      Field{"counts", &T::counts,
            "Rows in each bucket, one more than there are bounds: the last counts what lies above "
            "the highest bound.",
            Rules{.min = 0, .max_items = 257}},
      Field{"sum", &T::sum, "Sum of the values.", Rules{}},
      Field{"sumSquares", &T::sum_squares, "Sum of the squared values.", Rules{.min = 0}},
      Field{"min", &T::min, "Smallest value.", Rules{}},
      Field{"max", &T::max, "Greatest value.", Rules{}},
      Field{"nulls", &T::nulls, "Rows without a value.", Rules{.min = 0}},
      Field{"label", &T::label, "Categorical: the label whose values are the categories.",
            kLabelName},
      Field{"categories", &T::categories, "Categorical: rows of each category.",
            Rules{.max_items = 256, .list_key = "name"}},
  };
  static constexpr std::array kCel{
      Cel<T>{"self.type != 'Numeric' || (has(self.bounds) && has(self.counts) && "
             "size(self.counts) == size(self.bounds) + 1)",
             "a Numeric profile needs bounds, and counts with one element more than bounds",
             "counts",
             [](const T& v) {
               return v.type != MetricType::kNumeric ||
                      (!v.bounds.empty() && v.counts.size() == v.bounds.size() + 1);
             }},
      Cel<T>{"!has(self.bounds) || self.bounds.isSorted()",
             "bounds must ascend: sort them, and the counts with them", "bounds",
             [](const T& v) { return std::is_sorted(v.bounds.begin(), v.bounds.end()); }},
      Cel<T>{"self.type != 'Categorical' || (has(self.label) && has(self.categories))",
             "a Categorical profile needs label and categories", "categories",
             [](const T& v) {
               return v.type != MetricType::kCategorical ||
                      (!v.label.empty() && !v.categories.empty());
             }},
  };
};

template <>
struct Schema<FeatureImportance> {
  using T = FeatureImportance;
  static constexpr std::tuple kFields{
      Field{"feature", &T::feature, "Its name, as serving pods have it in a label.",
            Rules{.required = true, .max_length = 256}},
      Field{"importance", &T::importance,
            "How much it counts for the predictions, such as its mean absolute SHAP value; the "
            "sign doesn't matter.",
            Rules{.required = true}},
  };
};

template <>
struct Schema<Profile> {
  using T = Profile;
  static constexpr std::tuple kFields{
      Field{"rows", &T::rows, "Rows that were trained on.", Rules{.min = 0}},
      Field{"metrics", &T::metrics, "The distribution of each metric at training time.",
            Rules{.max_items = 64, .list_key = "metric"}},
      Field{"featureAttribution", &T::feature_attribution,
            "How much each feature counted for the predictions, for signals of type "
            "AttributionDrift.",
            Rules{.max_items = 256, .list_key = "feature"}},
  };
};

template <>
struct Schema<EvaluationMetric> {
  using T = EvaluationMetric;
  static constexpr std::tuple kFields{
      Field{"name", &T::name, "Such as mae or accuracy; gates refer to it.", Required(kItemName)},
      Field{"group", &T::group, "The group of rows that was evaluated; empty: all rows.",
            Rules{.max_length = 128}},
      Field{"value", &T::value, "The metric's value.", Rules{.required = true}},
      Field{"samples", &T::samples, "Rows that it was computed from; 0: not given.",
            Rules{.min = 0}},
  };
};

template <>
struct Schema<DataReference> {
  using T = DataReference;
  static constexpr std::tuple kFields{
      Field{"uri", &T::uri, "Where the data is.", Rules{.required = true, .max_length = 2048}},
      Field{"digest", &T::digest, "What the data hashed to.", kDigest},
      Field{"rows", &T::rows, "Rows that were read.", Rules{.min = 0}},
  };
};

template <>
struct Schema<ConfusionCell> {
  using T = ConfusionCell;
  static constexpr std::tuple kFields{
      Field{"group", &T::group, "The group of rows; empty: all.", Rules{.max_length = 256}},
      Field{"actual", &T::actual, "The actual class.", Rules{.required = true, .max_length = 256}},
      Field{"predicted", &T::predicted, "The predicted class.",
            Rules{.required = true, .max_length = 256}},
      Field{"count", &T::count, "Rows.", Rules{.required = true, .min = 0}},
  };
};
inline constexpr Rules kConfusionMatrix{.max_items = 512};

template <>
struct Schema<CodeReference> {
  using T = CodeReference;
  static constexpr std::tuple kFields{
      Field{"repository", &T::repository, "Where the training code is.", Rules{}},
      Field{"commit", &T::commit, "Its commit.", Rules{.max_length = 128}},
  };
};

template <>
struct Schema<Gate> {
  using T = Gate;
  static constexpr std::tuple kFields{
      Field{"metric", &T::metric,
            "Name of an evaluation metric in the training result; or one that can be computed from "
            "its confusion matrix, such as recall or demographic_parity_difference.",
            Required(kItemName)},
      Field{"group", &T::group, "The group of rows; empty: all rows.", Rules{.max_length = 128}},
      Field{"across", &T::across,
            "Single: the value of all rows, or of `group`. WorstGroup: each group's value, and the "
            "worst counts. GroupDifference: the greatest group's value minus the smallest's. "
            "GroupRatio: the smallest divided by the greatest.",
            Rules{}},
      Field{"groups", &T::groups, "The groups that are compared; empty: all in the result.",
            Rules{.max_length = 128, .max_items = 32, .set = true}},
      Field{"minGroupSamples", &T::min_group_samples,
            "Groups that were evaluated on fewer rows are left out, and named in the verdict.",
            Rules{.min = 0}},
      Field{"positive", &T::positive,
            "The class that precision, recall, rates and fairness measures are about, where they "
            "are computed from the confusion matrix.",
            Rules{.max_length = 256}},
      Field{"versus", &T::versus,
            "Absolute: the value itself, with max or min. Champion: its change from the version "
            "that served when the new one was made, with maxIncrease or maxDecrease. Parent: its "
            "change from the version that it was trained from (spec.trainedFrom of the "
            "ModelVersion), by default the champion.",
            Rules{}},
      Field{"onOtherData", &T::on_other_data,
            "A comparison of evaluations on different data (by evaluationData.digest). Flag: is "
            "made, and status says so. Fail: fails, also where a digest is not recorded.",
            Rules{}},
      Field{"max", &T::max, "The value may be at most this.", Rules{}},
      Field{"min", &T::min, "The value must be at least this.", Rules{}},
      Field{"maxIncrease", &T::max_increase,
            "Value minus the one that it is compared with may be at most this.", Rules{}},
      Field{"maxDecrease", &T::max_decrease,
            "The value that it is compared with minus this one's, likewise.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"[has(self.max), has(self.min), has(self.maxIncrease), has(self.maxDecrease)]"
             ".filter(b, b).size() == 1",
             "a gate has exactly one bound: set one of max, min, maxIncrease, maxDecrease", "",
             [](const T& v) {
               return v.max.has_value() + v.min.has_value() + v.max_increase.has_value() +
                          v.max_decrease.has_value() ==
                      1;
             }},
      Cel<T>{"(has(self.versus) && self.versus != 'Absolute') == "
             "(has(self.maxIncrease) || has(self.maxDecrease))",
             "versus: Champion or Parent goes with maxIncrease or maxDecrease; without it set max "
             "or min",
             "versus",
             [](const T& v) {
               return (v.versus != GateComparison::kAbsolute) ==
                      (v.max_increase.has_value() || v.max_decrease.has_value());
             }},
      Cel<T>{"!has(self.group) || self.group == '' || !has(self.across) || "
             "self.across == 'Single'",
             "group is one group, and across is about several: set one of them", "across",
             [](const T& v) { return v.group.empty() || v.across == GateAcross::kSingle; }},
  };
};

template <>
struct Schema<ApprovalRule> {
  using T = ApprovalRule;
  static constexpr std::tuple kFields{
      Field{"required", &T::required,
            "Whether a version needs ModelApprovals before it gets any traffic.", Rules{}},
      Field{"approvers", &T::approvers, "How many different people must approve.",
            Rules{.min = 1, .max = 10}},
      Field{"expiresAfter", &T::expires_after,
            "How long after a version's creation its approvals may come; then it is Expired, and "
            "only a new version of the artifact can be approved. Absent: they may come at any "
            "time.",
            Rules{}},
      Field{"separationOfDuties", &T::separation_of_duties,
            "The approval of the user who made the version, or asked for its run, doesn't count "
            "(spec.origin.author of the ModelVersion).",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"!has(self.expiresAfter) || duration(self.expiresAfter) >= duration('1m')",
             "expiresAfter must be at least 1m", "expiresAfter",
             [](const T& v) { return !v.expires_after || v.expires_after->value >= Seconds(60); }},
  };
};

inline constexpr const char* kEvaluationDataDoc =
    "What the metrics were computed from. Its digest tells whether two versions were evaluated on "
    "the same data.";
inline constexpr Rules kGates{.max_items = 64};
inline constexpr Rules kEvaluationMetrics{.max_items = 256};
inline constexpr Rules kData{.max_items = 32};
inline constexpr Rules kParameters{.max_length = 1024, .max_items = 64};

template <>
struct EnumNames<OriginType> {
  static constexpr std::array<std::string_view, 3> kNames{"Spec", "Run", "External"};
};
template <>
struct EnumNames<VersionPhase> {
  static constexpr std::array<std::string_view, 6> kNames{
      "Pending", "GatesFailed", "AwaitingApproval", "Approved", "Rejected", "Expired"};
};

template <>
struct Schema<Origin> {
  using T = Origin;
  static constexpr std::tuple kFields{
      Field{"type", &T::type,
            "Spec: a ModelDeployment's spec names this artifact. Run: a retraining run made it. "
            "External: somebody else did, such as a pipeline.",
            Rules{.always = true}},
      Field{"policy", &T::policy, "Run: the RetrainPolicy.", kObjectName},
      Field{"run", &T::run, "Run: its name.", kObjectName},
      Field{"jobUID", &T::job_uid, "Run: UID of the Job that trained it.", Rules{.max_length = 64}},
      Field{"sharedJob", &T::shared_job,
            "Run: the Job's name, where another run of the policy's group made it.", kObjectName},
      Field{"triggerType", &T::trigger_type, "Run: Drift, Schedule or Manual.",
            Rules{.max_length = 32}},
      Field{"trigger", &T::trigger, "Run: the trigger's identity.", Rules{}},
      Field{"evidence", &T::evidence, "Run: what was seen when the trigger fired, as JSON text.",
            Rules{.max_length = 32768}},
      Field{"variant", &T::variant, "Spec: the fixed variant that names it; empty: spec.model.",
            kObjectName},
      Field{"requestedBy", &T::requested_by, "External: who asked for it.", Rules{}},
      Field{"author", &T::author,
            "The user who made the version, or asked for it by spec.model or by hand, as the API "
            "server knows them; admission lets nobody write another's name. Empty: nobody did, or "
            "it isn't known.",
            Rules{.max_length = 256}},
      Field{"copyOf", &T::copy_of,
            "The version that was retried or restored by this one; the rest of its origin is that "
            "version's.",
            kObjectName},
  };
};

template <>
struct Schema<Requirements> {
  using T = Requirements;
  static constexpr std::tuple kFields{
      Field{"gates", &T::gates, "Bounds on the evaluation metrics.", kGates},
      Field{"mode", &T::mode, "DryRun: gates are reported, and stop nothing.", Rules{}},
      Field{"approval", &T::approval, "Who must agree.", Rules{}},
  };
};

template <>
struct Schema<ModelVersionSpec> {
  using T = ModelVersionSpec;
  static constexpr std::tuple kFields{
      Field{"modelDeployment", &T::model_deployment,
            "The ModelDeployment that this is a version of.", Required(kObjectName)},
      Field{"revision", &T::revision,
            "Orders the versions of a deployment by intent: the highest approved one serves.",
            Rules{.always = true, .min = 0}},
      Field{"model", &T::model, "The artifact.", Rules{.required = true}},
      Field{"origin", &T::origin, "Why this version exists.", Rules{}},
      Field{"parent", &T::parent, "The version that served when this one was made.", kObjectName},
      Field{"trainedFrom", &T::trained_from,
            "The version whose training this one continues (fine-tuning, warm start); empty: it "
            "was trained from scratch, or from the parent.",
            kObjectName},
      Field{"metrics", &T::metrics, "The evaluation of the trained model.", kEvaluationMetrics},
      Field{"evaluationData", &T::evaluation_data, kEvaluationDataDoc, Rules{}},
      Field{"data", &T::data, "What it was trained on.", kData},
      Field{"code", &T::code, "What it was trained by.", Rules{}},
      Field{"image", &T::image, "The training image.", Rules{}},
      Field{"parameters", &T::parameters, "Parameters of the training.", kParameters},
      Field{"report", &T::report, "URI of a report about the training.", Rules{.max_length = 2048}},
      Field{"explanation", &T::explanation,
            "URI of a report that explains the model's predictions.", Rules{.max_length = 2048}},
      Field{"confusionMatrix", &T::confusion_matrix,
            "The evaluation's confusion matrix, one entry for each actual and predicted class.",
            kConfusionMatrix},
      Field{"profile", &T::profile,
            "The distribution of inputs and outputs at training time: monitors compare with it.",
            Rules{}},
      Field{"requirements", &T::requirements,
            "What this version must satisfy before it may serve, copied from the RetrainPolicy "
            "when it was made.",
            Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"self == oldSelf",
             "a ModelVersion never changes: create a new one with a higher spec.revision", "",
             nullptr},
  };
};

template <>
struct Schema<GateStatus> {
  using T = GateStatus;
  static constexpr std::tuple kFields{
      Field{"gate", &T::gate, "The gate: metric, comparison and bound.", Rules{.required = true}},
      Field{"group", &T::group, "WorstGroup: the group that was the worst.", Rules{}},
      Field{"value", &T::value, "The metric's value; empty where the result has none.", Rules{}},
      Field{"reference", &T::reference, "The champion's or parent's value, where compared.",
            Rules{}},
      Field{"threshold", &T::threshold, "The bound.", Rules{}},
      Field{"verdict", &T::verdict, "Pass, Fail or NoData.", Rules{.always = true}},
      Field{"comparedOn", &T::compared_on,
            "SameData or OtherData: whether the version that it is compared with was evaluated on "
            "the same data. Unknown: one of them records no digest of it.",
            Rules{}},
      Field{"message", &T::message,
            "Why it didn't pass; or what a reader should know although it did.", kMessage},
  };
};

template <>
struct Schema<Serving> {
  using T = Serving;
  static constexpr std::tuple kFields{
      Field{"role", &T::role, "champion, challenger or the fixed variant's name.",
            Rules{.required = true}},
      Field{"from", &T::from, "Since when.", Rules{.required = true}},
      Field{"to", &T::to, "Until when; absent: it serves.", Rules{}},
      Field{"share", &T::share, "The greatest share of traffic that it had, percent.",
            Rules{.min = 0, .max = 100}},
      Field{"outcome", &T::outcome, "Promoted, RolledBack, Superseded or Retired.", Rules{}},
      Field{"verdict", &T::verdict, "Why it ended so.", kMessage},
  };
};

template <>
struct Schema<ModelVersionStatus> {
  using T = ModelVersionStatus;
  static constexpr std::tuple kFields{
      Field{"observedGeneration", &T::observed_generation, kObservedGenerationDoc,
            Rules{.always = true, .min = -1}},
      Field{"phase", &T::phase, "How far the version has come on its way to traffic.",
            Rules{.always = true}},
      Field{"why", &T::why, "Why, in one sentence.", kMessage},
      Field{"gates", &T::gates, "The verdict of each gate.", kGates},
      Field{"approvedBy", &T::approved_by, "Who approved this digest.", Rules{.max_items = 64}},
      Field{"approvedSteps", &T::approved_steps,
            "Steps of its rollout (1 is the first) that enough people approved.",
            Rules{.max_items = 32}},
      Field{"rejectedBy", &T::rejected_by, "Who rejected it.", Rules{}},
      Field{"serving", &T::serving, "When it served, newest first.", Rules{.max_items = 10}},
      Field{"trainedToDeployedSeconds", &T::trained_to_deployed,
            "From the version's creation to its promotion.", Rules{.min = 0}},
      Field{"conditions", &T::conditions, kConditionsDoc, kConditions},
  };
};

}  // namespace perennial::api
