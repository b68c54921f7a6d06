#include <gtest/gtest.h>

#include <algorithm>

#include "api/names.h"
#include "app/metrics.h"
#include "app/options.h"
#include "scrape/exposition.h"
#include "support/manual_clock.h"
#include "support/no_transport.h"

namespace perennial::app {
namespace {

class MetricsTest : public ::testing::Test {
 protected:
  template <class T, class Change>
  void Put(kube::Informer<T>& informer, const char* name, Change change) {
    const kube::Key key{"transit", name};
    const auto before = informer.store().Get(key);
    auto object = before ? std::make_shared<T>(*before) : std::make_shared<T>();
    object->meta.key = key;
    object->meta.uid = name;
    object->meta.resource_version = std::to_string(++resource_version_);
    change(*object);
    informer.store().Upsert(object);
  }

  std::string Page() {
    const ControllerMetrics metrics(
        {cache_, runs_, samples_, pool_, events_, {&core_}, 2, nullptr, "", clock_, kpis_});
    return RenderMetrics(metrics);
  }
  bool Shows(const std::string& line) {
    return ("\n" + Page()).find("\n" + line + "\n") != std::string::npos;
  }

  ::perennial::testing::ManualClock clock_;
  ::perennial::testing::NoTransport transport_;
  ClusterCache cache_{transport_, clock_, ""};
  RunTally runs_{cache_.retrain_policies.store()};
  KpiTally kpis_{cache_.model_versions.store(), cache_.drift_monitors.store(), clock_};
  scrape::SampleStore samples_{clock_};
  scrape::ScrapePool pool_{samples_, clock_};
  kube::Client client_{transport_, clock_, "test"};
  kube::EventRecorder events_{client_, clock_, "perennial.dev/controller", "test"};
  kube::RunnerCore core_{"driftmonitor", {}, {client_, events_, clock_, [] { return true; }}};
  int resource_version_ = 0;
};

TEST_F(MetricsTest, ShowsTheControllersUnderTheirUsualNames) {
  core_.queue().Add({"a", "b"});
  EXPECT_TRUE(
      Shows(R"(controller_runtime_reconcile_total{controller="driftmonitor",result="success"} 0)"));
  EXPECT_TRUE(Shows(R"(workqueue_depth{controller="driftmonitor",name="driftmonitor"} 1)"));
  EXPECT_TRUE(Shows(std::string("perennial_build_info{version=\"") + Version() + "\"} 1"));
  EXPECT_EQ(Page().find("leader_election_master_status"), std::string::npos)
      << "without leader election there is no leader";
}

TEST_F(MetricsTest, ShowsDriftScoresWhileTheMonitorIsThere) {
  Put(cache_.drift_monitors, "m", [](api::DriftMonitor& monitor) {
    api::SignalStatus signal;
    signal.name = "distance";
    signal.variant = "v1";
    api::TestStatus test;
    test.measure = "population_stability_index";
    test.value = "0.125";
    signal.tests = {test, test, api::TestStatus{}};
    api::SignalStatus bound;
    bound.name = "error";
    bound.variant = "v1";
    bound.value = "4.5";
    monitor.status.signals = {signal, bound};
    monitor.status.episode = api::Episode{};
  });
  const std::string score =
      R"(perennial_drift_score{namespace="transit",monitor="m",signal="distance",version="v1",)"
      R"(measure="population_stability_index"} 0.125)";
  EXPECT_TRUE(Shows(score)) << Page();
  EXPECT_TRUE(Shows(R"(perennial_drift_score{namespace="transit",monitor="m",signal="error",)"
                    R"(version="v1",measure="value"} 4.5)"));
  EXPECT_TRUE(Shows(R"(perennial_drifted{namespace="transit",monitor="m"} 1)"));
  const std::string page = Page();
  EXPECT_EQ(page.find(score), page.rfind(score)) << "a series must not come twice";
  cache_.drift_monitors.store().Remove({"transit", "m"});
  EXPECT_EQ(Page().find("monitor=\"m\""), std::string::npos);
}

TEST_F(MetricsTest, ShowsWhatTheMonitorsAndTheLargestOfThemHold) {
  EXPECT_TRUE(Shows("perennial_monitor_memory_bytes 0"));
  EXPECT_TRUE(Shows("perennial_monitor_memory_largest_bytes 0"));
  scrape::Subscription subscription;
  subscription.metrics = {"a"};
  samples_.Set("experiment/1", subscription);
  EXPECT_TRUE(Shows("perennial_monitor_memory_bytes 0")) << "an experiment is no monitor";
  samples_.Set("drift/1", subscription);
  const std::size_t one = samples_.Usage("drift/").bytes;
  for (int i = 0; i < 100; ++i) subscription.metrics.push_back("b" + std::to_string(i));
  samples_.Set("drift/2", subscription);
  const std::size_t largest = samples_.Usage("drift/2").bytes;
  EXPECT_GT(largest, one);
  EXPECT_TRUE(Shows("perennial_monitor_memory_largest_bytes " + std::to_string(largest)));
  EXPECT_TRUE(Shows("perennial_monitor_memory_bytes " + std::to_string(one + largest)));
}

TEST_F(MetricsTest, ShowsWeightsWantedAndInEffect) {
  Put(cache_.model_deployments, "departures", [](api::ModelDeployment& deployment) {
    api::VariantStatus challenger;
    challenger.name = "challenger";
    challenger.weight_wanted = 20;
    challenger.weight = 5;
    deployment.status.variants = {challenger};
  });
  const std::string labels = R"({namespace="transit",name="departures",role="challenger",kind=)";
  EXPECT_TRUE(Shows("perennial_rollout_weight_ratio" + labels + "\"desired\"} 0.2")) << Page();
  EXPECT_TRUE(Shows("perennial_rollout_weight_ratio" + labels + "\"actual\"} 0.05"));
}

TEST_F(MetricsTest, CountsEachRunOnceWhenItEnds) {
  const auto with = [](api::RunPhase phase, bool finished) {
    return [=](api::RetrainPolicy& policy) {
      api::Run run;
      run.name = "r";
      run.phase = phase;
      run.trigger_type = "Drift";
      if (finished) run.finished = api::Time{run.started.value + Seconds(100)};
      policy.status.runs = {run};
    };
  };
  Put(cache_.retrain_policies, "p", with(api::RunPhase::kRunning, false));
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs_total{result="failed",trigger="Drift"} 0)"));
  Put(cache_.retrain_policies, "p", with(api::RunPhase::kFailed, true));
  Put(cache_.retrain_policies, "p", with(api::RunPhase::kFailed, true));
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs_total{result="failed",trigger="Drift"} 1)"));
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs_total{result="failed",trigger="Manual"} 0)"));
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs_total{result="succeeded",trigger="Drift"} 0)"));
  const std::string took = R"(perennial_retrain_run_duration_seconds_)";
  const std::string labels = R"({result="failed",trigger="Drift")";
  EXPECT_TRUE(Shows(took + "bucket" + labels + ",le=\"60\"} 0")) << Page();
  EXPECT_TRUE(Shows(took + "bucket" + labels + ",le=\"300\"} 1"));
  EXPECT_TRUE(Shows(took + "bucket" + labels + ",le=\"+Inf\"} 1"));
  EXPECT_TRUE(Shows(took + "sum" + labels + "} 100"));
}

