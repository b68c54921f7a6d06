#include "support/prometheus.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "scrape/instant_query_pool.h"
#include "scrape/promql_pool.h"
#include "scrape/scrape_pool.h"

namespace perennial::scrape {
namespace {

using ::perennial::test::Prometheus;
using ::perennial::test::ScrapedPod;

constexpr Millis kSecond{1'000};
// Longer than an interval of both scrapers and the time that a scrape takes.
constexpr Millis kQuiet{2'500};

// Our scraper and the Prometheus read the same pods, which restart meanwhile. Each counts from one
// scrape to the next, at moments of its own; what is counted while neither scrapes a change is the
// same for both, to the last unit.
class PrometheusAgreement : public ::testing::Test {
 protected:
  PrometheusAgreement() {
    for (ScrapedPod* pod : {&a_, &b_, &c_}) {
      direct_.targets.push_back({pod->name(), "127.0.0.1", pod->port(), "/metrics", "v1"});
    }
    queried_ = direct_;
    queried_.promql.emplace();
    queried_.promql->url = prometheus_.url();
    queried_.promql->ns = "transit";
    queried_.promql->variants = {{"v1", "departures-v1"}};
    scrape_.addresses.allow_loopback = true;
    query_.addresses.allow_loopback = true;
  }

  WindowView View(const SampleStore& store, const char* id) const {
    return store.View(id, "v1", Millis{120'000}, Millis{0}, SystemClock().Steady());
  }
  template <class Condition>
  static bool Wait(Condition condition) {
    const Millis end = SystemClock().Steady() + Millis{20'000};
    while (!condition()) {
      if (SystemClock().Steady() > end) return false;
      std::this_thread::sleep_for(Millis{50});
    }
    return true;
  }
  void Load() {
    for (int i = 0; i < 20; ++i) {
      a_.Count(0, 3);
      b_.Count(1, 2);
      c_.Count(2, 1);
      c_.Count(0, 1);
      std::this_thread::sleep_for(Millis{100});
    }
  }

  ScrapedPod a_{"departures-v1-5d9c-aaaaa"}, b_{"departures-v1-5d9c-bbbbb"},
      c_{"departures-v1-5d9c-ccccc"};
  Prometheus prometheus_{{&a_, &b_, &c_}};
  Subscription direct_{.interval = kSecond,
                       .retention = Millis{120'000},
                       .metrics = {"x", "c_total"},
                       .targets = {},
                       .access = {}};
  Subscription queried_;
  PoolOptions scrape_;
  PromqlOptions query_;
};

void ExpectAllCounted(const WindowView& view, const char* who) {
  SCOPED_TRACE(who);
  EXPECT_EQ(view.targets_up, 3);
  EXPECT_TRUE(view.problems.empty()) << view.problems.front();
  ASSERT_EQ(view.series.size(), 2u);
  EXPECT_EQ(view.series[0].metric, "c_total");
  EXPECT_EQ(view.series[0].labels, (Labels{{"kind", "a"}}));
  EXPECT_EQ(view.series[0].increase, 2 * 20 * 7);
  EXPECT_EQ(view.series[1].labels, (Labels{{"job", "own"}}));
  EXPECT_EQ(view.series[1].counts, (std::vector<double>{2 * 20 * 4, 2 * 20 * 2, 2 * 20 * 1}));
}

TEST_F(PrometheusAgreement, CountsWhatWeCount) {
  SampleStore store(SystemClock());
  ScrapePool pool(store, SystemClock(), scrape_);
  PromqlPool queries(store, SystemClock(), query_);
  store.Set("direct", direct_);
  store.Set("queried", queried_);
  pool.Start();
  queries.Start();
  ASSERT_TRUE(Wait([&] {
    return View(store, "direct").targets_up == 3 && View(store, "queried").targets_up == 3;
  })) << View(store, "queried").targets_up
      << (View(store, "queried").problems.empty() ? "" : View(store, "queried").problems.front());
  std::this_thread::sleep_for(kQuiet);
  Load();
  std::this_thread::sleep_for(kQuiet);
  b_.Restart();  // seen at zero
  c_.Restart();  // seen when it has counted again
  Load();
  std::this_thread::sleep_for(kQuiet);
  const auto all_counted = [&](const char* id) {
    const WindowView view = View(store, id);
    return !view.series.empty() && view.series[0].increase >= 2 * 20 * 7;
  };
  Wait([&] { return all_counted("direct") && all_counted("queried"); });
  ExpectAllCounted(View(store, "direct"), "scraped");
  ExpectAllCounted(View(store, "queried"), "asked");

  // A controller that starts now has no scrapes of its own, but the Prometheus' memory.
  SampleStore later(SystemClock());
  PromqlPool again(later, SystemClock(), query_);
  later.Set("queried", queried_);
  again.Start();
  ASSERT_TRUE(Wait([&] { return View(later, "queried").targets_up == 3; }));
  ExpectAllCounted(View(later, "queried"), "asked after a restart");
}

// What users write themselves, with what Prometheus knows beside the pods' own metrics.
TEST_F(PrometheusAgreement, AnswersAnyExpression) {
  InstantQueryPool pool(SystemClock(), query_);
  const auto ask = [&](const char* expression) {
    return InstantQuery{prometheus_.url(), expression, {}, kSecond};
  };
  pool.Set("a", {{"pods", ask("count(up{pod=~\"departures-v1-.*\"} == 1)")},
                 {"each", ask("up == 1")},
                 {"none", ask("nobody_counts_this")},
                 {"quotient", ask("sum(up * 0) / sum(up * 0)")},
                 {"broken", ask("sum(")}});
  pool.Start();
  // Each is asked at its own moment; the pods are scraped one after the other.
  const auto says = [&](const char* name) {
    const auto newest = pool.Newest("a", name);
    if (!newest) return std::string("nothing yet");
    return newest->value.ok() ? std::to_string(*newest->value) : newest->value.error().message;
  };
  const auto is = [&](const char* name, const char* wanted) {
    return Wait([&] { return says(name).find(wanted) != std::string::npos; });
  };
  EXPECT_TRUE(is("pods", "3.0")) << says("pods");
  EXPECT_TRUE(is("each", "has 3 values")) << says("each");
  EXPECT_TRUE(is("none", "has no value")) << says("none");
  EXPECT_TRUE(is("quotient", "is no number")) << says("quotient");
  EXPECT_TRUE(is("broken", "bad_data")) << says("broken");
}

}  // namespace
}  // namespace perennial::scrape
