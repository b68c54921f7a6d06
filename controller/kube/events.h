#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "kube/client.h"
#include "kube/plan.h"

namespace perennial::kube {

// Writes events.k8s.io/v1 events about objects from a thread of its own, so that a slow API server
// delays no reconcile. The same event about the same object becomes a series (count and last time)
// instead of another object; each object has a budget (a burst of 25, then one in 5 minutes, as
// client-go's EventSourceObjectSpamFilter), and what does not fit into the bounded queue is dropped
// and counted. Thread-safe.
class EventRecorder {
 public:
  // `controller` is reportingController ("perennial.dev/controller"), `instance` the pod's name.
  EventRecorder(Client& client, const Clock& clock, std::string controller, std::string instance);
  ~EventRecorder();  // stops; what is queued is given a second to be written
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void Start();
  void Record(const Ref& regarding, const std::string& uid, const EmitEvent& event);
  std::uint64_t dropped() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::kube
