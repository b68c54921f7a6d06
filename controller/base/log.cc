#include "base/log.h"

#include <spdlog/pattern_formatter.h>
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

// "%*" in a pattern: the message, redacted, so that no caller can forget it.
class RedactedMessage final : public spdlog::custom_flag_formatter {
 public:
  explicit RedactedMessage(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    for (const char c : Redact(std::string(message.payload.data(), message.payload.size()))) {
      if (format_ == LogFormat::kJson && (c == '"' || c == '\\')) out.push_back('\\');
      out.push_back(c);
    }
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<RedactedMessage>(format_);
  }

 private:
  LogFormat format_;
};

}  // namespace

void InitLogging(const std::string& level, LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>("perennial",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(spdlog::level::from_str(level));
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<RedactedMessage>('*', format)
      .set_pattern(format == LogFormat::kJson
                       ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%*"})"
                       : "%Y-%m-%dT%H:%M:%S.%eZ %L %*");
  logger->set_formatter(std::move(formatter));
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
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace perennial
