#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "scrape/address_policy.h"

namespace perennial::scrape {

// What a peer may cost. Beyond any of these the connection is cut.
struct FetchLimits {
  Millis connect{3'000};
  Millis total{10'000};  // from the start of the connection to the last byte
  std::size_t header_bytes = std::size_t{64} << 10;  // all headers, trailers and 1xx answers
  std::size_t wire_bytes = std::size_t{16} << 20;    // of the body as it comes
  std::size_t body_bytes = std::size_t{16} << 20;    // of the body after gzip
};

// One HTTP exchange with a peer that is not trusted. Never followed: redirects. Never used:
// proxies, netrc, cookies, HTTP/2, anything but http and https.
struct FetchRequest {
  std::string url;
  std::string accept;
  std::string bearer_token;  // https only: a request over http with a token fails
  std::string username;      // Basic, with the password; https only as well
  std::string password;
  std::string ca_pem;  // trust anchors; empty: the system's
  // TLS name to verify instead of the URL's host, which then must be an IP literal.
  std::string server_name;
  std::optional<std::string> post{};  // POST with this body instead of GET
  std::string content_type;           // of the body to post
  FetchLimits limits;
  AddressPolicy addresses;
};

// Where an answer goes, called from Poll(). An error ends the exchange and becomes its outcome.
struct FetchSink {
  // Once, before any body. `content_type` is what the header says.
  std::function<Status(int status, std::string_view content_type)> on_head;
  std::function<Status(std::string_view piece)> on_body;  // decoded
};

struct FetchSummary {
  int status = 0;
  std::size_t wire_bytes = 0;
  std::size_t body_bytes = 0;
};

// Many exchanges at a time on the caller's thread, over libcurl. Not thread-safe but for Wake().
// Errors: kTimeout (a limit on time), kTooLarge (a limit on size), kForbidden (address refused),
// kUnauthorized (TLS), kInvalid (the request or the answer is malformed), kUnavailable (the rest).
// Messages are fixed sentences; they hold nothing that the peer sent.
class HttpFetcher {
 public:
  using Done = std::function<void(std::uint64_t id, Result<FetchSummary> outcome)>;

  // Idle connections are kept up to that number, and reused for the same peer.
  explicit HttpFetcher(std::size_t idle_connections = 64);
  ~HttpFetcher();  // drops what is in flight
  HttpFetcher(const HttpFetcher&) = delete;
  HttpFetcher& operator=(const HttpFetcher&) = delete;

  // Begins an exchange; its outcome comes from a later Poll(), also when it cannot even begin.
  void Start(std::uint64_t id, const FetchRequest& request, FetchSink sink);
  std::size_t in_flight() const;
  // Does what can be done, waiting at most `timeout` for something to do, and reports outcomes.
  // Start() may be called from `done`.
  void Poll(Millis timeout, const Done& done);
  // Ends the wait of a Poll() in another thread, or of the next one.
  void Wake();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

struct FetchedBody {
  int status = 0;
  std::string content_type;
  std::string body;
};

// One exchange, waiting for it. Any status is a success; the caller looks at it.
Result<FetchedBody> Fetch(const FetchRequest& request);

}  // namespace perennial::scrape
