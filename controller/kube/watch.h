#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kube/client.h"
#include "kube/meta.h"

namespace perennial::kube {

// List and watch as a state machine without I/O: an informer carries out `next`, tells what came of
// it, and hands the effects to its store. The rules are client-go's reflector's: list in pages at
// the newest version, then watch from the list's version and resume from the last one seen,
// whatever ends the connection; only a version that is too old (410) means to list again.
struct WatchState {
  enum class Next { kList, kWatch };

  Next next = Next::kList;
  std::optional<Millis> wait;  // before `next`; without jitter
  std::string version;         // newest that was seen; watches go on from here
  std::string continue_token;  // of the page to list next
  std::set<Key> listed;        // by the pages so far
  int failures = 0;            // in a row without a line from a watch
  int error_events = 0;        // of these, ERROR events
  bool progress = false;       // the present watch brought a line
  bool absent = false;         // the API server does not know the resource
  bool restored = false;       // what was seen is of a future that the API server doesn't know
  std::optional<Error> error;  // what went wrong last, for logs
  // Deleted objects, with the version of their deletion: an older event that arrives late must not
  // bring them back.
  std::map<Key, std::string> deleted;
};

struct WatchPolicy {
  Millis first_backoff{800};
  Millis longest_backoff{30'000};
  bool optional = false;  // a resource that is not there counts as empty
  Millis absent_retry{30'000};
};

// What was seen. The views need to live only as long as the call and its effects.
struct PageSeen {
  const ListPage& page;
};
struct ListFailed {
  Error why;
};
struct LineSeen {
  std::string_view line;
};
struct WatchEnded {
  Status how;
  Millis lasted{0};
};
using WatchInput = std::variant<PageSeen, ListFailed, LineSeen, WatchEnded>;

// What the store is to do, in order.
struct PutObject {
  std::string_view json;
};
struct RemoveObject {
  Key key;
  std::string uid;
};
struct FinishList {
  std::set<Key> listed;
};
// Until FinishList, objects are put whatever their version: the API server's store was restored
// from a copy, and what was seen after that has never been.
struct TakeOlder {};
using WatchEffect = std::variant<PutObject, RemoveObject, FinishList, TakeOlder>;

// While a watch is open, `next` other than kWatch means to drop the connection.
void Advance(WatchState& state, const WatchInput& input, const WatchPolicy& policy,
             std::vector<WatchEffect>& effects);

// first * 2^(failures - 1), at most `longest`.
Millis Backoff(int failures, const WatchPolicy& policy);

}  // namespace perennial::kube
