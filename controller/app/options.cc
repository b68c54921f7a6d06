#include "app/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <map>

#include "scrape/address_policy.h"

namespace perennial::app {

namespace {

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
  run->add_flag("--leader-elect", options.leader_elect,
                "Write only while holding a Lease, so that several replicas can run");
  run->add_option("--lease-namespace", options.lease_namespace, "Namespace of the Lease");
  run->add_option("--source-allow", options.source_allow,
                  "IP address or range (10.0.0.5, 10.0.0.0/8) from which metrics are read although "
                  "it is loopback, link-local or the API server's; can be repeated")
      ->check([](const std::string& text) {
        const auto range = scrape::ParseAddressRange(text);
        return range.ok() ? std::string() : range.error().message;
      });
  run->add_option("--lease-name", options.lease_name, "Name of the Lease");
  std::vector<std::string> kinds;
  run->add_option("--workload-kind", kinds,
                  "GROUP/VERSION/PLURAL/KIND that RetrainPolicies may make beside Jobs; repeatable")
      ->check([](const std::string& text) {
        return ReadKind(text) ? "" : "GROUP/VERSION/PLURAL/KIND expected, got " + text;
      });
  try {
    app.parse(argc, argv);
    for (const std::string& kind : kinds) options.workload_kinds.push_back(*ReadKind(kind));
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error, std::cout, std::cerr)};
  }
  const char* pod = std::getenv("POD_NAME");
  options.instance = pod != nullptr && *pod != '\0' ? pod : "perennial-controller";
  return {options, 0};
}

const char* Version() {
  return PERENNIAL_VERSION;
}

}  // namespace perennial::app
