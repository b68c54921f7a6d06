// What happened, and who is told of it.
#include <algorithm>
#include <utility>

#include "support/api_world.h"
#include "support/faults.h"

namespace perennial::testing {

using kube::Response;
using nlohmann::json;

void ApiWorld::Record(Change change) {
  Tally& tally = tallies_[{change.resource, change.key}];
  if (change.before.is_null()) ++tally.created;
  if (change.after.is_null()) ++tally.deleted;
  history_.push_back(std::move(change));
  changed_.notify_all();
}

void ApiWorld::Compact() {
  const std::lock_guard lock(mutex_);
  compacted_ = version_;
  history_.clear();
  snapshots_.clear();
}

std::size_t ApiWorld::expired_watches() const {
  const std::lock_guard lock(mutex_);
  return expired_watches_;
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
  const bool before = Selects(selector, change.before), after = Selects(selector, change.after);
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
      ++expired_watches_;
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
