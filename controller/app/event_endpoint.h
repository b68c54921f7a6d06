#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/retrain_policy.h"
#include "api/source.h"
#include "app/http_server.h"
#include "base/clock.h"
#include "kube/client.h"
#include "kube/store.h"
#include "retrain/event.h"

namespace perennial::app {

// What a request may weigh.
inline constexpr HttpLimits kEventLimits{.request_bytes = 16'384,
                                         .connections = 64,
                                         .body_bytes = 65'536,
                                         .request_timeout = Millis{5'000}};

// Takes CloudEvents: POST /events/NAMESPACE/POLICY. The sender must know what an event trigger of
// the policy names in a Secret, before anything else of the request is looked at. An event is taken
// by writing it into the policy's status, under the condition that nobody else wrote meanwhile; the
// reconciler does the rest, so that it is never lost between the answer and the run, and a replica
// that does not lead can take it as well. Strangers get one answer, whatever there is; only its
// time may differ, at most once a minute, when a policy's Secret is read. Not thread-safe: one
// server, one thread.
class EventEndpoint {
 public:
  struct Dependencies {
    const kube::Store<api::RetrainPolicy>& policies;
    kube::Client& client;  // the field manager of the policies' reconciler
    api::SecretLookup secrets;
    const Clock& clock;
  };
  explicit EventEndpoint(Dependencies dependencies) : from_(std::move(dependencies)) {}

  HttpReply Take(const HttpRequest& request);

 private:
  // The policy's event triggers whose secret the sender knows.
  std::vector<api::EventTrigger> Admitted(const api::RetrainPolicy& policy,
                                          const HttpRequest& request);
  std::optional<std::string> Secret(const api::RetrainPolicy& policy, const api::SecretKey& secret);
  HttpReply Record(const api::RetrainPolicy& admitted, const api::EventTrigger& trigger,
                   const retrain::CloudEvent& event);

  const Dependencies from_;
  std::optional<Millis> warned_at_;
};

}  // namespace perennial::app
