#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "scrape/exposition.h"
#include "scrape/expression.h"
#include "scrape/window.h"
#include "support/vectors.h"

namespace perennial::scrape {
namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr Millis kMinute{60'000};
constexpr Millis kHour{3'600'000};

// Two scrapes of one pod, a minute apart, seen through a window as the controller has it.
class Expressions : public ::testing::Test {
 protected:
  static WindowView Look(const Expression& expression, const std::string& before,
                         const std::string& after, Millis length) {
    WantedMetrics wanted(expression.metrics());
    VariantWindow window({.interval = kMinute, .retention = kHour, .slot = kMinute},
                         WantedSince::Always(expression.metrics()), Millis{0});
    window.AddTarget("pod");
    Millis now{0};
    for (const std::string& page : {before, after}) {
      now += kMinute;
      const auto scrape = ParseExposition(page, wanted, Format::kText);
      EXPECT_TRUE(scrape.ok()) << scrape.error().message;
      if (scrape.ok()) window.Ingest("pod", *scrape, now, WallTime(now));
    }
    return window.View(length, Millis{0}, now);
  }

  Result<ExpressionValue> Run(const std::string& text) const {
    const auto expression = Expression::Parse(text);
    EXPECT_TRUE(expression.ok()) << text << ": " << expression.error().message;
    if (!expression.ok()) return expression.error();
    std::vector<WindowView> views;
    std::vector<RangeView> ranges;
    views.reserve(8);
    for (const Range& range : expression->ranges()) {
      const Millis length = range.length > Millis{0} ? range.length : kHour;
      views.push_back(Look(*expression, before_, after_, length));
      ranges.push_back({range, length, &views.back()});
    }
    return expression->Evaluate(ranges);
  }

  double Value(const std::string& text) const {
    const auto result = Run(text);
    EXPECT_TRUE(result.ok()) << text << ": " << result.error().message;
    if (!result.ok()) return std::nan("");
    EXPECT_TRUE(result->value) << text << ": " << result->note;
    return result->value.value_or(std::nan(""));
  }
  double Observations(const std::string& text) const {
    const auto result = Run(text);
    EXPECT_TRUE(result.ok() && result->observations) << text;
    return result.ok() ? result->observations.value_or(-1) : -1;
  }
  std::string Missing(const std::string& text) const {
    const auto result = Run(text);
    EXPECT_TRUE(result.ok()) << text << ": " << result.error().message;
    if (!result.ok()) return "";
    EXPECT_FALSE(result->value) << text;
    return result->note;
  }
  std::string Misfit(const std::string& text) const {
    const auto result = Run(text);
    EXPECT_FALSE(result.ok()) << text;
    return result.ok() ? "" : result.error().message;
  }

  std::string before_ = R"(# TYPE requests_total counter
requests_total{code="200",route="a"} 100
requests_total{code="500",route="a"} 0
requests_total{code="200",route="b"} 0
requests_total{code="500",route="b"} 0
# TYPE idle_total counter
idle_total 5
# TYPE error histogram
error_bucket{route="a",le="1"} 0
error_bucket{route="a",le="2"} 0
error_bucket{route="a",le="+Inf"} 0
error_sum{route="a"} 0
error_count{route="a"} 0
error_bucket{route="b",le="2"} 0
error_bucket{route="b",le="+Inf"} 0
error_sum{route="b"} 0
error_count{route="b"} 0
# TYPE freshness gauge
freshness 10
# TYPE took summary
took_sum 0
took_count 0
)";
  std::string after_ = R"(# TYPE requests_total counter
requests_total{code="200",route="a"} 190
requests_total{code="500",route="a"} 10
requests_total{code="200",route="b"} 300
requests_total{code="500",route="b"} 0
# TYPE idle_total counter
idle_total 5
# TYPE error histogram
error_bucket{route="a",le="1"} 10
error_bucket{route="a",le="2"} 20
error_bucket{route="a",le="+Inf"} 20
error_sum{route="a"} 25
error_count{route="a"} 20
error_bucket{route="b",le="2"} 10
error_bucket{route="b",le="+Inf"} 20
error_sum{route="b"} 55
error_count{route="b"} 20
# TYPE freshness gauge
freshness 30
# TYPE took summary
took_sum 8
took_count 4
)";
};

