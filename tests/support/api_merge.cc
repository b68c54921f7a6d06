#include "support/api_merge.h"

#include <map>
#include <nlohmann/json.hpp>
#include <vector>

namespace perennial::testing {
namespace {

using nlohmann::json;

// Path elements end with this, which no JSON name holds.
constexpr char kSeparator = '\x1f';

// The member that names an element, for lists that merge (x-kubernetes-list-map-keys of the
// built-in types and of Perennial's conditions).
const char* MergeKey(const std::string& field) {
  static const std::map<std::string, const char*> kKeys = {
      {"ownerReferences", "uid"},   {"conditions", "type"}, {"containers", "name"},
      {"initContainers", "name"},   {"volumes", "name"},    {"env", "name"},
      {"volumeMounts", "mountPath"}};
  const auto it = kKeys.find(field);
  return it == kKeys.end() ? nullptr : it->second;
}

bool Keyed(const std::string& field, const json& value) {
  if (!value.is_array() || value.empty()) return false;
  const char* key = MergeKey(field);
  if (key == nullptr) return false;
  for (const json& element : value) {
    if (!element.is_object() || !element.contains(key)) return false;
  }
  return true;
}

json* FindElement(json& list, const std::string& key, const std::string& value) {
  for (json& element : list) {
    if (element.is_object() && element.value(key, "") == value) return &element;
  }
  return nullptr;
}

void Leaves(const json& value, const std::string& field, const std::string& path,
            std::set<std::string>& out) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, member] : value.items()) {
      Leaves(member, name, path + name + kSeparator, out);
    }
  } else if (Keyed(field, value)) {
    const char* key = MergeKey(field);
    for (const json& element : value) {
      Leaves(element, "", path + key + "=" + element[key].get<std::string>() + kSeparator, out);
    }
  } else {
    out.insert(path);
  }
}

void Merge(json& live, const json& intent, const std::string& field) {
  if (intent.is_object() && live.is_object()) {
    for (const auto& [name, member] : intent.items()) Merge(live[name], member, name);
  } else if (Keyed(field, intent) && live.is_array()) {
    const char* key = MergeKey(field);
    for (const json& element : intent) {
      json* present = FindElement(live, key, element[key].get<std::string>());
      if (present == nullptr) {
        live.push_back(element);
      } else {
        Merge(*present, element, "");
      }
    }
  } else {
    live = intent;
  }
}

std::vector<std::string> Split(const std::string& path) {
  std::vector<std::string> out;
  std::string part;
  for (const char c : path) {
    if (c == kSeparator) {
      out.push_back(std::exchange(part, {}));
    } else {
      part += c;
    }
  }
  return out;
}

json* Step(json& value, const std::string& part) {
  if (value.is_object()) {
    const auto it = value.find(part);
    return it == value.end() ? nullptr : &*it;
  }
  const size_t equals = part.find('=');
  if (!value.is_array() || equals == std::string::npos) return nullptr;
  return FindElement(value, part.substr(0, equals), part.substr(equals + 1));
}

// `part` leads to an element of a list: "name=model".
bool OnlyKeyLeft(const json& element, const std::string& part) {
  return element.is_object() && element.size() == 1 &&
         part.rfind(element.begin().key() + "=", 0) == 0;
}

void Erase(json& value, const std::vector<std::string>& parts, size_t at) {
  json* child = Step(value, parts[at]);
  if (child == nullptr) return;
  const bool last = at + 1 == parts.size();
  if (!last) Erase(*child, parts, at + 1);
  if (!last && !child->empty() && !OnlyKeyLeft(*child, parts[at])) return;
  // What names an element stays as long as the element has anything else: leaves that are erased
  // later find it by that.
  if (last && at > 0 && value.size() > 1 && parts[at - 1].rfind(parts[at] + "=", 0) == 0) return;
  if (value.is_object()) {
    value.erase(parts[at]);
  } else {
    value.erase(static_cast<size_t>(child - &value[0]));
  }
}

}  // namespace

std::set<std::string> LeavesOf(const json& value) {
  std::set<std::string> out;
  Leaves(value, "", "", out);
  return out;
}

void ApplyInto(json& live, const json& intent) {
  Merge(live, intent, "");
}

std::optional<json> LeafAt(const json& value, const std::string& path) {
  json copy = value;
  json* at = &copy;
  for (const std::string& part : Split(path)) {
    at = Step(*at, part);
    if (at == nullptr) return std::nullopt;
  }
  return *at;
}

void EraseLeaf(json& value, const std::string& path) {
  const auto parts = Split(path);
  if (!parts.empty()) Erase(value, parts, 0);
}

std::set<std::string> ChangedLeaves(const json& before, const json& after) {
  std::set<std::string> out;
  for (const json* side : {&before, &after}) {
    for (const std::string& path : LeavesOf(*side)) {
      if (LeafAt(before, path) != LeafAt(after, path)) out.insert(path);
    }
  }
  return out;
}

}  // namespace perennial::testing
