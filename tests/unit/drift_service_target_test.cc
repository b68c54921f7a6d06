// A monitor of pods that Perennial doesn't manage.
#include "api/names.h"
#include "drift/baseline.h"
#include "support/monitored_model.h"

namespace perennial::drift {
namespace {

class ServiceTarget : public DriftObserve {
 protected:
  ServiceTarget() {
    monitor_.spec.target = {"", api::MonitoredService{"eta", {"stats", "/stats"}}};
    monitor_.spec.baseline.from = api::BaselineFrom::kInline;
    monitor_.spec.baseline.profile = versions_.Get({"ns", "v1"})->spec.profile;
    Put(monitors_, monitor_);
    monitored_services_.Move({}, {api::kServices});
    monitored_slices_.Move({}, {api::kEndpointSlices});
  }

  void PutTarget() {
    api::ServiceView service;
    service.meta.key = {"ns", "eta"};
    service.meta.uid = "uid-eta";
    Put(monitored_services_.Find(api::kServices)->store(), service);
  }
  void PutEndpoints(const std::string& name, const std::string& controller,
                    const std::string& port = "stats") {
    api::EndpointSliceView slice;
    slice.meta.key = {"ns", name};
    slice.meta.uid = "uid-" + name;
    slice.service = "eta";
    slice.meta.owners = {{"v1", "Service", "eta", controller, true}};
    slice.ports = {{port, 9090}};
    slice.endpoints = {{"10.0.0.1", "pod-a", "a", true}, {"10.0.0.2", "pod-b", "b", true}};
    Put(monitored_slices_.Find(api::kEndpointSlices)->store(), slice);
  }
  const kube::Condition& Ready() {
    Reconcile();
    return *kube::FindCondition(monitor_.status.conditions, "Ready");
  }
};

TEST_F(ServiceTarget, NeedsServicesAndSlicesAndNothingElse) {
  EXPECT_EQ(NeedsOf(monitor_), (std::set<kube::Resource>{api::kServices, api::kEndpointSlices}));
}

TEST_F(ServiceTarget, SaysWhatToLabel) {
  EXPECT_EQ(Ready().reason, "ServiceNotFound");
  EXPECT_NE(Ready().message.find("kubectl label service eta perennial.dev/use=metrics"),
            std::string::npos)
      << Ready().message;
}

TEST_F(ServiceTarget, JudgesItsPodsAsOneVariant) {
  PutTarget();
  PutEndpoints("eta-x", "uid-eta");
  Reconcile();
  for (int i = 0; i < 12; ++i) Round(usual_);
  EXPECT_EQ(Ready().status, "True") << Ready().message;
  EXPECT_EQ(monitor_.status.champion, "eta");
  EXPECT_EQ(monitor_.status.targets_up, 2);
  EXPECT_EQ(monitor_.status.signals.at(0).variant, "eta");
  const int writes = writes_;
  for (int i = 0; i < 10; ++i) Round(usual_);
  EXPECT_EQ(writes_, writes) << "nothing changes, nothing is written";
  for (int i = 0; i < 12; ++i) Round(moved_);
  ASSERT_TRUE(monitor_.status.episode.has_value());
  EXPECT_EQ(monitor_.status.episode->version, "eta");
  EXPECT_TRUE(kube::IsTrue(monitor_.status.conditions, "Drifted"));
  // That nobody knows where the pods are is no recovery.
  monitored_services_.Find(api::kServices)->store().Remove({"ns", "eta"});
  EXPECT_EQ(Ready().reason, "ServiceNotFound");
  EXPECT_TRUE(monitor_.status.episode.has_value());
}

// Whoever may write EndpointSlices can put the Service's label on one.
TEST_F(ServiceTarget, ReadsOnlySlicesThatTheServiceControls) {
  PutTarget();
  PutEndpoints("forged", "uid-other");
  EXPECT_EQ(Ready().reason, "NoTargets");
  EXPECT_EQ(Observe().targets, 0);
}

TEST_F(ServiceTarget, TheOnlyPortNeedsNoName) {
  PutTarget();
  PutEndpoints("eta-x", "uid-eta", "other");
  EXPECT_NE(Ready().message.find("spec.target.service.metrics.port"), std::string::npos)
      << Ready().message;
  PutEndpoints("eta-x", "uid-eta", "");
  Reconcile();
  EXPECT_EQ(Observe().targets, 2);
}

TEST_F(ServiceTarget, AnEarlierWindowIsABaselineOfItsOwn) {
  monitor_.spec.baseline = {api::BaselineFrom::kWindow, std::nullopt, std::nullopt,
                            api::BaselineWindow{{kMinute * 10}, {kMinute * 10}}};
  Put(monitors_, monitor_);
  PutTarget();
  PutEndpoints("eta-x", "uid-eta");
  Reconcile();
  for (int i = 0; i < 22; ++i) Round(usual_);
  EXPECT_EQ(Marks(Observe(), "eta").front(), '-');
  for (int i = 0; i < 9; ++i) Round(moved_);
  EXPECT_EQ(Marks(Observe(), "eta").front(), 'B');
}

}  // namespace
}  // namespace perennial::drift
