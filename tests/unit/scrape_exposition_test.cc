#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "scrape/exposition.h"

namespace perennial::scrape {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

Result<Scrape> Parse(std::string_view page, std::vector<std::string> wanted,
                     Format format = Format::kText, ParseLimits limits = {}) {
  const WantedMetrics metrics(std::move(wanted));
  return ParseExposition(page, metrics, format, limits);
}

// The only series of the page; a failed expectation and an empty series otherwise.
Series One(const Result<Scrape>& scrape) {
  EXPECT_TRUE(scrape.ok()) << (scrape.ok() ? "" : scrape.error().message);
  if (!scrape.ok()) return {};
  EXPECT_EQ(scrape->series.size(), 1u);
  return scrape->series.empty() ? Series{} : scrape->series.front();
}

std::string ErrorOf(std::string_view page, Format format = Format::kText) {
  const auto scrape = Parse(page, {"x", "h"}, format);
  return scrape.ok() ? "accepted" : scrape.error().message;
}

constexpr std::string_view kPythonClient = R"(# HELP python_info Python platform information
# TYPE python_info gauge
python_info{implementation="CPython",major="3",minor="11",patchlevel="2",version="3.11.2"} 1.0
# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.76400321387e+09
# HELP predictions_total Predictions by class
# TYPE predictions_total counter
predictions_total{class="late"} 12.0
predictions_total{class="on time"} 88.0
# HELP predictions_created Predictions by class
# TYPE predictions_created gauge
predictions_created{class="late"} 1.7640032139e+09
predictions_created{class="on time"} 1.7640032141e+09
# HELP feature_distance_km Distance
# TYPE feature_distance_km histogram
feature_distance_km_bucket{le="1.0",model="departures"} 3.0
feature_distance_km_bucket{le="2.5",model="departures"} 7.0
feature_distance_km_bucket{le="+Inf",model="departures"} 9.0
feature_distance_km_count{model="departures"} 9.0
feature_distance_km_sum{model="departures"} 21.25
# HELP feature_distance_km_created Distance
# TYPE feature_distance_km_created gauge
feature_distance_km_created{model="departures"} 1.7640032138e+09
)";

TEST(Exposition, ReadsAHistogramOfThePythonClient) {
  const Series series = One(Parse(kPythonClient, {"feature_distance_km"}));
  EXPECT_EQ(series.metric, "feature_distance_km");
  EXPECT_EQ(series.kind, SeriesKind::kHistogram);
  EXPECT_EQ(series.labels, (Labels{{"model", "departures"}}));
  EXPECT_EQ(series.bounds, (std::vector<double>{1, 2.5, kInf}));
  EXPECT_EQ(series.cumulative, (std::vector<double>{3, 7, 9}));
  EXPECT_EQ(series.sum, 21.25);
  EXPECT_EQ(series.count, 9);
  EXPECT_EQ(series.created, 1.7640032138e+09);
}

TEST(Exposition, ReadsTheProcessStartTimeWithoutBeingAsked) {
  const auto scrape = Parse(kPythonClient, {});
  ASSERT_TRUE(scrape.ok());
  EXPECT_EQ(scrape->process_start_time, 1.76400321387e+09);
  EXPECT_TRUE(scrape->series.empty());
  EXPECT_EQ(scrape->samples, 12u);
  EXPECT_EQ(scrape->bytes, kPythonClient.size());
}

TEST(Exposition, ReadsTheProcessStartTimeAlsoWhenItIsAskedFor) {
  const auto scrape = Parse("process_start_time_seconds 1.5\n", {"process_start_time_seconds"});
  ASSERT_TRUE(scrape.ok());
  EXPECT_EQ(scrape->process_start_time, 1.5);
  ASSERT_EQ(scrape->series.size(), 1u);
  EXPECT_EQ(scrape->series[0].value, 1.5);
}

