#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kube/meta.h"
#include "kube/transport.h"

namespace perennial::kube {

// What the API server answered to a write: the new version and the whole object's text.
struct Written {
  std::string uid;
  std::string resource_version;
  std::int64_t generation = 0;
  std::string body;
};

struct ListOptions {
  std::string ns;              // empty: all namespaces
  std::string label_selector;  // empty: everything
  std::string resource_version;
  std::string continue_token;
  int limit = 500;
  std::string field_selector{};  // empty: everything
};

// One page of a list. `items` are the objects' JSON texts, with apiVersion and kind filled in.
struct ListPage {
  std::vector<std::string> items;
  std::string continue_token;
  std::string resource_version;
};

enum class Subresource { kNone, kStatus };

struct ClientOptions {
  Millis deadline{30'000};  // of one call, with all its tries
  int most_tries = 10;      // where the server names a time to come back (client-go: withRetry)
  int most_reconnects = 2;  // after a lost connection
  // How a call waits between two tries; by default the thread sleeps.
  std::function<void(Millis)> sleep{};
};

// The verbs of the API over a Transport. Thread-safe and stateless but for metrics; every call has
// a deadline. Retries what client-go retries (429 and 5xx with Retry-After, GETs after a lost
// connection), never a write whose outcome is unknown.
class Client {
 public:
  // `field_manager` names the owner of what Apply sets ("perennial-modeldeployment").
  Client(Transport& transport, const Clock& clock, std::string field_manager,
         ClientOptions options = {});

  Result<std::string> Get(const Ref& ref);
  Result<ListPage> List(const Resource& resource, const ListOptions& options);

  // Server-side apply. `body` is the whole intent of this field manager as JSON; with
  // metadata.resourceVersion in it the write is conditional (kConflict). `force` takes fields from
  // other managers; without it such a field is kConflict.
  Result<Written> Apply(const Ref& ref, std::string_view body,
                        Subresource subresource = Subresource::kNone, bool force = true);
  // The same by another field manager than this client's.
  Result<Written> ApplyAs(std::string_view manager, const Ref& ref, std::string_view body,
                          Subresource subresource = Subresource::kNone, bool force = true);
  // kAlreadyExists where the name is taken.
  Result<Written> Create(const Ref& ref, std::string_view body);
  // RFC 7386 merge patch.
  Result<Written> MergePatch(const Ref& ref, std::string_view patch,
                             Subresource subresource = Subresource::kNone);
  // Deletes only the object with this UID (and resource version, where given), with background
  // propagation. An object that is gone or has another UID is Ok: what was to be deleted is gone.
  Status Delete(const Ref& ref, std::string_view uid, std::string_view resource_version = {});

 private:
  Result<Response> SendWithRetries(const Request& request, bool idempotent);
  Result<Written> Write(const Request& request, bool idempotent);

  Transport& transport_;
  const Clock& clock_;
  std::string field_manager_;
  ClientOptions options_;
};

// "/apis/apps/v1/namespaces/ns/deployments/name", percent-encoded.
std::string PathOf(const Ref& ref, Subresource subresource = Subresource::kNone);
std::string PathOf(const Resource& resource, std::string_view ns);

// The parts of List, for those who have their own way of trying again.
Request ListRequest(const Resource& resource, const ListOptions& options);
// kUnavailable for a body that ended early, which a connection closed without a length looks like.
Result<ListPage> ParseListPage(const Resource& resource, std::string_view body);
// A watch from `resource_version` on, with bookmarks, that the server ends after `timeout`.
Request WatchRequest(const Resource& resource, const ListOptions& options, Seconds timeout);

}  // namespace perennial::kube
