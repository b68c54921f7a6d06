#include "api/codec.h"
#include "api/kinds.h"
#include "api/model_approval_schema.h"
#include "api/schema_describe.h"

namespace perennial::api {

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
  kind.name_is_label = false;  // nothing is named after it, and pipelines name them freely
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
