#include "kube/unreadable.h"

namespace perennial::kube {

void Unreadable::Add(std::string_view kind, const Key& key) {
  const std::lock_guard lock(mutex_);
  objects_.emplace(key.ns, kind, key.name);
  empty_ = false;
}

void Unreadable::Remove(std::string_view kind, const Key& key) {
  if (empty_) return;
  const std::lock_guard lock(mutex_);
  objects_.erase({key.ns, std::string(kind), key.name});
  empty_ = objects_.empty();
}

void Unreadable::FinishList(std::string_view kind, const std::set<Key>& listed) {
  if (empty_) return;
  const std::lock_guard lock(mutex_);
  std::erase_if(objects_, [&](const auto& object) {
    const auto& [ns, its_kind, name] = object;
    return its_kind == kind && !listed.contains({ns, name});
  });
  empty_ = objects_.empty();
}

bool Unreadable::In(std::string_view ns) const {
  if (empty_) return false;
  const std::lock_guard lock(mutex_);
  const auto first = objects_.lower_bound({std::string(ns), "", ""});
  return first != objects_.end() && std::get<0>(*first) == ns;
}

}  // namespace perennial::kube
