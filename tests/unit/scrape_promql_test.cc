#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "scrape/promql_source.h"
#include "scrape/sample_store.h"
#include "support/manual_clock.h"

namespace perennial::scrape {
namespace {

PromqlSource Source() {
  PromqlSource source;
  source.url = "https://prometheus.monitoring:9090/";
  source.ns = "transit";
  source.variants = {{"v1", "departures-v1"}, {"v2", "departures-v2"}};
  return source;
}

std::string Answer(const std::string& result, const std::string& rest = "") {
  return R"({"status":"success","data":{"resultType":"matrix","result":[)" + result + "]}" + rest +
         "}";
}

// A series of the target that scrapes `pod`.
std::string Of(const std::string& pod, const std::string& name, const std::string& labels,
               const std::string& values, const std::string& job = "pods") {
  return R"({"metric":{"__name__":")" + name + R"(","job":")" + job +
         R"(","instance":"i","namespace":"transit","pod":")" + pod + "\"" + labels +
         R"(},"values":[)" + values + "]}";
}

TEST(PromAnswerTest, ReadsMatrixAndVector) {
  const auto matrix = ParsePromAnswer(Answer(
      R"({"metric":{"b":"2","__name__":"x","a":"1"},"values":[[1000.5,"3"],[1001,"+Inf"]]})"));
  ASSERT_TRUE(matrix.ok()) << matrix.error().message;
  ASSERT_EQ(matrix->series.size(), 1u);
  EXPECT_EQ(matrix->series[0].labels, (Labels{{"__name__", "x"}, {"a", "1"}, {"b", "2"}}));
  ASSERT_EQ(matrix->series[0].samples.size(), 2u);
  EXPECT_EQ(matrix->series[0].samples[0].at_ms, 1'000'500);
  EXPECT_EQ(matrix->series[0].samples[0].value, 3);
  EXPECT_TRUE(std::isinf(matrix->series[0].samples[1].value));
  const auto vector = ParsePromAnswer(
      R"({"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]},)"
      R"("warnings":["a store was \u0007 away"]})");
  ASSERT_TRUE(vector.ok()) << vector.error().message;
  EXPECT_EQ(vector->series.at(0).samples.at(0).value, 2);
  EXPECT_EQ(vector->warnings, (std::vector<std::string>{"a store was ? away"}));
}

TEST(PromAnswerTest, TellsErrorsInTheServersWordsButPrintableAndShort) {
  const auto error = [](const std::string& type, const std::string& text) {
    const auto answer = ParsePromAnswer(R"({"status":"error","errorType":")" + type +
                                        R"(","error":")" + text + "\"}");
    EXPECT_FALSE(answer.ok());
    return answer.ok() ? Error{} : answer.error();
  };
  EXPECT_EQ(error("bad_data", "parse error"),
            (Error{Errc::kInvalid, "Prometheus answers bad_data: parse error"}));
  EXPECT_EQ(error("timeout", "").code, Errc::kTimeout);
  EXPECT_EQ(error("unavailable", "").code, Errc::kUnavailable);
  EXPECT_EQ(error("execution",
                  "query processing would load too many samples into memory in query execution")
                .code,
            Errc::kTooLarge);
  EXPECT_LT(error("execution", std::string(100'000, 'x')).message.size(), 300u);
}

TEST(PromAnswerTest, RepeatsNoSecretThatTheServerWasAskedWith) {
  const std::vector<std::string> secrets{"token-of-ours", "dXNlcjpwYXNz"};
  const std::string before(190, '-');  // the cut would go through it
  const auto error =
      ParsePromAnswer(R"({"status":"error","errorType":"no token-of-ours","error":")" + before +
                          R"(Bearer token-of-ours, Basic dXNlcjpwYXNz"})",
                      {}, secrets);
  ASSERT_FALSE(error.ok());
  EXPECT_EQ(error.error().message, "Prometheus answers no [redacted]: " + before + "Bearer [re...");
  const auto warning =
      ParsePromAnswer(R"({"status":"success","data":{"resultType":"vector","result":[]},)"
                      R"("warnings":["token-of-ourstoken-of-ours is no good"]})",
                      {}, secrets);
  ASSERT_TRUE(warning.ok());
  EXPECT_EQ(warning->warnings, (std::vector<std::string>{"[redacted][redacted] is no good"}));
}

