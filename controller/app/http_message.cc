#include "app/http_message.h"

#include <charconv>
#include <vector>

namespace perennial::app {
namespace {

const char* ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// All values of one header. Lines that continue others, or have a space before their colon, are no
// headers (RFC 9112, 5): whatever they were meant to be, they match no name.
std::vector<std::string_view> ValuesOf(std::string_view head, std::string_view name) {
  std::vector<std::string_view> out;
  for (size_t at = head.find("\r\n"); at != std::string_view::npos;) {
    const size_t begin = at + 2;
    at = head.find("\r\n", begin);
    const std::string_view line =
        head.substr(begin, at == std::string_view::npos ? at : at - begin);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || Lower(line.substr(0, colon)) != name) continue;
    out.push_back(Trimmed(line.substr(colon + 1)));
  }
  return out;
}

}  // namespace

std::optional<std::string> HttpRequest::Header(std::string_view name) const {
  const auto values = ValuesOf(head, name);
  if (values.size() != 1) return std::nullopt;
  return std::string(values.front());
}

std::string Serialize(const HttpReply& reply, bool with_body) {
  std::string out = "HTTP/1.1 " + std::to_string(reply.status) + " " + ReasonPhrase(reply.status) +
                    "\r\nContent-Type: " + reply.content_type +
                    "\r\nContent-Length: " + std::to_string(reply.body.size()) +
                    "\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n";
  if (reply.status == 401) out += "WWW-Authenticate: Bearer\r\n";  // RFC 9110, 11.6.1
  out += "\r\n";
  if (with_body) out += reply.body;
  return out;
}

std::variant<HttpRequest, HttpReply> ReadRequestLine(std::string_view head) {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const size_t first = line.find(' ');
  const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || line.substr(second + 1).rfind("HTTP/1.", 0) != 0) {
    return HttpReply{400, "not an HTTP/1.1 request\n"};
  }
  HttpRequest request;
  request.method = line.substr(0, first);
  request.path = line.substr(first + 1, second - first - 1);
  request.path = request.path.substr(0, request.path.find('?'));
  request.head = head;
  if (request.path.empty() || request.path.front() != '/') return HttpReply{400, "bad path\n"};
  return request;
}

std::variant<size_t, HttpReply> BodyLength(std::string_view head, size_t most) {
  const auto line = ReadRequestLine(head);
  if (const auto* reply = std::get_if<HttpReply>(&line)) return *reply;
  if (std::get<HttpRequest>(line).method != "POST") return HttpReply{405, "POST only\n"};
  const auto lengths = ValuesOf(head, "content-length");
  if (!ValuesOf(head, "transfer-encoding").empty() || lengths.empty()) {
    return HttpReply{411, "send a Content-Length and no Transfer-Encoding\n"};
  }
  size_t length = 0;
  const std::string_view text = lengths.front();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error == std::errc::result_out_of_range) return HttpReply{413, "body too large\n"};
  if (lengths.size() > 1 || error != std::errc() || end != text.data() + text.size()) {
    return HttpReply{400, "bad Content-Length\n"};
  }
  if (length > most) return HttpReply{413, "body too large\n"};
  return length;
}

}  // namespace perennial::app
