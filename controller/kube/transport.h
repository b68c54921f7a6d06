#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace perennial::kube {

struct Request {
  std::string method;        // "GET", "POST", "PATCH", "PUT", "DELETE"
  std::string path;          // absolute path with query, already percent-encoded
  std::string content_type;  // of the body; empty without a body
  std::string body;
};

struct Response {
  int status = 0;
  std::string body;
  std::optional<Millis> retry_after{};  // from the Retry-After header
};

// One connection pool to the API server. Thread-safe. The real one is http_transport (the only file
// that knows cpprestsdk); tests use an in-process API server or wrap a Transport to inject faults.
class Transport {
 public:
  // Any HTTP status is a Response; an Error (kUnavailable, kTimeout, kCancelled) means that there
  // was none, so the outcome of a write is unknown. `deadline` bounds the whole exchange.
  virtual Result<Response> Send(const Request& request, Millis deadline) = 0;

  // Sends the request and calls `on_line` with each whole line of a 2xx body as it arrives, on the
  // caller's thread. Ok at a regular end of the body; an error for a non-2xx status, for a body
  // that takes longer than `longest`, for a line above the limit, or when `stop` is requested.
  virtual Status Stream(const Request& request, Millis longest,
                        const std::function<void(std::string_view line)>& on_line,
                        std::stop_token stop) = 0;

  // Ends what is under way with kCancelled, and refuses what comes later: for the end of a process.
  virtual void Shutdown() {}

  virtual ~Transport() = default;
};

// The error that an API server's non-2xx answer stands for (metav1.Status message included).
Error ErrorFromStatus(const Response& response);

}  // namespace perennial::kube
