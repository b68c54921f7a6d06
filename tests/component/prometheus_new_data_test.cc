// New data that a Prometheus has counted starts a run: measured through a real one, as the
// controller does it.
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/codec.h"
#include "api/store_index.h"
#include "retrain/data_watch.h"
#include "retrain/decide.h"
#include "scrape/promql_pool.h"
#include "support/prometheus.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;
using ::perennial::test::Prometheus;
using ::perennial::test::ScrapedPod;

class NewDataOfPrometheus : public ::testing::Test {
 protected:
  NewDataOfPrometheus() {
    slices_.AddIndex(api::kSlicesByService, api::ServiceOf);
    auto deployment = std::make_shared<api::ModelDeployment>();
    deployment->meta.key = {"transit", "departures"};
    deployment->meta.uid = "uid-departures";
    Serve("v1", a_.name(), *deployment);
    Serve("v2", b_.name(), *deployment);
    deployment_ = deployment;
    MakePolicy();
    options_.addresses.allow_loopback = true;
  }

  void Serve(const std::string& version, const std::string& pod, api::ModelDeployment& deployment) {
    api::VariantStatus variant;
    variant.name = variant.version = version;
    variant.service = "departures-" + version;
    auto service = std::make_shared<api::ServiceView>();
    service->meta.key = {"transit", variant.service};
    service->meta.uid = "uid-" + variant.service;
    service->meta.resource_version = "1";
    service->meta.owners = {
        {"perennial.dev/v1alpha1", "ModelDeployment", "departures", deployment.meta.uid, true}};
    services_.Upsert(service);
    auto slice = std::make_shared<api::EndpointSliceView>();
    slice->meta.key = {"transit", variant.service + "-x"};
    slice->meta.resource_version = "1";
    slice->meta.owners = {{"v1", "Service", variant.service, service->meta.uid, true}};
    slice->service = variant.service;
    slice->endpoints = {{"10.0.0.1", "uid-" + pod, pod, true}};
    slices_.Upsert(slice);
    deployment.status.variants.push_back(std::move(variant));
  }

  void MakePolicy() {
    api::NewDataTrigger data;
    data.expression = "sum(increase(c_total[2m]))";
    data.threshold = {100, "100"};
    data.interval.value = Millis(1'000);
    data.source.emplace().prometheus.emplace().server.url = prometheus_.url();
    policy_.spec.triggers.emplace_back().new_data = std::move(data);
  }

  // One look of the controller.
  void Look() {
    Observed seen;
    seen.policy = std::make_shared<api::RetrainPolicy>(policy_);
    seen.deployment = deployment_;
    seen.readings = watch_.Read(policy_, deployment_.get());
    const kube::Plan plan = Decide(seen, SystemClock().Wall());
    if (plan.status) policy_.status = ::perennial::testing::StatusOf(*plan.status);
  }
  template <class Condition>
  bool LookUntil(Condition holds, Millis most = Millis(30'000)) {
    const Millis end = SystemClock().Steady() + most;
    for (Look(); !holds(); Look()) {
      if (SystemClock().Steady() > end) return false;
      std::this_thread::sleep_for(Millis(100));
    }
    return true;
  }
  bool Is(api::DataState state) const {
    return policy_.status.new_data.size() == 1 && policy_.status.new_data[0].state == state;
  }
  std::string Told() const { return api::EncodeStatus(policy_.status); }

  ScrapedPod a_{"departures-v1-5d9c-aaaaa"}, b_{"departures-v2-77fd-bbbbb"};
  // Of the same namespace, and not of the model.
  ScrapedPod other_{"arrivals-v1-5d9c-ccccc"};
  Prometheus prometheus_{{&a_, &b_, &other_}};
  scrape::PromqlOptions options_;
  scrape::SampleStore samples_{SystemClock()};
  kube::Store<api::EndpointSliceView> slices_;
  kube::Store<api::ServiceView> services_;
  std::shared_ptr<const api::ModelDeployment> deployment_;
  api::RetrainPolicy policy_ =
      ::perennial::testing::TrainingPolicy({"transit", "fresh"}, "departures");
  DataWatch watch_{{slices_, services_},
                   samples_,
                   SystemClock(),
                   [](const kube::Key&, const std::string&) -> Result<std::string> {
                     return Error{Errc::kForbidden, "no Secret is needed"};
                   }};
};

TEST_F(NewDataOfPrometheus, StartsOneRunOnceThePodsOfAllVersionsHaveEnough) {
  scrape::PromqlPool pool(samples_, SystemClock(), options_);
  pool.Start();
  Look();
  EXPECT_TRUE(Is(api::DataState::kNoData)) << Told();
  other_.Count(0, 1'000);
  // A counter that begins is not counted; from then on each step is.
  a_.Count(0, 1);
  b_.Count(0, 1);
  ASSERT_TRUE(LookUntil([&] { return Is(api::DataState::kBelow); })) << Told();
  EXPECT_TRUE(policy_.status.runs.empty());
  std::this_thread::sleep_for(Millis(2'500));
  a_.Count(0, 60);
  b_.Count(0, 30);
  std::this_thread::sleep_for(Millis(3'500));
  Look();
  EXPECT_TRUE(Is(api::DataState::kBelow)) << "90 of them: " << Told();
  b_.Count(0, 30);
  ASSERT_TRUE(LookUntil([&] { return !policy_.status.runs.empty(); })) << Told();
  EXPECT_TRUE(Is(api::DataState::kReached));
  EXPECT_EQ(policy_.status.runs[0].trigger_type, "NewData");
  const auto evidence = json::parse(policy_.status.runs[0].evidence);
  EXPECT_NE(evidence.dump().find("c_total"), std::string::npos) << evidence;
  EXPECT_EQ(policy_.status.new_data[0].value, "120") << Told();
  a_.Count(0, 500);
  std::this_thread::sleep_for(Millis(3'500));
  Look();
  EXPECT_EQ(policy_.status.runs.size(), 1u) << "one crossing, one run";
  pool.Stop();
}

TEST_F(NewDataOfPrometheus, SaysThatThePrometheusDoesNotAnswer) {
  policy_.spec.triggers[0].new_data->source->prometheus->server.url = "http://127.0.0.1:1";
  scrape::PromqlPool pool(samples_, SystemClock(), options_);
  pool.Start();
  const auto told = [&] {
    return policy_.status.new_data.size() == 1 &&
           policy_.status.new_data[0].message.find("targets failed") != std::string::npos;
  };
  EXPECT_TRUE(LookUntil(told)) << Told();
  EXPECT_TRUE(Is(api::DataState::kNoData));
  EXPECT_TRUE(policy_.status.runs.empty()) << "no data is no reason";
  pool.Stop();
}

}  // namespace
}  // namespace perennial::retrain
