#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/codec.h"
#include "drift/observe.h"

namespace perennial::drift {
namespace {

using api::SignalState;

constexpr Millis kMinute{60'000};

struct FakeClock : Clock {
  WallTime Wall() const override { return WallTime(Millis{1'764'000'000'000}) + steady.load(); }
  Millis Steady() const override { return steady.load(); }
  std::atomic<Millis> steady{Millis{10'000'000}};
};

std::vector<std::string> ServiceOf(const api::EndpointSliceView& slice) {
  return {slice.meta.key.ns + "/" + slice.service};
}

// A monitor of one model over the real sample store. Pods are scraped by Record(), as the pool
// does.
class DriftObserve : public ::testing::Test {
 protected:
  DriftObserve() {
    slices_.AddIndex(kByService, ServiceOf);
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
      version.spec.profile = api::Profile{1000, {metric}};
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
  kube::Store<api::ProfileMapView> baselines_;
  api::DriftMonitor monitor_;
  api::ModelDeployment deployment_;
  scrape::SampleStore samples_{clock_};
  DriftReconciler reconciler_{{monitors_, deployments_, versions_, slices_, services_, baselines_},
                              samples_,
                              clock_,
                              Secrets()};
};

static_assert(kube::Reconciler<DriftReconciler>);

TEST_F(DriftObserve, SubscribesToTheReadyPodsOfEveryVariant) {
  deployment_.status.variants.push_back(Variant("challenger", "v2", "d-v2"));
  Put(deployments_, deployment_);
  PutSlice("d-v1-xyz", "d-v1", {{"10.0.0.3", "c"}, {"10.0.0.4", "-d"}, {"fd00::1", "a"}});
  PutSlice("d-v2-abc", "d-v2", {{"10.0.1.1", "e"}});
  PutSlice("other-abc", "other", {{"10.0.9.9", "z"}});
  const Observed seen = Observe();
  EXPECT_EQ(seen.targets, 4);
  EXPECT_EQ(seen.versions, (std::vector<std::string>{"v1", "v2"}));
  EXPECT_EQ(seen.problem, "");
  std::map<std::string, scrape::Target> targets;
  for (const auto& job : samples_.TakeJobChanges().started) {
    targets[job->target.id] = job->target;
    EXPECT_EQ(job->interval, kMinute);
    EXPECT_EQ(job->wanted->names(), (std::vector<std::string>{"x"}));
  }
  ASSERT_EQ(targets.size(), 4u);
  EXPECT_EQ(targets["a"], (scrape::Target{"a", "10.0.0.1", 9090, "/stats", "v1"}));
  EXPECT_EQ(targets["e"], (scrape::Target{"e", "10.0.1.1", 9090, "/stats", "v2"}));
  EXPECT_FALSE(targets.contains("d")) << "not ready";
  Observe();
  EXPECT_TRUE(samples_.TakeJobChanges().started.empty()) << "the same again changes nothing";
}

TEST_F(DriftObserve, SaysWhyNothingIsScraped) {
  PutSlice("d-v1-abc", "d-v1", {{"10.0.0.1", "-a"}});
  EXPECT_EQ(Observe().problem, "no pod of version v1 is ready");
  PutSlice("d-v1-abc", "d-v1", {{"10.0.0.1", "a"}}, "prom");
  EXPECT_NE(Observe().problem.find("no port named metrics"), std::string::npos);
  slices_.Remove({"ns", "d-v1-abc"});
  EXPECT_NE(Observe().problem.find("has no EndpointSlices yet"), std::string::npos);
}

// Who may write EndpointSlices must not thereby choose what the controller connects to.
TEST_F(DriftObserve, IgnoresSlicesThatTheServiceDoesNotControl) {
  const auto forge = [&](std::vector<kube::OwnerReference> owners) {
    api::EndpointSliceView slice;
    slice.meta.key = {"ns", "forged"};
    slice.meta.uid = "uid-forged";
    slice.meta.owners = std::move(owners);
    slice.service = "d-v1";
    slice.ports = {{"metrics", 443}};
    slice.endpoints = {{"10.96.0.1", "pod-x", "x", true}};
    Put(slices_, slice);
    return Observe().targets;
  };
  EXPECT_EQ(forge({}), 2);
  EXPECT_EQ(forge({{"v1", "Service", "d-v1", "uid-of-an-old-one", true}}), 2);
  EXPECT_EQ(forge({{"v1", "Service", "d-v1", "uid-d-v1", false}}), 2);
  for (const auto& job : samples_.TakeJobChanges().started) {
    EXPECT_NE(job->target.address, "10.96.0.1");
  }
  // Nor does a Service count that somebody made in the place of ours.
  PutService("d-v1", "uid-of-another");
  EXPECT_EQ(Observe().targets, 0);
}

TEST_F(DriftObserve, AsksThePodsOverTlsWithTheSecretsEntries) {
  deployment_.spec.metrics.scheme = api::Scheme::kHttps;
  deployment_.spec.metrics.tls = api::TlsTrust{api::SecretKey{"pods", "ca.crt"}, "model"};
  deployment_.spec.metrics.bearer_token = api::SecretKey{"pods", "token"};
  Put(deployments_, deployment_);
  Observed seen = Observe();
  EXPECT_EQ(seen.problem, "Secret ns/pods can't be read");
  EXPECT_EQ(seen.targets, 2);
  EXPECT_TRUE(samples_.TakeJobChanges().started.empty()) << "never without what was asked for";
  secrets_ = {{"pods/ca.crt", "PEM\n"}, {"pods/token", "t1\n"}};
  seen = Observe();
  EXPECT_EQ(seen.problem, "");
  const auto jobs = samples_.TakeJobChanges().started;
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_TRUE(jobs[0]->access->tls);
  EXPECT_EQ(jobs[0]->access->bearer_token, "t1");
  EXPECT_EQ(jobs[0]->access->ca_pem, "PEM");
  EXPECT_EQ(jobs[0]->access->server_name, "model");
  secrets_["pods/token"] = "t2";
  Observe();
  EXPECT_EQ(samples_.TakeJobChanges().started.size(), 2u) << "a new token is used at once";
}

TEST_F(DriftObserve, AsksAPrometheusForThePodsByName) {
  api::PrometheusSource prometheus;
  prometheus.url = "https://prometheus:9090";
  prometheus.basic_auth = api::BasicAuthSecret{"prometheus"};
  prometheus.matchers = {{"job", "pods"}};
  monitor_.spec.source = api::Source{std::nullopt, prometheus};
  Put(monitors_, monitor_);
  secrets_ = {{"prometheus/username", "u"}, {"prometheus/password", "p"}};
  Observed seen = Observe();
  EXPECT_EQ(seen.targets, 2);
  EXPECT_TRUE(samples_.TakeJobChanges().started.empty()) << "the pods are not scraped";
  const auto queries = samples_.TakeQueryChanges();
  ASSERT_EQ(queries.size(), 1u);
  ASSERT_TRUE(queries[0]->source.has_value());
  EXPECT_EQ(queries[0]->source->ns, "ns") << "of no other namespace";
  EXPECT_EQ(queries[0]->source->variants,
            (std::vector<std::pair<std::string, std::string>>{{"v1", "d-v1"}}));
  EXPECT_EQ(queries[0]->source->matchers, (scrape::Labels{{"job", "pods"}}));
  EXPECT_EQ(queries[0]->access->username, "u");
  EXPECT_EQ(queries[0]->access->password, "p");

  samples_.RecordQueryFailure("drift/uid-m", {Errc::kTimeout, "no complete answer in time"});
  EXPECT_EQ(Observe().problem, "2 of 2 targets failed: no complete answer in time");
  scrape::ScrapedPages pages;
  pages.problems = {"Prometheus warns: partial"};
  for (const char* pod : {"pod-a", "pod-b"}) {
    pages.pages.push_back({pod, "v1", clock_.Wall(), scrape::Scrape{}});
  }
  samples_.RecordPages("drift/uid-m", pages, true);
  seen = Observe();
  EXPECT_EQ(seen.targets_up, 2);
  EXPECT_EQ(seen.problem, "");
  EXPECT_EQ(seen.warning, "Prometheus warns: partial");
  const auto plan = DriftReconciler::Decide(seen, clock_.Wall());
  ASSERT_TRUE(plan.status.has_value());
  EXPECT_NE(plan.status->find("SourceWarns"), std::string::npos);
}

TEST_F(DriftObserve, TellsThatScrapesFail) {
  Reconcile();
  Fail("a");
  Fail("b");
  const Observed seen = Observe();
  EXPECT_EQ(seen.targets, 2);
  EXPECT_EQ(seen.targets_up, 0);
  EXPECT_NE(seen.problem.find("connection refused"), std::string::npos) << seen.problem;
}

TEST_F(DriftObserve, LooksOnceAnIntervalHoweverOftenItIsWoken) {
  Reconcile();
  Round(usual_);
  EXPECT_EQ(Marks(Observe()), "?") << "a first scrape counts nothing";
  for (int i = 0; i < 5; ++i) Observe();
  EXPECT_EQ(Marks(Observe()), "?");
  Round(usual_);
  EXPECT_EQ(Marks(Observe()), "-?");
  clock_.steady = clock_.Steady() + kMinute / 2;
  Scrape("a", usual_);
  Scrape("b", usual_);
  EXPECT_EQ(Marks(Observe()), "-?") << "a round before its time";
  clock_.steady = clock_.Steady() + kMinute / 2;
  EXPECT_EQ(Marks(Observe()), "--?");
}

TEST_F(DriftObserve, LooksWithoutARoundTooAndSaysWhen) {
  Reconcile();
  Round(usual_);
  Observed seen = Observe();
  EXPECT_EQ(seen.next_evaluation, clock_.Wall() + kMinute);
  clock_.steady = clock_.Steady() + kMinute;
  seen = Observe();
  EXPECT_EQ(Marks(seen), "?") << "the round may still come";
  EXPECT_EQ(seen.next_evaluation, clock_.Wall() + kMinute / 2);
  clock_.steady = clock_.Steady() + kMinute / 2;
  seen = Observe();
  EXPECT_EQ(Marks(seen), "??");
  EXPECT_EQ(seen.next_evaluation, clock_.Wall() + kMinute);
}

TEST_F(DriftObserve, ASignalReadsTheWindowWhoseLabelsHaveArrived) {
  api::Signal late;
  late.name = "distance";
  late.type = api::SignalType::kModelPerformance;
  late.expression = "histogram_count(increase(x))";
  late.window = api::Duration{kMinute * 5};
  late.offset = api::Duration{kMinute * 20};
  late.max = {1'500, "1500"};
  monitor_.spec.signals = {late};
  Put(monitors_, monitor_);
  Reconcile();
  Round({0, 0, 0, 0});
  for (int i = 0; i < 5; ++i) Round(moved_);  // 2 pods x 200 a minute: 2000 in five minutes
  EXPECT_EQ(Marks(Observe()).front(), '?') << "what came now isn't judged yet";
  for (int i = 0; i < 21; ++i) Round({0, 0, 0, 0});
  EXPECT_NE(Marks(Observe()).find('B'), std::string::npos)
      << "judged when its labels have come, beyond the monitor's window of ten minutes";
  EXPECT_EQ(monitor_.status.signals.front().state, SignalState::kDrifted);
}

TEST_F(DriftObserve, AMistakeInAnExpressionIsAConditionWithItsColumn) {
  api::Signal wrong;
  wrong.name = "errors";
  wrong.type = api::SignalType::kCustom;
  wrong.expression = "rate(x[1h]";
  wrong.max = {1, "1"};
  monitor_.spec.signals.push_back(wrong);
  Put(monitors_, monitor_);
  Reconcile();
  Round(usual_);
  Round(usual_);
  EXPECT_EQ(Marks(Observe()), "-?") << "the other signal is judged";
  const kube::Condition* ready = kube::FindCondition(monitor_.status.conditions, "Ready");
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(ready->status, "False");
  EXPECT_EQ(ready->reason, "InvalidSpec");
  EXPECT_NE(ready->message.find("signal errors: expression: column 11: ')' is missing"),
            std::string::npos)
      << ready->message;
  monitor_.spec.signals.back().expression = "rate(x_count[1h])";
  ++monitor_.meta.generation;
  Put(monitors_, monitor_);
  for (int i = 0; i < 3; ++i) Round(usual_);
  EXPECT_EQ(kube::FindCondition(monitor_.status.conditions, "Ready")->reason, "Watching");
}

TEST_F(DriftObserve, FindsADriftAndItsEndOverRealWindows) {
  Reconcile();
  for (int i = 0; i < 12; ++i) Round(usual_);
  EXPECT_EQ(monitor_.status.signals.at(0).state, SignalState::kOk);
  EXPECT_EQ(monitor_.status.targets_up, 2);
  EXPECT_EQ(monitor_.status.baseline, "v1");
  const int writes = writes_;
  for (int i = 0; i < 20; ++i) Round(usual_);
  EXPECT_EQ(writes_, writes) << "idle is no writes";
  int rounds = 0;
  while (!monitor_.status.episode && rounds < 20) {
    Round(moved_);
    ++rounds;
  }
  EXPECT_GT(rounds, 2) << "the window must fill with what is new";
  EXPECT_LT(rounds, 12);
  EXPECT_EQ(monitor_.status.signals.at(0).state, SignalState::kDrifted);
  EXPECT_EQ(monitor_.status.signals.at(0).tests.at(0).measure, "population_stability_index");
  const std::string id = monitor_.status.episode->id;
  for (int i = 0; i < 5; ++i) Round(moved_);
  EXPECT_EQ(monitor_.status.episode->id, id);
  for (int i = 0; i < 14; ++i) Round(usual_);
  EXPECT_FALSE(monitor_.status.episode.has_value());
}

TEST_F(DriftObserve, ANewReconcilerContinuesFromStatus) {
  Reconcile();
  for (int i = 0; i < 14; ++i) Round(moved_);
  const auto episode = monitor_.status.episode;
  ASSERT_TRUE(episode.has_value());
  scrape::SampleStore samples(clock_);
  DriftReconciler restarted({monitors_, deployments_, versions_, slices_, services_, baselines_},
                            samples, clock_);
  const std::string before = monitor_.status.signals.at(0).recent;
  EXPECT_NE(before.find('B'), std::string::npos);
  for (int i = 0; i < 6; ++i) {
    const auto seen = restarted.Observe({"ns", "m"}, {clock_.Wall(), ""});
    ASSERT_TRUE(seen.has_value());
    if (i < 2) {
      EXPECT_EQ(Marks(*seen), i == 0 ? before : "?" + before.substr(0, 2));
    }
    const kube::Plan plan = DriftReconciler::Decide(*seen, clock_.Wall());
    EXPECT_TRUE(plan.actions.empty()) << "no event";
    if (plan.status) {
      EXPECT_NE(plan.status->find(episode->id), std::string::npos);
    }
    clock_.steady = clock_.Steady() + kMinute * 2;
  }
}

TEST_F(DriftObserve, JudgesAChallengerByItsOwnProfile) {
  PutVersion("v2", {100, 200, 300, 400});
  PutSlice("d-v2-abc", "d-v2", {{"10.0.1.1", "e"}});
  deployment_.status.variants.push_back(Variant("challenger", "v2", "d-v2"));
  Put(deployments_, deployment_);
  Reconcile();
  for (int i = 0; i < 4; ++i) {
    clock_.steady = clock_.Steady() + kMinute;
    Scrape("a", usual_);
    Scrape("b", usual_);
    Scrape("e", {60, 120, 180, 240});
    Reconcile();
  }
  Observed seen = Observe();
  EXPECT_EQ(Marks(seen, "v1"), "---");
  EXPECT_EQ(Marks(seen, "v2"), "---");
  // An inline baseline is for all.
  monitor_.spec.baseline.from = api::BaselineFrom::kInline;
  monitor_.spec.baseline.profile = versions_.Get({"ns", "v1"})->spec.profile;
  Put(monitors_, monitor_);
  clock_.steady = clock_.Steady() + kMinute * 2;
  seen = Observe();
  EXPECT_EQ(seen.baseline, "inline");
  EXPECT_EQ(Marks(seen, "v1").front(), '-');
  EXPECT_EQ(Marks(seen, "v2").front(), 'B');
}

TEST_F(DriftObserve, APromotionDropsTheOldChampionsHistory) {
  Reconcile();
  for (int i = 0; i < 14; ++i) Round(moved_);
  ASSERT_TRUE(monitor_.status.episode.has_value());
  PutVersion("v2", {100, 200, 300, 400});
  PutSlice("d-v2-abc", "d-v2", {{"10.0.1.1", "e"}});
  deployment_.status.champion = "v2";
  deployment_.status.variants = {Variant("champion", "v2", "d-v2")};
  Put(deployments_, deployment_);
  Reconcile();
  EXPECT_FALSE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.champion, "v2");
  EXPECT_EQ(monitor_.status.baseline, "v2");
  clock_.steady = clock_.Steady() + kMinute * 2;
  const Observed seen = Observe();
  EXPECT_EQ(Marks(seen, "v1"), "");
  EXPECT_EQ(Marks(seen, "v2"), "?");
}

// The baseline follows the champion in one and the same write, forth and back, whoever decides.
TEST_F(DriftObserve, APromotionSwitchesTheBaselineAndARollbackBringsItBack) {
  PutVersion("v2", {100, 200, 300, 400});
  PutSlice("d-v2-abc", "d-v2", {{"10.0.1.1", "e"}});
  Reconcile();
  const auto champion_is = [&](const std::string& version) {
    deployment_.status.champion = version;
    deployment_.status.variants = {Variant("champion", version, "d-" + version)};
    Put(deployments_, deployment_);
  };
  for (const char* version : {"v2", "v1", "v2", "v1"}) {
    champion_is(version);
    const int writes = writes_;
    // A reconciler that never saw what was before says the same.
    scrape::SampleStore samples(clock_);
    DriftReconciler restarted({monitors_, deployments_, versions_, slices_, baselines_}, samples,
                              clock_);
    const auto seen = restarted.Observe({"ns", "m"}, {clock_.Wall(), ""});
    ASSERT_TRUE(seen.has_value());
    const kube::Plan other = DriftReconciler::Decide(*seen, clock_.Wall());
    const kube::Plan plan = Reconcile();
    EXPECT_EQ(writes_, writes + 1) << "champion and baseline in one write";
    EXPECT_EQ(plan.status, other.status);
    EXPECT_EQ(monitor_.status.champion, version);
    EXPECT_EQ(monitor_.status.baseline, version);
    ASSERT_TRUE(monitor_.status.baseline_recorded.has_value());
    EXPECT_EQ(monitor_.status.baseline_recorded->value,
              versions_.Get({"ns", version})->meta.created);
  }
  // And the windows are judged by it: v1 sees what it was trained on.
  for (int i = 0; i < 3; ++i) Round(usual_);
  EXPECT_EQ(Marks(Observe(), "v1").front(), '-');
}

TEST_F(DriftObserve, ReadsABaselineFromAConfigMap) {
  monitor_.spec.baseline.from = api::BaselineFrom::kConfigMap;
  monitor_.spec.baseline.config_map = {"p", "profile.json"};
  Put(monitors_, monitor_);
  const auto ready = [&] {
    Reconcile();
    return kube::FindCondition(monitor_.status.conditions, "Ready")->message;
  };
  EXPECT_NE(ready().find("kubectl label configmap p perennial.dev/baseline=true"),
            std::string::npos);
  const auto put = [&](const nlohmann::json& data) {
    auto map = api::DecodeProfileMapView({{"metadata",
                                           {{"namespace", "ns"},
                                            {"name", "p"},
                                            {"uid", "u"},
                                            {"creationTimestamp", "2025-11-01T00:00:00Z"}}},
                                          {"data", data}});
    ASSERT_TRUE(map.ok()) << map.error().message;
    Put(baselines_, *map);
  };
  put({{"other", "{}"}});
  EXPECT_EQ(ready(), "ConfigMap p, key profile.json: there is no such key");
  put({{"profile.json", "{"}});
  EXPECT_EQ(ready(), "ConfigMap p, key profile.json: it is not JSON");
  put({{"profile.json", R"({"rows": 1, "metrics": [{"metric": "x", "type": "Round"}]})"}});
  EXPECT_NE(ready().find("metrics[0].type"), std::string::npos) << ready();
  put({{"profile.json", std::string(api::kLongestProfile + 1, ' ')}});
  EXPECT_NE(ready().find("longer than"), std::string::npos) << ready();
  put({{"profile.json", api::EncodeProfile(*versions_.Get({"ns", "v1"})->spec.profile)}});
  ready();
  EXPECT_EQ(monitor_.status.baseline, "configmap p/profile.json");
  ASSERT_TRUE(monitor_.status.baseline_recorded.has_value());
  EXPECT_EQ(FormatTime(monitor_.status.baseline_recorded->value), "2025-11-01T00:00:00Z");
  for (int i = 0; i < 3; ++i) Round(usual_);
  EXPECT_EQ(Marks(Observe()).front(), '-');
  put({{"profile.json", api::EncodeProfile({1000, {[] {
                                              api::MetricProfile metric;
                                              metric.metric = "x";
                                              metric.bounds = {1, 2, 3};
                                              metric.counts = {100, 200, 300, 400};
                                              return metric;
                                            }()}})}});
  Round(usual_);
  EXPECT_EQ(Marks(Observe()).front(), 'B') << "the newest profile counts from the next look on";
}

TEST_F(DriftObserve, ComparesAChallengerWithTheChampionsWindow) {
  monitor_.spec.baseline.from = api::BaselineFrom::kChampion;
  Put(monitors_, monitor_);
  PutVersion("v2", {});
  PutSlice("d-v2-abc", "d-v2", {{"10.0.1.1", "e"}});
  deployment_.status.variants.push_back(Variant("challenger", "v2", "d-v2"));
  Put(deployments_, deployment_);
  Reconcile();
  // Both see the same new world: the champion has drifted from its training data, the challenger
  // not from the champion.
  const auto round = [&](const std::vector<double>& challenger) {
    clock_.steady = clock_.Steady() + kMinute;
    Scrape("a", moved_);
    Scrape("b", moved_);
    Scrape("e", challenger);
    Reconcile();
  };
  for (int i = 0; i < 3; ++i) round({40, 80, 120, 160});
  EXPECT_EQ(Marks(Observe(), "v1").front(), 'B');
  EXPECT_EQ(Marks(Observe(), "v2").front(), '-');
  EXPECT_EQ(monitor_.status.baseline, "v1") << "what the champion itself is compared with";
  for (int i = 0; i < 12; ++i) round({160, 120, 80, 40});
  EXPECT_EQ(Marks(Observe(), "v2").front(), 'B');
}

TEST_F(DriftObserve, ComparesWithAnEarlierWindowThatSharesNothing) {
  monitor_.spec.baseline.from = api::BaselineFrom::kWindow;
  monitor_.spec.baseline.window = api::BaselineWindow{{kMinute * 10}, {kMinute * 10}};
  Put(monitors_, monitor_);
  PutVersion("v1", {});  // no profile is needed
  Reconcile();
  for (int i = 0; i < 8; ++i) Round(usual_);
  Observed seen = Observe();
  EXPECT_EQ(Marks(seen).front(), '?');
  const auto message = [&] { return Observe().history.entries().begin()->second.latest.message; };
  EXPECT_NE(message().find("the earlier window (10m, ended 10m ago"), std::string::npos)
      << message();
  EXPECT_NE(seen.baseline.find("10m that ended 10m ago"), std::string::npos) << seen.baseline;
  for (int i = 0; i < 14; ++i) Round(usual_);
  EXPECT_EQ(Marks(Observe()).front(), '-');
  for (int i = 0; i < 9; ++i) Round(moved_);
  EXPECT_EQ(Marks(Observe()).front(), 'B') << "the reference is still the old world";
  for (int i = 0; i < 15; ++i) Round(moved_);
  EXPECT_EQ(Marks(Observe()).front(), '-') << "the new world is the usual one by now";
}

TEST_F(DriftObserve, TellsWhatMovedMost) {
  Reconcile();
  for (int i = 0; i < 14; ++i) Round(moved_);
  const auto& moved = monitor_.status.signals.at(0).moved;
  ASSERT_EQ(moved.size(), 3u);
  EXPECT_EQ(moved[0], (api::BinShift{"<= 1", "0.4000", "0.1000"}));
  EXPECT_EQ(moved[1], (api::BinShift{"> 3", "0.1000", "0.4000"}));
  EXPECT_NE(monitor_.status.why.find("<= 1 40.0% -> 10.0%"), std::string::npos)
      << monitor_.status.why;
}

TEST_F(DriftObserve, NoProfileIsNoBaseline) {
  PutVersion("v1", {});
  Reconcile();
  Round(usual_);
  EXPECT_EQ(Observe().baseline, "");
  EXPECT_EQ(kube::FindCondition(monitor_.status.conditions, "Ready")->reason, "NoBaseline");
}

TEST_F(DriftObserve, ForgetsWhatIsGoneOrSuspendedAndScrapesNothingOfAnUnknownTarget) {
  Reconcile();
  EXPECT_EQ(samples_.Usage().subscriptions, 1u);
  EXPECT_EQ(samples_.Usage().targets, 2u);
  deployments_.Remove({"ns", "d"});
  Observe();
  EXPECT_EQ(samples_.Usage().targets, 0u) << "the addresses may be anybody's now";
  Put(deployments_, deployment_);
  Observe();
  EXPECT_EQ(samples_.Usage().targets, 2u);
  monitor_.spec.suspend = true;
  Put(monitors_, monitor_);
  const Observed seen = Observe();
  EXPECT_EQ(samples_.Usage().subscriptions, 0u);
  EXPECT_TRUE(seen.versions.empty());
  EXPECT_FALSE(seen.next_evaluation.has_value());
  monitor_.spec.suspend = false;
  Put(monitors_, monitor_);
  Observe();
  EXPECT_EQ(samples_.Usage().subscriptions, 1u);
  monitors_.Remove({"ns", "m"});
  EXPECT_FALSE(reconciler_.Observe({"ns", "m"}, {clock_.Wall(), ""}).has_value());
  EXPECT_EQ(samples_.Usage().subscriptions, 0u);
}

TEST_F(DriftObserve, AnotherMonitorOfTheSameNameStartsAnew) {
  Reconcile();
  for (int i = 0; i < 14; ++i) Round(moved_);
  ASSERT_TRUE(monitor_.status.episode.has_value());
  monitors_.Remove({"ns", "m"});
  monitor_.meta.uid = "uid-new";
  monitor_.status = {};
  Put(monitors_, monitor_);
  const Observed seen = Observe();
  EXPECT_EQ(Marks(seen), "");
  EXPECT_EQ(samples_.Usage().subscriptions, 1u);
  EXPECT_TRUE(samples_.FindJob("drift/uid-new", "a").has_value());
}

TEST_F(DriftObserve, SeveralThreadsObserveDifferentKeys) {
  constexpr int kMonitors = 8;
  for (int i = 0; i < kMonitors; ++i) {
    api::DriftMonitor monitor = monitor_;
    monitor.meta.key.name = "m" + std::to_string(i);
    monitor.meta.uid = "uid-" + std::to_string(i);
    Put(monitors_, monitor);
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < kMonitors; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round) {
        reconciler_.Observe({"ns", "m" + std::to_string(i)}, {clock_.Wall(), ""});
        clock_.steady = clock_.Steady() + kMinute;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(samples_.Usage().subscriptions, static_cast<std::size_t>(kMonitors));
}

}  // namespace
}  // namespace perennial::drift
