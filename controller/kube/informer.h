#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "kube/client.h"
#include "kube/meta.h"
#include "kube/store.h"
#include "kube/transport.h"
#include "kube/unreadable.h"

namespace perennial::kube {

// Where an informer's objects go, whatever their type.
class InformerSink {
 public:
  // Takes in one object's JSON; the error says why it cannot be read, and the object is then left
  // as it was in the store.
  virtual Status Put(std::string_view json) = 0;
  // The object with this UID is gone; another one of the same name is not meant.
  virtual void Remove(const Key& key, const std::string& uid) = 0;
  virtual void FinishList(const std::set<Key>& listed) = 0;
  // What comes until then may be older than what is there.
  virtual void TakeOlder() {}
  virtual ~InformerSink() = default;
};

struct InformerOptions {
  std::string ns;              // empty: all namespaces
  std::string label_selector;  // empty: everything
  std::string field_selector;  // empty: everything
  // Where set: only what is in these namespaces is taken in. Asked before anything is parsed.
  std::function<bool(std::string_view ns)> keep{};
  int page_size = 500;
  // Watches end after a random time in this range and begin again: connections spread over API
  // servers, and load balancers that drop idle connections (240 s) are noticed in time.
  Seconds shortest_watch{180};
  Seconds longest_watch{230};
  Millis first_backoff{800};  // client-go reflector: 0.8 s doubling to 30 s
  Millis longest_backoff{30'000};
  // A resource that the API server does not know (404, e.g. HTTPRoute without the Gateway API)
  // counts as empty, and is looked for again after this time.
  bool optional = false;
  Millis absent_retry{30'000};
  // Where set: is told of what can't be read, and outlives the informer.
  Unreadable* unreadable = nullptr;
  std::uint64_t seed = 1;
};

struct InformerCounters {
  std::uint64_t lists = 0;
  std::uint64_t watches = 0;
  std::uint64_t events = 0;
  std::uint64_t undecodable = 0;  // objects that could not be read
  std::uint64_t failures = 0;     // lists and watches that did not end well
  bool absent = false;            // optional, and unknown to the API server
  Millis last_contact{0};         // steady time of the last line, page or regular end
};

// Keeps a sink equal to the API server's state of one resource: lists in pages, then watches with
// bookmarks and resumes where it stopped; a version that is too old (410) means to list again.
// One thread each.
class InformerLoop {
 public:
  InformerLoop(Transport& transport, const Clock& clock, Resource resource, InformerOptions options,
               InformerSink& sink);
  ~InformerLoop();  // stops
  InformerLoop(const InformerLoop&) = delete;
  InformerLoop& operator=(const InformerLoop&) = delete;

  void Start();
  void Stop();
  InformerCounters Counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// An informer of projections: `Decode` makes a T of the JSON object; the document is then dropped.
template <class T>
class Informer final : private InformerSink {
 public:
  using Decode = std::function<Result<T>(const nlohmann::json& object)>;

  Informer(Transport& transport, const Clock& clock, Resource resource, InformerOptions options,
           Decode decode)
      : decode_(std::move(decode)),
        loop_(transport, clock, std::move(resource), std::move(options), *this) {}

  Store<T>& store() { return store_; }
  const Store<T>& store() const { return store_; }
  void Start() { loop_.Start(); }
  void Stop() { loop_.Stop(); }
  InformerCounters Counters() const { return loop_.Counters(); }

 private:
  Status Put(std::string_view text) override;
  void Remove(const Key& key, const std::string& uid) override {
    const auto present = store_.Get(key);
    if (present != nullptr && (uid.empty() || present->meta.uid == uid)) store_.Remove(key);
  }
  void FinishList(const std::set<Key>& listed) override { store_.FinishList(listed); }
  void TakeOlder() override { store_.TakeOlder(); }

  Decode decode_;
  Store<T> store_;
  InformerLoop loop_;  // last: it uses the others
};

// Whether an informer's store shows what the API server has, and what keeps it from that.
enum class Sight {
  kWhole,
  kAwaited,  // the first list is under way
  kAbsent,   // optional, and the API server doesn't know the resource
  kRefused,  // it could not be listed: most often a right is missing
};
template <class T>
Sight SightOf(const Informer<T>& informer) {
  const InformerCounters counters = informer.Counters();
  if (counters.absent) return Sight::kAbsent;
  if (informer.store().Synced()) return Sight::kWhole;
  return counters.failures > 0 ? Sight::kRefused : Sight::kAwaited;
}

// Parses text and hands the JSON object on; kInvalid for anything but an object, for one that nests
// too deep, and for what `use` throws. A way around including the JSON library here.
Status WithJson(std::string_view text, const std::function<Status(const nlohmann::json&)>& use);

template <class T>
Status Informer<T>::Put(std::string_view text) {
  return WithJson(text, [&](const nlohmann::json& object) -> Status {
    auto decoded = decode_(object);
    if (!decoded.ok()) return decoded.error();
    // Late news of an object that was there before the present one of the same name.
    const auto present = store_.Get(decoded->meta.key);
    if (present != nullptr && present->meta.uid != decoded->meta.uid && !store_.TakesOlder() &&
        CompareResourceVersions(decoded->meta.resource_version, present->meta.resource_version) <
            0) {
      return Ok();
    }
    store_.Upsert(std::make_shared<const T>(*std::move(decoded)));
    return Ok();
  });
}

}  // namespace perennial::kube
