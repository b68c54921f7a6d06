#include <gtest/gtest.h>

#include "base/clock.h"

namespace perennial {
namespace {

WallTime At(std::int64_t millis) {
  return WallTime(Millis(millis));
}

TEST(ParseTime, ReadsWhatKubernetesAndPeopleWrite) {
  struct Case {
    const char* text;
    std::int64_t millis;  // since the epoch, from `date -u -d TEXT +%s`
  };
  const Case cases[] = {
      {"1970-01-01T00:00:00Z", 0},
      {"2026-11-24T16:13:47Z", 1'795'536'827'000},
      {"2026-11-24t16:13:47z", 1'795'536'827'000},
      {"2026-11-24T16:13:47.123Z", 1'795'536'827'123},
      {"2026-11-24T16:13:47.123987654Z", 1'795'536'827'123},
      {"2026-11-24T16:13:47.5Z", 1'795'536'827'500},
      {"2026-11-24T17:13:47+01:00", 1'795'536'827'000},
      {"2026-11-24T10:43:47-05:30", 1'795'536'827'000},
      {"2024-02-29T12:00:00Z", 1'709'208'000'000},
      {"1969-12-31T23:59:59Z", -1'000},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const auto parsed = ParseTime(c.text);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->time_since_epoch().count(), c.millis);
  }
}

TEST(ParseTime, RefusesEverythingElse) {
  for (const char* text :
       {"", "2026-11-24", "2026-11-24T16:13:47", "2026-11-24 16:13:47Z", "2026-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-24T24:00:00Z",
        "2026-11-24T16:60:00Z", "2026-11-24T16:13:47Zx", "2026-11-24T16:13:47+0100",
        "2026-11-24T16:13:47+1", "26-11-24T16:13:47Z", "+026-11-24T16:13:47Z", "now",
        "2026-11-24T16:13:-7Z"}) {
    EXPECT_FALSE(ParseTime(text).has_value()) << text;
  }
}

TEST(FormatTime, DropsFractionsDownwards) {
  EXPECT_EQ(FormatTime(At(1'795'536'827'999)), "2026-11-24T16:13:47Z");
  EXPECT_EQ(FormatTime(At(-1)), "1969-12-31T23:59:59Z");
}

TEST(FormatTime, IsReadBackAsTheSameSecond) {
  for (std::int64_t second = -100'000'000; second < 4'000'000'000; second += 12'345'678) {
    const WallTime time = At(second * 1000);
    ASSERT_EQ(ParseTime(FormatTime(time)), time) << second;
  }
}

TEST(FormatMicroTime, HasSixDigits) {
  EXPECT_EQ(FormatMicroTime(At(1'795'536'827'045)), "2026-11-24T16:13:47.045000Z");
  EXPECT_EQ(FormatMicroTime(At(0)), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(FormatMicroTime(At(-1)), "1969-12-31T23:59:59.999000Z");
  EXPECT_EQ(ParseTime(FormatMicroTime(At(1'795'536'827'045))), At(1'795'536'827'045));
}

TEST(ParseDuration, ReadsTheDurationsOfGep2257) {
  struct Case {
    const char* text;
    std::int64_t millis;
  };
  const Case cases[] = {{"0s", 0},
                        {"90s", 90'000},
                        {"1h30m", 5'400'000},
                        {"500ms", 500},
                        {"1h1m1s1ms", 3'661'001},
                        {"99999h", 359'996'400'000},
                        {"10s30m", 1'810'000},
                        {"1m1m", 120'000}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    EXPECT_EQ(ParseDuration(c.text), std::optional(Millis(c.millis)));
  }
}

TEST(ParseDuration, RefusesEverythingElse) {
  for (const char* text : {"", "5", "s", "-5s", "1.5h", "100000h", "1d", "1h 30m", "1hh", "5sx",
                           "1h1h1h1h1h", "1us", "+5s", "1H", " 5s"}) {
    EXPECT_FALSE(ParseDuration(text).has_value()) << text;
  }
}

TEST(FormatDuration, IsTheShortestTextAndReadBackAsTheSame) {
  EXPECT_EQ(FormatDuration(Millis(0)), "0s");
  EXPECT_EQ(FormatDuration(Millis(5'400'000)), "1h30m");
  EXPECT_EQ(FormatDuration(Millis(90'000)), "1m30s");
  EXPECT_EQ(FormatDuration(Millis(3'600'001)), "1h1ms");
  for (std::int64_t millis = 1; millis < 300'000'000; millis = millis * 3 + 7) {
    ASSERT_EQ(ParseDuration(FormatDuration(Millis(millis))), std::optional(Millis(millis)));
  }
}

TEST(SystemClock, SteadyTimeNeverGoesBackAndWallTimeIsNow) {
  const Millis first = SystemClock().Steady();
  EXPECT_GE(SystemClock().Steady(), first);
  EXPECT_GT(SystemClock().Wall(), *ParseTime("2026-01-01T00:00:00Z"));
}

}  // namespace
}  // namespace perennial
