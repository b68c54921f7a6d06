#include "deployment/probes.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/enum_names.h"
#include "api/names.h"
#include "api/object_expression.h"
#include "base/hash.h"
#include "deployment/fleet.h"
#include "deployment/pod_template.h"
#include "deployment/query_probe.h"
#include "deployment/render.h"
#include "deployment/seal.h"

namespace perennial::deployment {
namespace {

using api::CheckStatus;
using api::SignalState;
using api::Verdict;
using nlohmann::json;

// A finished Job's pods are kept this long for people to read, unless its template says otherwise;
// and this long in any case, since a verdict that nobody has seen is none.
constexpr int kKeepFinishedSeconds = 86'400;
constexpr int kKeepUnseenSeconds = 3'600;

// ---- of a DriftMonitor ----

// Its newest look with data breached, and that is no drift yet.
bool MayBecomeADrift(const api::SignalStatus& signal) {
  const auto newest = signal.recent.find_first_not_of("?E");
  return signal.state == SignalState::kWarning && newest != std::string::npos &&
         (signal.recent[newest] == 'B' || signal.recent[newest] == 'C');
}

Verdict JudgeSignal(const api::LookRules& rules, const api::SignalStatus& signal) {
  if (signal.state == SignalState::kNoData || signal.state == SignalState::kError) {
    return Verdict::kNoData;
  }
  if (rules.success.empty() && rules.failure.empty()) {
    if (signal.state == SignalState::kDrifted) return Verdict::kFail;
    // A challenger that is bad from its first request on would be promoted before it is a drift.
    return MayBecomeADrift(signal) ? Verdict::kNoData : Verdict::kPass;
  }
  json object = {
      {"name", signal.name}, {"state", NameOf(signal.state)}, {"samples", signal.samples}};
  const json value = json::parse(signal.value, nullptr, false);
  if (value.is_number()) object["value"] = value;
  return VerdictOf(rules, object.dump());
}

// The graver one; a look that saw nothing never passes for another's good.
bool Graver(Verdict a, Verdict b) {
  const auto rank = [](Verdict verdict) {
    return verdict == Verdict::kFail           ? 3
           : verdict == Verdict::kNoData       ? 2
           : verdict == Verdict::kInconclusive ? 1
                                               : 0;
  };
  return rank(a) > rank(b);
}

// Why the monitor can say nothing about this rollout, or nothing.
std::string WhyMute(const Observed& seen, const std::string& name,
                    const api::DriftMonitor* monitor) {
  if (monitor == nullptr) return "there is no DriftMonitor " + name;
  if (monitor->spec.target.model_deployment != seen.deployment->meta.key.name) {
    return "DriftMonitor " + name + " watches " + monitor->spec.target.model_deployment;
  }
  if (monitor->spec.suspend) return "DriftMonitor " + name + " is suspended";
  if (kube::IsTrue(monitor->status.conditions, "Blind")) {
    return "DriftMonitor " + name + " can't see the pods";
  }
  return "";
}

CheckStatus LookAtSignals(const Observed& seen, const api::RolloutStatus& rollout,
                          const api::AnalysisProbe& probe) {
  CheckStatus look;
  look.name = probe.name;
  const auto found = seen.monitors.find(probe.drift->monitor);
  const api::DriftMonitor* monitor = found == seen.monitors.end() ? nullptr : found->second.get();
  look.message = WhyMute(seen, probe.drift->monitor, monitor);
  if (!look.message.empty()) return look;
  std::vector<std::string> names = probe.drift->signals;
  if (names.empty()) {
    for (const api::Signal& signal : monitor->spec.signals) names.push_back(signal.name);
  }
  look.verdict = Verdict::kPass;
  for (const std::string& name : names) {
    const auto& rows = monitor->status.signals;
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const api::SignalStatus& one) {
      return one.name == name && one.variant == rollout.version;
    });
    const bool judged = row != rows.end();
    const Verdict verdict = judged ? JudgeSignal(probe.rules, *row) : Verdict::kNoData;
    if (!Graver(verdict, look.verdict)) continue;
    look.verdict = verdict;
    look.message = "signal " + name;
    if (!judged) {
      look.message += " of DriftMonitor " + monitor->meta.key.name + " says nothing of " +
                      rollout.version + " yet";
      continue;
    }
    look.challenger = row->value;
    look.threshold = row->threshold;
    look.samples = row->samples;
    look.message += ": " + row->message;
    if (verdict == Verdict::kNoData && MayBecomeADrift(*row)) look.message += "; no drift yet";
  }
  return look;
}

