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
// later is tried. Ownership is checked live before an object that exists is applied (see
// ApplyObject): kConflict "… exists and is not controlled by …" for foreign ones. Events are handed
// to the recorder only after the writes before them went through. The status is written with the
// snapshot's resource version as a precondition, so a plan made on stale data can't overwrite newer
// status (kConflict). A status of an object that is gone is Ok. kCancelled where the permit is
// gone.
Result<Executed> Execute(Client& client, EventRecorder& events, const Subject& subject,
                         const Plan& plan, const WritePermit& permit);

}  // namespace perennial::kube