TEST_F(Expressions, RatesAndIncreasesArePerSeries) {
  EXPECT_EQ(Value(R"(increase(requests_total{code="200",route="a"}[1h]))"), 90);
  EXPECT_DOUBLE_EQ(Value(R"(rate(requests_total{code="200",route="a"}[30m]))"), 90 / 1800.0);
  EXPECT_DOUBLE_EQ(Value(R"(rate(requests_total{code="200",route="a"}))"), 90 / 3600.0)
      << "without brackets, the window of whoever asks";
  EXPECT_EQ(Value("sum(increase(requests_total[1h]))"), 400);
  EXPECT_EQ(Value("sum(increase(requests[1h]))"), 400) << "OpenMetrics' name of the family";
}

TEST_F(Expressions, MatchersSelectAsInPromql) {
  EXPECT_EQ(Value(R"(sum(increase(requests_total{code!="200"}[1h])))"), 10);
  EXPECT_EQ(Value(R"(sum(increase(requests_total{code=~"2.."}[1h])))"), 390);
  EXPECT_EQ(Value(R"(sum(increase(requests_total{code!~"2..|4.*"}[1h])))"), 10);
  EXPECT_PRED2(Has, Missing(R"(sum(increase(requests_total{code=~"20"}[1h])))"),
               std::string("with these labels"))
      << "patterns are anchored";
  EXPECT_EQ(Value(R"(sum(increase(requests_total{zone=""}[1h])))"), 400) << "absent is empty";
  EXPECT_PRED2(Has, Missing(R"(sum(increase(requests_total{zone="x"}[1h])))"),
               std::string("column 14"));
}

TEST_F(Expressions, ArithmeticBindsAsUsual) {
  EXPECT_DOUBLE_EQ(Value("1 + 2 * 3 - 4 / 2 - 1 + 0 * freshness"), 4);
  EXPECT_DOUBLE_EQ(Value("(1 + 2) * 3 + 0 * freshness"), 9);
  EXPECT_DOUBLE_EQ(Value("-freshness + 2"), -28);
  EXPECT_DOUBLE_EQ(Value("freshness / 3 / 5"), 2) << "from left to right";
  EXPECT_DOUBLE_EQ(Value("sqrt(abs(-freshness * 30))"), 30);
  EXPECT_EQ(Value("freshness > 29 + 0.5"), 1);
  EXPECT_EQ(Value("freshness <= bool 29"), 0);
  EXPECT_EQ(Value("freshness == 3e1"), 1);
  EXPECT_EQ(Value("freshness != 30"), 0);
}

TEST_F(Expressions, SidesMatchByLabels) {
  const std::string share = R"(sum(increase(requests_total{code="500"}[1h])) / )"
                            "sum(increase(requests_total[1h]))";
  EXPECT_DOUBLE_EQ(Value(share), 10 / 400.0);
  EXPECT_EQ(Observations(share), 400) << "of a quotient, what it is divided by";
  EXPECT_EQ(Observations("1 - (" + share + ")"), 400);
  EXPECT_DOUBLE_EQ(Value(R"(max(sum by (route) (increase(requests_total{code="500"}[1h])) / )"
                         "sum(increase(requests_total[1h])) by (route)) * 100"),
                   10);
  EXPECT_PRED2(Has,
               Missing(R"(sum by (code) (increase(requests_total{code="500"}[1h])) / )"
                       "sum by (route) (increase(requests_total[1h]))"),
               std::string("same labels"));
  EXPECT_DOUBLE_EQ(Value("sum without (code, route) (increase(requests_total))"), 400);
  EXPECT_DOUBLE_EQ(Value("avg(sum by (route) (increase(requests_total)))"), 200);
  EXPECT_DOUBLE_EQ(Value("min(sum by (route) (increase(requests_total)))"), 100);
  EXPECT_DOUBLE_EQ(Value("count(increase(requests_total))"), 4);
  EXPECT_PRED2(Has, Misfit("increase(requests_total[1h])"),
               std::string("gives 4 series by code, route"));
}

TEST_F(Expressions, NothingCountedIsNoDataNotANumber) {
  EXPECT_PRED2(Has, Missing("increase(idle_total) / increase(idle_total)"),
               std::string("column 22: divided by 0"));
  EXPECT_PRED2(Has, Missing("sum(increase(requests_total)) / increase(idle_total)"),
               std::string("by 0"));
  EXPECT_PRED2(Has, Missing("rate(absent_total[1h])"),
               std::string("column 6: no pod exposes absent_total"));
  EXPECT_EQ(Value("sum(rate(absent_total[1h])) or vector(0)"), 0);
  EXPECT_EQ(Value("freshness or 7"), 30);
  EXPECT_EQ(Observations("sum(increase(idle_total))"), 0);
}

