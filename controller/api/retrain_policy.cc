#include "api/codec.h"
#include "api/kinds.h"
#include "api/object_expression.h"
#include "api/pack.h"
#include "api/retrain_policy_schema.h"
#include "api/schema_describe.h"

namespace perennial::api {

Result<RetrainPolicy> DecodeRetrainPolicy(const nlohmann::json& object) {
  return DecodeKind<RetrainPolicy>(object);
}

std::string EncodeStatus(const RetrainPolicyStatus& status) {
  return Encode(status, {.clip = true});
}

std::string EncodeSpec(const RetrainPolicySpec& spec) {
  return Encode(spec);
}

std::vector<std::string> Validate(const RetrainPolicySpec& spec) {
  return Check(spec, Path("spec"));
}

std::vector<std::string> ExpressionProblems(const RetrainPolicySpec& spec) {
  std::vector<std::string> problems;
  const auto check = [&](const char* field, const std::string& text) {
    const auto parsed = ObjectExpression::Parse(text);
    if (!parsed.ok()) problems.push_back(std::string(field) + ": " + parsed.error().message);
  };
  if (spec.workload) {
    check("spec.workload.success", spec.workload->success);
    check("spec.workload.failure", spec.workload->failure);
  }
  if (!spec.result.path.empty()) check("spec.result.path", spec.result.path);
  return problems;
}

KindInfo RetrainPolicyKind() {
  KindInfo kind{.resource = kRetrainPolicies,
                .short_name = "rp",
                .doc =
                    "When to retrain a model, with which Job, what the result must satisfy, and "
                    "who must agree.",
                .spec = Describe<RetrainPolicySpec>(),
                .status = Describe<RetrainPolicyStatus>()};
  kind.selectable = {".spec.modelDeployment"};
  kind.columns = {
      kReadyColumn,
      kReasonColumn,
      {"Model", "string", ".spec.modelDeployment"},
      {"Last-Run", "string", ".status.runs[0].name"},
      {"Phase", "string", ".status.runs[0].phase"},
      {"Next", "string", ".status.nextSchedule", 1},
      {"Why", "string", ".status.why", 1},
      kAgeColumn,
  };
  kind.conditions = {
      {"Ready", "Triggers are watched, or the policy is suspended. False says what is wrong."},
      {"Stalled", "Present and True where somebody has to act."},
  };
  kind.annotations = {{kAnnotationRetrain, "Any new value starts one run."}};
  return kind;
}

}  // namespace perennial::api

namespace perennial::kube {
template struct Packed<api::RetrainPolicy>;
}  // namespace perennial::kube
