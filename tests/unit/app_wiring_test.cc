// Who is woken by what. Stores are filled by hand; nothing listens to an API server.
#include <gtest/gtest.h>

#include <set>

#include "api/names.h"
#include "app/wiring.h"
#include "deployment/observe.h"
#include "drift/observe.h"
#include "support/manual_clock.h"
#include "support/no_transport.h"

namespace perennial::app {
namespace {

class WiringTest : public ::testing::Test {
 protected:
  WiringTest()
      : cache_(transport_, clock_, ""),
        deployments_(clock_),
        monitors_(clock_),
        policies_(clock_),
        versions_(clock_),
        queues_{deployments_, monitors_, policies_, versions_} {
    Wire(cache_, queues_);
    // One model with all that belongs to it, and one in another namespace with the same names.
    for (const char* ns : {"a", "b"}) {
      Put(cache_.model_deployments, ns, "model", [](api::ModelDeployment&) {});
      Put(cache_.drift_monitors, ns, "monitor",
          [](api::DriftMonitor& monitor) { monitor.spec.target.model_deployment = "model"; });
      Put(cache_.retrain_policies, ns, "policy", [](api::RetrainPolicy& policy) {
        policy.spec.model_deployment = "model";
        api::Trigger trigger;
        trigger.drift = api::DriftTrigger{"monitor", {}};
        policy.spec.triggers = {trigger};
      });
      Put(cache_.model_versions, ns, "v1",
          [](api::ModelVersion& version) { version.spec.model_deployment = "model"; });
    }
    Woken();
  }

  // Stores a new state of an object, made from the one before.
  template <class T, class Change>
  void Put(kube::Informer<T>& informer, const char* ns, const char* name, Change change) {
    const kube::Key key{ns, name};
    const auto before = informer.store().Get(key);
    auto object = before ? std::make_shared<T>(*before) : std::make_shared<T>();
    object->meta.key = key;
    object->meta.uid = std::string(ns) + "/" + name;
    object->meta.resource_version = std::to_string(++resource_version_);
    change(*object);
    informer.store().Upsert(object);
  }

  // What waits in the queues since the last call, as "queue namespace/name".
  std::set<std::string> Woken() {
    std::set<std::string> out;
    const auto drain = [&](const char* name, kube::WorkQueue& queue) {
      while (const auto key = queue.TryTake()) {
        out.insert(std::string(name) + " " + kube::ToString(*key));
        queue.Done(*key);
      }
    };
    drain("md", deployments_);
    drain("dm", monitors_);
    drain("rp", policies_);
    drain("mv", versions_);
    return out;
  }

  using Set = std::set<std::string>;