TEST_F(Expressions, HistogramsGiveQuantilesMeansAndShares) {
  EXPECT_DOUBLE_EQ(Value(R"(histogram_quantile(0.75, rate(error_bucket{route="a"}[1h])))"), 1.5);
  // Both routes at their common bounds: 30 of 40 at most 2, and rank 20 of them.
  EXPECT_DOUBLE_EQ(Value("histogram_quantile(0.5, sum by (le) (rate(error_bucket[1h])))"),
                   2 * 20 / 30.0);
  EXPECT_EQ(Observations("histogram_quantile(0.5, sum(rate(error_bucket[1h])))"), 40);
  EXPECT_DOUBLE_EQ(Value("histogram_avg(sum(rate(error[1h])))"), 2);
  EXPECT_DOUBLE_EQ(Value("histogram_avg(rate(took[1h]))"), 2);
  EXPECT_DOUBLE_EQ(Value("histogram_count(sum(increase(error[1h])))"), 40);
  EXPECT_DOUBLE_EQ(Value("histogram_sum(sum(increase(error[1h])))"), 80);
  EXPECT_DOUBLE_EQ(Value("sum(rate(error_sum[1h])) / sum(rate(error_count[1h]))"), 2);
  EXPECT_DOUBLE_EQ(Value("histogram_fraction(0, 2, sum(rate(error_bucket[1h])))"), 0.75);
  EXPECT_DOUBLE_EQ(Value("histogram_fraction(0.5, 1.5, "
                         "rate(error_bucket{route=\"a\"}[1h]))"),
                   0.5);
  EXPECT_DOUBLE_EQ(Value(R"(sum(rate(error_bucket{le="2"}[1h])) / sum(rate(error_count[1h])))"),
                   0.75);
  EXPECT_DOUBLE_EQ(Value(R"(sum(increase(error_bucket{le="+Inf"})))"), 40);
  EXPECT_PRED2(Has, Missing(R"(sum(rate(error_bucket{le="1.5"}[1h])))"),
               std::string("no bucket of error"));
  EXPECT_PRED2(Has, Misfit("histogram_quantile(0.5, rate(took[1h]))"), std::string("a summary"));
  EXPECT_PRED2(Has, Misfit("histogram_avg(rate(requests_total))"), std::string("a number"));
  EXPECT_PRED2(Has, Misfit("rate(error[1h]) + 1"),
               std::string("column 17: a histogram is no number"));
}

TEST_F(Expressions, QuantilesOfWindowsMatchPrometheus) {
  int compared = 0;
  for (const auto& test : testing::Cases("histogram_quantile")) {
    SCOPED_TRACE(test["name"]);
    const auto& in = test["inputs"];
    const double q = testing::Number(in["q"]);
    if (!(q >= 0 && q <= 1)) continue;  // refused when it is written
    std::string zero = "# TYPE x histogram\n";
    std::string counted = zero;
    std::map<double, double> buckets;
    bool whole = true;  // what pods count; a parser takes no fractions and nothing that falls
    for (std::size_t i = 0; i < in["le"].size(); ++i) {
      const double count = testing::Number(in["cumulative"][i]);
      whole = whole && count == std::floor(count) &&
              buckets.emplace(testing::Number(in["le"][i]), count).second;
    }
    double last = 0;
    for (const auto& [le, count] : buckets) {
      whole = whole && count >= last;
      last = count;
      const std::string sample =
          "x_bucket{le=\"" + (std::isinf(le) ? std::string("+Inf") : std::to_string(le)) + "\"} ";
      zero += sample + "0\n";
      counted += sample + std::to_string(count) + "\n";
    }
    if (!whole || buckets.empty() || !std::isinf(buckets.rbegin()->first)) continue;
    for (std::string* page : {&zero, &counted}) {
      *page += "x_count " + (page == &zero ? "0" : std::to_string(last)) + "\nx_sum 0\n";
    }
    const auto expression =
        Expression::Parse("histogram_quantile(" + std::to_string(q) + ", rate(x_bucket[1h]))");
    ASSERT_TRUE(expression.ok());
    const WindowView view = Look(*expression, zero, counted, kHour);
    const auto got =
        expression->Evaluate(std::vector<RangeView>{{{kHour, Millis{0}}, kHour, &view}});
    ASSERT_TRUE(got.ok()) << got.error().message;
    testing::ExpectMatches(got->value.value_or(std::nan("")), test["expected"]["value"], test);
    ++compared;
  }
  EXPECT_GE(compared, 8);
}