TEST(Exposition, MatchesACounterWithAndWithoutTotal) {
  for (const char* wanted : {"predictions", "predictions_total"}) {
    const auto scrape = Parse(kPythonClient, {wanted});
    ASSERT_TRUE(scrape.ok()) << scrape.error().message;
    ASSERT_EQ(scrape->series.size(), 2u) << wanted;
    EXPECT_EQ(scrape->series[1].metric, wanted);
    EXPECT_EQ(scrape->series[1].kind, SeriesKind::kCounter);
    EXPECT_EQ(scrape->series[1].labels, (Labels{{"class", "on time"}}));
    EXPECT_EQ(scrape->series[1].value, 88);
    EXPECT_EQ(scrape->series[1].created, 1.7640032141e+09);
  }
  // A server of the old naming, asked for by the new one.
  const Series old = One(Parse("# TYPE hits counter\nhits 4\n", {"hits_total"}));
  EXPECT_EQ(old.kind, SeriesKind::kCounter);
  EXPECT_EQ(old.value, 4);
}

TEST(Exposition, ReadsOpenMetricsWithExemplarsTimestampsAndUnits) {
  constexpr std::string_view kPage = R"(# TYPE latency_seconds histogram
# UNIT latency_seconds seconds
# HELP latency_seconds Time to answer.
latency_seconds_bucket{le="0.1"} 8 # {} 0.054
latency_seconds_bucket{le="1.0"} 11 # {trace_id="KOO5S4vxi0o"} 0.67
latency_seconds_bucket{le="+Inf"} 17 # {trace_id="oHg5SJYRHA0"} 9.8 1520879607.789
latency_seconds_count 17 1520879607.789
latency_seconds_sum 324789.3
latency_seconds_created 1520430000.123
# TYPE hits counter
hits_total{code="200"} 3 # {a="b"} 1
hits_created{code="200"} 1520430000.5
# EOF
)";
  const auto scrape = Parse(kPage, {"latency_seconds", "hits"}, Format::kOpenMetrics);
  ASSERT_TRUE(scrape.ok()) << scrape.error().message;
  ASSERT_EQ(scrape->series.size(), 2u);
  EXPECT_EQ(scrape->series[0].cumulative, (std::vector<double>{8, 11, 17}));
  EXPECT_EQ(scrape->series[0].created, 1520430000.123);
  EXPECT_EQ(scrape->series[1].value, 3);
  EXPECT_EQ(scrape->series[1].created, 1520430000.5);
}

TEST(Exposition, ReadsTorchServeWithItsTrailingComma) {
  const Series series =
      One(Parse("# HELP ts_inference_requests_total Total number of inference requests.\n"
                "# TYPE ts_inference_requests_total counter\n"
                "ts_inference_requests_total{uuid=\"d5f84dfb\",model_name=\"noop\",model_version="
                "\"1\",} 2.0\n",
                {"ts_inference_requests_total"}));
  EXPECT_EQ(series.value, 2);
  EXPECT_EQ(series.labels,
            (Labels{{"model_name", "noop"}, {"model_version", "1"}, {"uuid", "d5f84dfb"}}));
}

TEST(Exposition, ReadsVllmNamesWithColons) {
  const Series series =
      One(Parse("# HELP vllm:request_success_total Count of successfully processed requests.\n"
                "# TYPE vllm:request_success_total counter\n"
                "vllm:request_success_total{finished_reason=\"stop\",model_name=\"a/b\"} 41.0\n",
                {"vllm:request_success"}));
  EXPECT_EQ(series.metric, "vllm:request_success");
  EXPECT_EQ(series.value, 41);
}

