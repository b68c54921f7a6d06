#include "support/api_world.h"

#include <algorithm>

#include "base/check.h"

namespace perennial::testing {

using kube::Response;
using nlohmann::json;

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
      if (!Selects(path.Query("labelSelector"), stored.object)) continue;
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

}  // namespace perennial::testing
