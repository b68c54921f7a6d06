// What the reconciler reads from the stores, and what it has measured.
#include <gtest/gtest.h>

#include "api/names.h"
#include "api/store_index.h"
#include "deployment/fleet.h"
#include "deployment/observe.h"
#include "support/manual_clock.h"

namespace perennial::deployment {
namespace {

class DeploymentObserve : public ::testing::Test {
 protected:
  DeploymentObserve() {
    versions_.AddIndex(api::kVersionsByDeployment, api::DeploymentOf);
    const auto by_owner = [](auto& store) {
      store.AddIndex(kChildrenByOwner, [](const auto& child) { return OwnerOf(child.meta); });
    };
    by_owner(workloads_);
    by_owner(services_);
    by_owner(routes_);
    by_owner(grpc_routes_);
    by_owner(autoscalers_);
    by_owner(budgets_);
    by_owner(cron_jobs_);
    by_owner(jobs_);
    slices_.AddIndex(api::kSlicesByService, api::ServiceOf);
    pending_pods_.AddIndex(kPendingByVersion, VersionOf);
    md_.meta.key = kKey;
    md_.meta.uid = "md-uid";
    md_.meta.resource_version = "1";
    md_.status.champion = "v1";
    Write();
  }

  template <class T>
  std::shared_ptr<T> Child(const std::string& name, const char* owner) {
    auto child = std::make_shared<T>();
    child->meta.key = {"transit", name};
    child->meta.uid = name + "-uid";
    child->meta.resource_version = "1";
    child->meta.owners.push_back(
        {"perennial.dev/v1alpha1", "ModelDeployment", "departures", owner, true});
    return child;
  }
  void Write() {
    md_.meta.resource_version = std::to_string(++revision_);
    deployments_.Upsert(std::make_shared<api::ModelDeployment>(md_));
  }
  void AddVariant(const std::string& version, const std::string& address) {
    const std::string name = ChildName(md_, version);
    services_.Upsert(Child<api::ServiceView>(name, "md-uid"));
    auto slice = std::make_shared<api::EndpointSliceView>();
    slice->meta.key = {"transit", name + "-s"};
    slice->meta.uid = name + "-s";
    slice->meta.resource_version = "1";
    slice->meta.owners.push_back({"v1", "Service", name, name + "-uid", true});
    slice->service = name;
    slice->ports = {{"http", 8080}, {"admin", 9000}};
    slice->endpoints = {{address, version + "-a", version + "-pod", true},
                        {"10.0.0.9", version + "-b", version + "-unready", false}};
    slices_.Upsert(slice);
  }
  void BeginRollout() {
    md_.spec.metrics.port = "admin";
    md_.spec.rollout.experiment = api::Experiment{};
    md_.spec.rollout.experiment->primary.quantity = {
        "error", api::QuantityKind::kMean, "error", "error_squares", "", ""};
    md_.status.rollout = api::RolloutStatus{};
    md_.status.rollout->version = "v2";
    md_.status.rollout->champion = "v1";
    md_.status.rollout->phase = api::RolloutPhase::kProgressing;
    md_.status.rollout->in_effect = true;
    md_.status.rollout->step_started = api::Time{clock_.Wall()};
    Write();
  }
  DeploymentReconciler::Stores Stores() const {
    return {deployments_, versions_, workloads_,    services_, routes_,
            grpc_routes_, slices_,   autoscalers_,  budgets_,  cron_jobs_,
            jobs_,        monitors_, pending_pods_, gateways_, gateway_classes_};
  }
  // A page of the challenger's pod.
  void Scraped(double value, const char* metric = "error_squares") {
    scrape::Scrape page;
    scrape::Series series;
    series.metric = metric;
    series.kind = scrape::SeriesKind::kCounter;
    series.value = value;
    page.series = {series};
    const auto job = samples_.FindJob(SubscriptionOf("md-uid"), "v2-pod");
    samples_.Record(*job, page, clock_.Steady(), clock_.Wall());
  }
  static double Increase(const scrape::WindowView& view) {
    return view.series.empty() ? -1.0 : view.series[0].increase;
  }
  std::optional<Observed> Observe() { return reconciler_.Observe(kKey, {clock_.Wall(), "oops"}); }