TEST(Exposition, ReadsTritonCountersAndSummaries) {
  constexpr std::string_view kPage =
      "# HELP nv_inference_request_success Number of successful inference requests\n"
      "# TYPE nv_inference_request_success counter\n"
      "nv_inference_request_success{model=\"resnet\",version=\"1\"} 132\n"
      "# TYPE nv_inference_request_summary_us summary\n"
      "nv_inference_request_summary_us_count{model=\"resnet\",version=\"1\"} 161\n"
      "nv_inference_request_summary_us_sum{model=\"resnet\",version=\"1\"} 64470\n"
      "nv_inference_request_summary_us{model=\"resnet\",version=\"1\",quantile=\"0.5\"} 367\n";
  const auto scrape =
      Parse(kPage, {"nv_inference_request_success", "nv_inference_request_summary_us"});
  ASSERT_TRUE(scrape.ok()) << scrape.error().message;
  ASSERT_EQ(scrape->series.size(), 3u);
  EXPECT_EQ(scrape->series[0].kind, SeriesKind::kCounter);
  EXPECT_EQ(scrape->series[1].kind, SeriesKind::kSummary);
  EXPECT_EQ(scrape->series[1].count, 161);
  EXPECT_EQ(scrape->series[1].sum, 64470);
  EXPECT_EQ(scrape->series[2].kind, SeriesKind::kGauge);
  EXPECT_EQ(scrape->series[2].value, 367);
}

TEST(Exposition, ReadsMlserverAndGoClientPages) {
  const auto scrape = Parse(
      "# HELP go_gc_duration_seconds A summary of pauses.\n"
      "# TYPE go_gc_duration_seconds summary\n"
      "go_gc_duration_seconds{quantile=\"0\"} 9.2e-05\n"
      "go_gc_duration_seconds_sum 0.5\n"
      "go_gc_duration_seconds_count 12\n"
      "# TYPE my_score histogram\n"
      "my_score_bucket{le=\"0.005\",model_name=\"iris\",model_version=\"v1\"} 0.0\n"
      "my_score_bucket{le=\"10.0\",model_name=\"iris\",model_version=\"v1\"} 4.0\n"
      "my_score_bucket{le=\"+Inf\",model_name=\"iris\",model_version=\"v1\"} 6.0\n"
      "my_score_count{model_name=\"iris\",model_version=\"v1\"} 6.0\n"
      "my_score_sum{model_name=\"iris\",model_version=\"v1\"} 60.5\n",
      {"my_score"});
  const Series series = One(scrape);
  EXPECT_EQ(series.cumulative, (std::vector<double>{0, 4, 6}));
}

TEST(Exposition, KeepsLabelSetsApartThatAreMixedOnThePage) {
  const auto scrape = Parse(
      "# TYPE h histogram\n"
      "h_bucket{a=\"1\",le=\"1\"} 1\nh_bucket{a=\"2\",le=\"1\"} 2\n"
      "h_bucket{le=\"+Inf\",a=\"1\"} 3\nh_bucket{le=\"+Inf\",a=\"2\"} 4\n"
      "h_count{a=\"1\"} 3\nh_count{a=\"2\"} 4\nh_sum{a=\"2\"} 5\nh_sum{a=\"1\"} 6\n",
      {"h"});
  ASSERT_TRUE(scrape.ok());
  ASSERT_EQ(scrape->series.size(), 2u);
  EXPECT_EQ(scrape->series[0].cumulative, (std::vector<double>{1, 3}));
  EXPECT_EQ(scrape->series[0].sum, 6);
  EXPECT_EQ(scrape->series[1].cumulative, (std::vector<double>{2, 4}));
  EXPECT_EQ(scrape->series[1].sum, 5);
}

TEST(Exposition, ComparesBucketBoundsAsNumbers) {
  const Series series =
      One(Parse("# TYPE h histogram\nh_bucket{le=\"1e1\"} 5\nh_bucket{le=\"2.50\"} "
                "3\nh_bucket{le=\"inf\"} 6\n",
                {"h"}));
  EXPECT_EQ(series.bounds, (std::vector<double>{2.5, 10, kInf}));
  EXPECT_EQ(series.cumulative, (std::vector<double>{3, 5, 6}));
  EXPECT_TRUE(std::isnan(series.sum));
  EXPECT_EQ(series.count, 6);
}