TEST_F(Expressions, GaugesAreReadAsTheyAre) {
  EXPECT_EQ(Value("freshness"), 30);
  EXPECT_EQ(Value("avg_over_time(freshness[1h])"), 20);
  EXPECT_FALSE(Run("freshness")->observations) << "scraped values are no observations";
  EXPECT_PRED2(Has, Misfit("rate(freshness[1h])"), std::string("column 6: freshness is a Gauge"));
  EXPECT_PRED2(Has, Misfit("sum(requests_total)"),
               std::string("requests_total is a Counter: take rate"));
  EXPECT_PRED2(Has, Misfit("avg_over_time(error[1h])"), std::string("histogram_avg"));
}

TEST(Expression, SaysWhatItReads) {
  const auto expression = Expression::Parse(
      R"(rate(b_bucket{le="1"}[1h]) / rate(a_total[1h30m]) - rate(a_total[1h] offset 1d) + c)");
  ASSERT_TRUE(expression.ok()) << expression.error().message;
  EXPECT_EQ(expression->metrics(), (std::vector<std::string>{"a_total", "b", "c"}));
  const Range now{};
  const Range hour{kHour, Millis{0}};
  const Range yesterday{kHour, kHour * 24};
  const Range longer{kHour * 3 / 2, Millis{0}};
  EXPECT_EQ(expression->ranges(), (std::vector<Range>{now, hour, yesterday, longer}));
}

TEST(Expression, ErrorsPointAtTheColumn) {
  const auto error = [](const std::string& text) {
    const auto parsed = Expression::Parse(text);
    EXPECT_FALSE(parsed.ok()) << text;
    return parsed.ok() ? "" : parsed.error().message;
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "column 1: ends too early"},
      {"rate(x[1h]) +", "column 14: ends too early"},
      {"rate(x[1h]", "column 11: ')' is missing"},
      {"rate(x[1h)", "column 10: ']' is missing"},
      {"rate(x[h])", "column 8: a duration"},
      {"rate(x[1y])", "column 8: 1y is no duration"},
      {"rate(x[400d])", "column 8: 400d is no duration"},
      {"rate(x[1h:5m])", "column 10: "},
      {"x[1h]", "column 2: brackets go with"},
      {"x offset 1h", "column 3: offset goes with a range"},
      {"rate(x[1h] offset y)", "column 19: a duration is missing"},
      {"rate(1)", "column 6: rate is used like rate(x[1h])"},
      {"rate(sum(x))", "column 6: rate is used like"},
      {"rate(x, y)", "column 7: rate is used like"},
      {"median(x)", "column 1: there is no function median: use one of sum"},
      {"delta(x[1h])", "column 1: delta needs single samples"},
      {"histogram_quantile(95, rate(x[1h]))", "column 1: the quantile must lie"},
      {"histogram_quantile(y, rate(x[1h]))", "column 20: histogram_quantile is used like"},
      {"histogram_fraction(2, 1, rate(x[1h]))", "column 1: the lower bound"},
      {"x / 0", "column 3: divides by 0"},
      {"1 + 1", "column 1: reads no metric"},
      {"sum(1)", "column 5: sum goes over"},
      {"sum by route (x)", "column 8: '(' is missing"},
      {"x + on(a) y", "column 5: on(...) is not offered"},
      {"x y", "column 3: 'y' doesn't continue"},
      {"{a=\"b\"}", "column 1: a metric's name is missing"},
      {"x{a}", "column 4: =, !=, =~ or !~ is missing"},
      {"x{a=b}", "column 5: the value of a must stand in quotes"},
      {"x{a=\"b}", "column 5: this string has no end"},
      {"x{a=~\"(\"}", "column 6: not a regular expression"},
      {"x{a=\"\\d\"}", "column 6: a backslash"},
      {"rate(x_bucket{le=~\"1\"}[1h])", "column 17: le takes '='"},
      {"rate(x_bucket{le=\"low\"}[1h])", "column 18: le must be a number"},
      {"x ^ 2", "column 3: '^' has no meaning"},
      {"x{a=\"\u00fc\"} ^ 2", "column 10: '^'"},
      {"1h + x", "column 1: 1h is a duration"},
      {"1.2.3 + x", "column 4: "},
      {"by + 1", "column 1: 'by' stands where"},
  };
  for (const auto& [text, want] : cases) {
    EXPECT_EQ(error(text).substr(0, want.size()), want) << text << ": " << error(text);
  }
}

