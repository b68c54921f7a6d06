#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

// Requests and answers as text, without a connection.
namespace perennial::app {

struct HttpReply {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
};

// A request as it came; views into the connection's buffer.
struct HttpRequest {
  std::string_view method;
  std::string_view path;    // without query
  std::string_view head{};  // the whole head
  std::string_view body{};

  // The value of a header, found by its lower-case name, without the space around it; nullopt also
  // where it came more than once, which a proxy could read differently (RFC 9110, 5.3).
  std::optional<std::string> Header(std::string_view name) const;
};

std::string Serialize(const HttpReply& reply, bool with_body);

// The request line (RFC 9112, 3: method SP request-target SP HTTP-version), or why it is none.
std::variant<HttpRequest, HttpReply> ReadRequestLine(std::string_view head);

// How long the body of a POST is, or the answer to one that doesn't say so in the one plain way:
// two ideas of where a body ends are how requests are smuggled (RFC 9112, 6.3).
std::variant<std::size_t, HttpReply> BodyLength(std::string_view head, std::size_t most);

}  // namespace perennial::app
