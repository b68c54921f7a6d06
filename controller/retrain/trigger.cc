#include "retrain/trigger.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/enum_names.h"
#include "api/names.h"
#include "base/hash.h"
#include "base/text.h"
#include "retrain/event.h"
#include "retrain/new_data.h"
#include "retrain/schedule.h"
#include "retrain/schedule_status.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;

constexpr size_t kLongestToken = 256;
constexpr size_t kLongestAuthor = 256;

bool Selected(const api::DriftTrigger& trigger, const std::string& signal) {
  return trigger.signals.empty() ||
         std::find(trigger.signals.begin(), trigger.signals.end(), signal) != trigger.signals.end();
}

json EvidenceOf(const api::DriftMonitor& monitor, const api::DriftTrigger& trigger) {
  json signals = json::array();
  for (const api::SignalStatus& signal : monitor.status.signals) {
    if (signal.state != api::SignalState::kDrifted || !Selected(trigger, signal.name)) continue;
    signals.push_back({{"name", signal.name},
                       {"value", signal.value},
                       {"threshold", signal.threshold},
                       {"samples", signal.samples},
                       {"since", FormatTime(signal.since.value)}});
  }
  return {{"monitor", monitor.meta.key.name},
          {"episode", monitor.status.episode->id},
          {"version", monitor.status.episode->version},
          {"severity", NameOf(monitor.status.episode->severity)},
          {"signals", std::move(signals)}};
}

// Signals that the trigger names and that can't start a run.
void CheckSignals(const api::DriftTrigger& trigger, const api::DriftMonitor& monitor,
                  TriggerOutcome& out) {
  const std::vector<api::Signal>& signals = monitor.spec.signals;
  std::string names;
  for (const api::Signal& signal : signals) names += (names.empty() ? "" : ", ") + signal.name;
  bool counts = false;
  for (const std::string& name : trigger.signals) {
    const auto found = std::find_if(signals.begin(), signals.end(),
                                    [&](const api::Signal& signal) { return signal.name == name; });
    if (found == signals.end()) {
      out.problems.push_back("DriftMonitor " + trigger.monitor + " has no signal " + name +
                             "; it has " + names);
    }
    counts = counts || found == signals.end() || !found->weight || found->weight->value > 0;
  }
  if (counts || trigger.signals.empty()) return;
  out.problems.push_back("DriftMonitor " + trigger.monitor +
                         " gives all signals of the trigger the weight 0, so it never fires: give "
                         "one of them another weight");
}

void EvaluateDrift(const api::DriftTrigger& trigger, const TriggerInput& input,
                   TriggerOutcome& out) {
  for (const auto& monitor : input.monitors) {
    if (monitor->meta.key.name != trigger.monitor) continue;
    CheckSignals(trigger, *monitor, out);
    const auto& episode = monitor->status.episode;
    if (!episode) return;
    const bool wanted = std::any_of(episode->signals.begin(), episode->signals.end(),
                                    [&](const std::string& s) { return Selected(trigger, s); });
    // An episode that gets worse later on starts its run then.
    if (!wanted || episode->severity < trigger.min_severity) return;
    out.fired.push_back({"Drift", "drift/" + episode->id, EvidenceOf(*monitor, trigger).dump()});
    return;
  }
  out.problems.push_back("DriftMonitor " + trigger.monitor + " does not exist");
}

// The crossing is on record since it was seen, so it is the same one after any crash.
void EvaluateNewData(const api::NewDataTrigger& trigger, const TriggerInput& input,
                     TriggerOutcome& out) {
  const std::string name = DataName(trigger);
  for (const api::NewDataStatus& status : input.new_data) {
    if (status.trigger != name || !status.reached) continue;
    const std::string since = FormatTime(status.reached->value);
    const json evidence = {{"expression", trigger.expression},
                           {"threshold", trigger.threshold.text},
                           {"value", status.value},
                           {"reached", since}};
    out.fired.push_back(
        {"NewData", CrossingIdentity(name, status.reached->value), evidence.dump()});
  }
}

