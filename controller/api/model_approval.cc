#include "api/model_approval.h"

#include "api/codec.h"
#include "api/kinds.h"
#include "api/rules.h"
#include "api/schema_describe.h"

namespace perennial::api {

template <>
struct EnumNames<ApprovalDecision> {
  static constexpr std::array<std::string_view, 2> kNames{"Approve", "Reject"};
};

template <>
struct Schema<ModelApprovalSpec> {
  using T = ModelApprovalSpec;
  static constexpr std::tuple kFields{
      Field{"modelVersion", &T::model_version, "The ModelVersion that is decided about.",
            Required(kObjectName)},
      Field{"digest", &T::digest,
            "The digest of the version's artifact. An approval of another digest is void.",
            kDigest},
      Field{"decision", &T::decision,
            "Approve or Reject. A rejection is final for its version; rejecting one that serves "
            "rolls back.",
            Rules{.required = true}},
      Field{"approver", &T::approver,
            "The user who creates this object, as the API server knows them (kubectl auth whoami).",
            Rules{.required = true, .min_length = 1, .max_length = 256}},
      Field{"reason", &T::reason, "Why.", Rules{}},
  };
  static constexpr std::array kCel{
      Cel<T>{"self == oldSelf", "a ModelApproval never changes: create another one", "", nullptr},
  };
};

Result<ModelApproval> DecodeModelApproval(const nlohmann::json& object) {
  return DecodeKind<ModelApproval>(object);
}

std::string EncodeSpec(const ModelApprovalSpec& spec) {
  return Encode(spec);
}

std::vector<std::string> Validate(const ModelApprovalSpec& spec) {
  return Check(spec, Path("spec"));
}

KindInfo ModelApprovalKind() {
  KindInfo kind{.resource = kModelApprovals,
                .short_name = "ma",
                .doc =
                    "One person's (or pipeline's) decision about one ModelVersion. Created once "
                    "and never changed; the creator needs the verb \"approve\" on the "
                    "ModelVersion.",
                .spec = Describe<ModelApprovalSpec>()};
  kind.selectable = {".spec.modelVersion"};
  kind.columns = {
      {"Version", "string", ".spec.modelVersion"},
      {"Decision", "string", ".spec.decision"},
      {"Approver", "string", ".spec.approver"},
      {"Reason", "string", ".spec.reason", 1},
      kAgeColumn,
  };
  return kind;
}

}  // namespace perennial::api
