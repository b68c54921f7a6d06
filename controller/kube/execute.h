#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "kube/client.h"
#include "kube/events.h"
#include "kube/plan.h"

namespace perennial::kube {

// The object that a plan is about.
struct Subject {
  Ref ref;
  std::string uid;
  std::string resource_version;  // of the snapshot that the plan was decided on
};

// What carrying a plan out came to.
struct Executed {
  int writes = 0;
  // Of the subject's own status write: until the store shows it, nothing may be decided again.
  std::optional<std::string> resource_version;
};

// Asked before each write: false once this process may not write any more (leader election).
using WritePermit = std::function<bool()>;

// Carries out a plan's actions in order, the status last; the first failure ends it and nothing
// later is tried.
// - An object that exists is read live before it is applied: one that the subject doesn't control
//   is kAlreadyExists "… exists and is not controlled by …". The apply then carries the UID and
//   resource version that were read; one that was absent is applied without force, so that an
//   object which somebody else makes in between is a conflict and not ours. A `fresh` one is
//   applied at first under a condition that only an absent object meets.
// - Events are handed to the recorder only after what they tell of is recorded: the status where
//   the plan has one, else the writes before them.
// - The status is a whole value with one writer: applied, so that fields which disappear from it
//   disappear from the object, with the snapshot's resource version as a precondition, so that a
//   plan made on stale data can't overwrite a newer status (kConflict). A status of an object that
//   is gone is Ok.
// - kCancelled once the permit is gone.
Result<Executed> Execute(Client& client, EventRecorder& events, const Subject& subject,
                         const Plan& plan, const WritePermit& permit);

// Writes nothing but the conditions of `status` (a whole status as JSON) into the subject's live
// status, if they differ: how a plan that can't be carried out is told without claiming that its
// effects happened. nullopt where nothing was written, also when the object changed meanwhile.
Result<std::optional<std::string>> TellConditions(Client& client, const Subject& subject,
                                                  const std::string& status,
                                                  const WritePermit& permit);

}  // namespace perennial::kube
