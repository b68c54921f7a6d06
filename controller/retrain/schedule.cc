#include "retrain/schedule.h"

#include <date/tz.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <vector>

namespace perennial::retrain {
namespace {

constexpr date::days kHorizon{5 * 366};

struct FieldRange {
  const char* name;
  int low;
  int high;
  std::vector<std::string_view> names;  // of low, low + 1, ...
};

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Error Bad(const FieldRange& range, std::string_view text) {
  return Error{Errc::kInvalid, std::string("cron field ") + range.name + ": \"" +
                                   std::string(text) +
                                   "\" is not a number, range, list or step of " +
                                   std::to_string(range.low) + "-" + std::to_string(range.high)};
}

std::optional<int> ParseValue(std::string_view text, const FieldRange& range) {
  for (size_t i = 0; i < range.names.size(); ++i) {
    if (Lower(text) == range.names[i]) return range.low + static_cast<int>(i);
  }
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value < range.low || value > range.high) return std::nullopt;
  return value;
}

// One element of a list: "*", "a", "a-b", each with an optional "/step".
template <size_t N>
bool ParseElement(std::string_view text, const FieldRange& range, std::bitset<N>& out) {
  int step = 1;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const FieldRange steps{range.name, 1, range.high, {}};
    const auto parsed = ParseValue(text.substr(slash + 1), steps);
    if (!parsed) return false;
    step = *parsed;
    text = text.substr(0, slash);
  }
  int low = range.low;
  int high = range.high;
  if (text != "*") {
    const size_t dash = text.find('-');
    const auto first = ParseValue(text.substr(0, dash), range);
    if (!first) return false;
    low = *first;
    high = slash == std::string_view::npos ? low : range.high;
    if (dash != std::string_view::npos) {
      const auto last = ParseValue(text.substr(dash + 1), range);
      if (!last || *last < low) return false;
      high = *last;
    }
  }
  for (int value = low; value <= high; value += step) out.set(static_cast<size_t>(value));
  return true;
}

template <size_t N>
Status ParseField(std::string_view text, const FieldRange& range, std::bitset<N>& out) {
  size_t from = 0;
  while (true) {
    const size_t comma = text.find(',', from);
    const std::string_view element = text.substr(from, comma - from);
    if (element.empty() || !ParseElement(element, range, out)) return Bad(range, text);
    if (comma == std::string_view::npos) return Ok();
    from = comma + 1;
  }
}

std::vector<std::string_view> SplitFields(std::string_view text) {
  std::vector<std::string_view> fields;
  size_t at = 0;
  while (at < text.size()) {
    const size_t start = text.find_first_not_of(" \t", at);
    if (start == std::string_view::npos) break;
    const size_t end = text.find_first_of(" \t", start);
    fields.push_back(text.substr(start, end - start));
    at = end == std::string_view::npos ? text.size() : end;
  }
  return fields;
}

std::string_view ExpandNickname(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kNicknames{{
      {"@yearly", "0 0 1 1 *"},
      {"@annually", "0 0 1 1 *"},
      {"@monthly", "0 0 1 * *"},
      {"@weekly", "0 0 * * 0"},
      {"@daily", "0 0 * * *"},
      {"@midnight", "0 0 * * *"},
      {"@hourly", "0 * * * *"},
  }};
  for (const auto& [name, fields] : kNicknames) {
    if (text == name) return fields;
  }
  return text;
}

bool DayMatches(const CronExpression& cron, date::local_days day) {
  const date::year_month_day ymd{day};
  if (!cron.months.test(static_cast<unsigned>(ymd.month()))) return false;
  const bool of_month = cron.days_of_month.test(static_cast<unsigned>(ymd.day()));
  const bool of_week = cron.days_of_week.test(date::weekday{day}.c_encoding());
  if (cron.day_of_month_restricted && cron.day_of_week_restricted) return of_month || of_week;
  return of_month && of_week;
}

WallTime ToWall(const date::time_zone& zone, date::local_seconds local) {
  const date::local_info info = zone.get_info(local);
  const auto sys = info.result == date::local_info::nonexistent
                       ? info.first.end
                       : date::sys_seconds(local.time_since_epoch()) - info.first.offset;
  return WallTime(std::chrono::duration_cast<Millis>(sys.time_since_epoch()));
}

// The first firing of this local day that is after `after`.
std::optional<WallTime> FirstOfDay(const CronExpression& cron, const date::time_zone& zone,
                                   date::local_days day, WallTime after) {
  for (int hour = 0; hour < 24; ++hour) {
    if (!cron.hours.test(static_cast<size_t>(hour))) continue;
    for (int minute = 0; minute < 60; ++minute) {
      if (!cron.minutes.test(static_cast<size_t>(minute))) continue;
      const WallTime at =
          ToWall(zone, day + std::chrono::hours(hour) + std::chrono::minutes(minute));
      if (at > after) return at;
    }
  }
  return std::nullopt;
}

