#include "support/api_world.h"

#include <algorithm>

#include "base/clock.h"
#include "support/api_merge.h"
#include "support/faults.h"

namespace perennial::testing {
namespace {

using kube::Key;
using kube::Response;
using nlohmann::json;

Response Failure(int code, const std::string& reason, const std::string& message) {
  return Response{code, StatusJson(code, reason, message), {}};
}

Response NotFound(const ApiPath& path) {
  return Failure(404, "NotFound", path.resource.plural + " \"" + path.key.name + "\" not found");
}

std::string Decode(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string> SplitAt(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::string part;
  for (const char c : text) {
    if (c == separator) {
      out.push_back(std::exchange(part, {}));
    } else {
      part += c;
    }
  }
  out.push_back(part);
  return out;
}

// The kinds without a status subresource; all of the object is written as one.
bool HasStatus(const ApiPath& path) {
  static const std::set<std::string> kWithout = {"configmaps", "secrets", "leases", "events",
                                                 "endpointslices"};
  return !kWithout.contains(path.resource.plural);
}

bool Selected(const std::string& selector, const json& object) {
  if (object.is_null()) return false;
  if (selector.empty()) return true;
  const json labels = object["metadata"].value("labels", json::object());
  for (const std::string& term : SplitAt(selector, ',')) {
    const size_t equals = term.find('=');
    if (equals == std::string::npos) {
      if (!labels.contains(term)) return false;
      continue;
    }
    const bool negated = equals > 0 && term[equals - 1] == '!';
    const std::string name = term.substr(0, negated ? equals - 1 : equals);
    const std::string value = term.substr(equals + (term.compare(equals, 2, "==") == 0 ? 2 : 1));
    if ((labels.value(name, "\x01") == value) == negated) return false;
  }
  return true;
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

std::optional<ApiPath> ApiPath::Parse(const std::string& text) {
  ApiPath out;
  const size_t question = text.find('?');
  if (question != std::string::npos) {
    for (const std::string& pair : SplitAt(text.substr(question + 1), '&')) {
      const size_t equals = pair.find('=');
      out.query[pair.substr(0, equals)] =
          equals == std::string::npos ? "" : Decode(pair.substr(equals + 1));
    }
  }
  auto parts = SplitAt(text.substr(0, question), '/');
  for (std::string& part : parts) part = Decode(part);
  size_t at = 1;
  if (parts.size() > at && parts[at] == "apis") {
    if (parts.size() < 5) return std::nullopt;
    out.resource.group = parts[++at];
  } else if (parts.size() < 4 || parts[at] != "api") {
    return std::nullopt;
  }
  out.resource.version = parts[++at];
  ++at;
  if (parts[at] == "namespaces" && parts.size() > at + 2) {
    out.key.ns = parts[at + 1];
    at += 2;
  }
  out.resource.plural = parts[at++];
  if (at < parts.size()) out.key.name = parts[at++];
  if (at < parts.size()) out.subresource = parts[at++];
  if (at != parts.size()) return std::nullopt;
  return out;
}

std::string ApiPath::Query(const std::string& name) const {
  const auto it = query.find(name);
  return it == query.end() ? "" : it->second;
}

ApiWorld::ResourceId ApiWorld::IdOf(const kube::Resource& resource) {
  return {resource.group, resource.version, resource.plural};
}

Response ApiWorld::Handle(const kube::Request& request) {
  const auto path = ApiPath::Parse(request.path);
  const std::lock_guard lock(mutex_);
  if (!path || uninstalled_.contains(IdOf(path->resource))) {
    return Response{404, "404 page not found\n", {}};
  }
  if (request.method == "GET") {
    if (path->key.name.empty()) return ListPage(*path);
    const Stored* stored = Find(*path);
    return stored == nullptr ? NotFound(*path) : Response{200, stored->object.dump(), {}};
  }
  json body = request.body.empty() ? json::object() : json::parse(request.body, nullptr, false);
  if (!body.is_object()) return Failure(400, "BadRequest", "the body is not a JSON object");
  if (request.method == "POST") return Create(*path, std::move(body));
  if (request.method == "PATCH") return Patch(*path, request);
  if (request.method == "PUT") return Replace(*path, std::move(body));
  if (request.method == "DELETE") return Delete(*path, body);
  return Failure(405, "MethodNotAllowed", request.method);
}

ApiWorld::Stored* ApiWorld::Find(const ApiPath& path) {
  auto& objects = objects_[IdOf(path.resource)];
  const auto it = objects.find(path.key);
  return it == objects.end() ? nullptr : &it->second;
}

Response ApiWorld::ListPage(const ApiPath& path) {
  Snapshot snapshot{version_, {}};
  if (const std::string token = path.Query("continue"); !token.empty()) {
    const auto it = snapshots_.find(token);
    if (it == snapshots_.end()) {
      return Failure(410, "Expired", "The provided continue parameter is too old");
    }
    snapshot = it->second;
  } else {
    for (const auto& [key, stored] : objects_[IdOf(path.resource)]) {
      if (!path.key.ns.empty() && key.ns != path.key.ns) continue;
      if (!Selected(path.Query("labelSelector"), stored.object)) continue;
      snapshot.rest.push_back(stored.object);
    }
  }
  const std::string limit_text = path.Query("limit");
  const size_t limit = limit_text.empty() ? snapshot.rest.size() : std::stoul(limit_text);
  json metadata = {{"resourceVersion", std::to_string(snapshot.version)}};
  json items = json::array();
  const size_t count = std::min(limit, snapshot.rest.size());
  for (size_t i = 0; i < count; ++i) items.push_back(std::move(snapshot.rest[i]));
  snapshot.rest.erase(snapshot.rest.begin(), snapshot.rest.begin() + static_cast<long>(count));
  if (!snapshot.rest.empty()) {
    metadata["remainingItemCount"] = snapshot.rest.size();
    const std::string token = "page/" + std::to_string(++uids_) + "==";
    metadata["continue"] = token;
    snapshots_[token] = std::move(snapshot);
  }
  return Response{200,
                  json{{"kind", "List"},
                       {"apiVersion", path.resource.ApiVersion()},
                       {"metadata", std::move(metadata)},
                       {"items", std::move(items)}}
                      .dump(),
                  {}};
}

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

void ApiWorld::Record(Change change) {
  Tally& tally = tallies_[{change.resource, change.key}];
  if (change.before.is_null()) ++tally.created;
  if (change.after.is_null()) ++tally.deleted;
  history_.push_back(std::move(change));
  changed_.notify_all();
}

json ApiWorld::Put(const kube::Resource& resource, json object) {
  const std::lock_guard lock(mutex_);
  ApiPath path{resource, {}, "", {}};
  path.key = {object["metadata"].value("namespace", ""), object["metadata"].value("name", "")};
  PERENNIAL_CHECK(!path.key.name.empty());
  if (!object.contains("apiVersion")) object["apiVersion"] = resource.ApiVersion();
  if (!object.contains("kind")) object["kind"] = resource.kind;
  Stored* stored = Find(path);
  if (stored == nullptr) return Insert(path, std::move(object));
  return Commit(path, *stored, std::move(object), true);
}

json ApiWorld::PutStatus(const kube::Ref& ref, json status) {
  const std::lock_guard lock(mutex_);
  const ApiPath path{ref.resource, ref.key, "status", {}};
  Stored* stored = Find(path);
  if (stored == nullptr) return {};
  json after = stored->object;
  after["status"] = std::move(status);
  return Commit(path, *stored, std::move(after), true);
}

std::optional<json> ApiWorld::Get(const kube::Ref& ref) const {
  const std::lock_guard lock(mutex_);
  const auto objects = objects_.find(IdOf(ref.resource));
  if (objects == objects_.end()) return std::nullopt;
  const auto it = objects->second.find(ref.key);
  if (it == objects->second.end()) return std::nullopt;
  return it->second.object;
}

std::vector<json> ApiWorld::List(const kube::Resource& resource) const {
  const std::lock_guard lock(mutex_);
  std::vector<json> out;
  const auto objects = objects_.find(IdOf(resource));
  if (objects == objects_.end()) return out;
  for (const auto& [key, stored] : objects->second) out.push_back(stored.object);
  return out;
}

void ApiWorld::Remove(const kube::Ref& ref) {
  const std::lock_guard lock(mutex_);
  Delete({ref.resource, ref.key, "", {}}, json::object());
}

void ApiWorld::SetInstalled(const kube::Resource& resource, bool installed) {
  const std::lock_guard lock(mutex_);
  if (installed) {
    uninstalled_.erase(IdOf(resource));
  } else {
    uninstalled_.insert(IdOf(resource));
  }
}

void ApiWorld::Compact() {
  const std::lock_guard lock(mutex_);
  compacted_ = version_;
  history_.clear();
  snapshots_.clear();
}

void ApiWorld::SendBookmarks() {
  const std::lock_guard lock(mutex_);
  ++bookmarks_;
  changed_.notify_all();
}

void ApiWorld::WakeWatches() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  changed_.notify_all();
}

std::map<kube::Ref, ApiWorld::Tally> ApiWorld::Tallies() const {
  const std::lock_guard lock(mutex_);
  std::map<kube::Ref, Tally> out;
  for (const auto& [of, tally] : tallies_) {
    const auto& [group, version, plural] = of.first;
    out[{{group, version, plural, ""}, of.second}] = tally;
  }
  return out;
}

std::uint64_t ApiWorld::version() const {
  const std::lock_guard lock(mutex_);
  return version_;
}

std::variant<ApiWorld::Watch, Response> ApiWorld::OpenWatch(const kube::Request& request) {
  const auto path = ApiPath::Parse(request.path);
  const std::lock_guard lock(mutex_);
  if (!path || uninstalled_.contains(IdOf(path->resource))) {
    return Response{404, "404 page not found\n", {}};
  }
  Watch watch{*path, version_, bookmarks_, {}};
  const std::string from = path->Query("resourceVersion");
  if (from.empty() || from == "0") {
    for (const auto& [key, stored] : objects_[IdOf(path->resource)]) {
      if (const auto line = Line(watch, {0, IdOf(path->resource), key, nullptr, stored.object})) {
        watch.first.push_back(*line);
      }
    }
    return watch;
  }
  if (from.find_first_not_of("0123456789") != std::string::npos) {
    return Failure(400, "BadRequest", "Invalid value: \"" + from + "\": resourceVersion");
  }
  watch.seen = std::stoull(from);
  if (watch.seen > version_) {
    return Failure(504, "Timeout", "Too large resource version: " + from);
  }
  return watch;
}

std::optional<std::string> ApiWorld::Line(const Watch& watch, const Change& change) const {
  if (change.resource != IdOf(watch.path.resource)) return std::nullopt;
  if (!watch.path.key.ns.empty() && watch.path.key.ns != change.key.ns) return std::nullopt;
  const std::string selector = watch.path.Query("labelSelector");
  const bool before = Selected(selector, change.before), after = Selected(selector, change.after);
  if (!before && !after) return std::nullopt;
  json object = after ? change.after : change.before;
  // A deletion carries the last state with the version of the deletion.
  if (!after) object["metadata"]["resourceVersion"] = std::to_string(change.version);
  return json{{"type", !before ? "ADDED"
                       : after ? "MODIFIED"
                               : "DELETED"},
              {"object", std::move(object)}}
      .dump();
}

std::vector<std::string> ApiWorld::NextLines(Watch& watch, Millis left,
                                             const std::stop_token& stop) {
  std::vector<std::string> out = std::exchange(watch.first, {});
  std::unique_lock lock(mutex_);
  const std::uint64_t wakes = wakes_;
  const auto collect = [&] {
    if (watch.seen < compacted_) {
      out.push_back(R"({"type":"ERROR","object":)" +
                    StatusJson(410, "Expired", "too old resource version") + "}");
      return true;
    }
    // Versions rise along the history.
    auto at =
        std::upper_bound(history_.begin(), history_.end(), watch.seen,
                         [](std::uint64_t seen, const Change& c) { return seen < c.version; });
    for (; at != history_.end(); ++at) {
      if (auto line = Line(watch, *at)) out.push_back(*std::move(line));
      watch.seen = at->version;
    }
    if (watch.bookmarks != bookmarks_ && watch.path.Query("allowWatchBookmarks") == "true") {
      watch.bookmarks = bookmarks_;
      out.push_back(json{{"type", "BOOKMARK"},
                         {"object",
                          {{"apiVersion", watch.path.resource.ApiVersion()},
                           {"kind", "Bookmark"},
                           {"metadata", {{"resourceVersion", std::to_string(version_)}}}}}}
                        .dump());
    }
    return !out.empty() || wakes != wakes_;
  };
  changed_.wait_for(lock, stop, left, collect);
  return out;
}

}  // namespace perennial::testing