TEST(Exposition, UndoesEscapesAndSortsLabels) {
  const Series series = One(Parse("x{z=\"1\",b=\"say \\\"hi\\\"\\n\\\\ \\d\",a=\"\"} 1\n", {"x"}));
  EXPECT_EQ(series.labels, (Labels{{"b", "say \"hi\"\n\\ \\d"}, {"z", "1"}}));
  EXPECT_EQ(series.kind, SeriesKind::kUnknown);
}

TEST(Exposition, ReadsQuotedNames) {
  const Series series = One(
      Parse("# TYPE \"my.metric\" gauge\n{\"my.metric\",\"the.label\"=\"ä\"} 2\n", {"my.metric"}));
  EXPECT_EQ(series.kind, SeriesKind::kGauge);
  EXPECT_EQ(series.labels, (Labels{{"the.label", "ä"}}));
}

TEST(Exposition, ReadsEveryKindOfNumber) {
  const std::vector<std::pair<const char*, double>> cases{
      {"1", 1},        {"-1.5", -1.5},
      {"+3", 3},       {".5", 0.5},
      {"5.", 5},       {"1e3", 1000},
      {"1E-2", 0.01},  {"+Inf", kInf},
      {"-inf", -kInf}, {"Infinity", kInf},
      {"1e999", kInf}, {"1e-999", 0},
      {"0", 0},        {"9007199254740993", 9007199254740992}};
  for (const auto& [text, value] : cases) {
    EXPECT_EQ(One(Parse("x " + std::string(text) + "\n", {"x"})).value, value) << text;
  }
  EXPECT_TRUE(std::isnan(One(Parse("x nan\n", {"x"})).value));
  EXPECT_TRUE(std::isnan(One(Parse("x NaN\n", {"x"})).value));
}

TEST(Exposition, DoesNotTakeAnotherFamilyForAPart) {
  // "x_count" is a gauge of its own, and "x" a gauge too.
  const auto scrape = Parse("# TYPE x gauge\nx 1\n# TYPE x_count gauge\nx_count 7\n", {"x"});
  const Series series = One(scrape);
  EXPECT_EQ(series.kind, SeriesKind::kGauge);
  EXPECT_EQ(series.value, 1);
}

TEST(Exposition, GivesPartsOfAHistogramThatAreAskedForByName) {
  const auto scrape = Parse(
      "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
      {"h_sum", "h_bucket"});
  ASSERT_TRUE(scrape.ok());
  ASSERT_EQ(scrape->series.size(), 3u);
  EXPECT_EQ(scrape->series[0].labels, (Labels{{"le", "1"}}));
  EXPECT_EQ(scrape->series[2].metric, "h_sum");
  EXPECT_EQ(scrape->series[2].kind, SeriesKind::kCounter);
  EXPECT_EQ(scrape->series[2].value, 3);
}

TEST(Exposition, PrefersTheNameItWasAskedFor) {
  const auto scrape = Parse("# TYPE x_total counter\nx_total 5\n# TYPE x gauge\nx 1\n", {"x"});
  const Series series = One(scrape);
  EXPECT_EQ(series.kind, SeriesKind::kGauge);
  EXPECT_EQ(series.value, 1);
}

