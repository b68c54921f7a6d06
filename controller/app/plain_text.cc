#include "app/plain_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace perennial::app {

using nlohmann::json;

std::string Text(const json& object, const char* pointer) {
  const json::json_pointer path(pointer);
  if (!object.is_object() || !object.contains(path)) return "";
  const json& value = object[path];
  std::string out = value.is_string() ? value.get<std::string>()
                    : value.is_null() ? ""
                                      : value.dump();
  std::replace(out.begin(), out.end(), '\n', ' ');
  std::erase_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return out;
}

const json& List(const json& object, const char* pointer) {
  static const json kNone = json::array();
  const json::json_pointer path(pointer);
  return object.is_object() && object.contains(path) && object[path].is_array() ? object[path]
                                                                                : kNone;
}

std::string Span(std::int64_t seconds) {
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 7'200) return std::to_string(seconds / 60) + "m";
  if (seconds < 172'800) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86'400) + "d";
}

std::string Age(const std::string& time, WallTime now) {
  const auto at = ParseTime(time);
  if (!at) return "";
  return Span(std::max<std::int64_t>(0, std::chrono::floor<Seconds>(now - *at).count()));
}

std::string Left(const std::string& time, WallTime now) {
  const auto at = ParseTime(time);
  if (!at) return "";
  return Span(std::max<std::int64_t>(0, std::chrono::ceil<Seconds>(*at - now).count()));
}

std::string Table::Render() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace perennial::app
