#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "kube/meta.h"

namespace perennial::kube {

// The label that says what a created object stands for (api::kLabelIdentity; the layers below api
// can't include it).
inline constexpr std::string_view kIdentityLabel = "perennial.dev/identity";

// Server-side apply of our whole intent for one child. Carried out only if the object does not
// exist or is controlled by the plan's own object (`owned`), never on somebody else's object.
struct ApplyObject {
  Ref target;
  std::string body;   // canonical JSON text
  bool owned = true;  // false: an object that exists already, which we annotate but don't own
  // A field that `body` leaves to others ("/spec/replicas"): its live value stays when it was ours.
  std::string left_alone{};
  // Was not there when the plan was decided, so that it is made without asking first; where it is
  // there after all, it is treated as any other. Not with `left_alone`.
  bool fresh = false;
  bool operator==(const ApplyObject&) const = default;
};

// Creates an object with a deterministic name, once. If the name is taken by an object that carries
// the same label perennial.dev/identity (and, where the body names a controller, has that one) it
// is done already; otherwise the plan stops with kAlreadyExists.
struct CreateObject {
  Ref target;
  std::string body;
  bool operator==(const CreateObject&) const = default;
};

struct DeleteObject {
  Ref target;
  std::string uid;
  // Only as it was seen; empty: whatever has become of it. A request that was long on its way must
  // not delete what serves again.
  std::string resource_version{};
  bool operator==(const DeleteObject&) const = default;
};

// Gives labels back to an object that was made with them. Nothing where it is gone or is another
// one under the same name.
struct RelabelObject {
  Ref target;
  std::string uid;
  std::string labels;  // JSON object
  bool operator==(const RelabelObject&) const = default;
};

// An events.k8s.io/v1 event about the plan's own object.
struct EmitEvent {
  enum class Type { kNormal, kWarning };
  Type type = Type::kNormal;
  std::string reason;  // CamelCase, from a closed list that the docs name
  std::string action;  // what the controller did, CamelCase
  std::string note;    // under 1 kB
  bool operator==(const EmitEvent&) const = default;
};

using Action = std::variant<ApplyObject, CreateObject, DeleteObject, RelabelObject, EmitEvent>;

// What a decide function answers: a value that can be compared, printed and tested.
struct Plan {
  std::vector<Action> actions;  // in order; the first failure ends the plan
  std::optional<std::string>
      status;  // JSON of the whole `status`; set only if it changed; written last
  std::optional<WallTime> wake_at;  // look again then, even if nothing changed
  std::string why;                  // one sentence: log, explain, audit
  bool operator==(const Plan&) const = default;
};

// Multi-line text for people, logs and golden tests.
std::string ToString(const Plan& plan);

}  // namespace perennial::kube
