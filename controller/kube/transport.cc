#include "kube/transport.h"

#include <nlohmann/json.hpp>

namespace perennial::kube {
namespace {

using nlohmann::json;

constexpr size_t kLongestMessage = 1024;

// What matters of a metav1.Status; empty for bodies that are none ("404 page not found").
struct ApiStatus {
  std::string reason;
  std::string message;
  std::optional<Millis> retry_after;
};

ApiStatus ReadStatus(const std::string& body) {
  ApiStatus out;
  const json parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object() || parsed.value("kind", json()) != "Status") {
    out.message = body;
    return out;
  }
  const auto text = [&](const char* name) {
    const auto it = parsed.find(name);
    return it != parsed.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  out.reason = text("reason");
  out.message = text("message");
  const auto details = parsed.find("details");
  if (details != parsed.end() && details->is_object()) {
    const auto seconds = details->find("retryAfterSeconds");
    if (seconds != details->end() && seconds->is_number_integer()) {
      const auto value = seconds->get<std::int64_t>();
      if (value > 0 && value <= 3600) out.retry_after = Seconds(value);
    }
  }
  return out;
}

// apimachinery's reasons (staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/types.go) where the code
// alone does not tell.
Errc CodeOf(int status, const ApiStatus& api) {
  switch (status) {
    case 400:
    case 405:
    case 406:
    case 415:
    case 422:
      return Errc::kInvalid;
    case 401:
      return Errc::kUnauthorized;
    case 403:
      return Errc::kForbidden;
    case 404:
      return Errc::kNotFound;
    case 409:
      return api.reason == "AlreadyExists" ? Errc::kAlreadyExists : Errc::kConflict;
    case 410:
      return Errc::kGone;
    case 413:
      return Errc::kTooLarge;
    case 429:
      return Errc::kThrottled;
    case 408:
    case 504:
      return Errc::kTimeout;
    default:
      break;
  }
  if (api.reason == "ServerTimeout" || api.reason == "Timeout") return Errc::kTimeout;
  // etcd's limit on one request reaches clients as a 500, and so does that of the connection to it.
  for (const char* limit : {"request is too large", "trying to send message larger than max"}) {
    if (api.message.find(limit) != std::string::npos) return Errc::kTooLarge;
  }
  return Errc::kUnavailable;
}

}  // namespace

Error ErrorFromStatus(const Response& response) {
  ApiStatus api = ReadStatus(response.body);
  Error error;
  error.code = api.reason == "Expired" ? Errc::kGone : CodeOf(response.status, api);
  error.retry_after = response.retry_after ? response.retry_after : api.retry_after;
  if (api.message.size() > kLongestMessage) {
    api.message.resize(kLongestMessage);
    api.message += "…";
  }
  error.message = "HTTP " + std::to_string(response.status);
  if (response.status >= 300 && response.status < 400) {
    error.message += ": redirects are not followed";
  } else {
    if (!api.reason.empty()) error.message += " " + api.reason;
    if (!api.message.empty()) error.message += ": " + api.message;
  }
  return error;
}

}  // namespace perennial::kube
