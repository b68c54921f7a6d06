#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kube/kept.h"
#include "kube/meta.h"

namespace perennial::kube {

// The newest known state of all objects of one resource, as projections T (with a member `meta`).
// One writer (the informer), any number of readers. An object is replaced as a whole and never
// changed, so that readers hold on to what they saw. It may be kept in another form (kept.h), so
// two readers need not get the same pointer. Thread-safe; listeners and index functions are set
// before the writer starts.
template <class T>
class Store {
 public:
  using Pointer = std::shared_ptr<const T>;
  // The values under which an object is found again, e.g. "namespace/name" of its target.
  using IndexFunction = std::function<std::vector<std::string>(const T&)>;
  // What happened to one object: `before` is null for a new one, `after` for one that is gone.
  using Listener = std::function<void(const Pointer& before, const Pointer& after)>;

  void AddIndex(std::string_view name, IndexFunction function) {
    PERENNIAL_CHECK(objects_.empty());
    indexes_.emplace(name, Index{std::move(function), {}});
  }
  // Called on the writer's thread after the change is visible, without any lock held.
  void AddListener(Listener listener) { listeners_.push_back(std::move(listener)); }

  Pointer Get(const Key& key) const {
    const std::shared_lock lock(mutex_);
    const auto it = objects_.find(key);
    return it == objects_.end() ? nullptr : Kept<T>::Show(it->second);
  }

  // The objects that an index finds under a value, ordered by key. The index must have been added.
  std::vector<Pointer> ByIndex(std::string_view index, std::string_view value) const {
    const std::shared_lock lock(mutex_);
    const auto it = indexes_.find(index);
    PERENNIAL_CHECK(it != indexes_.end());
    std::vector<Pointer> out;
    const auto keys = it->second.keys.find(std::string(value));
    if (keys == it->second.keys.end()) return out;
    out.reserve(keys->second.size());
    for (const Key& key : keys->second) out.push_back(Kept<T>::Show(objects_.at(key)));
    return out;
  }

  // Calls visit(object) for each object, without any lock held and without having all of them at a
  // time. What changes meanwhile may be seen or not.
  template <class Visit>
  void ForEach(Visit visit) const {
    constexpr std::size_t kAtATime = 64;
    std::vector<Pointer> some;
    std::optional<Key> last;
    do {
      some.clear();
      {
        const std::shared_lock lock(mutex_);
        auto it = last ? objects_.upper_bound(*last) : objects_.begin();
        for (; it != objects_.end() && some.size() < kAtATime; ++it) {
          some.push_back(Kept<T>::Show(it->second));
          last = it->first;
        }
      }
      for (const Pointer& object : some) visit(*object);
    } while (some.size() == kAtATime);
  }

  std::size_t size() const {
    const std::shared_lock lock(mutex_);
    return objects_.size();
  }

  // True once a whole list has been taken in.
  bool Synced() const {
    const std::shared_lock lock(mutex_);
    return synced_;
  }

  // For the writer. An older version of the same object (by resource version, KEP-5504) is ignored:
  // a lagging API server must not take the store back in time (but see TakeOlder). Another UID
  // under the same name is another object.
  void Upsert(Pointer object) {
    Pointer before;
    {
      const std::unique_lock lock(mutex_);
      auto place = objects_.find(object->meta.key);
      if (place != objects_.end()) {
        before = Kept<T>::Show(place->second);
        if (!takes_older_ && before->meta.uid == object->meta.uid &&
            CompareResourceVersions(object->meta.resource_version, before->meta.resource_version) <=
                0) {
          return;
        }
        Unindex(*before);
        place->second = Kept<T>::Keep(object);
      } else {
        objects_.emplace(object->meta.key, Kept<T>::Keep(object));
      }
      for (auto& [name, index] : indexes_) {
        for (const std::string& value : index.function(*object)) {
          index.keys[value].insert(object->meta.key);
        }
      }
    }
    Tell(before, object);
  }

  void Remove(const Key& key) {
    Pointer before;
    {
      const std::unique_lock lock(mutex_);
      const auto it = objects_.find(key);
      if (it == objects_.end()) return;
      before = Kept<T>::Show(it->second);
      Unindex(*before);
      objects_.erase(it);
    }
    Tell(before, nullptr);
  }

  // Until the end of the list that follows, older versions count too.
  void TakeOlder() {
    const std::unique_lock lock(mutex_);
    takes_older_ = true;
  }
  bool TakesOlder() const {
    const std::shared_lock lock(mutex_);
    return takes_older_;
  }

  // Removes what a complete list did not hold any more, and marks the store as synced.
  void FinishList(const std::set<Key>& listed) {
    std::vector<Key> gone;
    {
      const std::shared_lock lock(mutex_);
      for (const auto& [key, object] : objects_) {
        if (!listed.contains(key)) gone.push_back(key);
      }
    }
    for (const Key& key : gone) Remove(key);
    const std::unique_lock lock(mutex_);
    synced_ = true;
    takes_older_ = false;
  }

 private:
  struct Index {
    IndexFunction function;
    std::unordered_map<std::string, std::set<Key>> keys;
  };

  void Unindex(const T& object) {
    for (auto& [name, index] : indexes_) {
      for (const std::string& value : index.function(object)) {
        const auto it = index.keys.find(value);
        if (it == index.keys.end()) continue;
        it->second.erase(object.meta.key);
        if (it->second.empty()) index.keys.erase(it);
      }
    }
  }

  void Tell(const Pointer& before, const Pointer& after) const {
    for (const Listener& listener : listeners_) listener(before, after);
  }

  mutable std::shared_mutex mutex_;
  std::map<Key, typename Kept<T>::Form> objects_;
  std::map<std::string, Index, std::less<>> indexes_;
  std::vector<Listener> listeners_;
  bool synced_ = false;
  bool takes_older_ = false;
};

}  // namespace perennial::kube
