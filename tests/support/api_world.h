#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "kube/meta.h"
#include "kube/transport.h"
#include "support/api_path.h"

namespace perennial::testing {

// The objects of an API server and their history; requests in, answers out. Thread-safe.
class ApiWorld {
 public:
  explicit ApiWorld(bool collect_garbage) : collect_garbage_(collect_garbage) {}

  // Anything but a watch.
  kube::Response Handle(const kube::Request& request);

  // A watch under way.
  struct Watch {
    ApiPath path;
    std::uint64_t seen = 0;  // version
    std::uint64_t bookmarks = 0;
    std::vector<std::string> first;  // lines to send before the history
  };
  std::variant<Watch, kube::Response> OpenWatch(const kube::Request& request);
  // The lines that came since, after waiting for them for `left` at most; an ERROR line ends it.
  std::vector<std::string> NextLines(Watch& watch, Millis left, const std::stop_token& stop);
  void WakeWatches();

  nlohmann::json Put(const kube::Resource& resource, nlohmann::json object);
  nlohmann::json PutStatus(const kube::Ref& ref, nlohmann::json status);
  std::optional<nlohmann::json> Get(const kube::Ref& ref) const;
  std::vector<nlohmann::json> List(const kube::Resource& resource) const;
  void Remove(const kube::Ref& ref);
  void SetInstalled(const kube::Resource& resource, bool installed);
  void Compact();
  void SendBookmarks();
  std::uint64_t version() const;
  // Watches that were told so far that what they want to know is forgotten.
  std::size_t expired_watches() const;

  // How often an object of this name was created and deleted so far.
  struct Tally {
    int created = 0;
    int deleted = 0;
  };
  std::map<kube::Ref, Tally> Tallies() const;

 private:
  using ResourceId = std::tuple<std::string, std::string, std::string>;
  struct Stored {
    nlohmann::json object;
    std::map<std::string, std::set<std::string>> managers;  // the leaves that each one owns
  };
  struct Change {
    std::uint64_t version;
    ResourceId resource;
    kube::Key key;
    nlohmann::json before, after;  // null: not there
  };
  struct Snapshot {
    std::uint64_t version;
    std::vector<nlohmann::json> rest;
  };

  static ResourceId IdOf(const kube::Resource& resource);
  kube::Response ListPage(const ApiPath& path);
  kube::Response Create(const ApiPath& path, nlohmann::json body);
  kube::Response Patch(const ApiPath& path, const kube::Request& request);
  kube::Response Apply(const ApiPath& path, nlohmann::json intent);
  kube::Response Replace(const ApiPath& path, nlohmann::json body);
  kube::Response Delete(const ApiPath& path, const nlohmann::json& options);
  Stored* Find(const ApiPath& path);
  // Stores `after` (as far as the subresource may change it) and records the change; an object that
  // stays as it was keeps its version.
  nlohmann::json Commit(const ApiPath& path, Stored& stored, nlohmann::json after,
                        bool all = false);
  bool OwnerIsGone(const nlohmann::json& metadata) const;
  nlohmann::json Insert(const ApiPath& path, nlohmann::json object);
  void Erase(const ApiPath& path);
  void Record(Change change);
  std::optional<kube::Response> CheckPreconditions(const nlohmann::json& body,
                                                   const nlohmann::json& object) const;
  std::optional<std::string> Line(const Watch& watch, const Change& change) const;

  const bool collect_garbage_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<ResourceId, std::map<kube::Key, Stored>> objects_;
  std::map<std::pair<ResourceId, kube::Key>, Tally> tallies_;
  std::vector<Change> history_;
  std::map<std::string, Snapshot> snapshots_;
  std::set<ResourceId> uninstalled_;
  std::uint64_t version_ = 100;
  std::uint64_t compacted_ = 0;
  std::size_t expired_watches_ = 0;
  std::uint64_t bookmarks_ = 0;
  std::uint64_t uids_ = 0;
  std::set<std::string> gone_;  // UIDs of what was deleted
  std::uint64_t wakes_ = 0;
};

}  // namespace perennial::testing
