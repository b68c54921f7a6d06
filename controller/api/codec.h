#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "api/drift_monitor.h"
#include "api/model_approval.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "api/retrain_policy.h"
#include "base/result.h"

// JSON <-> the five kinds. Decoding is strict about types and ranges (kInvalid names the field's
// path and what was expected), of spec and of status alike, and ignores fields that it doesn't know
// (an older controller under a newer CRD). A missing status is the default one. Thread-safe.
namespace perennial::api {

Result<ModelDeployment> DecodeModelDeployment(const nlohmann::json& object);
Result<DriftMonitor> DecodeDriftMonitor(const nlohmann::json& object);
Result<RetrainPolicy> DecodeRetrainPolicy(const nlohmann::json& object);
Result<ModelVersion> DecodeModelVersion(const nlohmann::json& object);
Result<ModelApproval> DecodeModelApproval(const nlohmann::json& object);

// Canonical compact JSON of the whole status or spec: equal values give equal text.
std::string EncodeStatus(const ModelDeploymentStatus& status);
std::string EncodeStatus(const DriftMonitorStatus& status);
std::string EncodeStatus(const RetrainPolicyStatus& status);
std::string EncodeStatus(const ModelVersionStatus& status);
std::string EncodeSpec(const ModelVersionSpec& spec);
std::string EncodeSpec(const ModelApprovalSpec& spec);
std::string EncodeSpec(const ModelDeploymentSpec& spec);
std::string EncodeSpec(const DriftMonitorSpec& spec);
std::string EncodeSpec(const RetrainPolicySpec& spec);

// A training profile in the shape of ModelVersion.spec.profile.
Result<Profile> DecodeProfile(const nlohmann::json& value);
std::string EncodeProfile(const Profile& profile);

// What a training container reported (docs/reference: result contract). Every error names the path
// and what was expected.
struct TrainingResult {
  ModelReference artifact;
  std::vector<EvaluationMetric> metrics;
  std::optional<DataReference> evaluation_data;
  std::string trained_from;  // a ModelVersion
  std::vector<DataReference> data;
  CodeReference code;
  std::map<std::string, std::string> parameters;
  std::string image;
  std::string report;
  std::string explanation;
  std::vector<ConfusionCell> confusion_matrix;
  std::optional<Profile> profile;
};
// The part of `model`, a ModelDeployment, where the document has results of several.
Result<TrainingResult> DecodeTrainingResult(std::string_view text, std::string_view model = {});

// What admission also says (docs: validation): empty if valid, else one message per problem, each
// naming the field and what to change.
std::vector<std::string> Validate(const ModelDeploymentSpec& spec);
std::vector<std::string> Validate(const DriftMonitorSpec& spec);
std::vector<std::string> Validate(const RetrainPolicySpec& spec);
// What is wrong with the policy's expressions, which no rule of the API server can check.
std::vector<std::string> ExpressionProblems(const RetrainPolicySpec& spec);
std::vector<std::string> ExpressionProblems(const ModelDeploymentSpec& spec);
std::vector<std::string> Validate(const ModelVersionSpec& spec);
std::vector<std::string> Validate(const ModelApprovalSpec& spec);

}  // namespace perennial::api
