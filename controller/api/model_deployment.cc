#include "api/codec.h"
#include "api/kinds.h"
#include "api/model_deployment_schema.h"
#include "api/schema_describe.h"

namespace perennial::api {

Result<ModelDeployment> DecodeModelDeployment(const nlohmann::json& object) {
  return DecodeKind<ModelDeployment>(object);
}

std::string EncodeStatus(const ModelDeploymentStatus& status) {
  return Encode(status, {.clip = true});
}

std::string EncodeSpec(const ModelDeploymentSpec& spec) {
  return Encode(spec);
}

std::vector<std::string> Validate(const ModelDeploymentSpec& spec) {
  return Check(spec, Path("spec"));
}

KindInfo ModelDeploymentKind() {
  KindInfo kind{.resource = kModelDeployments,
                .short_name = "md",
                .doc =
                    "A served model: its pods, its traffic, and how a new version takes over. "
                    "The newest approved ModelVersion serves.",
                .spec = Describe<ModelDeploymentSpec>(),
                .status = Describe<ModelDeploymentStatus>()};
  kind.scale = ScalePaths{".spec.replicas", ".status.replicas", ".status.selector"};
  kind.columns = {
      kReadyColumn,
      kReasonColumn,
      {"Champion", "string", ".status.champion"},
      {"Challenger", "string", ".status.challenger"},
      {"Weight", "integer", ".status.variants[?(@.name==\"challenger\")].weight"},
      {"Step", "integer", ".status.rollout.step"},
      {"Phase", "string", ".status.rollout.phase", 1},
      {"Replicas", "integer", ".status.replicas", 1},
      {"Why", "string", ".status.why", 1},
      kAgeColumn,
  };
  return kind;
}

}  // namespace perennial::api