TEST(PromAnswerTest, RefusesWhatIsNoAnswer) {
  for (const std::string& body :
       {std::string(), std::string("<html>"), std::string("[]"), std::string("{}"),
        std::string(R"({"status":"success"})"), Answer(R"({"values":[[1]]})"),
        Answer(R"({"values":[["1",2]]})"), Answer(R"({"values":[[1,"x"]]})"),
        Answer(R"({"values":[[1e300,"1"]]})"), Answer(R"({"values":[[1,[]]]})"),
        Answer(R"({"values":[[1,"1","1"]]})"), Answer("") + "x", std::string(1'000'000, '['),
        std::string(R"({"status":"success","data":{"resultType":"scalar","result":[1,"2"]}})")}) {
    const auto answer = ParsePromAnswer(body);
    ASSERT_FALSE(answer.ok()) << body.substr(0, 100);
    EXPECT_EQ(answer.error().code, Errc::kInvalid) << body.substr(0, 100);
  }
}

TEST(PromAnswerTest, IsBounded) {
  const auto code = [](const std::string& body, PromLimits limits) {
    const auto answer = ParsePromAnswer(body, limits);
    return answer.ok() ? std::optional<Errc>() : answer.error().code;
  };
  const std::string two = Of("p", "a", "", R"([1,"1"],[2,"1"])") + "," + Of("p", "b", "", "");
  EXPECT_EQ(code(Answer(two), {.series = 2, .samples = 2}), std::nullopt);
  EXPECT_EQ(code(Answer(two), {.series = 1}), Errc::kTooLarge);
  EXPECT_EQ(code(Answer(two), {.samples = 1}), Errc::kTooLarge);
  EXPECT_EQ(code(Answer(two), {.label_bytes = 60}), Errc::kTooLarge);
  EXPECT_EQ(code(Answer(two), {.labels = 3}), Errc::kTooLarge);
}

TEST(PromqlSourceTest, AsksOnlyForThePodsOfItsVariants) {
  PromqlSource source = Source();
  source.matchers = {{"job", R"(a"} or {x="b\)"}};
  EXPECT_EQ(RangeSelector(source, {"latency", "predictions_total"}, Millis{90'000}),
            R"({__name__=~"(?:latency|predictions)(?:_bucket|_sum|_count|_total|_created)?|up|)"
            R"(process_start_time_seconds",namespace="transit",)"
            R"(pod=~"(?:departures-v1|departures-v2)-[0-9a-z]+-[0-9a-z]+",)"
            R"(job="a\"} or {x=\"b\\"}[90000ms])");
  source.matchers.clear();
  source.version_label = "version";
  source.variants = {{"v.1", "w"}};
  EXPECT_EQ(RangeSelector(source, {"x"}, Millis{1'000}),
            R"({__name__=~"(?:x)(?:_bucket|_sum|_count|_total|_created)?|up|)"
            R"x(process_start_time_seconds",namespace="transit",version=~"(?:v\\.1)")x"
            R"x(,pod!=""}[1000ms])x");
}

TEST(PromqlSourceTest, ChecksTheUrl) {
  PromqlSource source = Source();
  EXPECT_EQ(*QueryUrl(source.url), "https://prometheus.monitoring:9090/api/v1/query");
  source.url = "http://10.0.0.1/select/0/prometheus";
  EXPECT_EQ(*QueryUrl(source.url), "http://10.0.0.1/select/0/prometheus/api/v1/query");
  for (const char* url : {"", "ftp://x", "http://", "http:///x", "http://u:p@x", "http://x?a=b",
                          "http://x#f", "http://x/a b", "file:///etc/passwd", "http://x\\y"}) {
    source.url = url;
    EXPECT_FALSE(QueryUrl(source.url).ok()) << url;
  }
  EXPECT_EQ(QueryForm("a+b", WallTime(Millis{1'500'050}), Millis{100}),
            "query=a%2Bb&time=1500.050&timeout=100ms");
}