  static const inline kube::Key kKey{"transit", "departures"};
  perennial::testing::ManualClock clock_;
  kube::Store<api::ModelDeployment> deployments_;
  kube::Store<api::ModelVersion> versions_;
  kube::Store<api::DeploymentView> workloads_;
  kube::Store<api::ServiceView> services_;
  kube::Store<api::HttpRouteView> routes_;
  kube::Store<api::HttpRouteView> grpc_routes_;
  kube::Store<api::EndpointSliceView> slices_;
  kube::Store<api::ChildView> autoscalers_;
  kube::Store<api::ChildView> budgets_;
  kube::Store<api::CronJobView> cron_jobs_;
  kube::Store<api::JobView> jobs_;
  kube::Store<api::DriftMonitor> monitors_;
  kube::Store<api::PodView> pending_pods_;
  kube::Store<api::GatewayView> gateways_;
  kube::Store<api::GatewayClassView> gateway_classes_;
  scrape::SampleStore samples_{clock_};
  DeploymentReconciler reconciler_{Stores(), samples_, clock_, "us"};
  api::ModelDeployment md_;
  int revision_ = 0;
};

TEST_F(DeploymentObserve, SeesWhichOfItsPodsDontRunYet) {
  md_.status.champion = "v1";
  Write();
  const auto add = [&](const std::string& name, const char* model, const char* version) {
    auto pod = std::make_shared<api::PodView>();
    pod->meta.key = {"transit", name};
    pod->meta.uid = name;
    pod->meta.labels = {{std::string(api::kLabelDeployment), model},
                        {std::string(api::kLabelVersion), version}};
    pending_pods_.Upsert(pod);
  };
  add("mine", "departures", "v1");
  add("anothers", "arrivals", "v1");
  add("older", "departures", "v0");
  const auto seen = Observe();
  ASSERT_EQ(seen->pending_pods.size(), 1u);
  EXPECT_EQ(seen->pending_pods[0]->meta.key.name, "mine");
}

TEST_F(DeploymentObserve, SeesWhatItsGatewaysCanDo) {
  const auto add = [](auto& store, auto object, kube::Key key) {
    object.meta.key = std::move(key);
    object.meta.uid = object.meta.key.name;
    store.Upsert(std::make_shared<const decltype(object)>(std::move(object)));
  };
  add(gateways_, api::GatewayView{{}, "envoy"}, {"transit", "edge"});
  add(gateways_, api::GatewayView{{}, "other"}, {"elsewhere", "edge"});
  add(gateway_classes_, api::GatewayClassView{{}, {"HTTPRoute"}}, {"", "envoy"});
  add(gateway_classes_, api::GatewayClassView{{}, {}}, {"", "other"});
  Write();
  EXPECT_TRUE(Observe()->gateway_classes.empty()) << "it is behind no Gateway";
  md_.spec.traffic.gateway = api::Gateway{{{"edge", ""}, {"not-there", ""}}, {}};
  Write();
  const auto seen = Observe();
  ASSERT_EQ(seen->gateway_classes.size(), 1u);
  EXPECT_EQ(seen->gateway_classes[0]->meta.key.name, "envoy");
}

TEST_F(DeploymentObserve, FindsItsOwnChildrenAndTellsForeignOnesApart) {
  AddVariant("v1", "10.0.0.1");
  workloads_.Upsert(Child<api::DeploymentView>(ChildName(md_, "v1"), "another-uid"));
  workloads_.Upsert(Child<api::DeploymentView>("mine", "md-uid"));
  routes_.Upsert(Child<api::HttpRouteView>("departures", "another-uid"));
  auto version = std::make_shared<api::ModelVersion>();
  version->meta.key = {"transit", "v1"};
  version->spec.model_deployment = "departures";
  versions_.Upsert(version);
  auto seen = Observe();
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->versions.size(), 1u);
  ASSERT_EQ(seen->deployments.size(), 1u);
  EXPECT_EQ(seen->deployments[0]->meta.key.name, "mine");
  EXPECT_EQ(seen->slices.size(), 1u);
  EXPECT_TRUE(seen->routes.empty());
  EXPECT_EQ(seen->last_error, "oops");
  EXPECT_EQ(seen->own_identity, "us");
  EXPECT_EQ(seen->foreign,
            (std::vector<kube::Ref>{{api::kDeployments, {"transit", ChildName(md_, "v1")}}}))
      << "without a gateway the route's name is not ours to have";
  md_.spec.traffic.gateway = api::Gateway{};
  Write();
  EXPECT_EQ(Observe()->foreign.size(), 2u);