TEST_F(MetricsTest, ShowWhoWaitsForATurnAndHowLong) {
  const auto with = [](api::RunPhase phase) {
    return [=](api::RetrainPolicy& policy) {
      api::Run run;
      run.name = "r";
      run.phase = phase;
      run.enqueued = api::Time{};
      run.started =
          api::Time{run.enqueued->value + Seconds(phase == api::RunPhase::kWaiting ? 0 : 90)};
      policy.status.runs = {run};
    };
  };
  Put(cache_.retrain_policies, "p", with(api::RunPhase::kWaiting));
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs{state="waiting"} 1)")) << Page();
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs{state="active"} 0)"));
  EXPECT_TRUE(Shows("perennial_retrain_waiting_seconds_count 0"));
  Put(cache_.retrain_policies, "p", with(api::RunPhase::kPending));
  Put(cache_.retrain_policies, "p", with(api::RunPhase::kRunning));
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs{state="waiting"} 0)"));
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs{state="active"} 1)"));
  EXPECT_TRUE(Shows("perennial_retrain_waiting_seconds_count 1")) << "once for each run";
  EXPECT_TRUE(Shows("perennial_retrain_waiting_seconds_sum 90"));
  EXPECT_TRUE(Shows(R"(perennial_retrain_waiting_seconds_bucket{le="60"} 0)"));
  EXPECT_TRUE(Shows(R"(perennial_retrain_waiting_seconds_bucket{le="300"} 1)"));
}

TEST_F(MetricsTest, TellRunsThatShareAJobFromThoseThatHaveTheirOwn) {
  const auto with = [](const char* follows, bool finished) {
    return [=](api::RetrainPolicy& policy) {
      api::Run run;
      run.name = "r";
      run.trigger_type = "Drift";
      run.phase = finished ? api::RunPhase::kSucceeded : api::RunPhase::kRunning;
      run.follows = follows;
      if (finished) run.finished = api::Time{run.started.value + Seconds(100)};
      policy.status.runs = {run};
    };
  };
  for (const bool finished : {false, true}) {
    Put(cache_.retrain_policies, "leads", with("", finished));
    Put(cache_.retrain_policies, "north", with("leads-run", finished));
    Put(cache_.retrain_policies, "south", with("leads-run", finished));
    const std::string following = finished ? "0" : "2";
    EXPECT_TRUE(Shows(R"(perennial_retrain_runs{state="following"} )" + following)) << Page();
    EXPECT_TRUE(Shows("perennial_retrain_shared_runs_total " + std::string(finished ? "2" : "0")));
  }
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs{state="active"} 0)"));
  EXPECT_TRUE(Shows(R"(perennial_retrain_runs_total{result="succeeded",trigger="Drift"} 3)"));
}

