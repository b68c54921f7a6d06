#include "support/http_event_property.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <variant>

#include "api/codec.h"
#include "app/http_message.h"
#include "retrain/event.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

constexpr std::size_t kMostBody = 65'536;            // as app/event_endpoint.h has it
constexpr WallTime kNow(Millis{1'790'000'000'000});  // of the corpus' events
constexpr std::size_t kLongestName = 1'024;          // of a source; others are shorter
constexpr std::size_t kLongestMessage = 1'024;

bool IsUtf8(const std::string& text) {
  try {
    return !json(text).dump().empty();
  } catch (const json::exception&) {
    return false;
  }
}

std::string Unprintable(const std::string& text, std::size_t longest) {
  if (text.empty()) return "is empty";
  if (text.size() > longest) return "is too long";
  if (!IsUtf8(text)) return "is not UTF-8";
  const bool control =
      std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  return control ? "has control characters" : "";
}

std::string WrongReply(const app::HttpReply& reply) {
  if (reply.status < 400 || reply.status > 499)
    return "refuses with " + std::to_string(reply.status);
  const std::string whole = app::Serialize(reply, true);
  const std::size_t end = whole.find("\r\n\r\n");
  if (end == std::string::npos || whole.substr(end + 4) != reply.body) return "half an answer";
  return "";
}

std::string WrongEvent(const retrain::CloudEvent& event) {
  for (const std::string* name : {&event.id, &event.source, &event.type}) {
    if (const std::string why = Unprintable(*name, kLongestName); !why.empty())
      return "a name " + why;
  }
  if (!retrain::CheckTime(event, kNow).ok()) return "";
  api::RetrainPolicyStatus status;
  if (!retrain::Accept(event, kNow, status)) return "the first event is one too many";
  if (!retrain::IsKnown(status, event.source, event.id)) return "an accepted event is not known";
  const json written = json::parse(api::EncodeStatus(status), nullptr, false);
  return written.is_object() ? "" : "the status is not JSON";
}

std::string WrongBody(const app::HttpRequest& request) {
  const retrain::EventRequest read{[&](std::string_view name) { return request.Header(name); },
                                   request.body};
  const auto event = retrain::ReadEvent(read);
  const auto again = retrain::ReadEvent(read);
  if (event.ok() != again.ok()) return "reads differ";
  if (!event.ok()) {
    const std::string why = Unprintable(event.error().message, kLongestMessage);
    return why.empty() ? "" : "a refusal " + why;
  }
  if (event->id != again->id || event->source != again->source || event->type != again->type) {
    return "reads differ";
  }
  return WrongEvent(*event);
}

}  // namespace

std::string ViolatedByHttpEvent(std::string_view input) {
  const std::size_t end = input.find("\r\n\r\n");
  if (end == std::string_view::npos) return "";
  const std::string_view head = input.substr(0, end + 4);
  const auto length = app::BodyLength(head, kMostBody);
  if (const auto* reply = std::get_if<app::HttpReply>(&length)) return WrongReply(*reply);
  const std::size_t size = std::get<std::size_t>(length);
  if (size > kMostBody) return "a body longer than it may be";
  const std::string_view rest = input.substr(head.size());
  if (rest.size() < size) return "";  // more is to come
  auto line = app::ReadRequestLine(head);
  auto* request = std::get_if<app::HttpRequest>(&line);
  if (request == nullptr) return "a body of no request";
  if (request->method != "POST" || !request->path.starts_with('/'))
    return "a request of another kind";
  for (const char* name : {"authorization", "x-hub-signature-256", "content-type", "ce-id"}) {
    if (request->Header(name).value_or("").find("\r\n") != std::string::npos) {
      return "a header of several lines";
    }
  }
  request->body = rest.substr(0, size);
  return WrongBody(*request);
}

}  // namespace perennial::testing