  autoscalers_.Upsert(Child<api::ChildView>(ChildName(md_, "v1"), "md-uid"));
  budgets_.Upsert(Child<api::ChildView>(ChildName(md_, "v1"), "another-uid"));
  md_.spec.autoscaling = api::Autoscaling{};
  Write();
  EXPECT_EQ(Observe()->autoscalers.size(), 1u);
  EXPECT_EQ(Observe()->foreign.size(), 2u) << "a budget of that name is not wanted yet";
  md_.spec.disruption_budget.text = R"({"minAvailable":1})";
  Write();
  EXPECT_EQ(Observe()->foreign.back(),
            (kube::Ref{api::kDisruptionBudgets, {"transit", ChildName(md_, "v1")}}));
}

TEST_F(DeploymentObserve, AsksAPrometheusWhereTheSpecNamesOne) {
  AddVariant("v1", "10.0.0.1");
  AddVariant("v2", "10.0.0.2");
  BeginRollout();
  md_.spec.metrics.port = "no such port";  // a Prometheus finds it itself
  md_.spec.rollout.source = api::Source{};
  md_.spec.rollout.source->prometheus = api::PrometheusSource{};
  md_.spec.rollout.source->prometheus->server.url = "http://prometheus.monitoring.svc:9090";
  md_.spec.rollout.source->prometheus->matchers = {{"job", "models"}};
  Write();
  ASSERT_TRUE(Observe().has_value());
  const auto queries = samples_.TakeQueryChanges();
  ASSERT_EQ(queries.size(), 1u);
  const auto& source = queries[0]->source;
  ASSERT_TRUE(source.has_value());
  EXPECT_EQ(source->url, "http://prometheus.monitoring.svc:9090");
  EXPECT_EQ(source->ns, "transit") << "nobody else's series";
  EXPECT_EQ(source->variants, (std::vector<std::pair<std::string, std::string>>{
                                  {"v1", ChildName(md_, "v1")}, {"v2", ChildName(md_, "v2")}}));
  EXPECT_EQ(source->matchers.size(), 1u);
  EXPECT_TRUE(samples_.TakeJobChanges().started.empty()) << "the pods are not scraped as well";
  // Its credentials can't be read: then nobody is asked.
  md_.spec.rollout.source->prometheus->server.url = "https://prometheus.monitoring.svc:9090";
  md_.spec.rollout.source->prometheus->server.bearer_token = api::SecretKey{"gone", "token"};
  Write();
  ASSERT_TRUE(Observe().has_value());
  for (const auto& query : samples_.TakeQueryChanges()) EXPECT_FALSE(query->source.has_value());
}

// What probes ask is looked up while a rollout runs, and not otherwise.
TEST_F(DeploymentObserve, FindsWhatProbesAsk) {
  jobs_.Upsert(Child<api::JobView>("probe", "md-uid"));
  jobs_.Upsert(Child<api::JobView>("training", "policy-uid"));
  auto monitor = std::make_shared<api::DriftMonitor>();
  monitor->meta.key = {"transit", "watch"};
  monitors_.Upsert(monitor);
  md_.spec.rollout.analysis = api::Analysis{};
  md_.spec.rollout.analysis->probes.resize(2);
  md_.spec.rollout.analysis->probes[0].drift = api::DriftProbe{"watch", {}};
  md_.spec.rollout.analysis->probes[1].job = api::JobProbe{};
  Write();
  EXPECT_TRUE(Observe()->jobs.empty());
  BeginRollout();
  const auto seen = Observe();
  ASSERT_EQ(seen->jobs.size(), 1u);
  EXPECT_EQ(seen->jobs[0]->meta.key.name, "probe");
  EXPECT_TRUE(seen->monitors.contains("watch"));
}

TEST_F(DeploymentObserve, SaysWhyAQueryIsNotAsked) {
  scrape::InstantQueryPool pool{clock_};
  DeploymentReconciler asking{Stores(), samples_, clock_, "us", nullptr, {&pool, false}};
  md_.spec.rollout.analysis = api::Analysis{};
  md_.spec.rollout.analysis->probes.resize(2);
  for (int i = 0; i < 2; ++i) {
    api::AnalysisProbe& probe = md_.spec.rollout.analysis->probes[i];
    probe.name = i == 0 ? "now" : "later";
    probe.query = api::QueryProbe{{"https://prometheus:9090"}, "x"};
    probe.rules.step = i + 1;
  }
  BeginRollout();
  const auto seen = asking.Observe(kKey, {clock_.Wall(), ""});
  ASSERT_EQ(seen->answers.size(), 1u) << "the other one is of a later step";
  EXPECT_EQ(seen->answers.at("now").value.error().code, Errc::kForbidden);
  md_.status.rollout->step = 1;
  for (const bool in_effect : {false, true}) {
    md_.status.rollout->in_effect = in_effect;
    Write();
    EXPECT_EQ(asking.Observe(kKey, {clock_.Wall(), ""})->answers.contains("later"), in_effect)
        << "an answer from before would be of another step's traffic";
  }
}

TEST_F(DeploymentObserve, MeasuresBothVariantsOnlyDuringARollout) {
  AddVariant("v1", "10.0.0.1");
  AddVariant("v2", "10.0.0.2");
  EXPECT_TRUE(Observe()->samples.empty());
  EXPECT_EQ(samples_.Usage().subscriptions, 0u);

  BeginRollout();
  const auto seen = Observe();
  EXPECT_EQ(seen->samples.size(), 2u);
  EXPECT_TRUE(seen->samples.contains("v1"));
  const std::string id = SubscriptionOf("md-uid");
  EXPECT_TRUE(samples_.FindJob(id, "v1-pod").has_value());
  EXPECT_TRUE(samples_.FindJob(id, "v2-pod").has_value());
  EXPECT_FALSE(samples_.FindJob(id, "v2-unready").has_value());
  for (const auto& job : samples_.TakeJobChanges().started) {
    EXPECT_EQ(job->target.port, 9000) << "the metrics port, by name";
    EXPECT_EQ(job->wanted->names(), (std::vector<std::string>{"error", "error_squares"}));
  }

  // What this process itself has recorded is in its own totals already.
  md_.status.rollout->experiment = api::ExperimentStatus{};
  md_.status.rollout->experiment->counts = {{"error", {"10", "20", "50"}, {"11", "21", "51"}}};
  Write();
  EXPECT_TRUE(Observe()->carried.empty());
  // Another process begins with what is on record.
  DeploymentReconciler other{Stores(), samples_, clock_, "us"};
  const auto carried = other.Observe(kKey, {clock_.Wall(), ""})->carried;
  ASSERT_TRUE(carried.contains("v2"));
  EXPECT_EQ(carried.at("v2").front().champion.sum, "20");
  md_.status.rollout->experiment.reset();

  // Another challenger begins with empty counts.
  const auto before = samples_.FindJob(id, "v1-pod");
  md_.status.rollout->version = "v3";
  Write();
  Observe();
  EXPECT_NE(samples_.FindJob(id, "v1-pod"), before);

  md_.status.rollout->phase = api::RolloutPhase::kPromoted;
  Write();
  EXPECT_TRUE(Observe()->samples.empty());
  EXPECT_EQ(samples_.Usage().subscriptions, 0u);
}

TEST_F(DeploymentObserve, CountsTotalsAndTheStepFromWhatPodsSay) {
  AddVariant("v1", "10.0.0.1");
  AddVariant("v2", "10.0.0.2");
  BeginRollout();
  Observe();
  Scraped(5);
  clock_.Advance(Seconds(10));
  Scraped(12);
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), 7);
  EXPECT_EQ(Increase(Observe()->samples["v2"].step), -1) << "the split is too fresh to be counted";
  clock_.Advance(Seconds(40));
  Scraped(20);
  clock_.Advance(Seconds(10));
  Scraped(25);
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), 20);
  EXPECT_EQ(Increase(Observe()->samples["v1"].totals), -1);
}

