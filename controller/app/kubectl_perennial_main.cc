// kubectl-perennial: on the PATH, `kubectl perennial ...` finds it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "api/codec.h"
#include "app/commands.h"
#include "app/lint.h"
#include "app/options.h"
#include "app/training_profile.h"
#include "base/log.h"
#include "kube/http_transport.h"
#include "kube/kubeconfig.h"

namespace perennial::app {
namespace {

struct Flags {
  std::string kubeconfig;
  std::string context;
  std::string ns;
  std::string name;
  std::string reason;
  std::string to;
  std::string output;
  int step = 0;
  bool full = false;
  std::vector<std::string> files;
};

int Report(const Status& status) {
  if (status.ok()) return 0;
  std::cerr << "error: " << status.error().message << "\n";
  return 1;
}

// Connects as the user and runs one command.
template <class Command>
int WithCluster(const Flags& flags, Command command) {
  const auto config = kube::LoadConnectionConfig(flags.kubeconfig, flags.context);
  if (!config.ok()) return Report(config.error());
  kube::HttpTransportOptions options;
  options.max_in_flight = 2;
  options.user_agent = std::string("kubectl-perennial/") + Version();
  const auto transport = kube::MakeHttpTransport(*config, SystemClock(), options);
  if (!transport.ok()) return Report(transport.error());
  kube::Client client(**transport, SystemClock(), "kubectl-perennial");
  const CommandContext context{**transport, client, SystemClock(),
                               flags.ns.empty() ? config->ns : flags.ns, std::cout};
  return Report(command(context));
}

int LintFiles(const Flags& flags) {
  int checked = 0;
  size_t problems = 0;
  for (const std::string& file : flags.files) {
    std::ifstream stream;
    if (file != "-") {
      stream.open(file);
      if (!stream) return Report(Error{Errc::kNotFound, file + " cannot be read"});
    }
    std::istream& in = file == "-" ? std::cin : stream;
    const LintReport report =
        Lint(std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()));
    checked += report.checked;
    problems += report.problems.size();
    for (const std::string& problem : report.problems) std::cout << file << ": " << problem << "\n";
  }
  std::cout << checked << " checked, " << problems
            << (problems == 1 ? " problem\n" : " problems\n");
  return problems == 0 ? 0 : 1;
}

struct ProfileFlags {
  ProfileOptions options;
  std::vector<std::string> columns;
  std::string bins = "auto";
  std::vector<std::string> bounds;
  std::string bounds_from;
  std::string output = "json";
  std::string name;
};

// Explicit bounds win over those of a page; a column without either is cut at quantiles.
Status AddBounds(const ProfileFlags& flags, std::vector<ProfileColumn>& columns) {
  std::map<std::string, std::vector<double>> bounds;
  std::vector<std::string> metrics;
  metrics.reserve(columns.size());
  for (const ProfileColumn& column : columns) {
    metrics.push_back(column.metric.empty() ? column.column : column.metric);
  }
  if (!flags.bounds_from.empty()) {
    std::ifstream stream(flags.bounds_from);
    if (!stream) return Error{Errc::kNotFound, flags.bounds_from + " cannot be read"};
    const std::string page{std::istreambuf_iterator<char>(stream),
                           std::istreambuf_iterator<char>()};
    PERENNIAL_TRY(bounds, BoundsOfPage(page, metrics));
  }
  for (const std::string& text : flags.bounds) {
    PERENNIAL_TRY(auto given, ParseBounds(text));
    if (std::find(metrics.begin(), metrics.end(), given.first) == metrics.end()) {
      return Error{Errc::kInvalid, "--bounds " + text + ": no column has that metric"};
    }
    bounds[given.first] = std::move(given.second);
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (!columns[i].categorical && bounds.contains(metrics[i])) {
      columns[i].bounds = bounds[metrics[i]];
    }
  }
  return Ok();
}

Status PrintProfile(ProfileFlags flags) {
  ProfileOptions& options = flags.options;
  for (const std::string& text : flags.columns) {
    PERENNIAL_TRY(ProfileColumn column, ParseProfileColumn(text));
    options.columns.push_back(std::move(column));
  }
  if (options.columns.empty() && !(flags.bounds.empty() && flags.bounds_from.empty())) {
    return Error{Errc::kInvalid, "--bounds and --bounds-from need --columns"};
  }
  if (flags.bins != "auto") options.bins = std::stoi(flags.bins);
  PERENNIAL_TRY_STATUS(AddBounds(flags, options.columns));
  PERENNIAL_TRY(const api::Profile profile, MakeProfile(options));
  std::cout << (flags.output == "configmap" ? ProfileConfigMap(profile, flags.name)
                                            : api::EncodeProfile(profile))
            << "\n";
  return Ok();
}

CLI::App* AddProfile(CLI::App& app, ProfileFlags& flags) {
  CLI::App* profile =
      app.add_subcommand("profile", "Makes a training profile from data, without a cluster");
  profile->add_option("--from", flags.options.file, "CSV file with a header line")->required();
  profile->add_option("--delimiter", flags.options.delimiter, "Between fields")
      ->capture_default_str();
  profile
      ->add_option("--columns", flags.columns,
                   "COLUMN, COLUMN=METRIC, or COLUMN=METRIC{LABEL} for categories; default: all")
      ->delimiter(',');
  profile
      ->add_option("--bins", flags.bins,
                   "How many buckets of equal share where no bounds are given; auto: 10")
      ->check(CLI::IsMember({"auto"}) | CLI::Range(2, 100));
  profile->add_option("--bounds", flags.bounds, "METRIC=1,2,5: the serving histogram's bounds");
  profile->add_option("--bounds-from", flags.bounds_from,
                      "A page of metrics whose histograms have the bounds");
  profile->add_option("-o,--output", flags.output, "json or configmap")
      ->check(CLI::IsMember({"json", "configmap"}));
  profile->add_option("--name", flags.name, "Name of the ConfigMap");
  return profile;
}

// A subcommand about one named object.
CLI::App* AddNamed(CLI::App& app, const char* verb, const char* what, const char* argument,
                   Flags& flags) {
  CLI::App* command = app.add_subcommand(verb, what);
  command->add_option(argument, flags.name)->required();
  return command;
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Looks after models that Perennial keeps.", "kubectl-perennial");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--kubeconfig", flags.kubeconfig, "File to connect with");
  app.add_option("--context", flags.context, "Context of the kubeconfig file");
  app.add_option("-n,--namespace", flags.ns, "Namespace; default: the context's");
  const auto* status =
      AddNamed(app, "status", "How a ModelDeployment stands, why, and what to do", "NAME", flags);
  auto* why =
      AddNamed(app, "why", "Why the model that serves does: promotion, approvals, gates, run",
               "NAME", flags);
  why->add_option("-o,--output", flags.output, "json; default: text")
      ->check(CLI::IsMember({"json", "text"}));
  auto* approve = AddNamed(app, "approve", "Approves a ModelVersion as you", "VERSION", flags);
  auto* reject = AddNamed(app, "reject", "Rejects a ModelVersion as you", "VERSION", flags);
  approve->add_option("--reason", flags.reason, "Why; kept on record");
  approve->add_option("--step", flags.step, "A step of its rollout, which waits for approval")
      ->check(CLI::Range(1, 32));
  reject->add_option("--reason", flags.reason, "Why; kept on record")->required();
  const auto* retrain =
      AddNamed(app, "retrain", "Starts a run of a RetrainPolicy now", "POLICY", flags);
  auto* promote =
      AddNamed(app, "promote", "Ends the step that a rollout is in", "DEPLOYMENT", flags);
  promote->add_flag("--full", flags.full, "Gives all traffic to the version now, past all steps");
  const auto* pause = AddNamed(app, "pause", "Keeps a rollout where it is", "DEPLOYMENT", flags);
  const auto* resume = AddNamed(app, "resume", "Goes on from the step at which a rollout pauses",
                                "DEPLOYMENT", flags);
  const auto* abort =
      AddNamed(app, "abort", "Ends the rollout under way; the champion stays", "DEPLOYMENT", flags);
  const auto* retry =
      AddNamed(app, "retry", "Tries what was rolled back last again", "DEPLOYMENT", flags);
  auto* undo =
      AddNamed(app, "undo", "Brings a version back that served before", "DEPLOYMENT", flags);
  undo->add_option("--to", flags.to, "Which; default: the one that served last");
  auto* lint = app.add_subcommand("lint", "Checks manifests without a cluster");
  lint->add_option("-f,--filename", flags.files, "Files; - is standard input")->required();
  ProfileFlags profile_flags;
  const CLI::App* profile = AddProfile(app, profile_flags);
  const auto* version = app.add_subcommand("version", "Prints the version");
  CLI11_PARSE(app, argc, argv);

