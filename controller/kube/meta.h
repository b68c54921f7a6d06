#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace perennial::kube {

// Identity of an object inside its resource. `ns` is empty for cluster-scoped objects.
struct Key {
  std::string ns;
  std::string name;
  auto operator<=>(const Key&) const = default;
};

// "namespace/name", or the name alone.
std::string ToString(const Key& key);

// A resource of the API as its URL names it ("apps", "v1", "deployments"), with the kind that
// bodies carry. The core group is the empty string.
struct Resource {
  std::string group;
  std::string version;
  std::string plural;
  std::string kind;

  // "apps/v1", or "v1" for the core group.
  std::string ApiVersion() const;
  auto operator<=>(const Resource&) const = default;
};

struct Ref {
  Resource resource;
  Key key;
  auto operator<=>(const Ref&) const = default;
};

// "Deployment ns/name".
std::string ToString(const Ref& ref);

struct OwnerReference {
  std::string api_version;
  std::string kind;
  std::string name;
  std::string uid;
  bool controller = false;
  bool operator==(const OwnerReference&) const = default;
};

// The part of ObjectMeta that decisions need. A projection may leave maps empty to save memory.
struct Meta {
  Key key;
  std::string uid;
  std::string resource_version;
  std::int64_t generation = 0;
  WallTime created{};
  bool deleting = false;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  std::vector<OwnerReference> owners;

  bool operator==(const Meta&) const = default;
};

// Reads `metadata` of a whole object. kInvalid where name or uid is missing or a type is wrong.
Result<Meta> ParseMeta(const nlohmann::json& object);

// The value for a key, or nullptr.
const std::string* Find(const std::map<std::string, std::string>& map, std::string_view key);

// The owner reference with controller: true, or nullptr. Ownership is judged by UID, never by name.
const OwnerReference* ControllerOf(const Meta& meta);

// A metav1.Condition. `status` is "True", "False" or "Unknown"; the transition time is RFC 3339.
struct Condition {
  std::string type;
  std::string status;
  std::string reason;
  std::string message;
  std::int64_t observed_generation = 0;
  std::string last_transition_time;
  bool operator==(const Condition&) const = default;
};

const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type);
bool IsTrue(const std::vector<Condition>& conditions, std::string_view type);

// Sets `condition` in `conditions` (kept sorted by type): the transition time of an equal status is
// kept, a new status is stamped with `now` (Kubernetes API conventions, "Typical status
// properties").
void SetCondition(std::vector<Condition>& conditions, Condition condition, WallTime now);
void RemoveCondition(std::vector<Condition>& conditions, std::string_view type);

// Compares resource versions as KEP-5504 defines them (decimal, unbounded): <0, 0, >0.
int CompareResourceVersions(std::string_view a, std::string_view b);

}  // namespace perennial::kube