// Squares that are counted from the edit on are not those of a sum from before it.
TEST_F(DeploymentObserve, CountsAnewWhenAQuantityIsDefinedAnew) {
  AddVariant("v1", "10.0.0.1");
  AddVariant("v2", "10.0.0.2");
  BeginRollout();
  Observe();
  Scraped(5);
  clock_.Advance(Seconds(10));
  Scraped(12);
  api::Experiment& experiment = *md_.spec.rollout.experiment;
  experiment.primary.quantity.name = "the error";
  experiment.alpha.value = 0.01;
  Write();
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), 7) << "what is counted is the same";
  md_.status.rollout->experiment = api::ExperimentStatus{};
  md_.status.rollout->experiment->counts = {{"failures", {"10", "1", ""}, {"11", "2", ""}}};
  experiment.primary.quantity.metric = "seconds";
  Write();
  auto seen = Observe();
  EXPECT_EQ(Increase(seen->samples["v2"].totals), -1);
  ASSERT_TRUE(seen->carried.contains("v2")) << "what others have counted goes on";
  EXPECT_EQ(seen->carried.at("v2").front().challenger.n, "11");
  Scraped(12);
  clock_.Advance(Seconds(10));
  Scraped(15);
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), 3);
}

// It would count again what the pods told, and calls them differently.
TEST_F(DeploymentObserve, CountsAnewWhenAPrometheusIsAskedInThePlaceOfThePods) {
  AddVariant("v1", "10.0.0.1");
  AddVariant("v2", "10.0.0.2");
  BeginRollout();
  Observe();
  Scraped(5);
  clock_.Advance(Seconds(10));
  Scraped(12);
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), 7);
  md_.status.rollout->experiment = api::ExperimentStatus{};
  md_.status.rollout->experiment->counts = {{"error", {"10", "20", "50"}, {"11", "21", "51"}}};
  api::PrometheusSource prometheus;
  prometheus.server.url = "https://prometheus:9090";
  md_.spec.rollout.source = api::Source{std::nullopt, prometheus};
  Write();
  auto seen = Observe();
  EXPECT_EQ(Increase(seen->samples["v2"].totals), -1);
  ASSERT_TRUE(seen->carried.contains("v2")) << "what is on record goes on";
  EXPECT_EQ(seen->carried.at("v2").front().challenger.n, "11");
}

