#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/drift_eval.h"
#include "base/log.h"
#include "kube/meta.h"
#include "retrain/queue.h"

namespace perennial::app {

// The flags of `perennial-controller run`.
struct RunOptions {
  std::string kubeconfig;  // empty: $KUBECONFIG, ~/.kube/config, then the pod's service account
  std::string context;
  std::string ns;   // watched; empty: all
  int workers = 2;  // threads for each kind
  std::string log_level = "info";
  LogFormat log_format = LogFormat::kJson;
  int metrics_port = 8080;
  int health_port = 8081;
  int events_port = 0;        // 0: no events are taken
  retrain::RunBudgets runs;   // under way at once
  bool metrics_auth = false;  // /metrics asks the API server who reads it
  bool leader_elect = false;
  std::string lease_namespace = "perennial-system";
  std::string lease_name = "perennial-controller";
  int shards = 1;  // parts of the work, by namespace, which replicas share; needs leader_elect
  std::vector<std::string> source_allow;       // addresses that metrics may come from all the same
  bool anonymous_queries = false;              // probes' PromQL also without a Secret to ask with
  std::vector<kube::Resource> workload_kinds;  // what RetrainPolicies may make beside Jobs
  int object_series = 20'000;                  // most series of single objects on /metrics; 0: none
  std::string instance;                        // this process in events and in the Lease
};

// The options of `perennial-controller run ...` or `drift eval ...`; otherwise the process's exit
// code, after the help, the version or what is wrong was printed.
struct ParsedOptions {
  std::optional<RunOptions> run;
  std::optional<DriftEvalOptions> eval = std::nullopt;
  int exit_code = 0;
};
ParsedOptions ParseRunOptions(int argc, const char* const* argv);

// "0.1.0".
const char* Version();

}  // namespace perennial::app
