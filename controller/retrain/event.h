#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/retrain_policy.h"
#include "base/clock.h"
#include "base/result.h"

namespace perennial::retrain {

// What is read of a CloudEvent (CloudEvents 1.0): its data is not.
struct CloudEvent {
  std::string id;
  std::string source;
  std::string type;
  WallTime time{};
  bool structured = false;  // the body is the whole event
};

// One request, as the event endpoint got it. `header` finds a value by its lower-case name.
struct EventRequest {
  std::function<std::optional<std::string>(std::string_view header)> header;
  std::string_view body;
};

// The event of a request in structured or binary mode (CloudEvents' HTTP protocol binding 1.0.2,
// 3.1 and 3.2). kInvalid with a sentence for the sender; whatever the bytes are, what comes out is
// valid UTF-8 without control characters, and short.
Result<CloudEvent> ReadEvent(const EventRequest& request);

// Old events are refused, so that identities need not be remembered for ever. The clocks of senders
// may be a little ahead.
inline constexpr Millis kOldestEvent{3'600'000};
inline constexpr Millis kEarliestEvent{300'000};
Status CheckTime(const CloudEvent& event, WallTime now);

bool Wants(const api::EventTrigger& trigger, std::string_view type, std::string_view source);

// Source and id name an event (CloudEvents 1.0, "id"): the same pair again is the same trigger.
std::string EventIdentity(std::string_view source, std::string_view id);

// The policy has it already: it waits for its run, the run is on record, or it was taken lately.
bool IsKnown(const api::RetrainPolicyStatus& status, std::string_view source, std::string_view id);

// Events that may wait on one policy; more are refused until runs have been recorded.
inline constexpr std::size_t kMostEvents = 16;
// Events that are remembered until CheckTime refuses them. All of them are: where there are more,
// new ones are refused for a while.
inline constexpr std::size_t kMostRecent = 100;

// Adds the event to those that wait and to those that are remembered. False: too many of either.
bool Accept(const CloudEvent& event, WallTime now, api::RetrainPolicyStatus& status);

}  // namespace perennial::retrain
