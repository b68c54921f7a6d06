#include "api/model_version.h"

#include "api/codec.h"
#include "api/condition_schema.h"
#include "api/kinds.h"
#include "api/model_version_schema.h"
#include "api/schema_describe.h"

namespace perennial::api {

template <>
struct EnumNames<OriginType> {
  static constexpr std::array<std::string_view, 3> kNames{"Spec", "Run", "External"};
};
template <>
struct EnumNames<VersionPhase> {
  static constexpr std::array<std::string_view, 5> kNames{
      "Pending", "GatesFailed", "AwaitingApproval", "Approved", "Rejected"};
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
      Field{"triggerType", &T::trigger_type, "Run: Drift, Schedule or Manual.",
            Rules{.max_length = 32}},
      Field{"trigger", &T::trigger, "Run: the trigger's identity.", Rules{}},
      Field{"evidence", &T::evidence, "Run: what was seen when the trigger fired, as JSON text.",
            Rules{.max_length = 32768}},
      Field{"variant", &T::variant, "Spec: the fixed variant that names it; empty: spec.model.",
            kObjectName},
      Field{"requestedBy", &T::requested_by, "External: who asked for it.", Rules{}},
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
      Field{"metrics", &T::metrics, "The evaluation of the trained model.", kEvaluationMetrics},
      Field{"data", &T::data, "What it was trained on.", kData},
      Field{"code", &T::code, "What it was trained by.", Rules{}},
      Field{"image", &T::image, "The training image.", Rules{}},
      Field{"parameters", &T::parameters, "Parameters of the training.", kParameters},
      Field{"report", &T::report, "URI of a report about the training.", Rules{.max_length = 2048}},
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
      Field{"value", &T::value, "The metric's value; empty where the result has none.", Rules{}},
      Field{"reference", &T::reference, "The champion's value, where compared.", Rules{}},
      Field{"threshold", &T::threshold, "The bound.", Rules{}},
      Field{"verdict", &T::verdict, "Pass, Fail or NoData.", Rules{.always = true}},
      Field{"message", &T::message, "Why, where it didn't pass.", kMessage},
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
      Field{"rejectedBy", &T::rejected_by, "Who rejected it.", Rules{}},
      Field{"conditions", &T::conditions, kConditionsDoc, kConditions},
  };
};

Result<ModelVersion> DecodeModelVersion(const nlohmann::json& object) {
  return DecodeKind<ModelVersion>(object);
}

std::string EncodeStatus(const ModelVersionStatus& status) {
  return Encode(status, {.clip = true});
}

std::string EncodeSpec(const ModelVersionSpec& spec) {
  return Encode(spec);
}

std::vector<std::string> Validate(const ModelVersionSpec& spec) {
  return Check(spec, Path("spec"));
}

Result<Profile> DecodeProfile(const nlohmann::json& value) {
  Profile profile;
  std::string error;
  if (!ReadObject(value, Path("profile"), profile, error)) return Error{Errc::kInvalid, error};
  return profile;
}

std::string EncodeProfile(const Profile& profile) {
  return Encode(profile);
}

KindInfo ModelVersionKind() {
  KindInfo kind{.resource = kModelVersions,
                .short_name = "mv",
                .doc =
                    "Immutable record of one trained model: artifact and digest, lineage, "
                    "evaluation, training-data profile. Its status tells how gates and "
                    "approvals judged it.",
                .spec = Describe<ModelVersionSpec>(),
                .status = Describe<ModelVersionStatus>()};
  kind.selectable = {".spec.modelDeployment"};
  kind.columns = {
      {"Model", "string", ".spec.modelDeployment"}, {"Revision", "integer", ".spec.revision"},
      {"Phase", "string", ".status.phase"},         {"Origin", "string", ".spec.origin.type"},
      {"Run", "string", ".spec.origin.run", 1},     {"URI", "string", ".spec.model.uri", 1},
      {"Why", "string", ".status.why", 1},          kAgeColumn,
  };
  return kind;
}

}  // namespace perennial::api