TEST(Exposition, LeavesOutContradictoryHistogramsAndSaysSo) {
  const std::vector<std::pair<const char*, const char*>> cases{
      {"h_bucket{le=\"1\"} 1\n", "no +Inf"},
      {"h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\n", "fall"},
      {"h_bucket{le=\"1\"} -2\nh_bucket{le=\"+Inf\"} 1\n", "not a number"},
      {"h_bucket{le=\"1\"} NaN\nh_bucket{le=\"+Inf\"} 1\n", "not a number"},
      {"h_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 1\n", "one bound"},
      {"h_bucket{le=\"+Inf\"} 1\nh_count 2\n", "not its count"},
  };
  for (const auto& [page, why] : cases) {
    const auto scrape = Parse(std::string(page) + "x 1\n", {"h", "x"});
    ASSERT_TRUE(scrape.ok()) << page << scrape.error().message;
    ASSERT_EQ(scrape->series.size(), 1u) << page;
    EXPECT_EQ(scrape->series[0].metric, "x");
    ASSERT_EQ(scrape->problems.size(), 1u) << page;
    EXPECT_NE(scrape->problems[0].find(why), std::string::npos) << scrape->problems[0];
  }
}

TEST(Exposition, RejectsThePageAtTheFirstWrongLine) {
  const std::vector<std::pair<std::string, const char*>> cases{
      {"y 1\nx\n", "line 2, column 2: unexpected byte in the metric name"},
      {"x 1\ny{ 2\n", "line 2, column 4: label name expected"},
      {"y{a} 2\n", "line 1, column 4: = expected after the label name"},
      {"y{a=b} 2\n", "line 1, column 5: label value must be quoted"},
      {"y{a=\"b} 2\n", "line 1, column 10: quote is not closed"},
      {"y{a=\"b\\\n", "line 1, column 7: quote is not closed"},
      {"y{a=\"b\"c=\"d\"} 2\n", "line 1, column 8: comma or } expected"},
      {"y{,} 2\n", "line 1, column 3: label name expected"},
      {"y{1a=\"b\"} 2\n", "line 1, column 3: label name expected"},
      {"1y 2\n", "line 1, column 1: metric name expected"},
      {"y-z 2\n", "line 1, column 2: unexpected byte in the metric name"},
      {"y abc\n", "line 1, column 3: value is not a number"},
      {"y 0x1p3\n", "line 1, column 4: unexpected byte after the value"},
      {"y 1_000\n", "line 1, column 4: unexpected byte after the value"},
      {"y 1e\n", "line 1, column 3: value is not a number"},
      {"y .\n", "line 1, column 3: value is not a number"},
      {"y \n", "line 1, column 3: value is not a number"},
      {"y 1 1.5\n", "line 1, column 6: unexpected byte after the time stamp"},
      {"y 1 x\n", "line 1, column 5: time stamp is not a number"},
      {"y 1 2 3\n", "line 1, column 7: unexpected text at the end of the line"},
      {"y 1 # {a=\"b\"} 1\n", "line 1, column 5: unexpected text at the end of the line"},
      {"y 1\r\n", "line 1, column 4: unexpected byte after the value"},
      {"y{a=\"\xC3\x28\"} 1\n", "line 1, column 6: text is not UTF-8"},
      {"y{a=\"\xC0\x80\"} 1\n", "line 1, column 6: text is not UTF-8"},
      {"y{a=\"\xED\xA0\x80\"} 1\n", "line 1, column 6: text is not UTF-8"},
      {"y{a=\"\xF4\x90\x80\x80\"} 1\n", "line 1, column 6: text is not UTF-8"},
      {"y{a=\"\xE2\x82\n", "line 1, column 6: text is not UTF-8"},
      {"y 1\nz 2", "line 2, column 1: last line is cut off"},
      {"# TYPE y gouge\n", "line 1, column 10: unknown metric type"},
      {"# TYPE y\n", "line 1, column 9: TYPE without a type"},
      {"# TYPE 9 gauge\n", "line 1, column 8: TYPE without a metric name"},
      {"{a=\"b\"} 1\n", "line 1, column 1: sample without a name"},
      {"x{a=\"1\",a=\"2\"} 1\n", "line 1, column 1: the same label appears twice"},
      {"x 1\nx 1\n", "line 2, column 1: the same sample appears twice"},
      {"h_bucket 1\n", "line 1, column 1: histogram bucket without label le"},
      {"h_bucket{le=\"big\"} 1\n", "line 1, column 1: label le is not a number"},
      {"h_bucket{le=\"NaN\"} 1\n", "line 1, column 1: label le is not a number"},
      {"<!doctype html>\n", "line 1, column 1: metric name expected"},
  };
  for (const auto& [page, why] : cases) EXPECT_EQ(ErrorOf(page), why) << page;
}