TEST_F(MetricsTest, DoNotGrowWithoutEnd) {
  for (int i = 0; i < 210; ++i) {
    Put(cache_.drift_monitors, ("m" + std::to_string(i)).c_str(), [](api::DriftMonitor& monitor) {
      for (int s = 0; s < 100; ++s) {
        api::SignalStatus signal;
        signal.name = "s" + std::to_string(s);
        signal.value = "1";
        monitor.status.signals.push_back(signal);
      }
    });
  }
  const std::string page = Page();
  EXPECT_NE(page.find("\nperennial_metrics_omitted_series 1210\n"), std::string::npos);
}

TEST_F(MetricsTest, ShowNoSingleObjectsWhereSwitchedOff) {
  Put(cache_.drift_monitors, "m", [](api::DriftMonitor& monitor) {
    api::SignalStatus signal;
    signal.name = "s";
    signal.value = "1";
    monitor.status.signals = {signal, signal};
  });
  const auto page = [&](std::size_t most) {
    return RenderMetrics(ControllerMetrics(
        {cache_, runs_, samples_, pool_, events_, {&core_}, 2, nullptr, "", clock_, kpis_, most}));
  };
  EXPECT_EQ(page(0).find("monitor=\"m\""), std::string::npos);
  EXPECT_NE(page(0).find("\nperennial_metrics_omitted_series 3\n"), std::string::npos) << page(0);
  EXPECT_NE(page(1).find("\nperennial_metrics_omitted_series 2\n"), std::string::npos);
  EXPECT_NE(page(3).find("\nperennial_metrics_omitted_series 0\n"), std::string::npos);
}

// By the parser that reads our targets' pages.
TEST_F(MetricsTest, AreAPageThatCanBeScraped) {
  const auto page = scrape::ParseExposition(
      Page(), scrape::WantedMetrics({"perennial_scrape_lateness_seconds", "process_open_fds"}),
      scrape::Format::kText);
  ASSERT_TRUE(page.ok()) << page.error().message;
  ASSERT_EQ(page->series.size(), 2u);
  const auto histogram = std::find_if(
      page->series.begin(), page->series.end(),
      [](const scrape::Series& series) { return series.kind == scrape::SeriesKind::kHistogram; });
  ASSERT_NE(histogram, page->series.end());
  EXPECT_EQ(histogram->bounds.size(), scrape::PoolCounters::kLatenessBounds.size() + 1);
}

TEST_F(MetricsTest, TellsHowLongFromTrainedToDeployed) {
  const WallTime created = clock_.Wall();
  const auto promoted = [&](Millis after) {
    return [=](api::ModelVersion& version) {
      version.meta.created = created;
      version.meta.annotations[std::string(api::kAnnotationPromoted)] = FormatTime(created + after);
    };
  };
  // Was promoted before this process looked.
  Put(cache_.model_versions, "old", promoted(Seconds(5)));
  EXPECT_TRUE(Shows("perennial_trained_to_deployed_seconds_count 0"));
  Put(cache_.model_versions, "new", [](api::ModelVersion&) {});
  Put(cache_.model_versions, "new", promoted(Seconds(7200)));
  Put(cache_.model_versions, "new", promoted(Seconds(9000)));
  EXPECT_TRUE(Shows("perennial_trained_to_deployed_seconds_count 1"));
  EXPECT_TRUE(Shows("perennial_trained_to_deployed_seconds_sum 7200"));
  EXPECT_TRUE(Shows(R"(perennial_trained_to_deployed_seconds_bucket{le="3600"} 0)"));
  EXPECT_TRUE(Shows(R"(perennial_trained_to_deployed_seconds_bucket{le="14400"} 1)"));
}

TEST_F(MetricsTest, TellsHowLongADriftLasted) {
  Put(cache_.drift_monitors, "m", [&](api::DriftMonitor& monitor) {
    monitor.status.episode = api::Episode{};
    monitor.status.episode->started = api::Time{clock_.Wall()};
  });
  EXPECT_TRUE(Shows("perennial_drift_to_recovered_seconds_count 0"));
  clock_.Advance(Seconds(90));
  Put(cache_.drift_monitors, "m",
      [](api::DriftMonitor& monitor) { monitor.status.episode.reset(); });
  EXPECT_TRUE(Shows("perennial_drift_to_recovered_seconds_count 1"));
  EXPECT_TRUE(Shows("perennial_drift_to_recovered_seconds_sum 90"));
}

}  // namespace
}  // namespace perennial::app
