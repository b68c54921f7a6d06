#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/store_index.h"
#include "drift/observe.h"
#include "support/no_transport.h"

// One DriftMonitor over the real sample store, driven scrape by scrape.
namespace perennial::drift {

inline constexpr Millis kMinute{60'000};

struct FakeClock : Clock {
  WallTime Wall() const override { return WallTime(Millis{1'764'000'000'000}) + steady.load(); }
  Millis Steady() const override { return steady.load(); }
  std::atomic<Millis> steady{Millis{10'000'000}};
};

// A monitor of one model over the real sample store. Pods are scraped by Record(), as the pool
// does.
class DriftObserve : public ::testing::Test {
 protected:
  DriftObserve() {
    slices_.AddIndex(api::kSlicesByService, api::ServiceOf);
    monitored_slices_.AddIndex(api::kSlicesByService, api::ServiceOf);
    monitor_.meta.key = {"ns", "m"};
    monitor_.meta.uid = "uid-m";
    monitor_.spec.target.model_deployment = "d";
    monitor_.spec.interval.value = kMinute;
    monitor_.spec.window.value = kMinute * 10;
    monitor_.spec.min_samples = 300;
    monitor_.spec.for_evaluations = 2;
    monitor_.spec.of_evaluations = 3;
    api::Signal signal;
    signal.name = "distance";
    signal.metric = "x";
    signal.tests = {{"population_stability_index", std::nullopt, {0.25, "0.25"}}};
    monitor_.spec.signals = {signal};
    Put(monitors_, monitor_);
    deployment_.meta.key = {"ns", "d"};
    deployment_.meta.uid = "uid-d";
    deployment_.spec.metrics = {"metrics", "/stats"};
    deployment_.status.champion = "v1";
    deployment_.status.variants = {Variant("champion", "v1", "d-v1")};
    Put(deployments_, deployment_);
    PutVersion("v1", {400, 300, 200, 100});
    PutSlice("d-v1-abc", "d-v1", {{"10.0.0.1", "a"}, {"10.0.0.2", "b"}});
  }

  static api::VariantStatus Variant(std::string name, std::string version, std::string service) {
    api::VariantStatus variant;
    variant.name = std::move(name);
    variant.version = std::move(version);
    variant.service = std::move(service);
    return variant;
  }

  template <class T>
  void Put(kube::Store<T>& store, T object) {
    object.meta.resource_version = std::to_string(++revision_);
    store.Upsert(std::make_shared<T>(std::move(object)));
  }

  void PutVersion(const std::string& name, std::vector<double> counts) {
    api::ModelVersion version;
    version.meta.key = {"ns", name};
    version.meta.uid = "uid-" + name;
    if (!counts.empty()) {
      api::MetricProfile metric;
      metric.metric = "x";
      metric.bounds = {1, 2, 3};
      metric.counts = std::move(counts);
      version.spec.profile = api::Profile{1000, {metric}, {}};
    }
    Put(versions_, version);
  }

  void PutService(const std::string& name, const std::string& owner = "uid-d") {
    api::ServiceView service;
    service.meta.key = {"ns", name};
    service.meta.uid = "uid-" + name;
    service.meta.owners = {{"perennial.dev/v1alpha1", "ModelDeployment", "d", owner, true}};
    Put(services_, service);
  }

  // Pods as (address, UID); a "-" before the UID makes one that isn't ready.
  void PutSlice(const std::string& name, const std::string& service,
                const std::vector<std::pair<std::string, std::string>>& pods,
                const std::string& port = "metrics") {
    api::EndpointSliceView slice;
    slice.meta.key = {"ns", name};
    slice.meta.uid = "uid-" + name;
    slice.service = service;
    slice.meta.owners = {{"v1", "Service", service, "uid-" + service, true}};
    PutService(service);
    slice.ports = {{"http", 8080}, {port, 9090}};
    for (const auto& [address, uid] : pods) {
      const bool ready = !uid.starts_with("-");
      slice.endpoints.push_back({address, "pod-" + uid, ready ? uid : uid.substr(1), ready});
    }
    Put(slices_, slice);
  }

  // A scrape of a pod: `counts` more observations than at the last one.
  void Scrape(const std::string& pod, const std::vector<double>& counts) {
    auto& total = counters_[pod];
    total.resize(4);
    scrape::Series series;
    series.metric = "x";
    series.kind = scrape::SeriesKind::kHistogram;
    series.bounds = {1, 2, 3, std::numeric_limits<double>::infinity()};
    double cumulative = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      total[i] += counts[i];
      series.cumulative.push_back(cumulative += total[i]);
    }
    series.count = cumulative;
    scrape::Scrape page;
    page.series.push_back(series);
    const auto job = samples_.FindJob("drift/" + monitor_.meta.uid, pod);
    ASSERT_TRUE(job.has_value()) << pod;
    samples_.Record(*job, page, clock_.Steady(), clock_.Wall());
  }

  void Fail(const std::string& pod) {
    const auto job = samples_.FindJob("drift/" + monitor_.meta.uid, pod);
    ASSERT_TRUE(job.has_value());
    samples_.Record(*job, Error{Errc::kUnavailable, "connection refused"}, clock_.Steady(),
                    clock_.Wall());
  }

  Observed Observe() {
    auto seen = reconciler_.Observe({"ns", "m"}, {clock_.Wall(), ""});
    EXPECT_TRUE(seen.has_value());
    return seen ? *std::move(seen) : Observed{};
  }

  // Observes, decides, and lets the store see the status.
  kube::Plan Reconcile() {
    const kube::Plan plan = DriftReconciler::Decide(Observe(), clock_.Wall());
    if (plan.status) {
      ++writes_;
      const nlohmann::json object = {
          {"metadata", {{"name", "m"}, {"namespace", "ns"}, {"uid", monitor_.meta.uid}}},
          {"spec", nlohmann::json::parse(api::EncodeSpec(monitor_.spec))},
          {"status", nlohmann::json::parse(*plan.status)}};
      const auto decoded = api::DecodeDriftMonitor(object);
      EXPECT_TRUE(decoded.ok()) << decoded.error().message;
      if (decoded.ok()) monitor_.status = decoded->status;
      Put(monitors_, monitor_);
    }
    return plan;
  }

  // A minute passes, both pods count the same, a round is over.
  kube::Plan Round(const std::vector<double>& counts) {
    clock_.steady = clock_.Steady() + kMinute;
    Scrape("a", counts);
    Scrape("b", counts);
    return Reconcile();
  }

  std::string Marks(const Observed& seen, const std::string& version = "v1") const {
    const auto it = seen.history.entries().find({"distance", version});
    return it == seen.history.entries().end() ? "" : it->second.marks;
  }

  api::SecretLookup Secrets() {
    return [this](const kube::Key& secret, const std::string& key) -> Result<std::string> {
      const auto it = secrets_.find(secret.name + "/" + key);
      if (secret.ns == "ns" && it != secrets_.end()) return it->second;
      return Error{Errc::kForbidden, "Secret " + kube::ToString(secret) + " can't be read"};
    };
  }

  std::map<std::string, std::string> secrets_;
  const std::vector<double> usual_{80, 60, 40, 20};
  const std::vector<double> moved_{20, 40, 60, 80};

  FakeClock clock_;
  std::uint64_t revision_ = 0;
  int writes_ = 0;
  std::map<std::string, std::vector<double>> counters_;
  kube::Store<api::DriftMonitor> monitors_;
  kube::Store<api::ModelDeployment> deployments_;
  kube::Store<api::ModelVersion> versions_;
  kube::Store<api::EndpointSliceView> slices_;
  kube::Store<api::ServiceView> services_;
  perennial::testing::NoTransport transport_;
  kube::InformerSet<api::ProfileMapView> baselines_{
      transport_, clock_, {}, api::DecodeProfileMapView};
  kube::InformerSet<api::ServiceView> monitored_services_{
      transport_, clock_, {}, api::DecodeServiceView};
  kube::InformerSet<api::EndpointSliceView> monitored_slices_{
      transport_, clock_, {}, api::DecodeEndpointSliceView};
  const DriftReconciler::Stores stores_{
      monitors_, deployments_, versions_,           slices_,
      services_, baselines_,   monitored_services_, monitored_slices_};
  api::DriftMonitor monitor_;
  api::ModelDeployment deployment_;
  scrape::SampleStore samples_{clock_};
  DriftReconciler reconciler_{stores_, samples_, clock_, Secrets()};
};

}  // namespace perennial::drift
