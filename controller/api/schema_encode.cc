#include "api/schema_encode.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace perennial::api {

using nlohmann::json;

namespace {

// What JSON has as it is: ASCII without quotes, backslashes and control characters.
bool IsPlain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x80 &&
         c != '"' && c != '\\';
}

}  // namespace

void WriteScalar(const std::string& value, std::string& out) {
  if (std::all_of(value.begin(), value.end(), IsPlain)) {
    out += '"';
    out += value;
    out += '"';
    return;
  }
  // Invalid UTF-8 (a message cut in the middle of a character) becomes U+FFFD instead of an
  // exception.
  out += json(value).dump(-1, ' ', false, json::error_handler_t::replace);
}

void WriteScalar(bool value, std::string& out) {
  out += value ? "true" : "false";
}

void WriteScalar(std::int64_t value, std::string& out) {
  out += std::to_string(value);
}

void WriteScalar(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";  // JSON has no other way to say it; decoding refuses it where a number must be
    return;
  }
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value == 0 ? 0.0 : value);
  out.append(buffer, end.ptr);
}

void WriteScalar(const Decimal& value, std::string& out) {
  if (!value.text.empty()) return WriteScalar(value.text, out);
  std::string number;
  WriteScalar(value.value, number);
  WriteScalar(number, out);
}

void WriteScalar(const Duration& value, std::string& out) {
  WriteScalar(FormatDuration(value.value), out);
}

void WriteScalar(const Time& value, std::string& out) {
  WriteScalar(FormatTime(value.value), out);
}

void WriteScalar(const RawJson& value, std::string& out) {
  out += value.empty() ? "{}" : value.text;
}

void WriteScalar(const std::map<std::string, std::string>& value, std::string& out) {
  out += '{';
  bool first = true;
  for (const auto& [key, text] : value) {
    if (!first) out += ',';
    first = false;
    WriteScalar(key, out);
    out += ':';
    WriteScalar(text, out);
  }
  out += '}';
}

}  // namespace perennial::api