// What can be known before anything is measured is refused when it is written.
TEST(Expression, ArgumentsOfTheWrongTypeAreRefused) {
  const std::string number = " is used like ";
  const std::string histogram = "a histogram is no number";
  const std::vector<std::tuple<std::string, int, std::string>> cases{
      {"histogram_quantile(0.5, x)", 25, number},
      {"histogram_fraction(0, 1, x)", 26, number},
      {"histogram_avg(x)", 15, number},
      {"histogram_count(x)", 17, number},
      {"histogram_sum(avg_over_time(x[1h]))", 15, number},
      {"histogram_avg(vector(0))", 15, number},
      {"histogram_avg(-rate(x[1h]))", 15, number},
      {"histogram_avg(abs(rate(x[1h])))", 15, number},
      {"histogram_avg(rate(x[1h]) > 1)", 15, number},
      {"histogram_avg(histogram_avg(rate(x[1h])))", 15, number},
      {"histogram_avg(sum(x))", 15, number},
      {"histogram_avg(avg(rate(x[1h])))", 15, number},
      {"histogram_avg(rate(x[1h]) or 0)", 15, number},
      {"histogram_avg(rate(x_bucket{le=\"1\"}[1h]))", 15, number},
      {"y + histogram_avg(x)", 19, number},
      {"rate(x_bucket[1h])", 1, histogram},
      {"sum by (a) (increase(x_bucket))", 1, histogram},
      {"1 + rate(x_bucket[1h])", 5, histogram},
      {"rate(x_bucket[1h]) * 2", 1, histogram},
      {"-rate(x_bucket[1h])", 2, histogram},
      {"y > sum(rate(x_bucket[1h]))", 5, histogram},
      {"abs(rate(x_bucket[1h]))", 5, histogram},
      {"sqrt(sum(rate(x_bucket[1h])))", 6, histogram},
      {"avg(rate(x_bucket[1h]))", 5, histogram},
      {"max by (a) (rate(x_bucket[1h]))", 13, histogram},
      {"count(rate(x_bucket[1h]))", 7, histogram},
      {"histogram_avg(rate(x_bucket[1h]) or 0)", 34, "'or' between a histogram and a number"},
  };
  for (const auto& [text, column, want] : cases) {
    const auto parsed = Expression::Parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_TRUE(parsed.error().message.starts_with("column " + std::to_string(column) + ":"))
        << text << ": " << parsed.error().message;
    EXPECT_PRED2(Has, parsed.error().message, want);
  }
  for (const std::string text :
       {"histogram_avg(rate(x[1h]))", "histogram_quantile(0.5, sum by (le) (rate(x_bucket[1h])))",
        "histogram_avg(rate(x[1h]) or rate(x_bucket[1h]))",
        "rate(x_bucket{le=\"1\"}[1h]) / rate(x_count[1h])", "rate(x[1h]) or 0"}) {
    EXPECT_TRUE(Expression::Parse(text).ok()) << text;
  }
}

TEST(Expression, CostsAreBounded) {
  const auto refused = [](const std::string& text, const std::string& why) {
    const auto parsed = Expression::Parse(text);
    ASSERT_FALSE(parsed.ok());
    EXPECT_PRED2(Has, parsed.error().message, std::string(why));
  };
  refused(std::string(3'000, ' ') + "x", "longer than 2048");
  refused(std::string(40, '(') + "x" + std::string(40, ')'), "nested more than 32");
  refused(std::string(1'000, '-') + "x", "nested more than 32");
  std::string sum = "x";
  for (int i = 0; i < 70; ++i) sum += "+x";
  refused(sum, "more than 128");
  std::string many = "x0";
  for (int i = 1; i < 20; ++i) many += "+x" + std::to_string(i);
  refused(many, "more than 16 metrics");
  std::string ranges = "rate(x[1h])";
  for (int i = 2; i < 7; ++i) ranges += "+rate(x[" + std::to_string(i) + "h])";
  refused(ranges, "more than 4 different ranges");
  std::string labels = "x{";
  for (int i = 0; i < 20; ++i) labels += "a" + std::to_string(i) + "=\"\",";
  refused(labels + "}", "more than 16 matchers");
  refused("x{a=~\"((((a{100}){100}){100}){100})\"}", "not a regular expression");
}

}  // namespace
}  // namespace perennial::scrape
