#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <cstdio>
#include <string_view>

namespace perennial {
namespace {

// Replaces everything from each `start` to the next character of `stops` (or the end).
void RedactAfter(std::string& text, std::string_view start, std::string_view stops) {
  constexpr std::string_view kMark = "[redacted]";
  for (size_t at = text.find(start); at != std::string::npos;
       at = text.find(start, at + kMark.size())) {
    const size_t from = at + start.size();
    const size_t end = text.find_first_of(stops, from);
    text.replace(from, end == std::string::npos ? std::string::npos : end - from, kMark);
  }
}

}  // namespace

void InitLogging(const std::string& level, LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>("perennial",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(spdlog::level::from_str(level));
  logger->set_pattern(format == LogFormat::kJson
                          ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%v"})"
                          : "%Y-%m-%dT%H:%M:%S.%eZ %L %v",
                      spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

std::string Redact(std::string text) {
  RedactAfter(text, "Bearer ", " \t\r\n\"',");
  RedactAfter(text, "-----BEGIN ", "");
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
      out += escaped;
    } else if (c == '"') {
      out += '\'';
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace perennial
