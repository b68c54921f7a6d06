#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "kube/client.h"
#include "kube/plan.h"

namespace perennial::kube {

// Writes events.k8s.io/v1 events about objects from a thread of its own, so that a slow API server
// delays no reconcile. The same event about the same object within six minutes becomes a series
// (count and last time) instead of another object; each object has a budget of writes (a burst of
// 25, then one in 5 minutes, as client-go's EventSourceObjectSpamFilter), and what does not fit
// into it or into the bounded queue is dropped and counted (a repetition is still counted in its
// series). Thread-safe.
class EventRecorder {
 public:
  // `controller` is reportingController ("perennial.dev/controller"), `instance` the pod's name.
  EventRecorder(Client& client, const Clock& clock, std::string controller,
                const std::string& instance);
  ~EventRecorder();  // stops; what is queued is given a second to be written
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void Start();
  void Record(const Ref& regarding, const std::string& uid, const EmitEvent& event);
  std::uint64_t dropped() const;

  // Writes the oldest queued event on the caller's thread, for tests; false if there was none.
  bool WriteOne();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::kube