// ---- of a Job ----

// From what must never run twice: the deployment, the version and the probe.
std::string JobName(const api::ModelDeployment& deployment, const std::string& version,
                    const std::string& probe) {
  return BoundedName(deployment.meta.key.name,
                     ShortHash(deployment.meta.uid + "/" + version + "/" + probe));
}

const api::JobView* FindJob(const Observed& seen, const std::string& name) {
  const auto job = std::find_if(seen.jobs.begin(), seen.jobs.end(),
                                [&](const auto& one) { return one->meta.key.name == name; });
  return job == seen.jobs.end() ? nullptr : job->get();
}

// Nobody knows how it would have ended, nor what it has done so far: a person decides.
CheckStatus Vanished(CheckStatus look) {
  look.verdict = Verdict::kInconclusive;
  look.message = "Job " + look.job +
                 " was deleted before its verdict was seen, and runs once for a version: kubectl "
                 "perennial resume goes on without it, abort and then retry run another";
  return look;
}

CheckStatus LookAtJob(const Observed& seen, const api::RolloutStatus& rollout,
                      const api::AnalysisProbe& probe, const CheckStatus* before) {
  CheckStatus look;
  look.name = probe.name;
  look.job = JobName(*seen.deployment, rollout.version, probe.name);
  const bool on_record = before != nullptr && before->job == look.job;
  if (on_record) look.job_uid = before->job_uid;
  const api::JobView* job = FindJob(seen, look.job);
  // Not one that somebody made under its name.
  if (job == nullptr || (!look.job_uid.empty() && look.job_uid != job->meta.uid)) {
    if (!look.job_uid.empty()) return Vanished(std::move(look));
    look.message = "Job " + look.job + (on_record ? " is being started" : " is to be started");
    return look;
  }
  look.job_uid = job->meta.uid;
  switch (job->state) {
    case api::JobState::kRunning:
      look.message = "Job " + look.job + " runs";
      break;
    case api::JobState::kSucceeded:
      look.verdict = Verdict::kPass;
      look.message = "Job " + look.job + " succeeded";
      break;
    case api::JobState::kFailed:
      look.verdict = Verdict::kFail;
      look.message = "Job " + look.job + " failed: " + job->reason + " " + job->message;
      break;
  }
  return look;
}

json Environment(const api::ModelDeployment& deployment, const api::ModelVersion& version) {
  const std::string& name = version.meta.key.name;
  const json service = json::parse(RenderService(deployment, name).body, nullptr, false);
  const json port = service["spec"]["ports"][0]["port"];
  const std::string host = ChildName(deployment, name) + "." + deployment.meta.key.ns + ".svc";
  json env = ModelEnvironment(version.spec.model, name);
  env.push_back({{"name", "MODEL_SERVICE"}, {"value", host + ":" + port.dump()}});
  return env;
}

kube::CreateObject RenderJob(const api::ModelDeployment& deployment,
                             const api::ModelVersion& version, const api::AnalysisProbe& probe) {
  const json from = json::parse(probe.job->job_template.text, nullptr, false);
  json spec = from.value("spec", json::object());
  json& pod = spec["template"];
  const json env = Environment(deployment, version);
  for (json& container : pod["spec"]["containers"]) SetEnvironment(container, env);
  MakeJobPods(pod, deployment, version.meta.key.name);
  json& keep = spec["ttlSecondsAfterFinished"];
  if (keep.is_null()) keep = kKeepFinishedSeconds;
  // What is no number is left to the API server to refuse.
  if (keep.is_number_integer()) {
    keep = std::max<std::int64_t>(keep.get<std::int64_t>(), kKeepUnseenSeconds);
  }
  const std::string name = JobName(deployment, version.meta.key.name, probe.name);
  json job =
      json::parse(Seal(deployment, api::kJobs, name, version.meta.key.name, std::move(spec)).body);
  job["metadata"]["labels"].erase(std::string(kLabelComponent));
  job["metadata"]["labels"][std::string(api::kLabelIdentity)] =
      ShortHash(deployment.meta.uid + name, 16);
  return {{api::kJobs, {deployment.meta.key.ns, name}}, job.dump()};
}

