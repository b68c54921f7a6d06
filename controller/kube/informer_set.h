#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kube/informer.h"

namespace perennial::kube {

// Informers of resources that become known while the process runs, each there for as long as
// somebody needs it. All show the same projection. Thread-safe; indexes and listeners are added
// before the first need.
template <class T>
class InformerSet {
 public:
  using Pointer = std::shared_ptr<Informer<T>>;

  InformerSet(Transport& transport, const Clock& clock, InformerOptions options,
              typename Informer<T>::Decode decode)
      : transport_(transport),
        clock_(clock),
        options_(std::move(options)),
        decode_(std::move(decode)) {}

  void AddIndex(std::string_view name, typename Store<T>::IndexFunction function) {
    indexes_.emplace_back(name, std::move(function));
  }
  void AddListener(typename Store<T>::Listener listener) {
    listeners_.push_back(std::move(listener));
  }

  // One need more of each of `now` and one less of each of `before`. The first need of a resource
  // begins its informer, the last one that goes ends it.
  void Move(const std::set<Resource>& before, const std::set<Resource>& now) {
    if (before == now) return;
    std::vector<Pointer> ended;
    {
      const std::lock_guard lock(mutex_);
      for (const Resource& resource : now) {
        Entry& entry = entries_[resource];
        if (entry.needs++ == 0) entry.informer = Make(resource);
      }
      for (const Resource& resource : before) {
        const auto it = entries_.find(resource);
        if (it == entries_.end() || --it->second.needs > 0) continue;
        ended.push_back(std::move(it->second.informer));
        entries_.erase(it);
      }
    }
    for (const Pointer& informer : ended) informer->Stop();
  }

  // nullptr where nobody needs the resource.
  Pointer Find(const Resource& resource) const {
    const std::lock_guard lock(mutex_);
    const auto it = entries_.find(resource);
    return it == entries_.end() ? nullptr : it->second.informer;
  }
  std::map<Resource, Pointer> All() const {
    const std::lock_guard lock(mutex_);
    std::map<Resource, Pointer> out;
    for (const auto& [resource, entry] : entries_) out.emplace(resource, entry.informer);
    return out;
  }

  // Informers that are made before this wait for it.
  void Start() {
    const std::lock_guard lock(mutex_);
    running_ = true;
    for (const auto& [resource, entry] : entries_) entry.informer->Start();
  }
  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      running_ = false;
    }
    for (const auto& [resource, informer] : All()) informer->Stop();
  }

 private:
  struct Entry {
    int needs = 0;
    Pointer informer;
  };

  Pointer Make(const Resource& resource) {
    InformerOptions options = options_;
    options.seed += std::hash<std::string>()(resource.group + resource.plural);
    auto informer =
        std::make_shared<Informer<T>>(transport_, clock_, resource, std::move(options), decode_);
    for (const auto& [name, function] : indexes_) informer->store().AddIndex(name, function);
    for (const auto& listener : listeners_) informer->store().AddListener(listener);
    if (running_) informer->Start();
    return informer;
  }

  Transport& transport_;
  const Clock& clock_;
  const InformerOptions options_;
  const typename Informer<T>::Decode decode_;
  std::vector<std::pair<std::string, typename Store<T>::IndexFunction>> indexes_;
  std::vector<typename Store<T>::Listener> listeners_;
  mutable std::mutex mutex_;
  bool running_ = false;
  std::map<Resource, Entry> entries_;
};

}  // namespace perennial::kube
