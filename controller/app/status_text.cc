#include "app/status_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "api/names.h"
#include "app/plain_text.h"

namespace perennial::app {
namespace {

using nlohmann::json;

constexpr size_t kMostVersions = 8;

const json* Condition(const json& object, const char* type) {
  for (const json& condition : List(object, "/status/conditions")) {
    if (Text(condition, "/type") == type) return &condition;
  }
  return nullptr;
}

std::string Bar(const std::string& percent) {
  const int weight = std::clamp(std::atoi(percent.c_str()), 0, 100);
  return std::string(static_cast<size_t>((weight + 9) / 10), '#');
}

std::string Headline(const json& deployment) {
  std::string out =
      Text(deployment, "/metadata/name") + "  namespace " + Text(deployment, "/metadata/namespace");
  const std::string phase = Text(deployment, "/status/rollout/phase");
  if (!phase.empty()) {
    out += "  rollout " + phase;
    const size_t steps = List(deployment, "/spec/rollout/steps").size();
    if (steps > 0 && (phase == "Progressing" || phase == "Paused")) {
      const int step = std::atoi(Text(deployment, "/status/rollout/step").c_str());
      out += " (step " + std::to_string(step + 1) + " of " + std::to_string(steps) + ")";
    }
  }
  for (const char* type : {"Ready", "Promoted", "Stalled"}) {
    const json* condition = Condition(deployment, type);
    if (condition == nullptr) continue;
    out += std::string("  ") + type + "=" + Text(*condition, "/status");
    if (Text(*condition, "/status") != (std::string(type) == "Stalled" ? "False" : "True")) {
      out += "(" + Text(*condition, "/reason") + ")";
    }
  }
  return out + "\n";
}

std::string Why(const json& deployment) {
  const json* stalled = Condition(deployment, "Stalled");
  if (stalled != nullptr && Text(*stalled, "/status") == "True") {
    return Text(*stalled, "/message");
  }
  const std::string why = Text(deployment, "/status/why");
  return why.empty() ? "the controller has not looked at it yet" : why;
}

// How long it waits as it does, and what comes then.
std::string TimeLeft(const json& deployment, WallTime now) {
  const std::string until = Text(deployment, "/status/rollout/until");
  if (until.empty()) return "";
  return "LEFT " + Left(until, now) + " (until " + until + "), then " +
         Text(deployment, "/status/rollout/then") + "\n";
}

// Commands that would do something now.
std::vector<std::string> Choices(const StatusInput& input) {
  std::vector<std::string> out;
  const std::string name = Text(input.deployment, "/metadata/name");
  const std::string phase = Text(input.deployment, "/status/rollout/phase");
  if (phase == "Starting" || phase == "Progressing" || phase == "Paused") {
    if (phase == "Paused") out.push_back("resume " + name);
    out.push_back("promote " + name);
    if (phase != "Paused") out.push_back("pause " + name);
    out.push_back("abort " + name);
  }
  for (const json& version : input.versions) {
    if (Text(version, "/status/phase") != "AwaitingApproval") continue;
    const std::string version_name = Text(version, "/metadata/name");
    out.push_back("approve " + version_name);
    out.push_back("reject " + version_name);
  }
  for (const json& policy : input.policies) {
    const json* running = Condition(policy, "Retraining");
    if (running == nullptr || Text(*running, "/status") != "True") {
      out.push_back("retrain " + Text(policy, "/metadata/name"));
    }
  }
  return out;
}

std::string Traffic(const json& deployment) {
  Table table;
  table.Row({"TRAFFIC", "", "want", "now", "ready", "version", "model"});
  for (const json& variant : List(deployment, "/status/variants")) {
    const std::string weight = Text(variant, "/weight");
    const std::string wanted = Text(variant, "/weightWanted");
    table.Row({" " + Text(variant, "/name"), Bar(weight), (wanted.empty() ? "0" : wanted) + "%",
               (weight.empty() ? "0" : weight) + "%",
               (Text(variant, "/readyReplicas").empty() ? "0" : Text(variant, "/readyReplicas")) +
                   "/" + (Text(variant, "/replicas").empty() ? "0" : Text(variant, "/replicas")),
               Text(variant, "/version"), Text(variant, "/model/uri")});
  }
  return List(deployment, "/status/variants").empty() ? "" : table.Render();
}

void AddCheck(const json& check, Table& table) {
  table.Row({" " + Text(check, "/name"), Text(check, "/challenger"), Text(check, "/champion"),
             Text(check, "/threshold"), Text(check, "/samples"), Text(check, "/verdict"),
             Text(check, "/message")});
}

std::string Analysis(const json& deployment, WallTime now) {
  std::string out;
  const json::json_pointer path("/status/rollout/experiment");
  if (deployment.contains(path)) {
    const json& experiment = deployment[path];
    out += "EXPERIMENT  " + Text(deployment, "/spec/rollout/experiment/primary/name") +
           ": effect " + Text(experiment, "/effect") + " (" + Text(experiment, "/lower") + " to " +
           Text(experiment, "/upper") + "), p " + Text(experiment, "/pValue") + ", n " +
           Text(experiment, "/championSamples") + " + " + Text(experiment, "/challengerSamples") +
           ": " + Text(experiment, "/verdict") + ". " + Text(experiment, "/message");
    const std::string ends = Text(deployment, "/status/rollout/experimentEnds");
    out += (ends.empty() ? "" : "; at most " + Left(ends, now) + " more") + "\n";
  }
  Table table;
  table.Row({"CHECKS", "challenger", "champion", "threshold", "n", "verdict"});
  const json& checks = List(deployment, "/status/rollout/checks");
  const json& guardrails = List(deployment, "/status/rollout/experiment/guardrails");
  for (const json& check : checks) AddCheck(check, table);
  for (const json& check : guardrails) AddCheck(check, table);
  return checks.empty() && guardrails.empty() ? out : out + table.Render();
}

std::int64_t Revision(const json& version) {
  return std::atoll(Text(version, "/spec/revision").c_str());
}

std::string Versions(const json& versions, WallTime now) {
  if (versions.empty()) return "";
  std::vector<json> newest(versions.begin(), versions.end());
  std::sort(newest.begin(), newest.end(),
            [](const json& a, const json& b) { return Revision(a) > Revision(b); });
  Table table;
  table.Row({"VERSIONS", "rev", "phase", "age", "from", "why"});
  for (size_t i = 0; i < newest.size() && i < kMostVersions; ++i) {
    const json& version = newest[i];
    const std::string trigger = Text(version, "/spec/origin/triggerType");
    table.Row({" " + Text(version, "/metadata/name"), Text(version, "/spec/revision"),
               Text(version, "/status/phase"),
               Age(Text(version, "/metadata/creationTimestamp"), now),
               trigger.empty() ? Text(version, "/spec/origin/type") : trigger,
               Text(version, "/status/why")});
  }
  std::string out = table.Render();
  if (newest.size() > kMostVersions) {
    out += " and " + std::to_string(newest.size() - kMostVersions) + " older\n";
  }
  return out;
}

std::string Drift(const json& monitors, WallTime now) {
  std::string out;
  for (const json& monitor : monitors) {
    Table table;
    const std::string episode = Text(monitor, "/status/episode/started");
    table.Row({"DRIFT " + Text(monitor, "/metadata/name"), "state", "value", "threshold", "n",
               "for", "version"});
    for (const json& signal : List(monitor, "/status/signals")) {
      table.Row({" " + Text(signal, "/name"), Text(signal, "/state"), Text(signal, "/value"),
                 Text(signal, "/threshold"), Text(signal, "/samples"),
                 Age(Text(signal, "/since"), now), Text(signal, "/variant")});
    }
    out += table.Render() + " " +
           (episode.empty() ? std::string() : "drifting for " + Age(episode, now) + ": ") +
           Text(monitor, "/status/why") + "\n";
  }
  return out;
}

std::string Retraining(const StatusInput& input, WallTime now) {
  std::string out;
  for (const json& policy : input.policies) {
    out += "RETRAIN " + Text(policy, "/metadata/name") + "  " + Text(policy, "/status/why") + "\n";
    const std::string next = Text(policy, "/status/nextSchedule");
    if (!next.empty()) out += " next by schedule: " + next + "\n";
    const auto position = input.positions.find(Text(policy, "/metadata/name"));
    if (position != input.positions.end()) {
      out += " now at position " + std::to_string(position->second) +
             " among the namespace's runs that wait for their turn\n";
    }
    const json& runs = List(policy, "/status/runs");
    for (size_t i = 0; i < runs.size() && i < 3; ++i) {
      out += " run " + Text(runs[i], "/name") + "  " + Text(runs[i], "/phase") + "  " +
             Text(runs[i], "/triggerType") + "  " + Age(Text(runs[i], "/started"), now) + " ago  " +
             Text(runs[i], "/message") + "\n";
    }
  }
  return out;
}

}  // namespace

std::string DescribeStatus(const StatusInput& input, WallTime now) {
  std::string out = Headline(input.deployment);
  out += "WHY  " + Why(input.deployment) + "\n";
  std::string choices;
  for (const std::string& choice : Choices(input)) {
    choices += (choices.empty() ? "" : " | ") + choice;
  }
  out += "DO   " + (choices.empty() ? "nothing" : "kubectl perennial " + choices) + "\n";
  out += TimeLeft(input.deployment, now);
  out += Traffic(input.deployment);
  out += Analysis(input.deployment, now);
  out += Versions(input.versions, now);
  out += Drift(input.monitors, now);
  out += Retraining(input, now);
  return out;
}

}  // namespace perennial::app
