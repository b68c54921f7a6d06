#include "api/codec.h"
#include "api/kinds.h"
#include "api/model_version_schema.h"
#include "api/names.h"
#include "api/pack.h"
#include "api/schema_describe.h"

namespace perennial::api {

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
  kind.conditions = {
      {"Approved", "The version may serve. False says what it lacks."},
      {"GatesPassed", "Every gate passed, or the gates are a dry run."},
  };
  return kind;
}

std::optional<WallTime> PromotedAt(const ModelVersion& version) {
  const std::string* text = kube::Find(version.meta.annotations, kAnnotationPromoted);
  return text == nullptr ? std::nullopt : ParseTime(*text);
}

}  // namespace perennial::api

namespace perennial::kube {
template struct Packed<api::ModelVersion>;
}  // namespace perennial::kube
