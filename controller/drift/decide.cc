#include "drift/decide.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <iterator>

#include "api/codec.h"
#include "base/hash.h"
#include "base/text.h"

namespace perennial::drift {
namespace {

using api::SignalState;

const char* NameOf(SignalState state) {
  switch (state) {
    case SignalState::kOk:
      return "Ok";
    case SignalState::kWarning:
      return "Warning";
    case SignalState::kDrifted:
      return "Drifted";
    case SignalState::kNoData:
      return "NoData";
    case SignalState::kError:
      return "Error";
  }
  return "NoData";
}

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

api::SignalStatus Describe(const Observed& seen, const api::Signal& signal,
                           const std::string& version, WallTime now) {
  const api::DriftMonitor& monitor = *seen.monitor;
  const api::SignalStatus* before = FindSignal(monitor.status, signal.name, version);
  api::SignalStatus out;
  out.name = signal.name;
  out.variant = version;
  out.since = before ? before->since : Stamp(now);
  const SignalState was = before ? before->state : SignalState::kNoData;
  out.state = was;
  const auto entry = seen.history.entries().find({signal.name, version});
  if (entry == seen.history.entries().end()) {
    out.message = "not evaluated yet";
    return before ? *before : out;
  }
  const Evaluation& latest = entry->second.latest;
  out.value = latest.value;
  out.threshold = latest.threshold;
  out.samples = latest.samples;
  out.tests = latest.tests;
  out.message = latest.message;
  out.recent = entry->second.marks;
  out.state = NextState(was, out.recent, monitor.spec.for_evaluations, monitor.spec.of_evaluations);
  if (out.state != was) out.since = Stamp(now);
  return out;
}

bool Champion(const Observed& seen, const std::string& version) {
  return seen.deployment != nullptr && version == seen.deployment->status.champion;
}

std::vector<std::string> DriftedSignals(const Observed& seen,
                                        const api::DriftMonitorStatus& status) {
  std::vector<std::string> out;
  for (const api::SignalStatus& signal : status.signals) {
    if (signal.state == SignalState::kDrifted && Champion(seen, signal.variant)) {
      out.push_back(signal.name);
    }
  }
  return out;
}

// An episode lasts as long as any signal of one and the same champion is drifted.
void UpdateEpisode(const Observed& seen, WallTime now, api::DriftMonitorStatus& status) {
  const std::vector<std::string> drifted = DriftedSignals(seen, status);
  if (drifted.empty()) {
    status.episode.reset();
    return;
  }
  if (!status.episode || status.episode->version != status.champion) {
    api::Episode episode;
    episode.started = Stamp(now);
    episode.version = status.champion;
    episode.id =
        ShortHash(seen.monitor->meta.uid + "/" + status.champion + "/" + FormatTime(now), 10);
    status.episode = std::move(episode);
  }
  status.episode->signals = drifted;
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
             std::to_string(signal.samples) + " samples)";
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
  if (seen.deployment == nullptr) {
    return {false, "ModelDeploymentNotFound",
            "ModelDeployment " + seen.monitor->spec.target.model_deployment + " does not exist"};
  }
  if (seen.deployment->status.champion.empty()) {
    return {false, "NoChampion", "no version serves yet"};
  }
  const auto& signals = seen.monitor->spec.signals;
  if (seen.baseline.empty() && std::any_of(signals.begin(), signals.end(), NeedsBaseline)) {
    return {false, "NoBaseline",
            "ModelVersion " + seen.deployment->status.champion +
                " records no training profile: set spec.baseline.profile, or let the training "
                "result carry one"};
  }
  if (!seen.problem.empty()) {
    return {false, seen.targets == 0 ? "NoTargets" : "ScrapesFail", seen.problem};
  }
  for (const api::SignalStatus& signal : status.signals) {
    if (signal.state != SignalState::kError || !Champion(seen, signal.variant)) continue;
    return {false, "SignalError", "signal " + signal.name + ": " + signal.message};
  }
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
    if (signal.recent.empty() || signal.recent.front() == '?' || signal.recent.front() == 'E')
      continue;
    ++known;
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
    event.note = CutText("signal " + signal.name + " of " + signal.variant + ": value " +
                             signal.value + ", threshold " + signal.threshold + ", " +
                             std::to_string(signal.samples) + " samples. " + signal.message,
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
  if (before.threshold != after.threshold || before.recent.size() != after.recent.size()) {
    return true;
  }
  // On the way to a drift a restart must neither forget a breach nor remember one that is over. In
  // a drift it may: that only makes it last a look longer.
  const auto breaches = [](const api::SignalStatus& signal) {
    return std::count(signal.recent.begin(), signal.recent.end(), 'B');
  };
  if (after.state != SignalState::kDrifted && breaches(before) != breaches(after)) return true;
  const auto known = [](const api::SignalStatus& signal) {
    return !signal.recent.empty() && signal.recent.front() != '?' && signal.recent.front() != 'E';
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

}  // namespace

SignalState NextState(SignalState before, const std::string& marks, int k, int n) {
  const std::string window = marks.substr(0, static_cast<size_t>(std::max(n, 1)));
  const auto count = [&](const char* of) {
    return static_cast<int>(std::count_if(window.begin(), window.end(), [&](char mark) {
      return std::string_view(of).find(mark) != std::string_view::npos;
    }));
  };
  const int breaches = count("B");
  const int calm = count("-w");
  if (breaches >= k) return SignalState::kDrifted;
  if (before == SignalState::kDrifted && calm < k) return SignalState::kDrifted;
  if (window.empty()) return before;
  if (calm + breaches == 0) {
    if (count("E") > 0) return SignalState::kError;
    return static_cast<int>(window.size()) >= n ? SignalState::kNoData : before;
  }
  // A single breach on the way to k is worth a warning.
  for (const char mark : window) {
    if (mark == 'B' || mark == 'w') return SignalState::kWarning;
    if (mark == '-') return SignalState::kOk;
  }
  return before;
}

kube::Plan Decide(const Observed& seen, WallTime now) {
  kube::Plan plan;
  const api::DriftMonitor& monitor = *seen.monitor;
  api::DriftMonitorStatus status = monitor.status;
  status.observed_generation = monitor.meta.generation;
  status.targets = seen.targets;
  status.targets_up = seen.targets_up;
  const bool champion_known =
      seen.deployment != nullptr && !seen.deployment->status.champion.empty();
  if (champion_known || monitor.spec.suspend) {
    status.champion = champion_known ? seen.deployment->status.champion : "";
    status.baseline = seen.baseline;
    status.signals.clear();
    for (const std::string& version : seen.versions) {
      for (const api::Signal& signal : monitor.spec.signals) {
        status.signals.push_back(Describe(seen, signal, version, now));
      }
    }
    KeepUnlessNew(monitor.status, status);
    UpdateEpisode(seen, now, status);
  }
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

}  // namespace perennial::drift
