#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace perennial::retrain {

// A five-field cron expression (POSIX crontab, with the names, steps and @forms of Vixie cron).
// Where both day fields are restricted a day matches if either does.
struct CronExpression {
  std::bitset<60> minutes;
  std::bitset<24> hours;
  std::bitset<32> days_of_month;  // 1..31
  std::bitset<13> months;         // 1..12
  std::bitset<7> days_of_week;    // 0 = Sunday
  bool day_of_month_restricted = false;
  bool day_of_week_restricted = false;
};

// kInvalid names the field that is wrong and what it may hold.
Result<CronExpression> ParseCron(std::string_view text);

// The first time strictly after `after` at which the expression holds in the IANA zone, looking
// five years ahead (nullopt: never, as for 31 February). A local time that a clock change skips
// fires at the moment of the change; one that occurs twice fires at its first occurrence only.
// kInvalid for an unknown zone.
Result<std::optional<WallTime>> NextTime(const CronExpression& cron, std::string_view time_zone,
                                         WallTime after);

// The last such time after `after` and not after `until`, looking five years back from `until`:
// what a caller that was away is to make up for, at the cost of a few days' minutes at most.
Result<std::optional<WallTime>> LastTime(const CronExpression& cron, std::string_view time_zone,
                                         WallTime after, WallTime until);

}  // namespace perennial::retrain
