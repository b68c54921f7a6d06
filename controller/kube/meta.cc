#include "kube/meta.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace perennial::kube {
namespace {

using nlohmann::json;

std::string Text(const json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

void ReadMap(const json& object, const char* name, std::map<std::string, std::string>& out) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_object()) return;
  for (const auto& [key, value] : it->items()) {
    if (value.is_string()) out.emplace(key, value.get<std::string>());
  }
}

OwnerReference ReadOwner(const json& owner) {
  OwnerReference out{Text(owner, "apiVersion"), Text(owner, "kind"), Text(owner, "name"),
                     Text(owner, "uid"), false};
  const auto controller = owner.find("controller");
  out.controller = controller != owner.end() && controller->is_boolean() && controller->get<bool>();
  return out;
}

}  // namespace

std::string ToString(const Key& key) {
  return key.ns.empty() ? key.name : key.ns + "/" + key.name;
}

std::string Resource::ApiVersion() const {
  return group.empty() ? version : group + "/" + version;
}

std::string ToString(const Ref& ref) {
  return ref.resource.kind + " " + ToString(ref.key);
}

Result<Meta> ParseMeta(const json& object) {
  if (!object.is_object()) return Error{Errc::kInvalid, "object is not a JSON object"};
  const auto it = object.find("metadata");
  if (it == object.end() || !it->is_object()) {
    return Error{Errc::kInvalid, "object has no metadata"};
  }
  Meta meta;
  meta.key = {Text(*it, "namespace"), Text(*it, "name")};
  meta.uid = Text(*it, "uid");
  meta.resource_version = Text(*it, "resourceVersion");
  if (meta.key.name.empty() || meta.uid.empty()) {
    return Error{Errc::kInvalid, "metadata has no name or no uid"};
  }
  if (const auto g = it->find("generation"); g != it->end() && g->is_number_integer()) {
    meta.generation = g->get<std::int64_t>();
  }
  if (const auto created = ParseTime(Text(*it, "creationTimestamp"))) meta.created = *created;
  meta.deleting = it->contains("deletionTimestamp");
  ReadMap(*it, "labels", meta.labels);
  ReadMap(*it, "annotations", meta.annotations);
  if (const auto owners = it->find("ownerReferences"); owners != it->end() && owners->is_array()) {
    for (const json& owner : *owners) {
      if (owner.is_object()) meta.owners.push_back(ReadOwner(owner));
    }
  }
  return meta;
}

const std::string* Find(const std::map<std::string, std::string>& map, std::string_view key) {
  const auto it = map.find(std::string(key));
  return it == map.end() ? nullptr : &it->second;
}

const OwnerReference* ControllerOf(const Meta& meta) {
  for (const OwnerReference& owner : meta.owners) {
    if (owner.controller) return &owner;
  }
  return nullptr;
}

const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type) {
  for (const Condition& condition : conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

bool IsTrue(const std::vector<Condition>& conditions, std::string_view type) {
  const Condition* condition = FindCondition(conditions, type);
  return condition != nullptr && condition->status == "True";
}

void SetCondition(std::vector<Condition>& conditions, Condition condition, WallTime now) {
  condition.last_transition_time = FormatTime(now);
  const auto at =
      std::lower_bound(conditions.begin(), conditions.end(), condition,
                       [](const Condition& a, const Condition& b) { return a.type < b.type; });
  if (at == conditions.end() || at->type != condition.type) {
    conditions.insert(at, std::move(condition));
    return;
  }
  if (at->status == condition.status && !at->last_transition_time.empty()) {
    condition.last_transition_time = at->last_transition_time;
  }
  *at = std::move(condition);
}

void RemoveCondition(std::vector<Condition>& conditions, std::string_view type) {
  std::erase_if(conditions, [&](const Condition& condition) { return condition.type == type; });
}

int CompareResourceVersions(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  const int order = a.compare(b);
  return order;
}

}  // namespace perennial::kube
