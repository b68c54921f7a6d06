// Objects are made, changed and deleted; whose owner is gone goes too.
#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "support/api_merge.h"
#include "support/api_world.h"

namespace perennial::testing {
namespace {

using kube::Response;
using nlohmann::json;

// The kinds without a status subresource; all of the object is written as one.
bool HasStatus(const ApiPath& path) {
  static const std::set<std::string> kWithout = {"configmaps", "secrets", "leases", "events",
                                                 "endpointslices"};
  return !kWithout.contains(path.resource.plural);
}

// What does not count as a change, and what the generation counts.
json WithoutVersion(json object) {
  object["metadata"].erase("resourceVersion");
  return object;
}
json SpecOf(json object) {
  object.erase("metadata");
  object.erase("status");
  return object;
}

std::string Stamp() {
  return FormatTime(SystemClock().Wall());
}

const std::set<std::string>& ServersFields() {
  static const std::set<std::string> kFields = {
      "uid",          "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
      "managedFields"};
  return kFields;
}

void KeepServersFields(json& object, const json& from) {
  for (const std::string& field : ServersFields()) {
    if (from["metadata"].contains(field)) {
      object["metadata"][field] = from["metadata"][field];
    } else {
      object["metadata"].erase(field);
    }
  }
}

}  // namespace

std::optional<Response> ApiWorld::CheckPreconditions(const json& body, const json& object) const {
  const json metadata = body.value("metadata", json::object());
  const std::string uid = metadata.value("uid", "");
  const std::string version = metadata.value("resourceVersion", "");
  if (!uid.empty() && uid != object["metadata"]["uid"]) {
    return Failure(409, "Conflict",
                   "the UID in the precondition (" + uid + ") does not match the UID in record (" +
                       object["metadata"]["uid"].get<std::string>() +
                       "). The object might have been deleted and then recreated");
  }
  if (!version.empty() && version != object["metadata"]["resourceVersion"]) {
    return Failure(409, "Conflict",
                   "Operation cannot be fulfilled: the object has been modified; please apply your "
                   "changes to the latest version and try again");
  }
  return std::nullopt;
}

bool ApiWorld::OwnerIsGone(const json& metadata) const {
  for (const json& owner : metadata.value("ownerReferences", json::array())) {
    if (gone_.contains(owner.value("uid", ""))) return collect_garbage_;
  }
  return false;
}

json ApiWorld::Insert(const ApiPath& path, json object) {
  json& metadata = object["metadata"];
  metadata["name"] = path.key.name;
  if (!path.key.ns.empty()) metadata["namespace"] = path.key.ns;
  char uid[40];
  std::snprintf(uid, sizeof uid, "00000000-0000-4000-8000-%012llu",
                static_cast<unsigned long long>(++uids_));
  metadata["uid"] = uid;
  metadata["creationTimestamp"] = Stamp();
  metadata["resourceVersion"] = std::to_string(++version_);
  if (HasStatus(path)) metadata["generation"] = 1;
  // Who made it had not seen yet that its owner is gone: the garbage collector takes it at once.
  if (OwnerIsGone(metadata)) return object;
  Stored& stored = objects_[IdOf(path.resource)][path.key];
  stored = {object, {}};
  Record({version_, IdOf(path.resource), path.key, nullptr, object});
  return object;
}

json ApiWorld::Commit(const ApiPath& path, Stored& stored, json after, bool all) {
  const json before = stored.object;
  KeepServersFields(after, before);
  if (HasStatus(path) && !all) {
    if (path.subresource == "status") {
      json status = after.value("status", json());
      after = before;
      after.erase("status");
      if (!status.is_null()) after["status"] = std::move(status);
    } else {
      after.erase("status");
      if (before.contains("status")) after["status"] = before["status"];
    }
  }
  if (WithoutVersion(after) == WithoutVersion(before)) return before;
  if (HasStatus(path) && SpecOf(after) != SpecOf(before)) {
    after["metadata"]["generation"] = before["metadata"].value("generation", 1) + 1;
  }
  after["metadata"]["resourceVersion"] = std::to_string(++version_);
  stored.object = after;
  Record({version_, IdOf(path.resource), path.key, before, after});
  const bool released = after["metadata"].value("finalizers", json::array()).empty();
  if (after["metadata"].contains("deletionTimestamp") && released) Erase(path);
  return after;
}

Response ApiWorld::Create(const ApiPath& path, json body) {
  ApiPath target = path;
  target.key.name = body.value("metadata", json::object()).value("name", "");
  if (target.key.name.empty()) return Failure(422, "Invalid", "metadata.name: Required value");
  if (Find(target) != nullptr) {
    return Failure(409, "AlreadyExists",
                   path.resource.plural + " \"" + target.key.name + "\" already exists");
  }
  if (HasStatus(path)) body.erase("status");
  const json stored = Insert(target, std::move(body));
  // A create is an Update, whose fields stay when the same manager later applies less.
  if (Stored* kept = Find(target)) {
    kept->managers[path.Query("fieldManager") + "/update"] = LeavesOf(stored);
  }
  return Response{201, stored.dump(), {}};
}

Response ApiWorld::Replace(const ApiPath& path, json body) {
  Stored* stored = Find(path);
  if (stored == nullptr) return NotFound(path);
  if (auto failed = CheckPreconditions(body, stored->object)) return *failed;
  return Response{200, Commit(path, *stored, std::move(body)).dump(), {}};
}

Response ApiWorld::Patch(const ApiPath& path, const kube::Request& request) {
  json body = json::parse(request.body, nullptr, false);
  if (!body.is_object()) return Failure(400, "BadRequest", "the patch is not a JSON object");
  if (request.content_type == "application/apply-patch+yaml") return Apply(path, std::move(body));
  if (request.content_type != "application/merge-patch+json") {
    return Failure(415, "UnsupportedMediaType", request.content_type);
  }
  Stored* stored = Find(path);
  if (stored == nullptr) return NotFound(path);
  if (auto failed = CheckPreconditions(body, stored->object)) return *failed;
  json after = stored->object;
  after.merge_patch(body);
  const json before = stored->object;
  const json written = Commit(path, *stored, std::move(after));
  if (Stored* now = Find(path)) {
    for (const std::string& leaf : ChangedLeaves(before, written)) {
      for (auto& [name, owned] : now->managers) owned.erase(leaf);
      now->managers[path.Query("fieldManager") + "/update"].insert(leaf);
    }
  }
  return Response{200, written.dump(), {}};
}

Response ApiWorld::Apply(const ApiPath& path, json intent) {
  const std::string manager = path.Query("fieldManager");
  if (manager.empty()) return Failure(422, "Invalid", "fieldManager is required for apply patch");
  if (!intent.contains("apiVersion") || !intent.contains("kind")) {
    return Failure(400, "BadRequest", "apiVersion and kind must be set");
  }
  Stored* stored = Find(path);
  if (stored == nullptr) {
    if (path.subresource == "status") return NotFound(path);
    // A version is compared with nothing.
    if (intent.value("metadata", json::object()).contains("uid")) {
      return Failure(409, "Conflict", "the object to apply to is gone");
    }
    if (HasStatus(path)) intent.erase("status");
    const auto leaves = LeavesOf(intent);
    const json created = Insert(path, std::move(intent));
    if (Stored* kept = Find(path)) kept->managers[manager] = leaves;
    return Response{201, created.dump(), {}};
  }
  if (auto failed = CheckPreconditions(intent, stored->object)) return *failed;
  for (const std::string& field : ServersFields()) intent["metadata"].erase(field);
  // A manager owns fields of the main resource and of the subresource apart.
  const std::string owner = manager + path.subresource;
  const auto wanted = LeavesOf(intent);
  for (auto& [other, owned] : stored->managers) {
    if (other == owner) continue;
    for (const std::string& leaf : wanted) {
      if (!owned.contains(leaf) || LeafAt(stored->object, leaf) == LeafAt(intent, leaf)) continue;
      if (path.Query("force") != "true") {
        return Failure(409, "Conflict", "Apply failed with 1 conflict: conflict with " + other);
      }
      owned.erase(leaf);
    }
  }
  json after = stored->object;
  for (const std::string& leaf : stored->managers[owner]) {
    const bool shared = std::any_of(
        stored->managers.begin(), stored->managers.end(),
        [&](const auto& entry) { return entry.first != owner && entry.second.contains(leaf); });
    if (!wanted.contains(leaf) && !shared) EraseLeaf(after, leaf);
  }
  ApplyInto(after, intent);
  stored->managers[owner] = wanted;
  return Response{200, Commit(path, *stored, std::move(after)).dump(), {}};
}

Response ApiWorld::Delete(const ApiPath& path, const json& options) {
  Stored* stored = Find(path);
  if (stored == nullptr) return NotFound(path);
  const json asked = {{"metadata", options.value("preconditions", json::object())}};
  if (auto failed = CheckPreconditions(asked, stored->object)) return *failed;
  if (!stored->object["metadata"].value("finalizers", json::array()).empty()) {
    if (!stored->object["metadata"].contains("deletionTimestamp")) {
      const json before = stored->object;
      stored->object["metadata"]["deletionTimestamp"] = Stamp();
      stored->object["metadata"]["resourceVersion"] = std::to_string(++version_);
      Record({version_, IdOf(path.resource), path.key, before, stored->object});
    }
    return Response{200, stored->object.dump(), {}};
  }
  Erase(path);
  return Response{
      200, R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"})", {}};
}

void ApiWorld::Erase(const ApiPath& path) {
  Stored* stored = Find(path);
  if (stored == nullptr) return;
  const json last = stored->object;
  const std::string uid = last["metadata"]["uid"];
  objects_[IdOf(path.resource)].erase(path.key);
  gone_.insert(uid);
  ++version_;
  Record({version_, IdOf(path.resource), path.key, last, nullptr});
  if (!collect_garbage_) return;
  std::vector<ApiPath> owned;
  for (const auto& [id, objects] : objects_) {
    for (const auto& [key, object] : objects) {
      for (const json& owner : object.object["metadata"].value("ownerReferences", json::array())) {
        if (owner.value("uid", "") != uid) continue;
        const auto& [group, version, plural] = id;
        owned.push_back({{group, version, plural, ""}, key, "", {}});
      }
    }
  }
  for (const ApiPath& child : owned) Delete(child, json::object());
}

}  // namespace perennial::testing
