#include "kube/watch.h"

#include <algorithm>
#include <charconv>

#include "kube/json_scan.h"

namespace perennial::kube {
namespace {

using Next = WatchState::Next;

// A watch that ends sooner than this without a line did not work, whatever its status.
constexpr Millis kShortestWatch{1'000};
// ERROR events in a row, other than 410, after which resuming is given up for a new list.
constexpr int kMostErrorEvents = 3;
// Events are late by moments, not by thousands of deletions.
constexpr size_t kMostDeleted = 4096;

void StartOver(WatchState& state) {
  state.next = Next::kList;
  state.continue_token.clear();
  state.listed.clear();
}

void Failed(WatchState& state, const WatchPolicy& policy, const Error& why) {
  ++state.failures;
  state.error = why;
  state.wait = std::max(Backoff(state.failures, policy), why.retry_after.value_or(Millis{0}));
}

// A version that is too old is part of normal life: the first list comes at once, and only a server
// that goes on like that is given time.
void Expired(WatchState& state, const WatchPolicy& policy, const Error& why) {
  StartOver(state);
  Failed(state, policy, why);
  if (state.failures == 1) state.wait.reset();
}

void Saw(WatchState& state, const std::string& version) {
  if (state.version.empty() || CompareResourceVersions(version, state.version) > 0) {
    state.version = version;
  }
  state.failures = 0;
  state.error_events = 0;
  state.progress = true;
  state.error.reset();
}

void Page(WatchState& state, const ListPage& page, const WatchPolicy& policy,
          std::vector<WatchEffect>& effects) {
  std::vector<WatchEffect> puts;
  for (const std::string& item : page.items) {
    auto meta = ScanMeta(item);
    if (!meta.ok() || meta->key.name.empty()) {
      // What can't be named can't be told from what is gone either: such a list is not believed.
      Failed(state, policy, {Errc::kInvalid, "the list holds an object without a name"});
      StartOver(state);
      return;
    }
    state.listed.insert(std::move(meta->key));
    puts.push_back(PutObject{item});
  }
  // A list is what etcd holds (no resourceVersion asks for a quorum read): never a server's old
  // view.
  if (std::exchange(state.restored, false)) effects.emplace_back(TakeOlder{});
  effects.insert(effects.end(), puts.begin(), puts.end());
  state.absent = false;
  state.wait.reset();
  if (!page.continue_token.empty()) {
    state.continue_token = page.continue_token;
    return;
  }
  effects.push_back(FinishList{std::move(state.listed)});
  StartOver(state);
  state.next = Next::kWatch;
  state.version = page.resource_version;
  state.progress = false;
  state.deleted.clear();
}

void ListWentWrong(WatchState& state, const Error& why, const WatchPolicy& policy,
                   std::vector<WatchEffect>& effects) {
  if (why.code == Errc::kGone) return Expired(state, policy, why);
  if (why.code == Errc::kNotFound && policy.optional) {
    StartOver(state);
    state.absent = true;
    state.failures = 0;
    state.error.reset();
    state.wait = policy.absent_retry;
    effects.push_back(FinishList{});
    return;
  }
  Failed(state, policy, why);  // the same page again
}

void Garbage(WatchState& state, const WatchPolicy& policy, const std::string& what) {
  StartOver(state);
  Failed(state, policy, {Errc::kInvalid, "unreadable watch event: " + what});
}

void ErrorEvent(WatchState& state, std::string_view object, const WatchPolicy& policy) {
  Response response{500, std::string(object), {}};
  const Status scanned = ScanObject(object, [&](std::string_view key, std::string_view value) {
    if (key == "code") {
      std::from_chars(value.data(), value.data() + value.size(), response.status);
    }
    return Ok();
  });
  if (!scanned.ok()) return Garbage(state, policy, scanned.error().message);
  const Error error = ErrorFromStatus(response);
  if (error.code == Errc::kGone) return Expired(state, policy, error);
  Failed(state, policy, error);
  if (++state.error_events >= kMostErrorEvents) StartOver(state);
}

void ObjectEvent(WatchState& state, std::string_view type, std::string_view object,
                 const WatchPolicy& policy, std::vector<WatchEffect>& effects) {
  auto meta = ScanMeta(object);
  if (!meta.ok()) return Garbage(state, policy, meta.error().message);
  if (meta->resource_version.empty()) return Garbage(state, policy, "no resourceVersion");
  if (type == "BOOKMARK") return Saw(state, meta->resource_version);
  if (meta->key.name.empty()) return Garbage(state, policy, "no name");
  Saw(state, meta->resource_version);
  const auto gone = state.deleted.find(meta->key);
  if (type == "DELETED") {
    if (state.deleted.size() >= kMostDeleted) state.deleted.clear();
    state.deleted[meta->key] = meta->resource_version;
    effects.push_back(RemoveObject{std::move(meta->key), std::move(meta->uid)});
    return;
  }
  if (gone != state.deleted.end()) {
    if (CompareResourceVersions(meta->resource_version, gone->second) <= 0) return;
    state.deleted.erase(gone);
  }
  effects.push_back(PutObject{object});
}

void Line(WatchState& state, std::string_view line, const WatchPolicy& policy,
          std::vector<WatchEffect>& effects) {
  if (state.next != Next::kWatch || line.empty()) return;
  std::string type;
  std::string_view object;
  const Status scanned =
      ScanObject(line, [&](std::string_view key, std::string_view value) -> Status {
        if (key == "type") {
          PERENNIAL_TRY(type, ScanString(value));
        } else if (key == "object") {
          object = value;
        }
        return Ok();
      });
  if (!scanned.ok()) return Garbage(state, policy, scanned.error().message);
  if (type == "ERROR") return ErrorEvent(state, object, policy);
  if (type == "ADDED" || type == "MODIFIED" || type == "DELETED" || type == "BOOKMARK") {
    return ObjectEvent(state, type, object, policy, effects);
  }
  Garbage(state, policy, "type \"" + type + "\"");
}

// A watch in the future of an API server that lags behind, or of a store that was restored.
bool VersionTooLarge(const Error& error) {
  return error.message.find("Too large resource version") != std::string::npos;
}

void Ended(WatchState& state, const WatchEnded& ended, const WatchPolicy& policy) {
  const bool progress = std::exchange(state.progress, false);
  if (state.next != Next::kWatch) return;  // a line said already how to go on
  if (state.wait) return;                  // and so did an ERROR event
  if (ended.how.ok()) {
    if (!progress && ended.lasted < kShortestWatch) {
      return Failed(state, policy, {Errc::kUnavailable, "the watch ended at once"});
    }
    state.wait.reset();
    state.failures = 0;
    return;
  }
  const Error& why = ended.how.error();
  if (why.code == Errc::kCancelled) return;
  if (why.code == Errc::kGone) return Expired(state, policy, why);
  Failed(state, policy, why);
  state.restored = state.restored || VersionTooLarge(why);
  if (why.code == Errc::kNotFound || why.code == Errc::kInvalid || state.restored) {
    StartOver(state);
  }
}

}  // namespace

Millis Backoff(int failures, const WatchPolicy& policy) {
  Millis out = policy.first_backoff;
  for (int i = 1; i < failures && out < policy.longest_backoff; ++i) out *= 2;
  return std::min(out, policy.longest_backoff);
}

void Advance(WatchState& state, const WatchInput& input, const WatchPolicy& policy,
             std::vector<WatchEffect>& effects) {
  if (const auto* page = std::get_if<PageSeen>(&input)) {
    Page(state, page->page, policy, effects);
  } else if (const auto* failed = std::get_if<ListFailed>(&input)) {
    ListWentWrong(state, failed->why, policy, effects);
  } else if (const auto* line = std::get_if<LineSeen>(&input)) {
    Line(state, line->line, policy, effects);
  } else {
    Ended(state, std::get<WatchEnded>(input), policy);
  }
}

}  // namespace perennial::kube
