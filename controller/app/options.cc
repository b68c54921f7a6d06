#include "app/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <map>

#include "scrape/address_policy.h"

namespace perennial::app {
namespace {

CLI::App* AddDriftEval(CLI::App& app, DriftEvalOptions& options) {
  CLI::App* drift = app.add_subcommand("drift", "Drift detection without a cluster.");
  drift->require_subcommand(1);
  CLI::App* eval = drift->add_subcommand(
      "eval",
      "Judges two files as a DriftMonitor would: each is a profile (JSON, YAML) or a page of "
      "metrics. Exits with 0: no drift, 2: drift, 1: something could not be judged.");
  eval->add_option("--baseline", options.baseline, "What to compare with")->required();
  eval->add_option("--current", options.current, "What to judge")->required();
  eval->add_option("--previous", options.previous,
                   "An earlier page of the pod of --current: only the increase counts");
  auto* monitor =
      eval->add_option("--monitor", options.monitor, "Manifest of the DriftMonitor to try");
  eval->add_option("--metric", options.metrics,
                   "Without --monitor: a metric; default: all of the "
                   "profile's")
      ->excludes(monitor);
  eval->add_option("--label", options.label, "The metrics' label whose values are categories")
      ->excludes(monitor);
  eval->add_option("--measure", options.measure, "How to compare")
      ->capture_default_str()
      ->excludes(monitor);
  eval->add_option("--threshold", options.threshold, "From when on it is drift")->excludes(monitor);
  eval->add_option("--warn", options.warn, "From when on it is a warning")->excludes(monitor);
  eval->add_option("--min-samples", options.min_samples,
                   "Observations that are needed; default: the monitor's, or 1")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  const std::map<std::string, bool> formats{{"table", false}, {"json", true}};
  eval->add_option("-o,--output", options.json, "table or json")
      ->transform(CLI::CheckedTransformer(formats));
  return eval;
}

// "trainer.kubeflow.org/v1alpha1/trainjobs/TrainJob".
std::optional<kube::Resource> ReadKind(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (parts.size() != 4) return std::nullopt;
  for (const std::string& part : parts) {
    if (part.empty()) return std::nullopt;
  }
  return kube::Resource{parts[0], parts[1], parts[2], parts[3]};
}

// What can't be divided is refused.
void CheckShards(const RunOptions& options) {
  if (options.shards == 1) return;
  if (!options.leader_elect) {
    throw CLI::ValidationError("--shards", "replicas share shards by Leases: add --leader-elect");
  }
  if (!options.ns.empty()) {
    throw CLI::ValidationError("--shards",
                               "the work is divided by namespace: it can't be with --namespace");
  }
  if (options.runs.cluster != 0 && options.runs.cluster < options.shards) {
    throw CLI::ValidationError("--shards", "every shard needs a part of --max-runs: with " +
                                               std::to_string(options.shards) +
                                               " shards it must be 0 or at least " +
                                               std::to_string(options.shards));
  }
}

}  // namespace

ParsedOptions ParseRunOptions(int argc, const char* const* argv) {
  RunOptions options;
  CLI::App app("Keeps models good after they are deployed.", "perennial-controller");
  app.set_version_flag("--version", std::string("perennial-controller ") + Version());
  app.require_subcommand(1);
  CLI::App* run = app.add_subcommand("run", "Runs the controllers until SIGTERM.");
  run->option_defaults()->always_capture_default();
  run->add_option("--kubeconfig", options.kubeconfig,
                  "File to connect with; default: $KUBECONFIG, ~/.kube/config, then the pod's "
                  "service account");
  run->add_option("--context", options.context, "Context of the kubeconfig file");
  run->add_option("--namespace", options.ns, "Watch this namespace only");
  run->add_option("--workers", options.workers, "Threads for each kind")->check(CLI::Range(1, 32));
  run->add_option("--max-runs", options.runs.cluster,
                  "Training runs under way at once in all namespaces; 0: any number")
      ->check(CLI::Range(0, 1'000'000));
  run->add_option("--max-runs-per-namespace", options.runs.per_namespace,
                  "The same within each namespace")
      ->check(CLI::Range(0, 1'000'000));
  run->add_option("--log-level", options.log_level, "Least important level that is logged")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  const std::map<std::string, LogFormat> formats{{"json", LogFormat::kJson},
                                                 {"text", LogFormat::kText}};
  run->add_option("--log-format", options.log_format, "json or text")
      ->transform(CLI::CheckedTransformer(formats));
  run->add_option("--metrics-port", options.metrics_port, "Port of /metrics; 0: any")
      ->check(CLI::Range(0, 65535));
  run->add_option("--health-port", options.health_port, "Port of /healthz and /readyz; 0: any")
      ->check(CLI::Range(0, 65535));
  run->add_flag("--metrics-auth", options.metrics_auth,
                "Let only those read /metrics whose bearer token the API server knows and who may "
                "get the non-resource URL /metrics");
  run->add_option("--events-port", options.events_port,
                  "Port on which CloudEvents for RetrainPolicies are taken; 0: none")
      ->check(CLI::Range(0, 65535));
  run->add_flag("--leader-elect", options.leader_elect,
                "Write only while holding a Lease, so that several replicas can run");
  run->add_option("--shards", options.shards,
                  "Divide the work by namespace into so many parts, which the replicas share; the "
                  "same for all replicas")
      ->check(CLI::Range(1, 64));
  run->add_option("--lease-namespace", options.lease_namespace, "Namespace of the Lease");
  run->add_option("--source-allow", options.source_allow,
                  "IP address or range (10.0.0.5, 10.0.0.0/8) from which metrics are read although "
                  "it is loopback, link-local or the API server's; can be repeated")
      ->check([](const std::string& text) {
        const auto range = scrape::ParseAddressRange(text);
        return range.ok() ? std::string() : range.error().message;
      });
  run->add_flag("--anonymous-queries", options.anonymous_queries,
                "Ask the PromQL queries of probes also without a Secret of their namespace: a "
                "server that answers anybody then tells of other namespaces");
  run->add_option("--lease-name", options.lease_name, "Name of the Lease");
  std::vector<std::string> kinds;
  run->add_option("--workload-kind", kinds,
                  "GROUP/VERSION/PLURAL/KIND that RetrainPolicies may make beside Jobs; repeatable")
      ->check([](const std::string& text) {
        return ReadKind(text) ? "" : "GROUP/VERSION/PLURAL/KIND expected, got " + text;
      });
  run->add_option("--object-series", options.object_series,
                  "Most series of single monitors and models on /metrics; 0: none")
      ->check(CLI::Range(0, 10'000'000));
  DriftEvalOptions eval_options;
  const CLI::App* eval = AddDriftEval(app, eval_options);
  try {
    app.parse(argc, argv);
    CheckShards(options);
    for (const std::string& kind : kinds) options.workload_kinds.push_back(*ReadKind(kind));
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, std::nullopt, app.exit(error, std::cout, std::cerr)};
  }
  if (eval->parsed()) return {std::nullopt, std::move(eval_options), 0};
  const char* pod = std::getenv("POD_NAME");
  options.instance = pod != nullptr && *pod != '\0' ? pod : "perennial-controller";
  return {options, std::nullopt, 0};
}

const char* Version() {
  return PERENNIAL_VERSION;
}

}  // namespace perennial::app
