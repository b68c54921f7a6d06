#include "retrain/event.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "scrape/exposition_lexer.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestId = 256;
constexpr std::size_t kLongestType = 256;
constexpr std::size_t kLongestSource = 1'024;
// Objects in objects: more is an attack on somebody's stack, or nonsense.
constexpr int kDeepest = 64;

Error Bad(const std::string& what) {
  return {Errc::kInvalid, what};
}

bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// Attributes have neither U+0000 to U+001F nor U+007F to U+009F (CloudEvents 1.0, "String").
bool HasControls(const std::string& text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (IsControl(text[i])) return true;
    if (text[i] == '\xc2' && i + 1 < text.size() &&
        static_cast<unsigned char>(text[i + 1]) <= 0x9f) {
      return true;
    }
  }
  return false;
}

// "application/json; charset=utf-8" without its parameters, in lower case.
std::string MediaType(std::string_view value) {
  std::string out(value.substr(0, value.find(';')));
  while (!out.empty() && (out.back() == ' ' || out.back() == '\t')) out.pop_back();
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A quoted string's content (RFC 9110, 5.6.4); other values as they are. nullopt for a quote that
// doesn't end where the value does.
std::optional<std::string> Unquoted(std::string_view value) {
  if (!value.starts_with('"')) return std::string(value);
  std::string out;
  for (std::size_t i = 1; i < value.size(); ++i) {
    if (value[i] == '"') {
      if (i + 1 != value.size()) return std::nullopt;
      return out;
    }
    if (value[i] == '\\' && ++i == value.size()) break;
    out += value[i];
  }
  return std::nullopt;
}

bool IsUtf8(const std::string& text) {
  for (const char* p = text.c_str(); p != text.c_str() + text.size();) {
    p = static_cast<unsigned char>(*p) < 0x80 ? p + 1 : scrape::lexer::SkipUtf8(p);
    if (p == nullptr) return false;
  }
  return true;
}

// Header values may be quoted, and are percent-encoded once; what then isn't UTF-8 must be refused
// (3.1.3.2). So is what should have been encoded and wasn't.
std::optional<std::string> DecodeHeader(std::string_view value) {
  const auto plain = Unquoted(value);
  if (!plain) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < plain->size(); ++i) {
    char c = (*plain)[i];
    if (static_cast<unsigned char>(c) > 0x7e || IsControl(c)) return std::nullopt;
    if (c == '%' && i + 2 < plain->size()) {
      const int high = HexDigit((*plain)[i + 1]);
      const int low = HexDigit((*plain)[i + 2]);
      if (high >= 0 && low >= 0) {
        c = static_cast<char>(high * 16 + low);
        i += 2;
      }
    }
    out += c;
  }
  if (!IsUtf8(out)) return std::nullopt;
  return out;
}

using Attribute = std::function<Result<std::string>(const char* name)>;

Result<std::string> Limited(const Attribute& attribute, const char* name, std::size_t longest) {
  PERENNIAL_TRY(std::string value, attribute(name));
  if (value.empty()) return Bad(std::string("the event has no ") + name);
  if (value.size() > longest) {
    return Bad(std::string("the event's ") + name + " is longer than " + std::to_string(longest));
  }
  if (HasControls(value)) {
    return Bad(std::string("the event's ") + name + " has control characters");
  }
  return value;
}

Result<CloudEvent> Assemble(const Attribute& attribute) {
  PERENNIAL_TRY(const std::string version, Limited(attribute, "specversion", 16));
  if (version != "1.0") return Bad("specversion must be 1.0");
  CloudEvent event;
  PERENNIAL_TRY(event.id, Limited(attribute, "id", kLongestId));
  PERENNIAL_TRY(event.source, Limited(attribute, "source", kLongestSource));
  PERENNIAL_TRY(event.type, Limited(attribute, "type", kLongestType));
  PERENNIAL_TRY(const std::string time, Limited(attribute, "time", 64));
  const auto at = ParseTime(time);
  if (!at) return Bad("the event's time must be a moment such as 2026-01-02T03:04:05Z");
  event.time = *at;
  return event;
}

Result<CloudEvent> ReadStructured(std::string_view body) {
  bool too_deep = false;
  const json object = json::parse(
      body,
      [&](int depth, json::parse_event_t, json&) {
        too_deep = too_deep || depth > kDeepest;
        return !too_deep;
      },
      /*allow_exceptions=*/false);
  if (too_deep) return Bad("the event is nested too deeply");
  if (!object.is_object()) return Bad("the body is not a JSON object");
  auto event = Assemble([&](const char* name) -> Result<std::string> {
    const auto it = object.find(name);
    if (it == object.end() || it->is_null()) return std::string();
    if (!it->is_string()) return Bad(std::string("the event's ") + name + " is not a string");
    return it->get<std::string>();
  });
  if (event.ok()) event->structured = true;
  return event;
}

}  // namespace

Result<CloudEvent> ReadEvent(const EventRequest& request) {
  const std::string type = MediaType(request.header("content-type").value_or(""));
  if (type == "application/cloudevents+json") return ReadStructured(request.body);
  if (type.starts_with("application/cloudevents")) {
    return Bad("one event in JSON, please: neither batches nor other formats are taken");
  }
  return Assemble([&](const char* name) -> Result<std::string> {
    const auto value = request.header(std::string("ce-") + name);
    if (!value) return std::string();
    auto decoded = DecodeHeader(*value);
    if (!decoded)
      return Bad(std::string("the header ce-") + name + " is not percent-encoded UTF-8");
    return *std::move(decoded);
  });
}

Status CheckTime(const CloudEvent& event, WallTime now) {
  if (event.time < now - kOldestEvent) {
    return Bad("the event is older than an hour: it could be a replay");
  }
  if (event.time > now + kEarliestEvent) return Bad("the event's time is in the future");
  return Ok();
}

bool Wants(const api::EventTrigger& trigger, std::string_view type, std::string_view source) {
  return trigger.type == type && (trigger.source.empty() || trigger.source == source);
}

std::string EventIdentity(std::string_view source, std::string_view id) {
  return "event/" + Sha256Hex(std::string(source) + "\n" + std::string(id)).substr(0, 32);
}

bool IsKnown(const api::RetrainPolicyStatus& status, std::string_view source, std::string_view id) {
  const std::string identity = EventIdentity(source, id);
  const auto& handled = status.handled_triggers;
  const auto& recent = status.recent_events;
  return std::any_of(recent.begin(), recent.end(),
                     [&](const api::RecentEvent& one) { return one.trigger == identity; }) ||
         std::find(handled.begin(), handled.end(), identity) != handled.end() ||
         std::any_of(status.runs.begin(), status.runs.end(),
                     [&](const api::Run& run) { return run.trigger == identity; }) ||
         std::any_of(status.events.begin(), status.events.end(), [&](const api::TakenEvent& event) {
           return event.source == source && event.id == id;
         });
}

bool Accept(const CloudEvent& event, WallTime now, api::RetrainPolicyStatus& status) {
  // With a margin: another replica's clock may say that the event is still young enough.
  const WallTime refused = now - kOldestEvent - kEarliestEvent;
  std::erase_if(status.recent_events,
                [&](const api::RecentEvent& one) { return one.time.value < refused; });
  if (status.events.size() >= kMostEvents || status.recent_events.size() >= kMostRecent) {
    return false;
  }
  status.events.push_back({event.id, event.source, event.type, api::Time{now}});
  status.recent_events.push_back({EventIdentity(event.source, event.id), api::Time{event.time}});
  return true;
}

}  // namespace perennial::retrain
