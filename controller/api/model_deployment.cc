#include "api/codec.h"
#include "api/kinds.h"
#include "api/model_deployment_schema.h"
#include "api/object_expression.h"
#include "api/pack.h"
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

std::vector<std::string> ExpressionProblems(const ModelDeploymentSpec& spec) {
  std::vector<std::string> problems;
  const auto check = [&](const std::string& item, const LookRules& rules) {
    for (const auto& [name, text] :
         {std::pair("success", rules.success), std::pair("failure", rules.failure)}) {
      if (text.empty()) continue;
      const auto parsed = ObjectExpression::Parse(text);
      if (parsed.ok()) continue;
      problems.push_back("spec.rollout.analysis: " + item + ": " + name + ": " +
                         parsed.error().message);
    }
  };
  if (!spec.rollout.analysis) return problems;
  for (const AnalysisCheck& one : spec.rollout.analysis->checks) {
    check("check " + one.quantity.name, one.rules);
  }
  for (const AnalysisProbe& one : spec.rollout.analysis->probes) {
    check("probe " + one.name, one.rules);
  }
  return problems;
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
      {"Step", "string", ".status.rollout.progress"},
      {"Phase", "string", ".status.rollout.phase", 1},
      {"Wanted", "integer", ".status.variants[?(@.name==\"challenger\")].weightWanted", 1},
      // No date: kubectl shows the age of those, and of a time to come "<invalid>".
      {"Until", "string", ".status.rollout.until", 1},
      {"Effect", "string", ".status.rollout.experiment.effect", 1},
      {"Lower", "string", ".status.rollout.experiment.lower", 1},
      {"Upper", "string", ".status.rollout.experiment.upper", 1},
      {"N", "integer", ".status.rollout.experiment.challengerSamples", 1},
      {"Verdict", "string", ".status.rollout.experiment.verdict", 1},
      {"Replicas", "integer", ".status.replicas", 1},
      {"Why", "string", ".status.why", 1},
      kAgeColumn,
  };
  kind.conditions = {
      {"Ready", "The champion has ready pods and serves. Stays True through a rollout or a wait."},
      {"Promoted", "The newest approved version has all traffic. False says what it waits for."},
      {"Reconciling", "Present and True while pods or routes are on their way."},
      {"Stalled", "Present and True where somebody has to act: the message says who and how."},
  };
  kind.annotations = {
      {kAnnotationPromote,
       "VERSION: promotes it at once. VERSION/STEP: ends that step of its rollout now (1 is the "
       "first)."},
      {kAnnotationAbort, "VERSION: rolls its rollout back."},
      {kAnnotationPause, "VERSION: its rollout stays where it is; failing checks still end it."},
      {kAnnotationResume, "VERSION: ends the pause that its rollout is in."},
      {kAnnotationRetry, "VERSION, which was rolled back: rolls the same artifact out again."},
      {kAnnotationUndo, "VERSION, which served before: brings it back."},
  };
  return kind;
}

}  // namespace perennial::api

namespace perennial::kube {
template struct Packed<api::ModelDeployment>;
}  // namespace perennial::kube
