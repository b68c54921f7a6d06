#include "api/schema_decode.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace perennial::api {
namespace {

using nlohmann::json;

// Deeper than any manifest, and shallow enough for everything that recurses.
constexpr int kMaxDepth = 64;

// What was found, short enough for a message.
std::string Found(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() > 60 ? CutText(text, 57) + "..." : text;
}

bool Fail(const Path& path, const std::string& expected, const json& value, std::string& error) {
  error = path.Text() + ": expected " + expected + ", got " + Found(value);
  return false;
}

bool TooDeep(const json& value, int depth) {
  if (!value.is_structured()) return false;
  if (depth == 0) return true;
  for (const json& item : value) {
    if (TooDeep(item, depth - 1)) return true;
  }
  return false;
}

// from_chars also takes "inf", "nan", "1." and ".5": the schema's pattern doesn't.
bool IsPlain(const std::string& text) {
  if (text.find_first_not_of("+-.0123456789eE") != std::string::npos) return false;
  const auto digit = [&](std::size_t at) {
    return at < text.size() && text[at] >= '0' && text[at] <= '9';
  };
  const std::size_t point = text.find('.');
  if (point != std::string::npos && (point == 0 || !digit(point - 1) || !digit(point + 1))) {
    return false;
  }
  return digit(text.starts_with('-') ? 1 : 0);
}

std::string Range(std::int64_t min, std::int64_t max) {
  const bool open = max >= std::numeric_limits<std::int32_t>::max();
  if (open && min <= std::numeric_limits<std::int32_t>::min()) return "integer";
  if (open) return "integer of at least " + std::to_string(min);
  return "integer " + std::to_string(min) + ".." + std::to_string(max);
}

}  // namespace

bool ReadScalar(const json& value, const Path& path, std::string& out, std::string& error) {
  if (!value.is_string()) return Fail(path, "string", value, error);
  out = value.get_ref<const std::string&>();
  return true;
}

bool ReadScalar(const json& value, const Path& path, bool& out, std::string& error) {
  if (!value.is_boolean()) return Fail(path, "true or false", value, error);
  out = value.get<bool>();
  return true;
}

bool ReadScalar(const json& value, const Path& path, double& out, std::string& error) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    return Fail(path, "number", value, error);
  }
  out = value.get<double>();
  return true;
}

bool ReadScalar(const json& value, const Path& path, Decimal& out, std::string& error) {
  const char* expected = "decimal number in quotes, such as \"0.25\"";
  if (!value.is_string()) return Fail(path, expected, value, error);
  const std::string& text = value.get_ref<const std::string&>();
  double number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || !IsPlain(text) || !std::isfinite(number)) {
    return Fail(path, expected, value, error);
  }
  out = {number, text};
  return true;
}

bool ReadScalar(const json& value, const Path& path, Duration& out, std::string& error) {
  const char* expected = "duration such as \"90s\" or \"1h30m\"";
  if (!value.is_string()) return Fail(path, expected, value, error);
  const auto duration = ParseDuration(value.get_ref<const std::string&>());
  if (!duration) return Fail(path, expected, value, error);
  out.value = *duration;
  return true;
}

bool ReadScalar(const json& value, const Path& path, Time& out, std::string& error) {
  const char* expected = "RFC 3339 time such as \"2026-11-24T16:13:47Z\"";
  if (!value.is_string()) return Fail(path, expected, value, error);
  const auto time = ParseTime(value.get_ref<const std::string&>());
  if (!time) return Fail(path, expected, value, error);
  out.value = *time;
  return true;
}

bool ReadScalar(const json& value, const Path& path, RawJson& out, std::string& error) {
  if (!value.is_object()) return Fail(path, "object", value, error);
  if (TooDeep(value, kMaxDepth)) {
    error = path.Text() + ": nested deeper than " + std::to_string(kMaxDepth) + " levels";
    return false;
  }
  // Nothing and {} mean the same here.
  out.text =
      value.empty() ? std::string() : value.dump(-1, ' ', false, json::error_handler_t::replace);
  return true;
}

bool ReadScalar(const json& value, const Path& path, std::map<std::string, std::string>& out,
                std::string& error) {
  if (!ExpectObject(value, path, error)) return false;
  out.clear();
  for (const auto& [key, item] : value.items()) {
    if (!ReadScalar(item, Path(path, key), out[key], error)) return false;
  }
  return true;
}

bool ReadInteger(const json& value, const Path& path, std::int64_t min, std::int64_t max,
                 std::int64_t& out, std::string& error) {
  const std::string expected = Range(min, max);
  if (value.is_number_float()) {
    // The API server takes 5.0 for an integer, too.
    const double number = value.get<double>();
    if (number != std::floor(number) || std::abs(number) > 9e15) {
      return Fail(path, expected, value, error);
    }
    out = static_cast<std::int64_t>(number);
  } else if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return Fail(path, expected, value, error);
    }
    out = static_cast<std::int64_t>(number);
  } else if (value.is_number_integer()) {
    out = value.get<std::int64_t>();
  } else {
    return Fail(path, expected, value, error);
  }
  return (out >= min && out <= max) || Fail(path, expected, value, error);
}

bool ReadName(const json& value, const Path& path, std::span<const std::string_view> names,
              std::size_t& out, std::string& error) {
  if (value.is_string()) {
    const auto at = std::find(names.begin(), names.end(), value.get_ref<const std::string&>());
    if (at != names.end()) {
      out = static_cast<std::size_t>(at - names.begin());
      return true;
    }
  }
  std::string expected = "one of ";
  for (const std::string_view name : names) {
    if (name != names.front()) expected += ", ";
    expected += name;
  }
  return Fail(path, expected, value, error);
}

bool ExpectObject(const json& value, const Path& path, std::string& error) {
  return value.is_object() || Fail(path, "object", value, error);
}

bool ExpectList(const json& value, const Path& path, std::size_t max_items, std::string& error) {
  if (!value.is_array()) return Fail(path, "list", value, error);
  if (value.size() <= max_items) return true;
  error = path.Text() + ": expected at most " + std::to_string(max_items) + " items, got " +
          std::to_string(value.size());
  return false;
}

bool MissingField(const Path& path, std::string_view doc, std::string& error) {
  error = path.Text() + ": required. " + std::string(doc);
  return false;
}

const json* Member(const json& object, std::string_view name) {
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::size_t SizeOf(const json& list) {
  return list.size();
}

const json& ItemOf(const json& list, std::size_t index) {
  return list[index];
}

}  // namespace perennial::api