  ::perennial::testing::ManualClock clock_;
  ::perennial::testing::NoTransport transport_;
  ClusterCache cache_;
  kube::WorkQueue deployments_, monitors_, policies_, versions_;
  Queues queues_;
  int resource_version_ = 0;
};

TEST_F(WiringTest, AChampionsChangeWakesMonitorsAndPolicies) {
  Put(cache_.model_deployments, "a", "model",
      [](api::ModelDeployment& deployment) { deployment.status.champion = "v1"; });
  EXPECT_EQ(Woken(), (Set{"md a/model", "dm a/monitor", "rp a/policy"}));
}

TEST_F(WiringTest, AWeightsChangeWakesTheDeploymentAlone) {
  api::VariantStatus variant;
  variant.name = "champion";
  Put(cache_.model_deployments, "a", "model",
      [&](api::ModelDeployment& deployment) { deployment.status.variants = {variant}; });
  Woken();
  variant.weight = 40;
  variant.ready_replicas = 2;
  Put(cache_.model_deployments, "a", "model",
      [&](api::ModelDeployment& deployment) { deployment.status.variants = {variant}; });
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
}

TEST_F(WiringTest, AShareThatMovedByAStepWakesTheVersionThatHasIt) {
  api::VariantStatus variant;
  variant.name = "challenger";
  variant.version = "v7";
  const auto weight = [&](int percent) {
    variant.weight = percent;
    Put(cache_.model_deployments, "a", "model",
        [&](api::ModelDeployment& deployment) { deployment.status.variants = {variant}; });
    return Woken().contains("mv a/v7");
  };
  EXPECT_TRUE(weight(0));
  EXPECT_TRUE(weight(1));
  EXPECT_FALSE(weight(4));
  EXPECT_TRUE(weight(5));
  EXPECT_FALSE(weight(9));
  EXPECT_TRUE(weight(100));
}

TEST_F(WiringTest, AnApprovalRuleWakesTheVersions) {
  Put(cache_.model_deployments, "a", "model", [](api::ModelDeployment& deployment) {
    deployment.meta.generation = 2;
    deployment.spec.approval = api::ApprovalRule{true, 2};
  });
  EXPECT_EQ(Woken(), (Set{"md a/model", "dm a/monitor", "rp a/policy", "mv a/v1"}));
}

TEST_F(WiringTest, WhatAGatewayCanDoWakesTheModelsBehindIt) {
  Put(cache_.model_deployments, "a", "model", [](api::ModelDeployment& deployment) {
    deployment.spec.traffic.gateway = api::Gateway{{{"edge", "http"}, {"edge", "grpc"}}, {}};
  });
  Woken();
  for (const char* ns : {"a", "b"}) {
    Put(cache_.gateways, ns, "edge",
        [](api::GatewayView& gateway) { gateway.gateway_class = "envoy"; });
  }
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  Put(cache_.gateways, "a", "edge", [](api::GatewayView&) {});
  EXPECT_EQ(Woken(), Set{}) << "its status has changed";
  const auto can = [&](std::vector<std::string> features) {
    Put(cache_.gateway_classes, "", "envoy",
        [&](api::GatewayClassView& one) { one.features = features; });
    return Woken();
  };
  EXPECT_EQ(can({"HTTPRoute"}), (Set{"md a/model"}));
  EXPECT_EQ(can({"HTTPRoute"}), Set{});
  EXPECT_EQ(can({"HTTPRoute", "GRPCRoute"}), (Set{"md a/model"}));
}

TEST_F(WiringTest, APodThatDoesntStartWakesItsModel) {
  Put(cache_.pending_pods, "a", "pod", [](api::PodView& pod) {
    pod.meta.labels = {{std::string(api::kLabelDeployment), "model"}};
  });
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
}

TEST_F(WiringTest, AnEpisodeWakesPoliciesAndOtherLooksDoNot) {
  Put(cache_.drift_monitors, "a", "monitor",
      [](api::DriftMonitor& monitor) { monitor.status.why = "looked"; });
  EXPECT_EQ(Woken(), (Set{"dm a/monitor"}));
  Put(cache_.drift_monitors, "a", "monitor",
      [](api::DriftMonitor& monitor) { monitor.status.episode = api::Episode{}; });
  EXPECT_EQ(Woken(), (Set{"dm a/monitor", "rp a/policy"}));
}

TEST_F(WiringTest, AVersionsStatusWakesItsDeployment) {
  Put(cache_.model_versions, "a", "v1",
      [](api::ModelVersion& version) { version.status.phase = api::VersionPhase::kApproved; });
  EXPECT_EQ(Woken(), (Set{"md a/model", "mv a/v1"}));
}

TEST_F(WiringTest, ANewVersionWakesAllWhoReadItAndItsChildren) {
  Put(cache_.model_versions, "a", "v3", [](api::ModelVersion& version) {
    version.spec.model_deployment = "model";
    version.spec.parent = "v2";
  });
  Woken();
  Put(cache_.model_versions, "a", "v2",
      [](api::ModelVersion& version) { version.spec.model_deployment = "model"; });
  EXPECT_EQ(Woken(), (Set{"md a/model", "dm a/monitor", "rp a/policy", "mv a/v2", "mv a/v3"}));
}

TEST_F(WiringTest, AnApprovalWakesItsVersion) {
  Put(cache_.model_approvals, "a", "ok",
      [](api::ModelApproval& approval) { approval.spec.model_version = "v1"; });
  EXPECT_EQ(Woken(), (Set{"mv a/v1"}));
}

TEST_F(WiringTest, ChildrenWakeTheirDeployment) {
  const auto label = [](auto& child) {
    child.meta.labels[std::string(api::kLabelDeployment)] = "model";
  };
  Put(cache_.deployments, "a", "model-v1", label);
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  Put(cache_.services, "a", "model-v1", label);
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  Put(cache_.http_routes, "a", "model", label);
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  Put(cache_.grpc_routes, "a", "model", label);
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  Put(cache_.cron_jobs, "a", "model-v1", label);
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  Put(cache_.autoscalers, "a", "model-v1", label);
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  Put(cache_.disruption_budgets, "a", "model-v1", label);
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  cache_.deployments.store().Remove({"a", "model-v1"});
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
}

TEST_F(WiringTest, EndpointsWakeTheDeploymentAndItsMonitors) {
  Put(cache_.endpoint_slices, "a", "model-v1-x", [](api::EndpointSliceView& slice) {
    slice.meta.labels[std::string(api::kLabelDeployment)] = "model";
  });
  EXPECT_EQ(Woken(), (Set{"md a/model", "dm a/monitor"}));
}

TEST_F(WiringTest, ABaselineWakesTheMonitorsThatNameIt) {
  Put(cache_.drift_monitors, "a", "by-profile", [](api::DriftMonitor& monitor) {
    monitor.spec.baseline.config_map = api::BaselineConfigMap{"p", "k"};
  });
  Woken();
  const auto baselines = cache_.baselines.Find(api::kConfigMaps);
  ASSERT_NE(baselines, nullptr);
  Put(*baselines, "b", "p", [](api::ProfileMapView&) {});
  Put(*baselines, "a", "q", [](api::ProfileMapView&) {});
  EXPECT_EQ(Woken(), (Set{}));
  Put(*baselines, "a", "p", [](api::ProfileMapView&) {});
  EXPECT_EQ(Woken(), (Set{"dm a/by-profile"}));
  baselines->store().Remove({"a", "p"});
  EXPECT_EQ(Woken(), (Set{"dm a/by-profile"}));
}

// Without a monitor that needs it, no request about ConfigMaps is ever made.
TEST_F(WiringTest, ConfigMapsAreWatchedWhileAMonitorNeedsThem) {
  EXPECT_EQ(cache_.baselines.Find(api::kConfigMaps), nullptr);
  const auto put = [&](const char* ns, std::optional<api::BaselineConfigMap> map) {
    Put(cache_.drift_monitors, ns, "monitor",
        [&](api::DriftMonitor& monitor) { monitor.spec.baseline.config_map = std::move(map); });
  };
  put("a", api::BaselineConfigMap{"p", "k"});
  put("b", api::BaselineConfigMap{"p", "k"});
  EXPECT_NE(cache_.baselines.Find(api::kConfigMaps), nullptr);
  put("a", std::nullopt);
  EXPECT_NE(cache_.baselines.Find(api::kConfigMaps), nullptr);
  cache_.drift_monitors.store().Remove({"b", "monitor"});
  EXPECT_EQ(cache_.baselines.Find(api::kConfigMaps), nullptr);
}

TEST_F(WiringTest, AServiceOfOthersAndItsEndpointsWakeTheMonitorsThatNameIt) {
  EXPECT_EQ(cache_.monitored_services.Find(api::kServices), nullptr);
  EXPECT_EQ(cache_.monitored_slices.Find(api::kEndpointSlices), nullptr);
  Put(cache_.drift_monitors, "a", "of-service", [](api::DriftMonitor& monitor) {
    monitor.spec.target.service = api::MonitoredService{"eta", {}};
  });
  Woken();
  const auto services = cache_.monitored_services.Find(api::kServices);
  const auto slices = cache_.monitored_slices.Find(api::kEndpointSlices);
  ASSERT_NE(services, nullptr);
  ASSERT_NE(slices, nullptr);
  Put(*services, "b", "eta", [](api::ServiceView&) {});
  Put(*slices, "a", "other-x", [](api::EndpointSliceView& slice) { slice.service = "other"; });
  EXPECT_EQ(Woken(), (Set{}));
  Put(*services, "a", "eta", [](api::ServiceView&) {});
  EXPECT_EQ(Woken(), (Set{"dm a/of-service"}));
  Put(*slices, "a", "eta-x", [](api::EndpointSliceView& slice) { slice.service = "eta"; });
  EXPECT_EQ(Woken(), (Set{"dm a/of-service"}));
  cache_.drift_monitors.store().Remove({"a", "of-service"});
  EXPECT_EQ(cache_.monitored_services.Find(api::kServices), nullptr);
  EXPECT_EQ(cache_.monitored_slices.Find(api::kEndpointSlices), nullptr);
}

TEST_F(WiringTest, JobsAndTheirPodsWakeThePolicy) {
  const auto label = [](auto& child) {
    child.meta.labels[std::string(api::kLabelPolicy)] = "policy";
  };
  Put(cache_.jobs, "a", "run", label);
  EXPECT_EQ(Woken(), (Set{"rp a/policy"}));
  Put(cache_.pods, "a", "run-x", label);
  EXPECT_EQ(Woken(), (Set{"rp a/policy"}));
}

TEST_F(WiringTest, ObjectsWithoutOurLabelsWakeNobody) {
  Put(cache_.jobs, "a", "run", [](api::JobView&) {});
  Put(cache_.deployments, "a", "other", [](api::DeploymentView&) {});
  EXPECT_EQ(Woken(), (Set{}));
}

TEST_F(WiringTest, ARoundOfScrapesWakesItsSubscriber) {
  WakeAfterRound(cache_, queues_, deployment::SubscriptionOf("a/model"));
  EXPECT_EQ(Woken(), (Set{"md a/model"}));
  WakeAfterRound(cache_, queues_, drift::SubscriptionOf("b/monitor"));
  EXPECT_EQ(Woken(), (Set{"dm b/monitor"}));
  WakeAfterRound(cache_, queues_, drift::SubscriptionOf("gone"));
  WakeAfterRound(cache_, queues_, "nonsense");
  EXPECT_EQ(Woken(), (Set{}));
}

}  // namespace
}  // namespace perennial::app
