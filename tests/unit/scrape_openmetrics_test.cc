#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scrape/exposition.h"

namespace perennial::scrape {
namespace {

Result<Scrape> Parse(std::string_view page, std::vector<std::string> wanted) {
  return ParseExposition(page, WantedMetrics(std::move(wanted)), Format::kOpenMetrics);
}

TEST(OpenMetrics, ReadsTheOtherTypesOfOpenMetrics) {
  constexpr std::string_view kPage = R"(# HELP took_seconds not the end: # EOF
# TYPE took_seconds summary
# UNIT took_seconds seconds
took_seconds_count 3.0 1520879607.5
took_seconds_sum 4.5
took_seconds_created 1520430000
# TYPE state stateset
state{state="on",why="# EOF"} 1
state{state="off",why="# {a=\"b\"} 1"} 0
# TYPE build info
build_info{version="1"} 1
# TYPE queue gaugehistogram
queue_bucket{le="1"} 2
queue_bucket{le="+Inf"} 3
queue_gcount 3
queue_gsum 5
# TYPE errors counter
# UNIT errors
errors_total 4 1520879607 # {trace_id="# EOF"} 1 1520879607.25
# EOF
)";
  const auto scrape = Parse(kPage, {"took_seconds", "state", "build_info", "errors"});
  ASSERT_TRUE(scrape.ok()) << scrape.error().message;
  std::map<std::string, std::vector<Series>> by_metric;
  for (const Series& series : scrape->series) by_metric[series.metric].push_back(series);
  ASSERT_EQ(by_metric["took_seconds"].size(), 1u);
  EXPECT_EQ(by_metric["took_seconds"][0].kind, SeriesKind::kSummary);
  EXPECT_EQ(by_metric["took_seconds"][0].count, 3);
  EXPECT_EQ(by_metric["took_seconds"][0].sum, 4.5);
  EXPECT_EQ(by_metric["took_seconds"][0].created, 1520430000);
  ASSERT_EQ(by_metric["state"].size(), 2u);
  EXPECT_EQ(by_metric["state"][0].kind, SeriesKind::kGauge);
  EXPECT_EQ(by_metric["state"][0].value + by_metric["state"][1].value, 1);
  ASSERT_EQ(by_metric["build_info"].size(), 1u);
  ASSERT_EQ(by_metric["errors"].size(), 1u);
  EXPECT_EQ(by_metric["errors"][0].kind, SeriesKind::kCounter);
  EXPECT_EQ(by_metric["errors"][0].value, 4);
}

// What follows the end isn't read as a page that goes on.
TEST(OpenMetrics, EndsAtItsEofOnly) {
  for (const std::string_view page :
       {"x 1\n# EOF\n# TYPE y gauge\n", "x 1\n# EOF\n# EOF\n", "x 1\n# EOF \n", "x 1\n#EOF\n",
        "x 1\n # EOF\n", "x 1\n# HELP x # EOF\n", "x{a=\"# EOF\"} 1\n", ""}) {
    EXPECT_FALSE(Parse(page, {"x"}).ok()) << page;
  }
  EXPECT_TRUE(Parse("# EOF\n", {"x"}).ok());
}

}  // namespace
}  // namespace perennial::scrape
