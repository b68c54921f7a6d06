#include "base/clock.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace perennial {
namespace {

class MachineClock final : public Clock {
 public:
  WallTime Wall() const override {
    return std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now());
  }
  Millis Steady() const override {
    return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch());
  }
};

// Reads exactly `digits` decimal digits at `position`; advances it.
std::optional<int> ReadDigits(std::string_view text, size_t& position, size_t digits) {
  if (position + digits > text.size()) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = text[position + i];
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  position += digits;
  return value;
}

bool Skip(std::string_view text, size_t& position, char expected) {
  if (position >= text.size() || text[position] != expected) return false;
  ++position;
  return true;
}

Millis ReadFraction(std::string_view text, size_t& position) {
  int millis = 0;
  int scale = 100;
  while (position < text.size() && std::isdigit(static_cast<unsigned char>(text[position]))) {
    millis += (text[position] - '0') * scale;
    scale /= 10;
    ++position;
  }
  return Millis(millis);
}

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

std::string FormatTime(WallTime time) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{days};
  const std::chrono::hh_mm_ss clock{std::chrono::floor<Seconds>(time - days)};
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%04d-%02u-%02uT%02d:%02d:%02dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return buffer;
}

std::string FormatMicroTime(WallTime time) {
  const auto millis = (time - std::chrono::floor<Seconds>(time)).count();
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%03d000Z", static_cast<int>(millis));
  std::string text = FormatTime(time);
  text.replace(text.size() - 1, 1, fraction);
  return text;
}

std::optional<WallTime> ParseTime(std::string_view text) {
  size_t at = 0;
  const auto year = ReadDigits(text, at, 4);
  if (!year || !Skip(text, at, '-')) return std::nullopt;
  const auto month = ReadDigits(text, at, 2);
  if (!month || !Skip(text, at, '-')) return std::nullopt;
  const auto day = ReadDigits(text, at, 2);
  if (!day || !(Skip(text, at, 'T') || Skip(text, at, 't'))) return std::nullopt;
  const auto hour = ReadDigits(text, at, 2);
  if (!hour || !Skip(text, at, ':')) return std::nullopt;
  const auto minute = ReadDigits(text, at, 2);
  if (!minute || !Skip(text, at, ':')) return std::nullopt;
  const auto second = ReadDigits(text, at, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const Millis fraction = Skip(text, at, '.') ? ReadFraction(text, at) : Millis(0);

  Millis offset{0};
  if (!Skip(text, at, 'Z') && !Skip(text, at, 'z')) {
    if (at >= text.size() || (text[at] != '+' && text[at] != '-')) return std::nullopt;
    const int sign = text[at++] == '-' ? -1 : 1;
    const auto hours = ReadDigits(text, at, 2);
    if (!hours || !Skip(text, at, ':')) return std::nullopt;
    const auto minutes = ReadDigits(text, at, 2);
    if (!minutes) return std::nullopt;
    offset = sign * (std::chrono::hours(*hours) + std::chrono::minutes(*minutes));
  }
  if (at != text.size()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(*hour) +
         std::chrono::minutes(*minute) + Seconds(*second) + fraction - offset;
}

std::optional<Millis> ParseDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Millis total{0};
  size_t at = 0;
  for (int part = 0; at < text.size(); ++part) {
    if (part == 4) return std::nullopt;
    const size_t start = at;
    std::int64_t value = 0;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      value = value * 10 + (text[at++] - '0');
      if (at - start > 5) return std::nullopt;
    }
    if (at == start || at == text.size()) return std::nullopt;
    if (text.substr(at, 2) == "ms") {
      total += Millis(value);
      at += 2;
    } else if (text[at] == 's') {
      total += Seconds(value);
      ++at;
    } else if (text[at] == 'm') {
      total += std::chrono::minutes(value);
      ++at;
    } else if (text[at] == 'h') {
      total += std::chrono::hours(value);
      ++at;
    } else {
      return std::nullopt;
    }
  }
  return total;
}

std::string FormatDuration(Millis duration) {
  if (duration.count() <= 0) return "0s";
  std::int64_t rest = duration.count();
  std::string out;
  const auto part = [&](std::int64_t unit, const char* name) {
    if (rest >= unit) {
      out += std::to_string(rest / unit) + name;
      rest %= unit;
    }
  };
  part(3'600'000, "h");
  part(60'000, "m");
  part(1'000, "s");
  part(1, "ms");
  return out;
}

}  // namespace perennial