// A readiness that flickers, or an edit of the route, in the first step in which both have traffic.
TEST_F(DeploymentObserve, KeepsItsTotalsWhileAStepIsNotInEffectForAMoment) {
  AddVariant("v1", "10.0.0.1");
  AddVariant("v2", "10.0.0.2");
  md_.spec.rollout.steps.resize(2);
  md_.spec.rollout.steps[1].weight = 20;
  BeginRollout();
  md_.status.rollout->step = 1;
  md_.status.rollout->in_effect = false;
  Write();
  Observe();
  Scraped(5);
  clock_.Advance(Seconds(10));
  Scraped(12);
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), -1) << "before both had traffic";
  md_.status.rollout->in_effect = true;
  md_.status.rollout->experiment_started = api::Time{clock_.Wall()};
  Write();
  Observe();
  for (const double value : {20, 25}) {
    clock_.Advance(Seconds(10));
    Scraped(value);
  }
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), 13);
  md_.status.rollout->in_effect = false;
  Write();
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), 13);
  md_.status.rollout->in_effect = true;
  Write();
  EXPECT_EQ(Increase(Observe()->samples["v2"].totals), 13);
}

// The step is old, and counted by this process for seconds: one version for a scrape longer.
TEST_F(DeploymentObserve, ComparesTheSplitForNoLongerThanItHasCounted) {
  AddVariant("v1", "10.0.0.1");
  AddVariant("v2", "10.0.0.2");
  BeginRollout();
  Observe();
  clock_.Advance(Seconds(3600));
  const double long_counted = Observe()->samples["v2"].step_edges;
  EXPECT_GT(long_counted, 0);
  EXPECT_LT(long_counted, 0.01);
  scrape::SampleStore samples{clock_};
  DeploymentReconciler restarted{Stores(), samples, clock_, "us"};
  const auto step = [&] {
    return restarted.Observe(kKey, {clock_.Wall(), ""})->samples["v2"].step_edges;
  };
  EXPECT_EQ(step(), 0) << "nothing is compared yet";
  clock_.Advance(Seconds(30));
  EXPECT_EQ(step(), 1) << "all of it may be of one version's time alone";
  clock_.Advance(Seconds(3600));
  EXPECT_LE(step(), long_counted);
}

TEST_F(DeploymentObserve, ForgetsWhatIsGone) {
  AddVariant("v1", "10.0.0.1");
  BeginRollout();
  Observe();
  ASSERT_EQ(samples_.Usage().subscriptions, 1u);
  deployments_.Remove(kKey);
  EXPECT_FALSE(Observe().has_value());
  EXPECT_EQ(samples_.Usage().subscriptions, 0u);
  md_.meta.deleting = true;
  Write();
  EXPECT_FALSE(Observe().has_value()) << "its children go with it";
}

}  // namespace
}  // namespace perennial::deployment
