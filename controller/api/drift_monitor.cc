#include "api/codec.h"
#include "api/drift_monitor_schema.h"
#include "api/kinds.h"
#include "api/pack.h"
#include "api/schema_describe.h"

namespace perennial::api {

Result<DriftMonitor> DecodeDriftMonitor(const nlohmann::json& object) {
  return DecodeKind<DriftMonitor>(object);
}

std::string EncodeStatus(const DriftMonitorStatus& status) {
  return Encode(status, {.clip = true});
}

std::string EncodeSpec(const DriftMonitorSpec& spec) {
  return Encode(spec);
}

std::vector<std::string> Validate(const DriftMonitorSpec& spec) {
  return Check(spec, Path("spec"));
}

KindInfo DriftMonitorKind() {
  KindInfo kind{.resource = kDriftMonitors,
                .short_name = "dm",
                .doc =
                    "What to measure on a served model, against which baseline, and from when "
                    "on it counts as drift.",
                .spec = Describe<DriftMonitorSpec>(),
                .status = Describe<DriftMonitorStatus>()};
  kind.selectable = {".spec.target.modelDeployment"};
  kind.columns = {
      kReadyColumn,
      {"Drifted", "string", ".status.conditions[?(@.type==\"Drifted\")].status"},
      {"Blind", "string", ".status.conditions[?(@.type==\"Blind\")].status"},
      {"Champion", "string", ".status.champion"},
      {"Targets", "integer", ".status.targetsUp"},
      {"Since", "date", ".status.episode.started", 1},
      {"Baseline", "string", ".status.baseline", 1},
      {"Recorded", "date", ".status.baselineRecorded", 1},
      {"Why", "string", ".status.why", 1},
      kAgeColumn,
  };
  kind.conditions = {
      {"Ready", "The monitor looks. False says what is missing."},
      {"Drifted",
       "True: a signal of the champion has drifted. Unknown: there is no data, which is "
       "never a verdict."},
      {"Blind", "True: no signal of the champion has enough samples."},
  };
  return kind;
}

}  // namespace perennial::api

namespace perennial::kube {
template struct Packed<api::DriftMonitor>;
}  // namespace perennial::kube
