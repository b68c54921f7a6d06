#pragma once

#include <spdlog/spdlog.h>

#include <memory>
#include <string>

namespace perennial {

enum class LogFormat { kText, kJson };

// Sets up the process-wide logger on standard error. level: trace, debug, info, warn, error.
// Call once from main before threads start; logging itself is thread-safe.
void InitLogging(const std::string& level, LogFormat format);

// Credentials never reach a log line: "Bearer abc" and PEM blocks become "[redacted]", and control
// bytes are escaped so that a hostile string cannot forge a line. Every line of the logger passes
// through it; for what goes elsewhere, call it.
std::string Redact(std::string text);

}  // namespace perennial
