#include "kube/json_scan.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace perennial::kube {
namespace {

constexpr auto kEnd = std::string_view::npos;

Error Malformed(std::string_view what) {
  return Error{Errc::kInvalid, "malformed JSON: " + std::string(what)};
}

size_t SkipSpace(std::string_view text, size_t at) {
  while (at < text.size() &&
         (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r')) {
    ++at;
  }
  return at;
}

// Behind the closing quote of the string that begins at `at`, or kEnd.
size_t SkipString(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return kEnd;
}

size_t SkipContainer(std::string_view text, size_t at) {
  int depth = 0;
  while (at < text.size()) {
    switch (text[at]) {
      case '"':
        at = SkipString(text, at);
        if (at == kEnd) return kEnd;
        continue;
      case '{':
      case '[':
        ++depth;
        break;
      case '}':
      case ']':
        if (--depth == 0) return at + 1;
        break;
      default:
        break;
    }
    ++at;
  }
  return kEnd;
}

// Behind the value that begins at `at`, or kEnd.
size_t SkipValue(std::string_view text, size_t at) {
  if (at >= text.size()) return kEnd;
  if (text[at] == '"') return SkipString(text, at);
  if (text[at] == '{' || text[at] == '[') return SkipContainer(text, at);
  const size_t end = text.find_first_of(",]} \t\r\n", at);
  if (end == at) return kEnd;
  return end == kEnd ? text.size() : end;
}

// Walks over the elements of a container; `on_element` gets the position of one and answers where
// it ends (kEnd to stop with the status that it left behind).
template <class OnElement>
Status Walk(std::string_view text, char open, char close, const OnElement& on_element) {
  size_t at = SkipSpace(text, 0);
  if (at >= text.size() || text[at] != open) {
    return Malformed(std::string("expected ") + open);
  }
  at = SkipSpace(text, at + 1);
  const bool empty = at < text.size() && text[at] == close;
  while (!empty) {
    auto end = on_element(at);
    if (!end.ok()) return end.error();
    at = SkipSpace(text, *end);
    if (at >= text.size()) return Malformed("cut off");
    if (text[at] == close) break;
    if (text[at] != ',') return Malformed("expected a comma");
    at = SkipSpace(text, at + 1);
  }
  return SkipSpace(text, at + 1) == text.size() ? Ok() : Status(Malformed("text after the end"));
}

}  // namespace

Status ScanObject(std::string_view text, const OnMember& on_member) {
  return Walk(text, '{', '}', [&](size_t at) -> Result<size_t> {
    if (at >= text.size() || text[at] != '"') return Malformed("expected a member's name");
    const size_t key_end = SkipString(text, at);
    if (key_end == kEnd) return Malformed("cut off in a name");
    const size_t colon = SkipSpace(text, key_end);
    if (colon >= text.size() || text[colon] != ':') return Malformed("expected a colon");
    const size_t begin = SkipSpace(text, colon + 1);
    const size_t end = SkipValue(text, begin);
    if (end == kEnd) return Malformed("cut off in a value");
    PERENNIAL_TRY_STATUS(
        on_member(text.substr(at + 1, key_end - at - 2), text.substr(begin, end - begin)));
    return end;
  });
}

Status ScanArray(std::string_view text,
                 const std::function<Status(std::string_view value)>& on_element) {
  return Walk(text, '[', ']', [&](size_t at) -> Result<size_t> {
    const size_t end = SkipValue(text, at);
    if (end == kEnd) return Malformed("cut off in a value");
    PERENNIAL_TRY_STATUS(on_element(text.substr(at, end - at)));
    return end;
  });
}

Result<std::string> ScanString(std::string_view value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') {
    return Malformed("expected a string");
  }
  if (value.find('\\') == kEnd) return std::string(value.substr(1, value.size() - 2));
  const auto parsed = nlohmann::json::parse(value, nullptr, false);
  if (!parsed.is_string()) return Malformed("bad escape in a string");
  return parsed.get<std::string>();
}

Result<ScannedMeta> ScanMeta(std::string_view object) {
  ScannedMeta out;
  bool has_version = false, has_kind = false;
  const auto read = [](std::string_view value, std::string& into) -> Status {
    PERENNIAL_TRY(into, ScanString(value));
    return Ok();
  };
  PERENNIAL_TRY_STATUS(ScanObject(object, [&](std::string_view key, std::string_view value) {
    if (key == "apiVersion") has_version = true;
    if (key == "kind") has_kind = true;
    if (key != "metadata") return Ok();
    return ScanObject(value, [&](std::string_view name, std::string_view field) {
      if (name == "name") return read(field, out.key.name);
      if (name == "namespace") return read(field, out.key.ns);
      if (name == "uid") return read(field, out.uid);
      if (name == "resourceVersion") return read(field, out.resource_version);
      if (name == "generation") {
        std::from_chars(field.data(), field.data() + field.size(), out.generation);
      }
      return Ok();
    });
  }));
  out.typed = has_version && has_kind;
  return out;
}

std::string WithoutManagedFields(std::string_view object) {
  std::string out(object);
  const Status walked = ScanObject(object, [&](std::string_view key, std::string_view value) {
    if (key != "metadata") return Ok();
    return ScanObject(value, [&](std::string_view name, std::string_view field) {
      if (name != "managedFields" || field.front() != '[') return Ok();
      const auto from = static_cast<size_t>(field.data() - object.data());
      // White space in place: nothing has to be moved, and a parser passes over it.
      std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(from + 1), field.size() - 2, ' ');
      return Ok();
    });
  });
  return walked.ok() ? out : std::string(object);
}

bool DepthWithin(std::string_view text, int limit) {
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      at = SkipString(text, at);
      if (at == kEnd) return true;  // cut off: the parser says so
      --at;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return false;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return true;
}

}  // namespace perennial::kube
