#include <gtest/gtest.h>

#include "retrain/schedule.h"

namespace perennial::retrain {
namespace {

std::string Next(const char* cron, const char* zone, const char* after) {
  const auto parsed = ParseCron(cron);
  if (!parsed.ok()) return parsed.error().message;
  const auto next = NextTime(*parsed, zone, *ParseTime(after));
  if (!next.ok()) return next.error().message;
  return *next ? FormatTime(**next) : "never";
}

struct Case {
  const char* name;
  const char* cron;
  const char* zone;
  const char* after;
  const char* want;
};

TEST(Schedule, FindsTheNextTime) {
  const Case cases[] = {
      {"strictly after", "0 3 * * *", "UTC", "2026-11-24T03:00:00Z", "2026-11-25T03:00:00Z"},
      {"a second before", "0 3 * * *", "UTC", "2026-11-24T02:59:59Z", "2026-11-24T03:00:00Z"},
      {"zone ahead of UTC", "0 3 * * 1", "Europe/Berlin", "2026-11-24T12:00:00Z",
       "2026-11-30T02:00:00Z"},
      {"names", "30 8 * JAN mon", "UTC", "2026-11-24T12:00:00Z", "2027-01-04T08:30:00Z"},
      {"seven is Sunday", "0 0 * * 7", "UTC", "2026-11-24T12:00:00Z", "2026-11-29T00:00:00Z"},
      {"steps", "*/20 * * * *", "UTC", "2026-11-24T12:21:00Z", "2026-11-24T12:40:00Z"},
      {"range with step", "10-50/20 * * * *", "UTC", "2026-11-24T12:31:00Z",
       "2026-11-24T12:50:00Z"},
      {"start with step runs to the end", "5/25 * * * *", "UTC", "2026-11-24T12:31:00Z",
       "2026-11-24T12:55:00Z"},
      {"either day field", "0 0 13 * fri", "UTC", "2026-11-24T12:00:00Z", "2026-11-27T00:00:00Z"},
      {"leap day", "0 0 29 2 *", "UTC", "2026-11-24T12:00:00Z", "2028-02-29T00:00:00Z"},
      {"a day that never comes", "0 0 31 2 *", "UTC", "2026-11-24T12:00:00Z", "never"},
      {"nickname", "@monthly", "UTC", "2026-11-24T12:00:00Z", "2026-12-01T00:00:00Z"},
      {"skipped hour fires at the change", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
       "2026-03-29T01:00:00Z"},
      {"day after the change", "30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z",
       "2026-03-30T00:30:00Z"},
      {"doubled hour fires at its first occurrence", "30 2 * * *", "Europe/Berlin",
       "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
      {"and not at its second", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z",
       "2026-10-26T01:30:00Z"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(Next(c.cron, c.zone, c.after), c.want);
  }
}

// Against the definition: the last of all times that NextTime() finds.
TEST(Schedule, FindsTheLastTimeAsSteppingThroughAllOfThemWould) {
  for (const char* zone : {"UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"}) {
    for (const char* text : {"0 3 * * 1", "*/30 1-3 * * *", "30 2 29 3 *", "0 0 1 * *"}) {
      const auto cron = *ParseCron(text);
      const WallTime after = *ParseTime("2026-03-20T10:10:10Z");
      for (int hours = 0; hours < 24 * 16; hours += 5) {
        const WallTime until = after + std::chrono::hours(hours);
        std::optional<WallTime> expected;
        for (auto at = *NextTime(cron, zone, after); at && *at <= until;
             at = *NextTime(cron, zone, *at)) {
          expected = at;
        }
        const auto last = LastTime(cron, zone, after, until);
        ASSERT_TRUE(last.ok());
        ASSERT_EQ(*last, expected) << zone << " " << text << " " << FormatTime(until);
      }
    }
  }
}

TEST(Schedule, FindsTheLastTimeOfYears) {
  const auto cron = *ParseCron("* * * * *");
  const WallTime until = *ParseTime("2026-11-24T12:00:30Z");
  EXPECT_EQ(**LastTime(cron, "UTC", until - std::chrono::hours(24 * 365), until),
            *ParseTime("2026-11-24T12:00:00Z"));
  EXPECT_FALSE(LastTime(*ParseCron("0 0 31 2 *"), "UTC", WallTime{}, until)->has_value());
  EXPECT_FALSE(LastTime(cron, "Mars/Olympus", until, until).ok());
}

TEST(Schedule, NamesTheFieldThatIsWrong) {
  EXPECT_NE(Next("61 * * * *", "UTC", "2026-11-24T12:00:00Z").find("minute"), std::string::npos);
  EXPECT_NE(Next("* 24 * * *", "UTC", "2026-11-24T12:00:00Z").find("hour"), std::string::npos);
  EXPECT_NE(Next("* * 0 * *", "UTC", "2026-11-24T12:00:00Z").find("day of month"),
            std::string::npos);
  EXPECT_NE(Next("* * * 13 *", "UTC", "2026-11-24T12:00:00Z").find("month"), std::string::npos);
  EXPECT_NE(Next("* * * * 8", "UTC", "2026-11-24T12:00:00Z").find("day of week"),
            std::string::npos);
  EXPECT_NE(Next("5-1 * * * *", "UTC", "2026-11-24T12:00:00Z").find("minute"), std::string::npos);
  EXPECT_NE(Next("*/0 * * * *", "UTC", "2026-11-24T12:00:00Z").find("minute"), std::string::npos);
  EXPECT_NE(Next("1,,2 * * * *", "UTC", "2026-11-24T12:00:00Z").find("minute"), std::string::npos);
  EXPECT_NE(Next("* * * *", "UTC", "2026-11-24T12:00:00Z").find("five fields"), std::string::npos);
  EXPECT_NE(Next("* * * * *", "Mars/Olympus", "2026-11-24T12:00:00Z").find("IANA"),
            std::string::npos);
}

}  // namespace
}  // namespace perennial::retrain
