// What it costs to look once at every monitor of a large cluster: 10 features of 20 buckets each,
// through the controller's own observe and decide. PERENNIAL_BENCH_MONITORS: how many (18,000).
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <ctime>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/codec.h"
#include "api/store_index.h"
#include "bench_setting.h"
#include "drift/observe.h"
#include "support/no_transport.h"

namespace perennial::drift {
namespace {

constexpr int kFeatures = 10;
constexpr int kBuckets = 20;
constexpr Millis kMinute{60'000};

struct BenchClock : Clock {
  WallTime Wall() const override { return WallTime(Millis{1'764'000'000'000}) + steady; }
  Millis Steady() const override { return steady; }
  Millis steady{10'000'000};
};

double HeapBytes() {
  return static_cast<double>(mallinfo2().uordblks);
}

double ProcessorSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::string Feature(int i) {
  return "feature_" + std::to_string(i) + "_value";
}

class World {
 public:
  World() { slices_.AddIndex(api::kSlicesByService, api::ServiceOf); }

  void AddModel(int i) {
    const std::string name = "model-" + std::to_string(i);
    api::ModelDeployment deployment;
    deployment.meta = Meta(name, "-d");
    deployment.spec.metrics = {"metrics", "/metrics"};
    deployment.status.champion = name + "-v1";
    api::VariantStatus variant;
    variant.name = "champion";
    variant.version = variant.service = name + "-v1";
    deployment.status.variants = {variant};
    deployments_.Upsert(std::make_shared<api::ModelDeployment>(std::move(deployment)));
    api::ModelVersion version;
    version.meta = Meta(name + "-v1", "-v");
    version.spec.profile = BaselineProfile();
    versions_.Upsert(std::make_shared<api::ModelVersion>(std::move(version)));
    api::ServiceView service;
    service.meta = Meta(name + "-v1", "-svc");
    service.meta.owners = {{"perennial.dev/v1alpha1", "ModelDeployment", name, name + "-d", true}};
    api::EndpointSliceView slice;
    slice.meta = Meta(name + "-v1-abcde", "-s");
    slice.meta.owners = {{"v1", "Service", service.meta.key.name, service.meta.uid, true}};
    services_.Upsert(std::make_shared<api::ServiceView>(std::move(service)));
    slice.service = name + "-v1";
    slice.ports = {{"metrics", 9090}};
    slice.endpoints.push_back({"10.1.2.3", "pod", name + "-pod", true});
    slices_.Upsert(std::make_shared<api::EndpointSliceView>(std::move(slice)));
  }

  void AddMonitor(int i) {
    api::DriftMonitor monitor;
    monitor.meta = Meta("model-" + std::to_string(i), "-m");
    monitor.spec.target.model_deployment = monitor.meta.key.name;
    for (int f = 0; f < kFeatures; ++f) {
      api::Signal signal;
      signal.name = "feature-" + std::to_string(f);
      signal.metric = Feature(f);
      signal.tests = {{"population_stability_index", api::Decimal{0.1, "0.1"}, {0.25, "0.25"}}};
      monitor.spec.signals.push_back(std::move(signal));
    }
    monitors_.Upsert(std::make_shared<api::DriftMonitor>(std::move(monitor)));
  }

  // One look. A status that it writes is shown to the store, as the API server would, and then
  // looked at as the controller is woken to.
  void Look(int i) {
    const kube::Key key{"models", "model-" + std::to_string(i)};
    const std::optional<std::string> status = Judge(key);
    if (!status) return;
    ++written_;
    auto changed = *monitors_.Get(key);
    const auto decoded = api::DecodeDriftMonitor(
        {{"metadata", {{"name", key.name}, {"namespace", key.ns}, {"uid", changed.meta.uid}}},
         {"spec", nlohmann::json::parse(api::EncodeSpec(changed.spec))},
         {"status", nlohmann::json::parse(*status)}});
    changed.status = decoded->status;
    changed.meta.resource_version = std::to_string(++revision_);
    monitors_.Upsert(std::make_shared<api::DriftMonitor>(std::move(changed)));
    const auto seen = reconciler_.Observe(key, {clock_.Wall(), ""});
    if (DriftReconciler::Decide(*seen, clock_.Wall()).status) ++restless_;
  }

  void Scrape(int i, int round) {
    scrape::Scrape page;
    for (int f = 0; f < kFeatures; ++f) {
      scrape::Series series;
      series.metric = Feature(f);
      series.kind = scrape::SeriesKind::kHistogram;
      double cumulative = 0;
      for (int b = 0; b < kBuckets; ++b) {
        series.bounds.push_back(b + 1 < kBuckets ? b + 1 : std::numeric_limits<double>::infinity());
        series.cumulative.push_back(cumulative += round * (100 + (b * 7 + i + f) % 5));
      }
      series.count = cumulative;
      page.series.push_back(std::move(series));
    }
    const std::string name = "model-" + std::to_string(i);
    const auto job = samples_.FindJob(SubscriptionOf(name + "-m"), name + "-pod");
    samples_.Record(*job, page, clock_.Steady(), clock_.Wall());
  }

  // How many of the monitor's signals were judged.
  int Judged(int i) const {
    const auto monitor = monitors_.Get({"models", "model-" + std::to_string(i)});
    int judged = 0;
    for (const api::SignalStatus& signal : monitor->status.signals) judged += !signal.value.empty();
    return judged;
  }

  void Pass(Millis time) { clock_.steady += time; }

  // Since the last call: processor seconds of Observe and Decide.
  double TakeSeconds() { return std::exchange(seconds_, 0); }
  int TakeWritten() { return std::exchange(written_, 0); }
  // Monitors that wrote twice about one look.
  int restless() const { return restless_; }

 private:
  std::optional<std::string> Judge(const kube::Key& key) {
    const double before = ProcessorSeconds();
    const auto seen = reconciler_.Observe(key, {clock_.Wall(), ""});
    kube::Plan plan = DriftReconciler::Decide(*seen, clock_.Wall());
    seconds_ += ProcessorSeconds() - before;
    return std::move(plan.status);
  }

  kube::Meta Meta(const std::string& name, const char* suffix) {
    kube::Meta meta;
    meta.key = {"models", name};
    meta.uid = name + suffix;
    meta.resource_version = std::to_string(++revision_);
    return meta;
  }

  static api::Profile BaselineProfile() {
    api::Profile profile;
    profile.rows = 20'000;
    for (int f = 0; f < kFeatures; ++f) {
      api::MetricProfile metric;
      metric.metric = Feature(f);
      for (int b = 0; b + 1 < kBuckets; ++b) metric.bounds.push_back(b + 1);
      for (int b = 0; b < kBuckets; ++b) metric.counts.push_back(1'000 + (b * 13 + f) % 40);
      profile.metrics.push_back(std::move(metric));
    }
    return profile;
  }

  int revision_ = 0;
  int written_ = 0;
  int restless_ = 0;
  double seconds_ = 0;
  BenchClock clock_;
  kube::Store<api::DriftMonitor> monitors_;
  kube::Store<api::ModelDeployment> deployments_;
  kube::Store<api::ModelVersion> versions_;
  kube::Store<api::EndpointSliceView> slices_;
  kube::Store<api::ServiceView> services_;
  ::perennial::testing::NoTransport transport_;
  kube::InformerSet<api::ProfileMapView> baselines_{
      transport_, clock_, {}, api::DecodeProfileMapView};
  kube::InformerSet<api::ServiceView> monitored_services_{
      transport_, clock_, {}, api::DecodeServiceView};
  kube::InformerSet<api::EndpointSliceView> monitored_slices_{
      transport_, clock_, {}, api::DecodeEndpointSliceView};
  scrape::SampleStore samples_{clock_};
  DriftReconciler reconciler_{{monitors_, deployments_, versions_, slices_, services_, baselines_,
                               monitored_services_, monitored_slices_},
                              samples_,
                              clock_};
};

// From a cluster's first look at every monitor to the fifth, when nothing is new any more.
void LookAtAll(benchmark::State& state) {
  const int n = bench::Setting("PERENNIAL_BENCH_MONITORS", 18'000);
  constexpr int kLooks = 5;      // the first four fill what is remembered of a signal's looks
  constexpr int kFirstLook = 3;  // after so many scrapes
  for (auto _ : state) {
    World world;
    for (int i = 0; i < n; ++i) world.AddModel(i);
    const double models = HeapBytes();
    for (int i = 0; i < n; ++i) world.AddMonitor(i);
    const double objects = HeapBytes();
    for (int i = 0; i < n; ++i) world.Look(i);  // subscribes
    const double subscribed = HeapBytes();
    world.TakeSeconds();
    world.TakeWritten();
    double windows = 0;
    for (int round = 1; round < kFirstLook + kLooks; ++round) {
      world.Pass(kMinute);
      const double before = HeapBytes();
      for (int i = 0; i < n; ++i) world.Scrape(i, round);
      windows += HeapBytes() - before;
      if (round < kFirstLook) continue;
      for (int i = 0; i < n; ++i) world.Look(i);
      const double seconds = world.TakeSeconds();
      const int written = world.TakeWritten();
      if (round == kFirstLook) {
        state.counters["first_seconds"] = seconds;
        state.counters["first_written"] = written;
      } else if (round + 1 == kFirstLook + kLooks) {
        state.counters["steady_seconds"] = seconds;
        state.counters["steady_written"] = written;
      }
    }
    const double beside = HeapBytes() - models - windows;
    if (world.Judged(n / 2) != kFeatures) {
      state.SkipWithError("not every signal was judged");
      break;
    }
    if (world.restless() > 0) {
      state.SkipWithError("a status was written twice");
      break;
    }
    state.counters["monitors"] = n;
    state.counters["object_bytes"] = (objects - models) / n;
    state.counters["subscription_bytes"] = (subscribed - objects) / n;
    state.counters["window_bytes"] = windows / n;
    state.counters["look_bytes"] = (beside - (subscribed - models)) / n;
    state.counters["beyond_windows"] = beside / n;
  }
}
BENCHMARK(LookAtAll)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace perennial::drift

BENCHMARK_MAIN();
