#include "drift/decide.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <set>
#include <string_view>

#include "api/codec.h"
#include "api/enum_names.h"
#include "api/names.h"
#include "base/hash.h"
#include "base/text.h"
#include "drift/definition.h"
#include "drift/explain.h"
#include "drift/verdict.h"

namespace perennial::drift {
namespace {

using api::SignalState;

const api::SignalStatus* FindSignal(const api::DriftMonitorStatus& status, const std::string& name,
                                    const std::string& version) {
  for (const api::SignalStatus& signal : status.signals) {
    if (signal.name == name && signal.variant == version) return &signal;
  }
  return nullptr;
}

// Status holds whole seconds: what is written must be what is read back.
api::Time Stamp(WallTime now) {
  return api::Time{std::chrono::floor<Seconds>(now)};
}

// True if the number changed by more than a quarter of what would matter.
bool MovedMuch(const api::SignalStatus& before, const api::SignalStatus& after) {
  if (before.value.empty() != after.value.empty()) return true;
  const double was = std::strtod(before.value.c_str(), nullptr);
  const double is = std::strtod(after.value.c_str(), nullptr);
  const double scale = std::max(std::abs(std::strtod(after.threshold.c_str(), nullptr)), 1e-9);
  return std::abs(is - was) > scale / 4;
}

bool HasData(char mark) {
  return mark != '?' && mark != 'E';
}

// The definition of a signal now. While nobody knows the champion, the last one counts as it.
std::string DefinitionNow(const Observed& seen, const api::Signal& signal,
                          const std::string& version) {
  const std::string champion = ChampionOf(seen);
  return DefinitionOf(seen.monitor->spec, signal, version,
                      champion.empty() ? seen.monitor->status.champion : champion);
}

// The row from which the next looks go on. The state stays through any edit that leaves what is
// measured, since a moved bound is no cure, and through any time without data. Of another quantity
// that had this name nothing stays.
api::SignalStatus RowBefore(const Observed& seen, const api::Signal& signal,
                            const std::string& version, const std::string& definition,
                            WallTime now) {
  const api::SignalStatus* before = FindSignal(seen.monitor->status, signal.name, version);
  api::SignalStatus row;
  if (before != nullptr && SameDefinition(before->definition, definition)) {
    row = *before;
  } else {
    row.name = signal.name;
    row.variant = version;
    row.since = Stamp(now);
    row.message = "not evaluated yet";
  }
  row.definition = definition;
  return row;
}

api::SignalStatus Describe(const Observed& seen, const api::Signal& signal,
                           const std::string& version, WallTime now) {
  const api::DriftMonitorSpec& spec = seen.monitor->spec;
  const std::string definition = DefinitionNow(seen, signal, version);
  api::SignalStatus before = RowBefore(seen, signal, version, definition, now);
  const auto entry = seen.history.entries().find({signal.name, version});
  if (entry == seen.history.entries().end() ||
      !SameDefinition(entry->second.definition, definition)) {
    return before;
  }
  api::SignalStatus out = before;
  if (const Evaluation* latest = entry->second.latest.get()) {
    out.value = latest->value;
    out.threshold = latest->threshold;
    out.samples = latest->samples;
    out.tests = latest->tests;
    out.message = latest->message;
    out.moved = latest->moved;
  }
  out.recent = entry->second.marks;
  out.state = NextState(before.state, out.recent, spec.for_evaluations, spec.of_evaluations);
  if (out.state != before.state) out.since = Stamp(now);
  out.severity.reset();
  if (out.state == SignalState::kDrifted) {
    out.severity = SeverityOf(signal, out.recent, spec.for_evaluations, spec.of_evaluations);
    // Better looks don't make a drift that lasts a lesser one.
    if (before.state == SignalState::kDrifted && before.severity) {
      out.severity = std::max(*out.severity, *before.severity);
    }
  }
  return out;
}

bool Champion(const Observed& seen, const std::string& version) {
  return !version.empty() && version == ChampionOf(seen);
}

// The signals of the champion, or of the last one while nobody knows it, that have drifted and
// count.
std::vector<const api::SignalStatus*> DriftedSignals(const Observed& seen,
                                                     const api::DriftMonitorStatus& status) {
  std::vector<const api::SignalStatus*> out;
  for (const api::SignalStatus& signal : status.signals) {
    if (signal.state != SignalState::kDrifted || signal.variant != status.champion) continue;
    const auto& all = seen.monitor->spec.signals;
    const bool counts = std::any_of(all.begin(), all.end(), [&](const api::Signal& spec) {
      return spec.name == signal.name && WeightOf(spec) > 0;
    });
    if (counts) out.push_back(&signal);
  }
  return out;
}

PolicyVerdict PolicyOf(const Observed& seen, const api::DriftMonitorStatus& status) {
  std::set<std::string> names;
  for (const api::SignalStatus* signal : DriftedSignals(seen, status)) names.insert(signal->name);
  return JudgePolicy(seen.monitor->spec, names);
}

// An episode lasts as long as, by the policy, one and the same champion has drifted.
void UpdateEpisode(const Observed& seen, WallTime now, api::DriftMonitorStatus& status) {
  if (!PolicyOf(seen, status).drifted) {
    status.episode.reset();
    return;
  }
  const std::vector<const api::SignalStatus*> drifted = DriftedSignals(seen, status);
  if (!status.episode || status.episode->version != status.champion) {
    api::Episode episode;
    episode.started = Stamp(now);
    episode.version = status.champion;
    episode.id =
        ShortHash(seen.monitor->meta.uid + "/" + status.champion + "/" + FormatTime(now), 10);
    episode.severity = api::Severity::kMinor;
    status.episode = std::move(episode);
  }
  api::Episode& episode = *status.episode;
  episode.signals.clear();
  for (const api::SignalStatus* signal : drifted) {
    episode.signals.push_back(signal->name);
    episode.severity = std::max(episode.severity, signal->severity.value_or(episode.severity));
  }
}

std::string Summary(const Observed& seen, const api::DriftMonitorStatus& status) {
  std::string worst;
  for (const api::SignalStatus& signal : status.signals) {
    if (!Champion(seen, signal.variant)) continue;
    if (signal.state != SignalState::kDrifted && signal.state != SignalState::kWarning) continue;
    if (!worst.empty()) worst += "; ";
    worst += signal.name + " " + NameOf(signal.state);
    if (signal.value.empty()) {
      worst += ", without data now";
      continue;
    }
    worst += " at " + signal.value + " (threshold " + signal.threshold + ", " +
             std::to_string(signal.samples) + " samples";
    if (!signal.moved.empty()) worst += "; most moved: " + DescribeMoves(signal.moved);
    worst += ")";
  }
  return worst;
}

struct Health {
  bool ready = true;
  std::string reason = "Watching";
  std::string message = "the target's pods are being read";
};

Health Judge(const Observed& seen, const api::DriftMonitorStatus& status) {
  if (seen.monitor->spec.suspend) return {true, "Suspended", "spec.suspend is true"};
  // Of before the API server knew a rule that is of today.
  if (const auto problems = api::Validate(seen.monitor->spec); !problems.empty()) {
    return {false, "InvalidSpec", problems.front()};
  }
  if (!seen.invalid.empty()) return {false, "InvalidSpec", seen.invalid};
  const api::MonitorTarget& target = seen.monitor->spec.target;
  if (target.service && seen.service == nullptr) {
    return {false, "ServiceNotFound",
            "Service " + target.service->name +
                " does not exist or lacks the label: kubectl label service " +
                target.service->name + " " + std::string(api::kLabelUse) + "=" +
                std::string(api::kUseMetrics)};
  }
  if (!target.service && seen.deployment == nullptr) {
    return {false, "ModelDeploymentNotFound",
            "ModelDeployment " + target.model_deployment + " does not exist"};
  }
  if (ChampionOf(seen).empty()) return {false, "NoChampion", "no version serves yet"};
  const auto& signals = seen.monitor->spec.signals;
  if (seen.baseline.empty() && std::any_of(signals.begin(), signals.end(), NeedsBaseline)) {
    return {false, "NoBaseline",
            !seen.baseline_problem.empty() ? seen.baseline_problem : "there is no baseline"};
  }
  if (!seen.problem.empty()) {
    return {false, seen.targets == 0 ? "NoTargets" : "ScrapesFail", seen.problem};
  }
  for (const api::SignalStatus& signal : status.signals) {
    if (signal.state != SignalState::kError || !Champion(seen, signal.variant)) continue;
    return {false, "SignalError", "signal " + signal.name + ": " + signal.message};
  }
  if (!seen.warning.empty()) return {true, "SourceWarns", seen.warning};
  return {};
}

void SetConditions(const Observed& seen, const Health& health, WallTime now,
                   api::DriftMonitorStatus& status) {
  const std::int64_t generation = seen.monitor->meta.generation;
  const auto set = [&](const char* type, const char* value, const std::string& reason,
                       const std::string& message) {
    kube::SetCondition(status.conditions, {type, value, reason, message, generation, ""}, now);
  };
  set("Ready", health.ready ? "True" : "False", health.reason, health.message);
  int known = 0;
  int judged = 0;
  for (const api::SignalStatus& signal : status.signals) {
    if (!Champion(seen, signal.variant)) continue;
    ++judged;
    known += !signal.recent.empty() && HasData(signal.recent.front());
  }
  const bool blind = judged == 0 || known == 0;
  const bool suspended = seen.monitor->spec.suspend;
  set("Blind", blind ? "True" : "False",
      suspended ? "Suspended"
      : blind   ? "NoData"
                : "Seeing",
      suspended ? "spec.suspend is true"
      : blind   ? "no signal of the champion can be judged: see status.signals"
                : "at least one signal of the champion is judged");
  const std::string summary = Summary(seen, status);
  if (status.episode) {
    set("Drifted", "True", "Drifted",
        summary.empty() ? "as of the last look; the champion is unknown now" : summary);
  } else if (blind) {
    set("Drifted", "Unknown", suspended ? "Suspended" : "NoData", "no data is never a verdict");
  } else if (!DriftedSignals(seen, status).empty()) {
    set("Drifted", "False", "BelowPolicy", PolicyOf(seen, status).reason + ": " + summary);
  } else {
    set("Drifted", "False", summary.empty() ? "NoDrift" : "Warning",
        summary.empty() ? "no signal of the champion has drifted" : summary);
  }
}

void AddEvents(const Observed& seen, const api::DriftMonitorStatus& status, kube::Plan& plan) {
  for (const api::SignalStatus& signal : status.signals) {
    const api::SignalStatus* before = FindSignal(seen.monitor->status, signal.name, signal.variant);
    const SignalState was = before ? before->state : SignalState::kNoData;
    if (signal.state == was) continue;
    if (signal.state != SignalState::kDrifted && was != SignalState::kDrifted) continue;
    kube::EmitEvent event;
    const bool drifted = signal.state == SignalState::kDrifted;
    event.type = drifted ? kube::EmitEvent::Type::kWarning : kube::EmitEvent::Type::kNormal;
    event.reason = drifted ? "DriftDetected" : "DriftEnded";
    event.action = "Evaluate";
    event.note =
        CutText("signal " + signal.name + " of " + signal.variant + ": value " + signal.value +
                    ", threshold " + signal.threshold + ", " + std::to_string(signal.samples) +
                    " samples. " + signal.message + (signal.moved.empty() ? "" : "; most moved: ") +
                    DescribeMoves(signal.moved),
                1000);
    plan.actions.emplace_back(std::move(event));
  }
}

// What a message says apart from its numbers.
std::string Wording(const std::string& message) {
  std::string out;
  std::copy_if(message.begin(), message.end(), std::back_inserter(out),
               [](unsigned char c) { return std::isdigit(c) == 0; });
  return out;
}

// True if a person who reads the old one would miss something. Messages of judged signals come and
// go with chance; the others say what has to be changed.
bool TellsMore(const api::SignalStatus& before, const api::SignalStatus& after) {
  if (before.state != after.state || MovedMuch(before, after)) return true;
  if (before.definition != after.definition) return true;
  if (before.threshold != after.threshold || before.recent.size() != after.recent.size()) {
    return true;
  }
  // On the way to a drift a restart must neither forget a breach nor remember one that is over. In
  // a drift it may: that only makes it last a look longer.
  const auto count = [](const api::SignalStatus& signal, std::string_view of) {
    return std::count_if(signal.recent.begin(), signal.recent.end(),
                         [&](char mark) { return of.find(mark) != std::string_view::npos; });
  };
  if (after.state != SignalState::kDrifted && count(before, "BC") != count(after, "BC"))
    return true;
  if (before.severity != after.severity) return true;
  // The same on the way to a critical one.
  if (after.severity != api::Severity::kCritical && count(before, "C") != count(after, "C")) {
    return true;
  }
  const auto known = [](const api::SignalStatus& signal) {
    return !signal.recent.empty() && HasData(signal.recent.front());
  };
  if (known(before) != known(after)) return true;
  if (!known(after) && Wording(before.message) != Wording(after.message)) return true;
  return !std::equal(before.tests.begin(), before.tests.end(), after.tests.begin(),
                     after.tests.end(), [](const api::TestStatus& a, const api::TestStatus& b) {
                       return a.measure == b.measure && a.threshold == b.threshold;
                     });
}

// Keeps what was written where nothing new is to be told, so that looks alone never cause a write.
void KeepUnlessNew(const api::DriftMonitorStatus& before, api::DriftMonitorStatus& after) {
  for (api::SignalStatus& signal : after.signals) {
    const api::SignalStatus* old = FindSignal(before, signal.name, signal.variant);
    if (old != nullptr && !TellsMore(*old, signal)) signal = *old;
  }
}

// Every signal of every version that serves.
void MakeRows(const Observed& seen, WallTime now, api::DriftMonitorStatus& status) {
  status.champion = ChampionOf(seen);
  status.baseline = seen.baseline;
  status.baseline_recorded =
      seen.baseline_recorded
          ? std::optional(api::Time{std::chrono::floor<Seconds>(*seen.baseline_recorded)})
          : std::nullopt;
  status.signals.clear();
  for (const std::string& version : seen.versions) {
    for (const api::Signal& signal : seen.monitor->spec.signals) {
      status.signals.push_back(Describe(seen, signal, version, now));
    }
  }
  KeepUnlessNew(seen.monitor->status, status);
}

// While nobody knows the champion, what was found of it stays: an outage is no end of a drift. But
// not what an edit has made another quantity, such as that of another target; and looks by the
// rules of an earlier spec are none by these.
void KeepRows(const Observed& seen, api::DriftMonitorStatus& status) {
  std::erase_if(status.signals, [&](const api::SignalStatus& row) {
    const auto& signals = seen.monitor->spec.signals;
    const auto signal = std::ranges::find(signals, row.name, &api::Signal::name);
    return signal == signals.end() ||
           !SameDefinition(row.definition, DefinitionNow(seen, *signal, row.variant));
  });
  if (seen.monitor->status.observed_generation != seen.monitor->meta.generation) {
    for (api::SignalStatus& row : status.signals) row.recent.clear();
  }
  if (!status.signals.empty()) return;
  status.champion.clear();
  status.baseline.clear();
  status.baseline_recorded.reset();
}

}  // namespace

std::string ChampionOf(const Observed& seen) {
  if (seen.service != nullptr) return seen.service->meta.key.name;
  return seen.deployment != nullptr ? seen.deployment->status.champion : "";
}

kube::Plan Decide(const Observed& seen, WallTime now) {
  kube::Plan plan;
  const api::DriftMonitor& monitor = *seen.monitor;
  api::DriftMonitorStatus status = monitor.status;
  status.observed_generation = monitor.meta.generation;
  status.targets = seen.targets;
  status.targets_up = seen.targets_up;
  if (!ChampionOf(seen).empty() || monitor.spec.suspend) {
    MakeRows(seen, now, status);
  } else {
    KeepRows(seen, status);
  }
  UpdateEpisode(seen, now, status);
  const Health health = Judge(seen, status);
  SetConditions(seen, health, now, status);
  const std::string summary = Summary(seen, status);
  plan.why = !health.ready                              ? health.message
             : !summary.empty()                         ? summary
             : kube::IsTrue(status.conditions, "Blind") ? "waiting for enough samples"
                                                        : "no drift";
  status.why = CutText(plan.why, 1024);
  AddEvents(seen, status, plan);
  status.last_evaluation = monitor.status.last_evaluation;
  if (status != monitor.status) {
    status.last_evaluation = Stamp(now);
    plan.status = api::EncodeStatus(status);
  }
  plan.wake_at = seen.next_evaluation;
  return plan;
}

bool TellsMore(const Observed& seen, const History::Id& id, WallTime now) {
  const auto& [name, version] = id;
  const api::SignalStatus* before = FindSignal(seen.monitor->status, name, version);
  const auto& signals = seen.monitor->spec.signals;
  const auto signal = std::ranges::find(signals, name, &api::Signal::name);
  return before == nullptr || signal == signals.end() ||
         TellsMore(*before, Describe(seen, *signal, version, now));
}

}  // namespace perennial::drift
