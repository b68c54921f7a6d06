#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace perennial::app {

struct HttpReply {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
};

struct HttpRequest {
  std::string_view path;           // without query
  std::string_view authorization;  // the header's value; empty where there is none
};

// Answers a GET. Called on the server's thread: while it waits, nobody else is answered.
using HttpHandler = std::function<HttpReply(const HttpRequest& request)>;

struct HttpLimits {
  std::size_t request_bytes = 8'192;  // request line and headers
  std::size_t connections = 32;       // the oldest unanswered one makes room for a new one
  Millis request_timeout{2'000};      // for the whole request to arrive
  Millis response_timeout{10'000};    // for the peer to take the whole answer
};

// A server for probes and scrapes on a port that anybody in the cluster may reach: one thread, GET
// and HEAD only, one request a connection, nothing of the request is interpreted but its path and
// its Authorization header.
// However many connections are kept open without asking, a peer that asks at once is answered.
class HttpServer {
 public:
  // Port 0 takes any free one. kUnavailable says which port and why.
  static Result<std::unique_ptr<HttpServer>> Listen(int port, HttpHandler handler,
                                                    const Clock& clock, HttpLimits limits = {});
  ~HttpServer();  // stops
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace perennial::app