TEST(Exposition, RejectsOpenMetricsThatIsNotWhole) {
  EXPECT_EQ(ErrorOf("x 1\n", Format::kOpenMetrics), "line 2, column 1: page ends without # EOF");
  EXPECT_EQ(ErrorOf("x 1\n# EO", Format::kOpenMetrics),
            "line 2, column 1: page ends without # EOF");
  EXPECT_EQ(ErrorOf("# EOF\nx 1\n", Format::kOpenMetrics), "line 2, column 1: text after # EOF");
  EXPECT_EQ(ErrorOf("# EOF\nx", Format::kOpenMetrics), "line 2, column 1: last line is cut off");
  EXPECT_EQ(ErrorOf("x 1\n\n# EOF\n", Format::kOpenMetrics), "line 2, column 1: empty line");
  EXPECT_EQ(ErrorOf("x_total 1 # {a=\"b\"}\n# EOF\n", Format::kOpenMetrics),
            "line 1, column 20: exemplar without a number");
  EXPECT_EQ(ErrorOf("x 1\n# EOF", Format::kOpenMetrics), "accepted");
}

TEST(Exposition, AcceptsWhatTheTextFormatAllows) {
  for (const char* page : {"", "\n", "  \n", "#\n", "# just a comment\n", "# HELP\n", "#EOF\n",
                           "  x   1   \n", "x\t1\t1395066363000\n", "x 1 -3\n", "x{} 1\n",
                           "x { a = \"b\" , } 1\n", "# TYPE\tx\tgauge \nx 1\n", "x{a=\"\"}1\n"}) {
    EXPECT_EQ(ErrorOf(page), "accepted") << page;
  }
}

TEST(Exposition, EnforcesEachLimit) {
  const auto error = [](const std::string& page, ParseLimits limits) {
    const auto scrape = Parse(page, {"x", "h"}, Format::kText, limits);
    return scrape.ok() ? "accepted" : scrape.error().message;
  };
  ParseLimits limits;
  limits.bytes = 8;
  EXPECT_EQ(error("x 1\nyy 1\n", limits), "line 1, column 1: page is larger than the limit");
  EXPECT_EQ(error("x 1\ny 1\n", limits), "accepted");
  limits = {};
  limits.line = 8;
  EXPECT_EQ(error("x 1234567\n", limits), "line 1, column 1: line is longer than the limit");
  EXPECT_EQ(error("#       12\n", limits), "line 1, column 1: line is longer than the limit");
  EXPECT_EQ(error("x 12345678", limits), "line 1, column 1: line is longer than the limit");
  EXPECT_EQ(error("x 12345\n", limits), "accepted");
  limits = {};
  limits.samples = 2;
  EXPECT_EQ(error("a 1\nb 1\nc 1\n", limits),
            "line 3, column 1: page has more samples than the limit");
  limits = {};
  limits.wanted_series = 1;
  EXPECT_EQ(error("x{a=\"1\"} 1\nx{a=\"2\"} 1\n", limits),
            "line 2, column 1: more wanted series, or longer labels of them, than the limit");
  limits = {};
  limits.wanted_label_bytes = 24;
  EXPECT_EQ(error("x{a=\"12345\"} 1\nx{a=\"23456\"} 1\n", limits), "accepted");
  EXPECT_EQ(error("x{a=\"12345\"} 1\nx{a=\"23456\"} 1\nx{a=\"3\"} 1\n", limits),
            "line 3, column 1: more wanted series, or longer labels of them, than the limit");
  limits = {};
  limits.buckets = 1;
  EXPECT_EQ(error("h_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 1\n", limits),
            "line 2, column 1: histogram has more buckets than the limit");
  limits = {};
  limits.labels = 1;
  EXPECT_EQ(error("x{a=\"1\",b=\"2\"} 1\n", limits), "line 1, column 1: too many labels");
  limits = {};
  limits.label_length = 3;
  EXPECT_EQ(error("x{a=\"1234\"} 1\n", limits), "line 1, column 1: label is too long");
  EXPECT_EQ(error("y{a=\"1234\"} 1\n", limits), "accepted");  // not wanted, not kept
}

