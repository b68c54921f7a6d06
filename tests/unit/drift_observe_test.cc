#include <thread>

#include "drift/observe.h"
#include "support/monitored_model.h"

namespace perennial::drift {
namespace {

using api::SignalState;

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
  prometheus.server.url = "https://prometheus:9090";
  prometheus.server.basic_auth = api::BasicAuthSecret{"prometheus"};
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
  samples_.RecordPages(*queries[0], pages, true);
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

TEST_F(DriftObserve, RemembersALookUntilStatusShowsIt) {
  const auto latest = [&] {
    Observe();  // sees the status that was written last
    const Observed seen = Observe();
    return seen.history.entries().at({"distance", "v1"}).latest;
  };
  Reconcile();
  for (int i = 0; i < 6; ++i) Round(usual_);
  EXPECT_EQ(latest(), nullptr);
  // This write is lost: whoever looks again says the same.
  clock_.steady = clock_.Steady() + kMinute;
  for (const char* pod : {"a", "b"}) Scrape(pod, {0, 0, 0, 5'000});
  const kube::Plan lost = DriftReconciler::Decide(Observe(), clock_.Wall());
  ASSERT_TRUE(lost.status.has_value());
  EXPECT_NE(latest(), nullptr);
  EXPECT_EQ(DriftReconciler::Decide(Observe(), clock_.Wall()).status, lost.status);
  EXPECT_EQ(Reconcile().status, lost.status);
  EXPECT_EQ(latest(), nullptr);
}

TEST_F(DriftObserve, ANewReconcilerContinuesFromStatus) {
  Reconcile();
  for (int i = 0; i < 14; ++i) Round(moved_);
  const auto episode = monitor_.status.episode;
  ASSERT_TRUE(episode.has_value());
  scrape::SampleStore samples(clock_);
  DriftReconciler restarted(stores_, samples, clock_);
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

TEST_F(DriftObserve, ANewReconcilerTakesWhatItsPredecessorSaidLast) {
  Reconcile();
  for (int i = 0; i < 6; ++i) Round(usual_);
  scrape::SampleStore samples(clock_);
  DriftReconciler restarted(stores_, samples, clock_);
  const api::DriftMonitorStatus earlier = monitor_.status;
  ASSERT_EQ(earlier.signals.at(0).recent.find('B'), std::string::npos);
  ASSERT_TRUE(restarted.Observe({"ns", "m"}, {clock_.Wall(), ""}).has_value());
  // It died with this on its way.
  monitor_.status.signals.at(0).recent = "B--";
  monitor_.status.signals.at(0).state = SignalState::kWarning;
  Put(monitors_, monitor_);
  EXPECT_EQ(Marks(*restarted.Observe({"ns", "m"}, {clock_.Wall(), ""})), "B--");
  // From the first look on, what it saw itself counts.
  clock_.steady = clock_.Steady() + kMinute * 2;
  const auto seen = restarted.Observe({"ns", "m"}, {clock_.Wall(), ""});
  EXPECT_EQ(Marks(*seen).front(), '?');
  monitor_.status = earlier;
  Put(monitors_, monitor_);
  EXPECT_EQ(Marks(*restarted.Observe({"ns", "m"}, {clock_.Wall(), ""})), Marks(*seen));
}

TEST_F(DriftObserve, LooksByAnEarlierSpecAreNoneByThis) {
  Reconcile();
  for (int i = 0; i < 6; ++i) Round(usual_);
  monitor_.status.signals.at(0).recent = "BB-";
  monitor_.status.signals.at(0).state = SignalState::kWarning;
  monitor_.spec.signals[0].max = {0.001, "0.001"};
  ++monitor_.meta.generation;
  Put(monitors_, monitor_);
  Reconcile();
  EXPECT_EQ(Marks(Observe()).size(), 0u);
  EXPECT_EQ(monitor_.status.signals.at(0).recent, "");
  EXPECT_EQ(monitor_.status.signals.at(0).state, SignalState::kWarning) << "it stays until a look";
  // The same where a controller begins with it.
  monitor_.status.signals.at(0).recent = "BB-";
  monitor_.status.observed_generation = monitor_.meta.generation - 1;
  Put(monitors_, monitor_);
  scrape::SampleStore samples(clock_);
  DriftReconciler restarted(stores_, samples, clock_);
  EXPECT_EQ(Marks(*restarted.Observe({"ns", "m"}, {clock_.Wall(), ""})), "");
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
