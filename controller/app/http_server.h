#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "app/http_message.h"
#include "base/clock.h"
#include "base/result.h"

namespace perennial::app {

// Called on the server's thread: while it waits, nobody else is answered.
using HttpHandler = std::function<HttpReply(const HttpRequest& request)>;

struct HttpLimits {
  std::size_t request_bytes = 8'192;  // request line and headers
  std::size_t connections = 32;       // the oldest unanswered one makes room for a new one
  std::size_t body_bytes = 0;         // of a request that carries one
  Millis request_timeout{2'000};      // for the whole request to arrive
  Millis response_timeout{10'000};    // for the peer to take the whole answer
};

// A server for probes, scrapes and events on a port that anybody in the cluster may reach: one
// thread, one request a connection. Listen() takes GET and HEAD only, ListenForPosts() POST with a
// Content-Length only; nothing of a head is interpreted but its path and what handlers ask for.
// However many connections are kept open without asking, a peer that asks at once is answered.
class HttpServer {
 public:
  // Port 0 takes any free one. kUnavailable says which port and why.
  static Result<std::unique_ptr<HttpServer>> Listen(int port, HttpHandler handler,
                                                    const Clock& clock, HttpLimits limits = {});
  static Result<std::unique_ptr<HttpServer>> ListenForPosts(int port, HttpHandler handler,
                                                            const Clock& clock, HttpLimits limits);
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;

 private:
  class Impl;
  enum class Takes { kPages, kPosts };
  static Result<std::unique_ptr<HttpServer>> Start(int port, Takes takes, HttpHandler handler,
                                                   const Clock& clock, HttpLimits limits);
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::app
