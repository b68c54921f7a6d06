#include "kube/client.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "kube/json_scan.h"

namespace perennial::kube {
namespace {

using nlohmann::json;

// RFC 3986: everything but unreserved characters is encoded, so that no name can change the path.
std::string Encode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

class Query {
 public:
  void Add(std::string_view name, std::string_view value) {
    text_ += text_.empty() ? '?' : '&';
    text_ += name;
    text_ += '=';
    text_ += Encode(value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

bool Success(const Response& response) {
  return response.status >= 200 && response.status < 300;
}

// A body whose end is missing is a lost connection, not an answer.
Error CutOff(const Error& why) {
  return Error{Errc::kUnavailable, "the answer is incomplete (" + why.message + ")"};
}

// The time to come back that an answer names, if the same request may be sent again. 5xx answers of
// a write may come after the write happened, but for 503: the server did not take it.
std::optional<Millis> ComeBack(const Response& response, bool idempotent) {
  if (!response.retry_after) return std::nullopt;
  if (response.status == 429 || response.status == 503) return response.retry_after;
  if (response.status >= 500 && idempotent) return response.retry_after;
  return std::nullopt;
}

// Inserts apiVersion and kind, which items of typed lists lack.
std::string Typed(const Resource& resource, std::string_view item) {
  const size_t brace = item.find('{');
  std::string out =
      "{\"apiVersion\":\"" + resource.ApiVersion() + "\",\"kind\":\"" + resource.kind + "\",";
  out += item.substr(brace + 1);
  return out;
}

}  // namespace

std::string PathOf(const Resource& resource, std::string_view ns) {
  std::string path = resource.group.empty() ? "/api/" : "/apis/" + Encode(resource.group) + "/";
  path += Encode(resource.version);
  if (!ns.empty()) path += "/namespaces/" + Encode(ns);
  return path + "/" + Encode(resource.plural);
}

std::string PathOf(const Ref& ref, Subresource subresource) {
  std::string path = PathOf(ref.resource, ref.key.ns) + "/" + Encode(ref.key.name);
  if (subresource == Subresource::kStatus) path += "/status";
  return path;
}

Request ListRequest(const Resource& resource, const ListOptions& options) {
  Query query;
  if (options.limit > 0) query.Add("limit", std::to_string(options.limit));
  if (!options.label_selector.empty()) query.Add("labelSelector", options.label_selector);
  if (!options.field_selector.empty()) query.Add("fieldSelector", options.field_selector);
  if (!options.continue_token.empty()) {
    query.Add("continue", options.continue_token);
  } else if (!options.resource_version.empty()) {
    query.Add("resourceVersion", options.resource_version);
  }
  return Request{"GET", PathOf(resource, options.ns) + query.text(), "", ""};
}

Request WatchRequest(const Resource& resource, const ListOptions& options, Seconds timeout) {
  Query query;
  query.Add("watch", "true");
  query.Add("allowWatchBookmarks", "true");
  query.Add("timeoutSeconds", std::to_string(timeout.count()));
  if (!options.label_selector.empty()) query.Add("labelSelector", options.label_selector);
  if (!options.field_selector.empty()) query.Add("fieldSelector", options.field_selector);
  if (!options.resource_version.empty()) query.Add("resourceVersion", options.resource_version);
  return Request{"GET", PathOf(resource, options.ns) + query.text(), "", ""};
}

Result<ListPage> ParseListPage(const Resource& resource, std::string_view body) {
  ListPage page;
  const auto on_item = [&](std::string_view item) -> Status {
    PERENNIAL_TRY(const ScannedMeta meta, ScanMeta(item));
    page.items.push_back(meta.typed ? std::string(item) : Typed(resource, item));
    return Ok();
  };
  const auto on_meta = [&](std::string_view key, std::string_view value) -> Status {
    if (key == "resourceVersion") {
      PERENNIAL_TRY(page.resource_version, ScanString(value));
    } else if (key == "continue") {
      PERENNIAL_TRY(page.continue_token, ScanString(value));
    }
    return Ok();
  };
  const Status scanned = ScanObject(body, [&](std::string_view key, std::string_view value) {
    if (key == "items" && value != "null") return ScanArray(value, on_item);
    if (key == "metadata") return ScanObject(value, on_meta);
    return Ok();
  });
  if (!scanned.ok()) return CutOff(scanned.error());
  if (page.resource_version.empty()) {
    return Error{Errc::kUnavailable, "the list has no metadata.resourceVersion"};
  }
  return page;
}

Client::Client(Transport& transport, const Clock& clock, std::string field_manager,
               ClientOptions options)
    : transport_(transport),
      clock_(clock),
      field_manager_(std::move(field_manager)),
      options_(std::move(options)) {
  if (!options_.sleep) options_.sleep = [](Millis time) { std::this_thread::sleep_for(time); };
}

Result<Response> Client::SendWithRetries(const Request& request, bool idempotent) {
  const Millis end = clock_.Steady() + options_.deadline;
  Millis pause{100};
  int reconnects = 0;
  for (int tries = 1;; ++tries) {
    const Millis left = end - clock_.Steady();
    if (left <= Millis{0}) return Error{Errc::kTimeout, "no time left for " + request.method};
    auto response = transport_.Send(request, left);
    std::optional<Millis> wait;
    if (response.ok()) {
      wait = ComeBack(*response, idempotent);
    } else if (response.error().code == Errc::kUnavailable && idempotent &&
               reconnects < options_.most_reconnects) {
      ++reconnects;
      wait = pause;
      pause *= 4;
    }
    if (!wait || tries >= options_.most_tries || clock_.Steady() + *wait >= end) return response;
    options_.sleep(*wait);
  }
}

Result<std::string> Client::Get(const Ref& ref) {
  PERENNIAL_TRY(Response response, SendWithRetries({"GET", PathOf(ref), "", ""}, true));
  if (!Success(response)) return ErrorFromStatus(response);
  const auto meta = ScanMeta(response.body);
  if (!meta.ok()) return CutOff(meta.error());
  return std::move(response.body);
}

Result<ListPage> Client::List(const Resource& resource, const ListOptions& options) {
  PERENNIAL_TRY(const Response response, SendWithRetries(ListRequest(resource, options), true));
  if (!Success(response)) return ErrorFromStatus(response);
  return ParseListPage(resource, response.body);
}

Result<Written> Client::Write(const Request& request, bool idempotent) {
  PERENNIAL_TRY(Response response, SendWithRetries(request, idempotent));
  if (!Success(response)) return ErrorFromStatus(response);
  auto meta = ScanMeta(response.body);
  if (!meta.ok()) return CutOff(meta.error());
  return Written{std::move(meta->uid), std::move(meta->resource_version), meta->generation,
                 std::move(response.body)};
}

Result<Written> Client::Apply(const Ref& ref, std::string_view body, Subresource subresource,
                              bool force) {
  return ApplyAs(field_manager_, ref, body, subresource, force);
}

Result<Written> Client::ApplyAs(std::string_view manager, const Ref& ref, std::string_view body,
                                Subresource subresource, bool force) {
  Query query;
  query.Add("fieldManager", manager);
  if (force) query.Add("force", "true");
  // JSON is YAML. Applying the same intent twice comes to the same, so a lost answer is no loss.
  return Write({"PATCH", PathOf(ref, subresource) + query.text(), "application/apply-patch+yaml",
                std::string(body)},
               true);
}

Result<Written> Client::Create(const Ref& ref, std::string_view body) {
  Query query;
  query.Add("fieldManager", field_manager_);
  return Write({"POST", PathOf(ref.resource, ref.key.ns) + query.text(), "application/json",
                std::string(body)},
               false);
}

Result<Written> Client::MergePatch(const Ref& ref, std::string_view patch,
                                   Subresource subresource) {
  Query query;
  query.Add("fieldManager", field_manager_);
  return Write({"PATCH", PathOf(ref, subresource) + query.text(), "application/merge-patch+json",
                std::string(patch)},
               false);
}

Status Client::Delete(const Ref& ref, std::string_view uid, std::string_view resource_version) {
  json preconditions = {{"uid", uid}};
  if (!resource_version.empty()) preconditions["resourceVersion"] = resource_version;
  const json body = {{"apiVersion", "v1"},
                     {"kind", "DeleteOptions"},
                     {"propagationPolicy", "Background"},
                     {"preconditions", std::move(preconditions)}};
  // The UID makes it safe to repeat: it can't hit a later object of the same name.
  PERENNIAL_TRY(const Response response,
                SendWithRetries({"DELETE", PathOf(ref), "application/json", body.dump()}, true));
  if (Success(response)) return Ok();
  Error error = ErrorFromStatus(response);
  if (error.code == Errc::kNotFound) return Ok();
  // "the UID in the precondition (a) does not match the UID in record (b). ..." (BeforeDelete of
  // apiserver's registry/rest), or, where the object changes meanwhile, "Precondition failed: UID
  // in precondition: a, UID in object meta: b" (storage.Preconditions, which looks at it first).
  const auto says = [&](const char* text) { return error.message.find(text) != std::string::npos; };
  if (error.code == Errc::kConflict &&
      (says("the UID in the precondition") || says("UID in precondition"))) {
    return Ok();
  }
  return error;
}

}  // namespace perennial::kube