class PromqlPages : public ::testing::Test {
 protected:
  ScrapedPages Pages(const std::string& result, PromqlSource source = Source()) {
    const auto answer = ParsePromAnswer(Answer(result));
    EXPECT_TRUE(answer.ok());
    return PagesOf(*answer, source, wanted_);
  }
  const WantedMetrics wanted_{{"h", "c_total"}};
  const std::string pod_ = "departures-v1-5d9c-x7k2p";
};

TEST_F(PromqlPages, RebuildsWhatThePodExposed) {
  const ScrapedPages seen = Pages(
      Of(pod_, "up", "", R"([10,"1"],[20,"0"],[30,"1"])") + "," +
      Of(pod_, "h_bucket", R"(,"le":"1","exported_job":"mine")", R"([10,"2"],[30,"3"])") + "," +
      Of(pod_, "h_bucket", R"(,"le":"+Inf","exported_job":"mine")", R"([10,"5"],[30,"7"])") + "," +
      Of(pod_, "h_sum", R"(,"exported_job":"mine")", R"([10,"9"],[30,"12"])") + "," +
      Of(pod_, "h_count", R"(,"exported_job":"mine")", R"([10,"5"],[30,"7"])") + "," +
      Of(pod_, "c_total", R"(,"kind":"a")", R"([30,"4"])") + "," +
      Of(pod_, "process_start_time_seconds", "", R"([10,"5"],[30,"5"])"));
  EXPECT_TRUE(seen.problems.empty());
  ASSERT_EQ(seen.pages.size(), 3u);
  EXPECT_EQ(seen.pages[0].pod, pod_);
  EXPECT_EQ(seen.pages[0].variant, "v1");
  EXPECT_EQ(seen.pages[0].at, WallTime(Millis{10'000}));
  ASSERT_TRUE(seen.pages[0].outcome.ok());
  const Scrape& first = *seen.pages[0].outcome;
  EXPECT_EQ(first.process_start_time, 5);
  ASSERT_EQ(first.series.size(), 1u);
  EXPECT_EQ(first.series[0].kind, SeriesKind::kHistogram);
  EXPECT_EQ(first.series[0].labels, (Labels{{"job", "mine"}}));
  EXPECT_EQ(first.series[0].cumulative, (std::vector<double>{2, 5}));
  EXPECT_EQ(first.series[0].sum, 9);
  EXPECT_FALSE(seen.pages[1].outcome.ok());
  ASSERT_TRUE(seen.pages[2].outcome.ok());
  ASSERT_EQ(seen.pages[2].outcome->series.size(), 2u);
  const auto& counter = seen.pages[2].outcome->series[1];
  EXPECT_EQ(counter.kind, SeriesKind::kCounter);
  EXPECT_EQ(counter.labels, (Labels{{"kind", "a"}}));
}

TEST_F(PromqlPages, TellsVariantsApartAndIgnoresOthers) {
  const auto page = [&](const std::string& pod) { return Of(pod, "c_total", "", R"([10,"1"])"); };
  ScrapedPages seen = Pages(page("departures-v2-a-b") + "," + page("departures-v1-a-b") + "," +
                            page("departures-v1-a") + "," + page("departures-v1-a-b-c") + "," +
                            page("departures-v10-a-b") + "," + page("other-a-b"));
  ASSERT_EQ(seen.pages.size(), 2u);
  EXPECT_EQ(seen.pages[0].variant, "v1");
  EXPECT_EQ(seen.pages[1].variant, "v2");
  PromqlSource by_label = Source();
  by_label.version_label = "version";
  seen = Pages(Of("anything", "c_total", R"(,"version":"v2")", R"([10,"1"])"), by_label);
  ASSERT_EQ(seen.pages.size(), 1u);
  EXPECT_EQ(seen.pages[0].variant, "v2");
  EXPECT_TRUE(seen.pages[0].outcome->series.at(0).labels.empty());
}

TEST_F(PromqlPages, CountsAPodOnceHoweverManyJobsScrapeIt) {
  const ScrapedPages twice =
      Pages(Of(pod_, "up", "", R"([10,"1"])", "a") + "," + Of(pod_, "up", "", R"([11,"1"])", "b") +
            "," + Of(pod_, "c_total", "", R"([10,"1"])", "a") + "," +
            Of(pod_, "c_total", "", R"([11,"1"])", "b"));
  EXPECT_EQ(twice.pages.size(), 1u);
  ASSERT_EQ(twice.problems.size(), 1u);
  EXPECT_NE(twice.problems[0].find("matchers"), std::string::npos);
  // Another port of the pod, without the metrics, is nobody's problem.
  const ScrapedPages sidecar =
      Pages(Of(pod_, "up", "", R"([10,"1"])", "a") + "," + Of(pod_, "up", "", R"([11,"1"])", "b") +
            "," + Of(pod_, "c_total", "", R"([11,"1"])", "b"));
  ASSERT_EQ(sidecar.pages.size(), 1u);
  EXPECT_EQ(sidecar.pages[0].at, WallTime(Millis{11'000}));
  EXPECT_TRUE(sidecar.problems.empty());
}

// A pod that learns later what was true counts for all versions, each under its label.
TEST_F(PromqlPages, GivesEachVersionItsSeriesOfAPodThatJoinsOutcomes) {
  PromqlSource by_label = Source();
  by_label.version_label = "version";
  const auto row = [&](const std::string& version, const std::string& kind,
                       const std::string& values) {
    return Of("joiner-0", "c_total", R"(,"version":")" + version + R"(","kind":")" + kind + "\"",
              values);
  };
  const ScrapedPages seen =
      Pages(row("v1", "a", R"([10,"1"],[20,"4"])") + "," + row("v2", "a", R"([10,"2"],[20,"9"])") +
                "," + row("v2", "b", R"([20,"5"])") + "," + row("v3", "a", R"([20,"7"])"),
            by_label);
  EXPECT_TRUE(seen.problems.empty()) << seen.problems.front();
  ASSERT_EQ(seen.pages.size(), 4u) << "v3 is none of ours";
  for (const ScrapedPage& page : seen.pages) {
    EXPECT_EQ(page.pod, "joiner-0");
    ASSERT_TRUE(page.outcome.ok());
    const bool late = page.at == WallTime(Millis{20'000});
    EXPECT_EQ(page.outcome->series.size(), page.variant == "v2" && late ? 2u : 1u);
    EXPECT_EQ(page.outcome->series[0].labels, (Labels{{"kind", "a"}}));
  }
}

// In JSON a staleness marker is a NaN.
TEST_F(PromqlPages, TakesStalenessMarkersForNoSamples) {
  const ScrapedPages seen =
      Pages(Of(pod_, "up", "", R"([10,"1"],[20,"1"],[30,"NaN"])") + "," +
            Of(pod_, "c_total", R"(,"kind":"a")", R"([10,"4"],[20,"NaN"])") + "," +
            Of(pod_, "c_total", R"(,"kind":"b")", R"([10,"1"],[20,"2"],[30,"NaN"])") + "," +
            Of(pod_, "h_bucket", R"(,"le":"1")", R"([10,"2"],[20,"NaN"])") + "," +
            Of(pod_, "h_bucket", R"(,"le":"+Inf")", R"([10,"5"],[20,"7"])") + "," +
            Of(pod_, "h_sum", "", R"([10,"NaN"],[20,"NaN"])"));
  ASSERT_EQ(seen.pages.size(), 2u) << "at the third moment there was no scrape";
  ASSERT_TRUE(seen.pages[1].outcome.ok());
  const Scrape& second = *seen.pages[1].outcome;
  EXPECT_TRUE(second.problems.empty());
  ASSERT_EQ(second.series.size(), 2u);
  EXPECT_EQ(second.series[0].labels, (Labels{{"kind", "b"}}));
  EXPECT_EQ(second.series[1].cumulative, std::vector<double>{7}) << "a bucket is gone";
  EXPECT_TRUE(std::isnan(second.series[1].sum)) << "a sum may be NaN";
}

// The windows of the store do not tell who scraped.
TEST(PromqlStore, TakesInPagesAsIfItHadScraped) {
  perennial::testing::ManualClock clock;
  SampleStore store(clock);
  Subscription subscription;
  subscription.interval = Millis{10'000};
  subscription.metrics = {"c_total"};
  subscription.promql = Source();
  subscription.targets.push_back({"departures-v1-a-b", "10.0.0.1", 80, "/metrics", "v1"});
  store.Set("m", subscription);
  EXPECT_TRUE(store.TakeJobChanges().started.empty()) << "nobody scrapes it";
  const auto asked = store.TakeQueryChanges();
  ASSERT_EQ(asked.size(), 1u);
  store.Set("m", subscription);
  EXPECT_TRUE(store.TakeQueryChanges().empty()) << "the same again changes nothing";
  const WallTime now = clock.Wall();
  const auto page = [&](const std::string& pod, Millis ago, double value) {
    Series series;
    series.metric = "c_total";
    series.kind = SeriesKind::kCounter;
    series.value = value;
    Scrape scrape;
    scrape.series.push_back(series);
    return ScrapedPage{pod, "v1", now - ago, scrape};
  };
  ScrapedPages seen;
  seen.problems = {"Prometheus warns: x"};
  // A pod that is gone counted as well; one of them was reset.
  seen.pages.push_back(page("departures-v1-a-old", Millis{40'000}, 100));
  seen.pages.push_back(page("departures-v1-a-b", Millis{35'000}, 7));
  seen.pages.push_back(page("departures-v1-a-old", Millis{30'000}, 110));
  seen.pages.push_back(page("departures-v1-a-b", Millis{25'000}, 12));
  seen.pages.push_back(page("departures-v1-a-b", Millis{5'000}, 3));
  store.RecordPages(*asked[0], seen, true);
  EXPECT_EQ(store.Generation("m"), 1u);
  const WindowView view = store.View("m", "v1", Millis{600'000}, Millis{0}, clock.Steady());
  ASSERT_EQ(view.series.size(), 1u);
  EXPECT_EQ(view.series[0].increase, 10 + 5 + 3);
  EXPECT_EQ(view.targets, 1);
  EXPECT_EQ(view.targets_up, 1);
  EXPECT_EQ(view.problems, seen.problems);
  store.RecordQueryFailure("m", {Errc::kTimeout, "no complete answer in time"});
  EXPECT_EQ(store.View("m", "v1", Millis{600'000}, Millis{0}, clock.Steady()).targets_up, 0);
  // Back to scraping: the question ends, a job begins.
  subscription.promql.reset();
  store.Set("m", subscription);
  EXPECT_EQ(store.TakeJobChanges().started.size(), 1u);
  const auto ended = store.TakeQueryChanges();
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_FALSE(ended[0]->source.has_value());
}

TEST(PromqlStore, CountsForEachVersionWhatAnotherPodKnowsOfIt) {
  perennial::testing::ManualClock clock;
  SampleStore store(clock);
  Subscription subscription;
  subscription.interval = Millis{10'000};
  subscription.metrics = {"c_total"};
  subscription.promql = Source();
  subscription.promql->version_label = "version";
  store.Set("m", subscription);
  const auto job = store.TakeQueryChanges().at(0);
  const std::map<std::string, std::vector<double>> known = {{"v1", {5, 15, 40}}, {"v2", {1, 3, 4}}};
  for (std::size_t i = 0; i < 3; ++i) {
    ScrapedPages seen;
    for (const auto& [version, values] : known) {
      Series series;
      series.metric = "c_total";
      series.kind = SeriesKind::kCounter;
      series.value = values[i];
      Scrape scrape;
      scrape.series.push_back(series);
      seen.pages.push_back({"joiner-0", version, clock.Wall(), scrape});
    }
    store.RecordPages(*job, seen, true);
    clock.Advance(Millis{10'000});
  }
  for (const auto& [version, values] : known) {
    const WindowView view = store.View("m", version, Millis{600'000}, Millis{0}, clock.Steady());
    ASSERT_EQ(view.series.size(), 1u);
    EXPECT_EQ(view.series[0].increase, values[2] - values[0]) << version;
  }
}

class PromqlChurn : public ::testing::Test {
 protected:
  PromqlChurn() {
    subscription_.interval = Millis{10'000};
    subscription_.metrics = {"c_total"};
    subscription_.promql = Source();
    Target("departures-v1-a-old");
  }

  void Target(const std::string& pod) {
    subscription_.targets = {{pod, "10.0.0.1", 80, "/metrics", "v1"}};
    Set(subscription_);
  }
  void Set(const Subscription& subscription) {
    store_.Set("m", subscription);
    for (const auto& job : store_.TakeQueryChanges()) job_ = job;
  }
  // What the Prometheus scraped just now, by its own clock; nothing: a marker.
  void Scraped(const std::map<std::string, std::optional<double>>& pods) {
    ScrapedPages seen;
    for (const auto& [pod, value] : pods) {
      Scrape scrape;
      if (value) {
        Series series;
        series.metric = "c_total";
        series.kind = SeriesKind::kCounter;
        series.value = *value;
        scrape.series.push_back(series);
      }
      seen.pages.push_back({pod, "v1", prometheus_, scrape});
    }
    store_.RecordPages(*job_, seen, true);
  }
  ScrapedPage Page(Millis ago, std::optional<double> value) const {
    Scrape scrape;
    scrape.process_start_time = 60;
    if (value) {
      Series series;
      series.metric = "c_total";
      series.kind = SeriesKind::kCounter;
      series.value = *value;
      scrape.series.push_back(series);
    }
    return {"departures-v1-a-old", "v1", prometheus_ - ago, scrape};
  }
  void Pass(Millis time) {
    clock_.Advance(time);
    prometheus_ += time;
  }
  WindowView Look() const {
    return store_.View("m", "v1", Millis{3'600'000}, Millis{0}, clock_.Steady());
  }

  perennial::testing::ManualClock clock_;
  WallTime prometheus_ = clock_.Wall();
  SampleStore store_{clock_};
  Subscription subscription_;
  std::shared_ptr<const QueryJob> job_;
};

TEST_F(PromqlChurn, CountsEachPodOnceWhileTheyComeAndGo) {
  constexpr Millis kMinute{60'000};
  Scraped({{"departures-v1-a-old", 100}});
  Pass(kMinute);
  Scraped({{"departures-v1-a-old", 110}, {"departures-v1-b-new", 3}});
  Target("departures-v1-b-new");
  Pass(kMinute);
  // The old one's series are stale, and its pages end; the new one goes on.
  Scraped({{"departures-v1-a-old", std::nullopt}, {"departures-v1-b-new", 5}});
  Pass(kMinute);
  Scraped({{"departures-v1-b-new", 9}});
  EXPECT_EQ(Look().series.at(0).increase, 10 + 2 + 4);
  EXPECT_EQ(Look().targets, 1);
  EXPECT_EQ(Look().targets_up, 1);
  // A name that comes back within the window continues; as a StatefulSet's pods do.
  Pass(kMinute);
  Scraped({{"departures-v1-a-old", 112}, {"departures-v1-b-new", 9}});
  EXPECT_EQ(Look().series.at(0).increase, 10 + 2 + 4 + 2);
  // Nothing new of a pod that should be there: after five minutes it counts as down.
  for (int i = 0; i < 6; ++i) {
    Pass(kMinute);
    Scraped({});
  }
  EXPECT_EQ(Look().targets_up, 0);
  EXPECT_EQ(Look().series.at(0).increase, 18) << "what was counted stays";
}

TEST_F(PromqlChurn, LosesAndDoublesNothingWhenOurClockIsSet) {
  constexpr Millis kMinute{60'000};
  double value = 100;
  const auto next = [&] {
    Pass(kMinute);
    Scraped({{"departures-v1-a-old", value += 5}});
  };
  next();
  next();
  for (const Millis jump : {Millis{7'200'000}, Millis{-7'200'000}, Millis{-7'200'000}}) {
    clock_.JumpWall(jump);
    next();
    next();
  }
  EXPECT_EQ(Look().series.at(0).increase, value - 105);
  EXPECT_EQ(Look().targets_up, 1);
}

// What it scraped before it was asked is no first scrape of ours.
TEST_F(PromqlChurn, CountsASeriesThatAppearsOnThePagesThatAreReadBack) {
  store_.RecordPages(
      *job_, {{Page(Millis{90'000}, {}), Page(Millis{60'000}, 3), Page(Millis{30'000}, 4)}, {}},
      true);
  EXPECT_EQ(Look().series.at(0).increase, 4);
}

// A Secret that cannot be read for a moment takes the source away; then all is read again.
TEST_F(PromqlChurn, CountsNothingTwiceThatIsReadAgain) {
  store_.RecordPages(*job_, {{Page(Millis{90'000}, 100), Page(Millis{60'000}, 110)}, {}}, true);
  Subscription none = subscription_;
  none.promql.reset();
  none.targets.clear();
  Set(none);
  EXPECT_FALSE(job_->source.has_value());
  Set(subscription_);
  const ScrapedPages again{
      {Page(Millis{90'000}, 100), Page(Millis{60'000}, 110), Page(Millis{30'000}, 115)}, {}};
  store_.RecordPages(*job_, again, true);
  EXPECT_EQ(Look().series.at(0).increase, 15);
  store_.RecordPages(*job_, again, true);
  EXPECT_EQ(Look().series.at(0).increase, 15);
}

// Of pods that are gone only the latest keep their counters.
TEST_F(PromqlChurn, ReadsAgainOfManyPodsThatAreGone) {
  ScrapedPages seen;
  for (const auto& [ago, value] : {std::pair{Millis{90'000}, 100.0}, {Millis{60'000}, 110.0}}) {
    for (int i = 0; i < 20; ++i) {
      seen.pages.push_back(Page(ago, value));
      seen.pages.back().pod += std::to_string(i);
    }
  }
  store_.RecordPages(*job_, seen, true);
  EXPECT_EQ(Look().series.at(0).increase, 200);
  store_.RecordPages(*job_, seen, true);
  EXPECT_EQ(Look().series.at(0).increase, 200);
}

// They call the pods differently: what both told of one pod would be told of two.
TEST_F(PromqlChurn, BeginsAnewWhereThePodsAreScrapedInItsPlace) {
  store_.RecordPages(*job_, {{Page(Millis{90'000}, 100), Page(Millis{60'000}, 110)}, {}}, true);
  const auto late = job_;
  Subscription pods = subscription_;
  pods.promql.reset();
  pods.targets[0].id = "uid";
  Set(pods);
  const WindowView begun = Look();
  EXPECT_TRUE(begun.series.empty());
  EXPECT_EQ(begun.targets, 1);
  store_.Record(*store_.FindJob("m", "uid"), *Page({}, 115).outcome, clock_.Steady(),
                clock_.Wall());
  EXPECT_EQ(Look().series.size(), 1u);
  Set(subscription_);
  EXPECT_TRUE(Look().series.empty());
  store_.RecordPages(*late, {{Page(Millis{30'000}, 115)}, {}}, true);
  EXPECT_TRUE(Look().series.empty()) << "it goes on where other windows ended";
  store_.RecordPages(*job_, {{Page(Millis{90'000}, 100), Page(Millis{60'000}, 110)}, {}}, true);
  EXPECT_EQ(Look().series.at(0).increase, 10);
}

}  // namespace
}  // namespace perennial::scrape
