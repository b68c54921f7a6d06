#include <thread>

#include "api/names.h"
#include "drift/baseline.h"
#include "support/monitored_model.h"

namespace perennial::drift {
namespace {

class DriftBaseline : public DriftObserve {};

// The baseline follows the champion in one and the same write, forth and back, whoever decides.
TEST_F(DriftBaseline, APromotionSwitchesTheBaselineAndARollbackBringsItBack) {
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
    DriftReconciler restarted(stores_, samples, clock_);
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

TEST_F(DriftBaseline, ReadsABaselineFromAConfigMap) {
  monitor_.spec.baseline.from = api::BaselineFrom::kConfigMap;
  monitor_.spec.baseline.config_map = {"p", "profile.json"};
  Put(monitors_, monitor_);
  const auto ready = [&] {
    Reconcile();
    return kube::FindCondition(monitor_.status.conditions, "Ready")->message;
  };
  EXPECT_EQ(NeedsOf(monitor_), std::set<kube::Resource>{api::kConfigMaps});
  baselines_.Move({}, NeedsOf(monitor_));
  auto& maps = baselines_.Find(api::kConfigMaps)->store();
  EXPECT_NE(ready().find("waiting for the first list"), std::string::npos) << ready();
  maps.FinishList({});
  EXPECT_NE(ready().find("kubectl label configmap p perennial.dev/use=baseline"), std::string::npos)
      << ready();
  const auto put = [&](const nlohmann::json& data) {
    auto map = api::DecodeProfileMapView({{"metadata",
                                           {{"namespace", "ns"},
                                            {"name", "p"},
                                            {"uid", "u"},
                                            {"creationTimestamp", "2025-11-01T00:00:00Z"}}},
                                          {"data", data}});
    ASSERT_TRUE(map.ok()) << map.error().message;
    Put(maps, *map);
  };
  put({{"other", "{}"}});
  EXPECT_EQ(ready(), "ConfigMap p, key profile.json: there is no such key");
  put({{"profile.json", "{"}});
  EXPECT_EQ(ready(), "ConfigMap p, key profile.json: not a JSON object");
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
  api::MetricProfile newest;
  newest.metric = "x";
  newest.bounds = {1, 2, 3};
  newest.counts = {100, 200, 300, 400};
  put({{"profile.json", api::EncodeProfile({1000, {newest}, {}})}});
  Round(usual_);
  EXPECT_EQ(Marks(Observe()).front(), 'B') << "the newest profile counts from the next look on";
}

TEST_F(DriftBaseline, NamesTheRightThatItLacksForConfigMaps) {
  EXPECT_TRUE(NeedsOf(monitor_).empty());
  monitor_.spec.baseline.from = api::BaselineFrom::kConfigMap;
  monitor_.spec.baseline.config_map = {"p", "profile.json"};
  Put(monitors_, monitor_);
  baselines_.Start();
  baselines_.Move({}, NeedsOf(monitor_));
  const auto informer = baselines_.Find(api::kConfigMaps);
  for (int i = 0; i < 5000 && kube::SightOf(*informer) != kube::Sight::kRefused; ++i) {
    std::this_thread::sleep_for(Millis(1));
  }
  Reconcile();
  const auto* ready = kube::FindCondition(monitor_.status.conditions, "Ready");
  EXPECT_EQ(ready->status, "False");
  EXPECT_EQ(ready->reason, "NoBaseline");
  EXPECT_NE(ready->message.find("monitors.configMapBaselines"), std::string::npos)
      << ready->message;
  for (int i = 0; i < 4; ++i) Round(usual_);
  const int writes = writes_;
  for (int i = 0; i < 4; ++i) Round(usual_);
  EXPECT_EQ(writes_, writes) << "what is told once is not written again";
  baselines_.Stop();
}

TEST_F(DriftBaseline, ComparesAChallengerWithTheChampionsWindow) {
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

// Over the monitor's 10 minutes the champion has seen both worlds: a challenger that sees the new
// one alone would have drifted from that. So it is for a signal of the same metric that stands
// before it.
TEST_F(DriftBaseline, ASignalsOwnWindowIsTheChampionsToo) {
  monitor_.spec.baseline.from = api::BaselineFrom::kChampion;
  api::Signal slow = monitor_.spec.signals[0];
  slow.name = "slow";
  monitor_.spec.signals[0].window = api::Duration{kMinute * 3};
  monitor_.spec.signals.insert(monitor_.spec.signals.begin(), slow);
  Put(monitors_, monitor_);
  PutVersion("v2", {});
  PutSlice("d-v2-abc", "d-v2", {{"10.0.1.1", "e"}});
  deployment_.status.variants.push_back(Variant("challenger", "v2", "d-v2"));
  Put(deployments_, deployment_);
  Reconcile();
  for (int i = 0; i < 11; ++i) {
    const auto& counts = i < 7 ? moved_ : usual_;
    clock_.steady = clock_.Steady() + kMinute;
    for (const char* pod : {"a", "b", "e"}) Scrape(pod, counts);
    Reconcile();
  }
  EXPECT_EQ(Marks(Observe(), "v2").front(), '-');
}

TEST_F(DriftBaseline, ASignalsOffsetMovesTheEarlierWindowToo) {
  monitor_.spec.baseline.window = api::BaselineWindow{{kMinute * 20}, {kMinute * 5}};
  api::Signal& signal = monitor_.spec.signals[0];
  EXPECT_EQ(EarlierRangeOf(monitor_.spec, signal), (scrape::Range{kMinute * 5, kMinute * 20}));
  signal.offset = api::Duration{kMinute * 2};
  EXPECT_EQ(EarlierRangeOf(monitor_.spec, signal), (scrape::Range{kMinute * 5, kMinute * 22}));
}

// What it is compared with must still be held, beyond what the signals themselves reach.
TEST_F(DriftBaseline, ComparesWithAnEarlierWindowThatSharesNothing) {
  monitor_.spec.baseline.from = api::BaselineFrom::kWindow;
  monitor_.spec.baseline.window = api::BaselineWindow{{kMinute * 10}, {kMinute * 10}};
  Put(monitors_, monitor_);
  PutVersion("v1", {});  // no profile is needed
  Reconcile();
  for (int i = 0; i < 8; ++i) Round(usual_);
  Observed seen = Observe();
  EXPECT_EQ(Marks(seen).front(), '?');
  const std::string& message = monitor_.status.signals.at(0).message;
  EXPECT_NE(message.find("the earlier window (10m, ended 10m ago"), std::string::npos) << message;
  EXPECT_NE(seen.baseline.find("10m that ended 10m ago"), std::string::npos) << seen.baseline;
  for (int i = 0; i < 14; ++i) Round(usual_);
  EXPECT_EQ(Marks(Observe()).front(), '-');
  for (int i = 0; i < 9; ++i) Round(moved_);
  EXPECT_EQ(Marks(Observe()).front(), 'B') << "the reference is still the old world";
  for (int i = 0; i < 15; ++i) Round(moved_);
  EXPECT_EQ(Marks(Observe()).front(), '-') << "the new world is the usual one by now";
}

TEST_F(DriftBaseline, TellsWhatMovedMost) {
  Reconcile();
  for (int i = 0; i < 14; ++i) Round(moved_);
  const auto& moved = monitor_.status.signals.at(0).moved;
  ASSERT_EQ(moved.size(), 3u);
  EXPECT_EQ(moved[0], (api::BinShift{"<= 1", "0.4000", "0.1000"}));
  EXPECT_EQ(moved[1], (api::BinShift{"> 3", "0.1000", "0.4000"}));
  EXPECT_NE(monitor_.status.why.find("<= 1 40.0% -> 10.0%"), std::string::npos)
      << monitor_.status.why;
}

}  // namespace
}  // namespace perennial::drift