void EvaluateEvents(const api::RetrainPolicy& policy, TriggerOutcome& out) {
  for (const api::TakenEvent& event : policy.status.events) {
    const auto wants = [&](const api::Trigger& trigger) {
      return trigger.event && Wants(*trigger.event, event.type, event.source);
    };
    const auto& triggers = policy.spec.triggers;
    if (std::none_of(triggers.begin(), triggers.end(), wants)) continue;
    const json evidence = {{"id", event.id},
                           {"source", event.source},
                           {"type", event.type},
                           {"received", FormatTime(event.received.value)}};
    out.fired.push_back({"Event", EventIdentity(event.source, event.id), evidence.dump()});
  }
}

// The same for one policy whatever happens, and even over policies.
Millis JitterOf(const api::ScheduleTrigger& trigger, const api::RetrainPolicy& policy) {
  const Millis::rep most = trigger.jitter.value.count();
  if (most <= 0) return Millis(0);
  const auto share = std::stoull(Sha256Hex(policy.meta.uid).substr(0, 12), nullptr, 16);
  return Millis(static_cast<Millis::rep>(share % static_cast<unsigned long long>(most)));
}

void EvaluateSchedule(const api::ScheduleTrigger& trigger, const TriggerInput& input, WallTime now,
                      TriggerOutcome& out) {
  const auto cron = ParseCron(trigger.cron);
  if (!cron.ok()) {
    out.problems.push_back(cron.error().message);
    return;
  }
  const Millis jitter = JitterOf(trigger, *input.policy);
  const std::string name = ScheduleName(trigger);
  const auto stands = std::find_if(input.schedules.begin(), input.schedules.end(),
                                   [&](const auto& status) { return status.trigger == name; });
  if (stands == input.schedules.end()) return;
  const WallTime since = stands->since.value;
  const auto due = LastTime(*cron, trigger.time_zone, since, now - jitter);
  // One that was added within its own jitter does not fire for the time before it.
  const auto next = NextTime(*cron, trigger.time_zone, std::max(since, now - jitter));
  if (!due.ok() || !next.ok()) {
    out.problems.push_back(due.ok() ? next.error().message : due.error().message);
    return;
  }
  if (*next && (!out.next_schedule || **next + jitter < *out.next_schedule)) {
    out.next_schedule = **next + jitter;
  }
  if (!*due) return;
  const bool late =
      trigger.starting_deadline && now - jitter > **due + trigger.starting_deadline->value;
  if (late) return;
  const std::string time = FormatTime(**due);
  const json evidence = {
      {"cron", trigger.cron}, {"timeZone", trigger.time_zone}, {"scheduledTime", time}};
  out.fired.push_back({"Schedule", "schedule/" + time, evidence.dump(), name});
}

}  // namespace

TriggerOutcome EvaluateTriggers(const TriggerInput& input, WallTime now) {
  TriggerOutcome out;
  const api::RetrainPolicy& policy = *input.policy;
  const std::string* token = kube::Find(policy.meta.annotations, api::kAnnotationRetrain);
  if (token != nullptr && !token->empty()) {
    // An identity that status can't hold as it is would be taken for another one ever after.
    const std::string id = token->size() <= kLongestToken ? *token : "sha256:" + Sha256Hex(*token);
    json evidence = {{"token", CutText(*token, kLongestToken)}};
    if (const auto* author = kube::Find(policy.meta.annotations, api::kAnnotationAuthor)) {
      evidence["author"] = CutText(*author, kLongestAuthor);
    }
    out.fired.push_back({"Manual", "manual/" + id, evidence.dump()});
  }
  for (const api::Trigger& trigger : policy.spec.triggers) {
    if (trigger.drift) EvaluateDrift(*trigger.drift, input, out);
  }
  for (const api::Trigger& trigger : policy.spec.triggers) {
    if (trigger.new_data) EvaluateNewData(*trigger.new_data, input, out);
  }
  EvaluateEvents(policy, out);
  for (const api::Trigger& trigger : policy.spec.triggers) {
    if (trigger.schedule) EvaluateSchedule(*trigger.schedule, input, now, out);
  }
  return out;
}

std::string RunName(const api::RetrainPolicy& policy, const std::string& identity) {
  return BoundedName(policy.meta.key.name, ShortHash(policy.meta.uid + "/" + identity), 52);
}

}  // namespace perennial::retrain
