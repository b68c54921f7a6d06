#include "retrain/hold.h"

#include <algorithm>

#include "retrain/schedule.h"

namespace perennial::retrain {
namespace {

// For years without any opening, as for 31 February.
constexpr Millis kLookAgain{24 * 3'600'000};

std::optional<Hold> Cooldown(const api::RetrainPolicy& policy, WallTime now) {
  std::optional<WallTime> end;
  for (const api::Run& run : policy.status.runs) {
    const WallTime at =
        (run.finished ? run.finished->value : run.started.value) + policy.spec.cooldown.value;
    if (!end || at > *end) end = at;
  }
  if (!end || now >= *end) return std::nullopt;
  return Hold{"the cooldown until " + FormatTime(*end), *end};
}

std::optional<Hold> PerDay(const api::RetrainPolicy& policy, WallTime now) {
  if (policy.spec.max_per_day == 0) return std::nullopt;
  std::vector<WallTime> starts;
  for (const api::Run& run : policy.status.runs) {
    if (run.trigger_type != "Manual" && run.started.value > now - kDay) {
      starts.push_back(run.started.value);
    }
  }
  const auto most = static_cast<std::size_t>(policy.spec.max_per_day);
  if (starts.size() < most) return std::nullopt;
  std::sort(starts.begin(), starts.end());
  const WallTime until = starts[starts.size() - most] + kDay;
  const std::string runs = most == 1 ? "1 run has" : std::to_string(most) + " runs have";
  return Hold{runs + " begun within a day (maxPerDay), until " + FormatTime(until), until};
}

}  // namespace

std::optional<Hold> OutsideWindows(const api::RetrainPolicy& policy, WallTime now) {
  if (policy.spec.maintenance_windows.empty()) return std::nullopt;
  std::optional<WallTime> opens;
  for (const api::MaintenanceWindow& window : policy.spec.maintenance_windows) {
    const auto cron = ParseCron(window.cron);
    if (!cron.ok()) continue;
    const auto opened = LastTime(*cron, window.time_zone, now - window.duration.value, now);
    const auto next = NextTime(*cron, window.time_zone, now);
    if (!opened.ok() || !next.ok()) continue;
    if (*opened) return std::nullopt;
    if (*next && (!opens || **next < *opens)) opens = **next;
  }
  if (!opens) return Hold{"a maintenance window, and none opens", now + kLookAgain};
  return Hold{"the maintenance window that opens at " + FormatTime(*opens), *opens};
}

std::optional<Hold> HeldBack(const api::RetrainPolicy& policy, const FiredTrigger& trigger,
                             WallTime now) {
  if (trigger.type == "Manual") return std::nullopt;
  if (auto hold = Cooldown(policy, now)) return hold;
  if (auto hold = PerDay(policy, now)) return hold;
  return OutsideWindows(policy, now);
}

std::vector<std::string> WindowProblems(const api::RetrainPolicy& policy) {
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < policy.spec.maintenance_windows.size(); ++i) {
    const api::MaintenanceWindow& window = policy.spec.maintenance_windows[i];
    const std::string where = "maintenanceWindows[" + std::to_string(i) + "]: ";
    const auto cron = ParseCron(window.cron);
    if (!cron.ok()) {
      problems.push_back(where + cron.error().message);
      continue;
    }
    const auto next = NextTime(*cron, window.time_zone, WallTime{});
    if (!next.ok()) problems.push_back(where + next.error().message);
  }
  return problems;
}

}  // namespace perennial::retrain