TEST(Exposition, ReportsLimitsAsTooLarge) {
  ParseLimits limits;
  limits.line = 8;
  const auto scrape = Parse("x 1234567\n", {"x"}, Format::kText, limits);
  ASSERT_FALSE(scrape.ok());
  EXPECT_EQ(scrape.error().code, Errc::kTooLarge);
}

TEST(Exposition, GivesTheSameForEveryWayToCutThePage) {
  const WantedMetrics wanted({"feature_distance_km", "predictions"});
  const auto describe = [](const Result<Scrape>& scrape) {
    if (!scrape.ok()) return scrape.error().message;
    std::string text;
    for (const Series& series : scrape->series) {
      text += series.metric + std::to_string(series.value) + std::to_string(series.count) +
              std::to_string(series.sum);
      for (const auto& [name, value] : series.labels) text += name + "=" + value;
      for (const double count : series.cumulative) text += std::to_string(count);
    }
    return text;
  };
  const std::string page(kPythonClient);
  for (const std::string& text : {page, page + "x{a=\"b\n", page + "cut of"}) {
    const std::string whole = describe(ParseExposition(text, wanted, Format::kText));
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      ExpositionParser parser(wanted, Format::kText);
      Status fed = parser.Feed(std::string_view(text).substr(0, cut));
      if (fed.ok()) fed = parser.Feed(std::string_view(text).substr(cut));
      ASSERT_EQ(describe(parser.Finish()), whole) << "cut at " << cut;
    }
    ExpositionParser bytewise(wanted, Format::kText);
    for (const char c : text) {
      if (!bytewise.Feed({&c, 1}).ok()) break;
    }
    EXPECT_EQ(describe(bytewise.Finish()), whole);
  }
}

TEST(Exposition, StaysWithTheFirstError) {
  const WantedMetrics wanted({"x"});
  ExpositionParser parser(wanted, Format::kText);
  ASSERT_FALSE(parser.Feed("x y\n").ok());
  EXPECT_EQ(parser.Feed("x 1\n").error().message, "line 1, column 3: value is not a number");
  EXPECT_FALSE(parser.Finish().ok());
}

TEST(Exposition, NeverRepeatsBytesOfThePage) {
  const auto scrape = Parse("x{secret=\"hunter2\"} hunter2\n", {"x"});
  ASSERT_FALSE(scrape.ok());
  EXPECT_EQ(scrape.error().message.find("hunter2"), std::string::npos);
}

TEST(Exposition, ChoosesTheFormatByContentType) {
  EXPECT_EQ(*FormatOf("application/openmetrics-text; version=1.0.0; charset=utf-8"),
            Format::kOpenMetrics);
  EXPECT_EQ(*FormatOf("text/plain; version=0.0.4; charset=utf-8"), Format::kText);
  EXPECT_EQ(*FormatOf("Text/Plain"), Format::kText);
  EXPECT_EQ(*FormatOf(""), Format::kText);
  EXPECT_FALSE(FormatOf("text/html").ok());
  EXPECT_FALSE(FormatOf("application/vnd.google.protobuf; encoding=delimited").ok());
}

}  // namespace
}  // namespace perennial::scrape
