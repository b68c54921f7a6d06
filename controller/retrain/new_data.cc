#include "retrain/new_data.h"

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"

namespace perennial::retrain {
namespace {

using api::DataState;

void MoveTo(DataState state, const DataReading& reading, WallTime now, api::NewDataStatus& status) {
  if (status.state == state && state != DataState::kNoData) return;
  const std::string note = state == DataState::kNoData ? CutText(reading.note, 1024) : "";
  if (status.state != state) {
    status.since = api::Time{now};
    status.value = reading.value ? NumberText(*reading.value) : "";
  }
  status.state = state;
  status.message = note;
}

void Follow(const DataReading& reading, double threshold, WallTime now,
            api::NewDataStatus& status) {
  if (!reading.value) return MoveTo(DataState::kNoData, reading, now, status);
  if (*reading.value >= threshold) {
    if (!status.reached && !reading.whole && !reading.grows) return;
    MoveTo(DataState::kReached, reading, now, status);
    if (!status.reached) status.reached = api::Time{now};
    return;
  }
  // Still on the way back to where it was, or less only because a pod did not answer.
  if (status.reached && (!reading.whole || reading.missing)) return;
  MoveTo(DataState::kBelow, reading, now, status);
  status.reached.reset();
}

constexpr std::string_view kIdentity = "newdata/";

std::optional<api::Time> LastCrossing(const std::string& name,
                                      const std::vector<std::string>& recorded) {
  const std::string prefix = std::string(kIdentity) + name + "/";
  std::optional<WallTime> last;
  for (const std::string_view identity : recorded) {
    if (identity.starts_with(prefix)) {
      last = std::max(last, ParseTime(identity.substr(prefix.size())));
    }
  }
  if (!last) return std::nullopt;
  return api::Time{*last};
}

}  // namespace

std::string CrossingIdentity(const std::string& name, WallTime reached) {
  return std::string(kIdentity) + name + "/" + FormatTime(reached);
}

std::string DataName(const api::NewDataTrigger& trigger) {
  return ShortHash(trigger.expression + "\n" + trigger.threshold.text + "\n" +
                   std::to_string(trigger.window.value.count()));
}

std::vector<api::NewDataStatus> FollowData(const api::RetrainPolicy& policy,
                                           const std::vector<DataReading>& readings,
                                           const std::vector<std::string>& recorded, WallTime now) {
  std::vector<api::NewDataStatus> out;
  for (const api::Trigger& trigger : policy.spec.triggers) {
    if (!trigger.new_data) continue;
    api::NewDataStatus status;
    status.trigger = DataName(*trigger.new_data);
    const auto same = [&](const auto& other) { return other.trigger == status.trigger; };
    if (std::any_of(out.begin(), out.end(), same)) continue;
    const auto& known = policy.status.new_data;
    const auto before = std::find_if(known.begin(), known.end(), same);
    const auto reading = std::find_if(readings.begin(), readings.end(), same);
    if (before != known.end()) {
      status = *before;
    } else if (reading == readings.end()) {
      continue;
    } else {
      status.since = api::Time{now};
      status.reached = LastCrossing(status.trigger, recorded);
    }
    if (reading != readings.end()) Follow(*reading, trigger.new_data->threshold.value, now, status);
    out.push_back(std::move(status));
  }
  return out;
}

}  // namespace perennial::retrain