  using api::ApprovalDecision;
  if (version->parsed()) {
    std::cout << "kubectl-perennial " << Version() << "\n";
    return 0;
  }
  if (profile->parsed()) {
    if (profile_flags.output == "configmap" && profile_flags.name.empty()) {
      return Report(Error{Errc::kInvalid, "-o configmap needs --name"});
    }
    return Report(PrintProfile(std::move(profile_flags)));
  }
  if (lint->parsed()) return LintFiles(flags);
  return WithCluster(flags, [&](const CommandContext& context) -> Status {
    if (status->parsed()) return PrintStatus(context, flags.name);
    if (why->parsed()) return PrintWhy(context, flags.name, flags.output == "json");
    if (approve->parsed()) {
      return Judge(context, flags.name, ApprovalDecision::kApprove, flags.reason, flags.step);
    }
    if (reject->parsed()) {
      return Judge(context, flags.name, ApprovalDecision::kReject, flags.reason);
    }
    if (retrain->parsed()) return Retrain(context, flags.name);
    if (undo->parsed()) return Undo(context, flags.name, flags.to);
    if (promote->parsed()) {
      return AnswerRollout(context, flags.name,
                           flags.full ? RolloutAnswer::kPromoteFull : RolloutAnswer::kPromote);
    }
    for (const auto& [command, answer] : {std::pair(pause, RolloutAnswer::kPause),
                                          {resume, RolloutAnswer::kResume},
                                          {abort, RolloutAnswer::kAbort},
                                          {retry, RolloutAnswer::kRetry}}) {
      if (command->parsed()) return AnswerRollout(context, flags.name, answer);
    }
    return Ok();
  });
}

}  // namespace
}  // namespace perennial::app

int main(int argc, char** argv) {
  perennial::InitLogging("warn", perennial::LogFormat::kText);
  return perennial::app::Main(argc, argv);
}
