#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <tuple>

#include "kube/meta.h"

namespace perennial::kube {

// Objects that can't be read, since they were written by or for a newer controller. While a
// namespace has one, nothing is done there: whoever decided without it, or with what it was before,
// would undo what it says, and a version that seems to be missing takes pods and traffic along.
// Thread-safe.
class Unreadable {
 public:
  void Add(std::string_view kind, const Key& key);
  void Remove(std::string_view kind, const Key& key);
  // Of this kind nothing is left but what is listed.
  void FinishList(std::string_view kind, const std::set<Key>& listed);

  bool empty() const { return empty_; }
  bool In(std::string_view ns) const;

 private:
  mutable std::mutex mutex_;
  std::set<std::tuple<std::string, std::string, std::string>> objects_;  // namespace, kind, name
  std::atomic<bool> empty_ = true;  // as almost always: asked at every look and every event
};

}  // namespace perennial::kube