bool IsJobTemplate(const json& value) {
  const json::json_pointer pod("/spec/template");
  return value.is_object() && value.contains(pod) && IsPodTemplate(value[pod]);
}

}  // namespace

Verdict VerdictOf(const api::LookRules& rules, const std::string& object) {
  const json value = json::parse(object, nullptr, false);
  const auto holds = [&](const std::string& text) {
    const auto parsed = api::ObjectExpression::Parse(text);
    return parsed.ok() && parsed->Holds(value);
  };
  if (!rules.failure.empty() && holds(rules.failure)) return Verdict::kFail;
  if (rules.success.empty() || holds(rules.success)) return Verdict::kPass;
  return rules.failure.empty() ? Verdict::kFail : Verdict::kInconclusive;
}

void JudgeLook(const api::LookRules& rules, const std::string& object, const std::string& values,
               CheckStatus& look) {
  look.verdict = VerdictOf(rules, object);
  look.threshold = rules.success.empty() ? "not " + rules.failure : rules.success;
  if (look.verdict == Verdict::kFail) {
    look.message = values + ": " + (rules.failure.empty() ? "not " + rules.success : rules.failure);
  } else if (look.verdict == Verdict::kInconclusive) {
    look.message = values + ": neither success nor failure";
  }
}

CheckStatus LookAtProbe(const Observed& seen, const api::RolloutStatus& rollout,
                        const api::AnalysisProbe& probe, const CheckStatus* before) {
  if (probe.query) return LookAtAnswer(seen, probe);
  return probe.job ? LookAtJob(seen, rollout, probe, before) : LookAtSignals(seen, rollout, probe);
}

std::optional<std::string> ProbeProblem(const api::ModelDeployment& deployment) {
  const auto bad = api::ExpressionProblems(deployment.spec);
  if (!bad.empty()) return bad.front();
  const auto& analysis = deployment.spec.rollout.analysis;
  if (!analysis) return std::nullopt;
  for (const api::AnalysisProbe& probe : analysis->probes) {
    if (probe.query) {
      const auto query = FilledIn(probe.query->query, deployment, "", "");
      if (query.ok()) continue;
      return "spec.rollout.analysis: probe " + probe.name + ": query: " + query.error().message;
    }
    if (!probe.job) continue;
    if (IsJobTemplate(json::parse(probe.job->job_template.text, nullptr, false))) continue;
    return "spec.rollout.analysis: probe " + probe.name +
           ": job.template must be a batch/v1 JobTemplateSpec with spec.template.spec.containers";
  }
  return std::nullopt;
}

std::vector<kube::CreateObject> MissingJobs(const Observed& seen) {
  std::vector<kube::CreateObject> missing;
  const api::RolloutStatus* rollout = ActiveRollout(seen.deployment->status);
  const auto& analysis = seen.deployment->spec.rollout.analysis;
  if (rollout == nullptr || !analysis) return missing;
  const bool moves = rollout->phase == api::RolloutPhase::kProgressing ||
                     rollout->phase == api::RolloutPhase::kPaused;
  const api::ModelVersion* version = FindVersion(seen, rollout->version);
  if (!moves || version == nullptr) return missing;
  for (const api::AnalysisProbe& probe : analysis->probes) {
    if (!probe.job) continue;
    const std::string name = JobName(*seen.deployment, rollout->version, probe.name);
    const bool asked =
        std::any_of(rollout->checks.begin(), rollout->checks.end(), [&](const CheckStatus& check) {
          return check.name == probe.name && check.job == name && check.job_uid.empty() &&
                 check.verdict == Verdict::kNoData;
        });
    if (asked && FindJob(seen, name) == nullptr)
      missing.push_back(RenderJob(*seen.deployment, *version, probe));
  }
  return missing;
}

}  // namespace perennial::deployment
