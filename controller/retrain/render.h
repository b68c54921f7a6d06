#pragma once

#include <string>

#include "api/codec.h"
#include "api/retrain_policy.h"
#include "base/result.h"
#include "retrain/decide.h"

namespace perennial::retrain {

// The Job of the run's current attempt: the policy's template with our labels, owner, environment
// and defaults (restartPolicy Never, backoffLimit 0: attempts are ours to count). kInvalid where
// the template is not a JobTemplateSpec.
Result<std::string> RenderJob(const Observed& seen, const api::Run& run, WallTime now);
// The same for a workload: the template with our labels, owner and trigger, and with
// $(PERENNIAL_...) replaced in its texts.
Result<std::string> RenderWorkload(const Observed& seen, const api::Run& run);

// Where the run's Jobs or workloads are.
const kube::Resource& RunResource(const Observed& seen);
// The labels by which they are found, as a JSON object.
std::string RenderLabels(const Observed& seen, const api::Run& run);

// On each Job and workload: the identity of the trigger that it was made for.
inline constexpr std::string_view kTriggerAnnotation = "perennial.dev/trigger";

// The ModelVersion that a run's result makes. Its name derives from the run alone.
std::string VersionName(const api::RetrainPolicy& policy, const api::Run& run);
std::string RenderVersion(const Observed& seen, const api::Run& run,
                          const api::TrainingResult& result);

}  // namespace perennial::retrain