// The last firing of this local day that is not after `until`.
std::optional<WallTime> LastOfDay(const CronExpression& cron, const date::time_zone& zone,
                                  date::local_days day, WallTime until) {
  for (int hour = 23; hour >= 0; --hour) {
    if (!cron.hours.test(static_cast<size_t>(hour))) continue;
    for (int minute = 59; minute >= 0; --minute) {
      if (!cron.minutes.test(static_cast<size_t>(minute))) continue;
      const WallTime at =
          ToWall(zone, day + std::chrono::hours(hour) + std::chrono::minutes(minute));
      if (at <= until) return at;
    }
  }
  return std::nullopt;
}

const date::time_zone* FindZone(std::string_view name) {
  try {
    return date::locate_zone(std::string(name));
  } catch (const std::exception&) {
    return nullptr;
  }
}

Error UnknownZone(std::string_view time_zone) {
  return Error{Errc::kInvalid, "timeZone \"" + std::string(time_zone) +
                                   "\" is not an IANA time zone such as Europe/Berlin"};
}

// The local day of a time in the zone.
date::local_days DayOf(const date::time_zone& zone, WallTime time) {
  const date::sys_seconds at{std::chrono::floor<Seconds>(time.time_since_epoch())};
  return date::floor<date::days>(zone.to_local(at));
}

}  // namespace

Result<CronExpression> ParseCron(std::string_view text) {
  static const FieldRange kMinute{"minute", 0, 59, {}};
  static const FieldRange kHour{"hour", 0, 23, {}};
  static const FieldRange kDay{"day of month", 1, 31, {}};
  static const FieldRange kMonth{
      "month",
      1,
      12,
      {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}};
  static const FieldRange kWeekday{
      "day of week", 0, 7, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}};
  const auto fields = SplitFields(ExpandNickname(text));
  if (fields.size() != 5) {
    return Error{Errc::kInvalid,
                 "cron \"" + std::string(text) +
                     "\" must have five fields (minute hour day month weekday) or be one of "
                     "@hourly @daily @weekly @monthly @yearly"};
  }
  CronExpression cron;
  std::bitset<8> weekdays;
  PERENNIAL_TRY_STATUS(ParseField(fields[0], kMinute, cron.minutes));
  PERENNIAL_TRY_STATUS(ParseField(fields[1], kHour, cron.hours));
  PERENNIAL_TRY_STATUS(ParseField(fields[2], kDay, cron.days_of_month));
  PERENNIAL_TRY_STATUS(ParseField(fields[3], kMonth, cron.months));
  PERENNIAL_TRY_STATUS(ParseField(fields[4], kWeekday, weekdays));
  for (size_t day = 0; day < 8; ++day) {
    if (weekdays.test(day)) cron.days_of_week.set(day % 7);
  }
  cron.day_of_month_restricted = fields[2].front() != '*';
  cron.day_of_week_restricted = fields[4].front() != '*';
  return cron;
}

Result<std::optional<WallTime>> NextTime(const CronExpression& cron, std::string_view time_zone,
                                         WallTime after) {
  const date::time_zone* zone = FindZone(time_zone);
  if (zone == nullptr) return UnknownZone(time_zone);
  // A day early: a transition can map a local time of the day before to after `after`.
  date::local_days day = DayOf(*zone, after) - date::days(1);
  const date::local_days end = day + kHorizon;
  for (; day < end; day += date::days(1)) {
    if (!DayMatches(cron, day)) continue;
    if (const auto at = FirstOfDay(cron, *zone, day, after)) return at;
  }
  return std::optional<WallTime>();
}

Result<std::optional<WallTime>> LastTime(const CronExpression& cron, std::string_view time_zone,
                                         WallTime after, WallTime until) {
  const date::time_zone* zone = FindZone(time_zone);
  if (zone == nullptr) return UnknownZone(time_zone);
  // Days with a margin of one, for the same reason as above.
  date::local_days day = DayOf(*zone, until) + date::days(1);
  const date::local_days end = std::max(DayOf(*zone, after) - date::days(1), day - kHorizon);
  for (; day >= end; day -= date::days(1)) {
    if (!DayMatches(cron, day)) continue;
    const auto at = LastOfDay(cron, *zone, day, until);
    if (!at) continue;
    return *at > after ? at : std::optional<WallTime>();
  }
  return std::optional<WallTime>();
}

}  // namespace perennial::retrain
