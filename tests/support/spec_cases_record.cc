#include "support/spec_cases_by_kind.h"

namespace perennial::testing {

std::vector<SpecCase> RecordCases() {
  return {
      Patched("smallest", kMv, "{}"),
      Patched("no model", kMv, R"({"model": null})", "spec.model"),
      Patched("negative revision", kMv, R"({"revision": -1})", "spec.revision"),
      Patched("metric without value", kMv, R"({"metrics": [{"name": "mae"}]})",
              "spec.metrics[0].value"),
      Patched("metric in quotes", kMv, R"({"metrics": [{"name": "mae", "value": "3"}]})",
              "spec.metrics[0].value"),
      Patched("evaluated and continued", kMv,
              R"({"trainedFrom": "departures-1", "evaluationData": {"uri": "s3://holdout"}})"),
      Patched("evaluation data without place", kMv, R"({"evaluationData": {"rows": 3}})",
              "spec.evaluationData.uri"),
      Patched("parameter that is a number", kMv, R"({"parameters": {"l2": 1}})",
              "spec.parameters.l2"),
      Patched("smallest", kMa, "{}"),
      Patched("undecided", kMa, R"({"decision": "Maybe"})", "spec.decision"),
      Patched("no decision", kMa, R"({"decision": null})", "spec.decision"),
      Patched("nobody", kMa, R"({"approver": ""})", "spec.approver"),
      Patched("no version", kMa, R"({"modelVersion": null})", "spec.modelVersion"),
      Patched("digest of nothing", kMa, R"({"digest": "md5:00"})", "spec.digest"),
  };
}

}  // namespace perennial::testing
