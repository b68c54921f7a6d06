// New data as a reason to train: one run each time that a number reaches its threshold.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/store_index.h"
#include "retrain/data_watch.h"
#include "retrain/decide.h"
#include "retrain/trigger.h"
#include "support/retrain_policies.h"

namespace perennial::retrain {
namespace {

constexpr WallTime kNow{std::chrono::hours(500'000)};
constexpr Millis kMinute{60'000};

api::NewDataTrigger Rows(const char* expression = "sum(increase(rows_total[10m]))") {
  api::NewDataTrigger trigger;
  trigger.expression = expression;
  trigger.threshold = {1000, "1000"};
  return trigger;
}

api::RetrainPolicy Policy(api::NewDataTrigger data = Rows()) {
  api::RetrainPolicy policy = ::perennial::testing::TrainingPolicy({"ns", "p"}, "d");
  policy.spec.triggers.emplace_back().new_data = std::move(data);
  return policy;
}

DataReading Reads(std::optional<double> value, bool whole = true) {
  DataReading reading;
  reading.trigger = DataName(Rows());
  reading.value = value;
  reading.whole = whole;
  if (!value) reading.note = "no ready pod to read from";
  return reading;
}

class NewData : public ::testing::Test {
 protected:
  // One look; true if it starts a run.
  bool Look(const DataReading& reading) {
    now_ += kMinute;
    Observed seen;
    seen.policy = std::make_shared<api::RetrainPolicy>(policy_);
    seen.deployment = std::make_shared<api::ModelDeployment>();
    seen.readings = {reading};
    seen.versions = versions_;
    const kube::Plan plan = Decide(seen, now_);
    wrote_ = plan.status.has_value();
    if (!wrote_) return false;
    const std::size_t before = policy_.status.runs.size();
    policy_.status = ::perennial::testing::StatusOf(*plan.status);
    return policy_.status.runs.size() > before;
  }
  void EndRun() {
    policy_.status.runs.at(0).phase = api::RunPhase::kSucceeded;
    policy_.status.runs.at(0).finished = api::Time{now_};
  }
  const api::NewDataStatus& Status() const { return policy_.status.new_data.at(0); }

  api::RetrainPolicy policy_ = Policy();
  std::vector<std::shared_ptr<const api::ModelVersion>> versions_;
  WallTime now_ = kNow;
  bool wrote_ = false;
};

TEST_F(NewData, StartsOneRunForEachCrossing) {
  EXPECT_FALSE(Look(Reads(999)));
  EXPECT_EQ(Status().state, api::DataState::kBelow);
  ASSERT_TRUE(Look(Reads(1000)));
  EXPECT_EQ(policy_.status.runs[0].trigger_type, "NewData");
  EXPECT_NE(policy_.status.runs[0].evidence.find(R"("value":"1000")"), std::string::npos);
  const std::string first = policy_.status.runs[0].trigger;
  EndRun();
  for (const double value : {1500.0, 3000.0, 1000.0}) {
    EXPECT_FALSE(Look(Reads(value))) << "still the same crossing";
  }
  EXPECT_FALSE(Look(Reads(10)));
  ASSERT_TRUE(Look(Reads(2000)));
  EXPECT_NE(policy_.status.runs[0].trigger, first);
}

TEST_F(NewData, IsNotBelowWhileAPodIsMissing) {
  ASSERT_TRUE(Look(Reads(1000)));
  EndRun();
  DataReading half = Reads(500);
  half.missing = true;
  EXPECT_FALSE(Look(half));
  EXPECT_EQ(Status().state, api::DataState::kReached);
  EXPECT_FALSE(Look(Reads(1000))) << "the same data was trained from before";
  EXPECT_FALSE(Look(Reads(500)));
  EXPECT_TRUE(Look(Reads(1000)));
}

TEST_F(NewData, WritesOnlyWhereItTellsSomethingNew) {
  Look(Reads(1));
  for (const double value : {2.0, 30.0, 400.0}) {
    Look(Reads(value));
    EXPECT_FALSE(wrote_);
  }
  Look(Reads(std::nullopt));
  EXPECT_TRUE(wrote_);
  EXPECT_EQ(Status().state, api::DataState::kNoData);
  EXPECT_EQ(Status().message, "no ready pod to read from");
  Look(Reads(std::nullopt));
  EXPECT_FALSE(wrote_);
}

TEST_F(NewData, NeitherSilenceNorARestartTakesACrossingBack) {
  ASSERT_TRUE(Look(Reads(1000)));
  EndRun();
  EXPECT_FALSE(Look(Reads(std::nullopt)));
  EXPECT_FALSE(Look(Reads(0, /*whole=*/false))) << "the controller has only begun to count";
  EXPECT_FALSE(Look(Reads(1200)));
  EXPECT_EQ(policy_.status.runs.size(), 1u);
  EXPECT_TRUE(Status().reached.has_value());
}

TEST_F(NewData, ACrossingThatHadItsModelHasNoOtherThoughStatusWasLost) {
  ASSERT_TRUE(Look(Reads(1000)));
  auto version = std::make_shared<api::ModelVersion>();
  version->spec.origin.run = policy_.status.runs[0].name;
  version->spec.origin.trigger = policy_.status.runs[0].trigger;
  versions_ = {version};
  policy_.status = {};
  EXPECT_FALSE(Look(Reads(1100)));
  EXPECT_FALSE(Look(Reads(1)));
  EXPECT_TRUE(Look(Reads(1000))) << "the next crossing is another one";
}

TEST_F(NewData, AQuotientIsBelievedOnceItsWindowIsFull) {
  DataReading reading = Reads(5000, /*whole=*/false);
  reading.grows = false;
  EXPECT_FALSE(Look(reading)) << "made of the first few numbers after a restart";
  reading.whole = true;
  EXPECT_TRUE(Look(reading));
}

TEST_F(NewData, AnEditedTriggerIsAnotherOne) {
  ASSERT_TRUE(Look(Reads(1000)));
  EndRun();
  policy_.spec.triggers[0].new_data->threshold = {500, "500"};
  DataReading reading = Reads(800);
  reading.trigger = DataName(*policy_.spec.triggers[0].new_data);
  EXPECT_TRUE(Look(reading));
  EXPECT_EQ(policy_.status.new_data.size(), 1u) << "the old one is forgotten";
}

TEST_F(NewData, AWrongExpressionIsSaid) {
  DataReading reading = Reads(std::nullopt);
  reading.problem = "newData: expression: column 1: what?";
  Look(reading);
  const auto* ready = kube::FindCondition(policy_.status.conditions, "Ready");
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(ready->reason, "InvalidTrigger");
  EXPECT_EQ(ready->message, reading.problem);
}

struct FakeClock : Clock {
  WallTime Wall() const override { return kNow + steady.load(); }
  Millis Steady() const override { return steady.load(); }
  std::atomic<Millis> steady{Millis{10'000'000}};
};

// What is measured, over the real sample store. Pods are scraped by Scrape(), as the pool does.
class DataWatchTest : public ::testing::Test {
 protected:
  DataWatchTest() {
    slices_.AddIndex(api::kSlicesByService, api::ServiceOf);
    deployment_.meta.key = {"ns", "d"};
    deployment_.meta.uid = "uid-d";
    deployment_.spec.metrics = {"metrics", "/stats"};
    for (const char* version : {"v1", "v2"}) {
      api::VariantStatus variant;
      variant.name = variant.version = version;
      variant.service = std::string("d-") + version;
      deployment_.status.variants.push_back(variant);
      AddService(variant.service, "uid-d");
      AddSlice(variant.service, "uid-" + variant.service, version);
    }
  }

  void AddService(const std::string& name, const std::string& owner) {
    auto service = std::make_shared<api::ServiceView>();
    service->meta.key = {"ns", name};
    service->meta.uid = "uid-" + name;
    service->meta.resource_version = std::to_string(++revision_);
    service->meta.owners = {{"perennial.dev/v1alpha1", "ModelDeployment", "d", owner, true}};
    services_.Upsert(service);
  }
  void AddSlice(const std::string& service, const std::string& owner, const std::string& pod) {
    auto slice = std::make_shared<api::EndpointSliceView>();
    slice->meta.key = {"ns", service + "-" + pod};
    slice->meta.uid = "slice-" + pod;
    slice->meta.resource_version = std::to_string(++revision_);
    slice->service = service;
    slice->meta.owners = {{"v1", "Service", service, owner, true}};
    slice->ports = {{"metrics", 9090}};
    slice->endpoints = {{"10.0.0.1", "pod-" + pod, pod, true}};
    slices_.Upsert(slice);
  }

  std::string Id() const { return "retrain/uid-p/" + DataName(*policy_.spec.triggers[0].new_data); }

  void Scrape(const std::string& pod, double total) {
    const auto job = samples_.FindJob(Id(), pod);
    ASSERT_TRUE(job.has_value()) << pod;
    scrape::Series series;
    series.metric = "rows_total";
    series.kind = scrape::SeriesKind::kCounter;
    series.value = total;
    scrape::Scrape page;
    page.series = {series};
    samples_.Record(*job, page, clock_.Steady(), clock_.Wall());
  }

  DataReading Read() {
    const auto readings = watch_.Read(policy_, &deployment_);
    EXPECT_EQ(readings.size(), 1u);
    return readings.empty() ? DataReading{} : readings.front();
  }

  FakeClock clock_;
  int revision_ = 0;
  scrape::SampleStore samples_{clock_};
  kube::Store<api::EndpointSliceView> slices_;
  kube::Store<api::ServiceView> services_;
  api::ModelDeployment deployment_;
  api::RetrainPolicy policy_ = Policy();
  DataWatch watch_{{slices_, services_},
                   samples_,
                   clock_,
                   [](const kube::Key&, const std::string&) -> Result<std::string> {
                     return Error{Errc::kForbidden, "Secret can't be read"};
                   }};
};

TEST_F(DataWatchTest, AddsUpThePodsOfAllVersions) {
  EXPECT_EQ(Read().note, "no scrape has worked yet");
  for (int minute = 0; minute <= 10; ++minute) {
    Scrape("v1", 100.0 * minute);
    Scrape("v2", 10.0 * minute);
    EXPECT_TRUE(minute != 5 || !Read().whole);
    if (minute < 10) clock_.steady = clock_.Steady() + kMinute;
  }
  const DataReading reading = Read();
  ASSERT_TRUE(reading.value.has_value()) << reading.note;
  // The edges of a window are exact to one interval.
  EXPECT_GE(*reading.value, 990);
  EXPECT_LE(*reading.value, 1100);
  EXPECT_TRUE(reading.whole);
  EXPECT_TRUE(reading.problem.empty());
  EXPECT_TRUE(reading.grows);
  policy_ = Policy(Rows("sum(increase(rows_total[10m])) / 2"));
  EXPECT_FALSE(Read().grows);
}

TEST_F(DataWatchTest, TellsThatAPodIsMissing) {
  policy_ = Policy(Rows("sum(rows_total)"));
  Read();
  Scrape("v1", 100);
  EXPECT_TRUE(Read().missing) << "the other has not been read yet";
  Scrape("v2", 10);
  EXPECT_FALSE(Read().missing);
  const auto job = samples_.FindJob(Id(), "v2");
  ASSERT_TRUE(job.has_value());
  samples_.Record(*job, Error{Errc::kUnavailable, "no answer"}, clock_.Steady(), clock_.Wall());
  EXPECT_TRUE(Read().missing);
}

TEST_F(DataWatchTest, ReadsNoAddressThatIsNotTheModels) {
  AddSlice("d-v1", "uid-of-somebody", "forged");
  Read();
  EXPECT_FALSE(samples_.FindJob(Id(), "forged").has_value());
  AddService("d-v2", "uid-of-another-deployment");
  Read();
  EXPECT_FALSE(samples_.FindJob(Id(), "v2").has_value());
  EXPECT_TRUE(samples_.FindJob(Id(), "v1").has_value());
}

TEST_F(DataWatchTest, AsksNobodyWithoutTheCredentialsThatWereAskedFor) {
  api::PrometheusSource prometheus;
  prometheus.server.url = "https://prometheus.monitoring.svc:9090";
  prometheus.server.bearer_token = api::SecretKey{"token", "token"};
  policy_.spec.triggers[0].new_data->source.emplace().prometheus = prometheus;
  EXPECT_EQ(Read().note, "Secret can't be read");
  EXPECT_TRUE(samples_.TakeQueryChanges().empty());
  prometheus.server.bearer_token.reset();
  policy_.spec.triggers[0].new_data->source->prometheus = prometheus;
  Read();
  const auto asked = samples_.TakeQueryChanges();
  ASSERT_EQ(asked.size(), 1u);
  ASSERT_TRUE(asked[0]->source.has_value());
  EXPECT_EQ(asked[0]->source->ns, "ns");
  EXPECT_EQ(asked[0]->source->variants.size(), 2u);
}

TEST_F(DataWatchTest, MeasuresOnlyWhatIsWanted) {
  Read();
  EXPECT_EQ(samples_.Usage().subscriptions, 1u);
  policy_.spec.triggers[0].new_data->expression = "rows_total";
  Read();
  EXPECT_EQ(samples_.Usage().subscriptions, 1u) << "the old expression is measured no more";
  policy_.spec.suspend = true;
  EXPECT_TRUE(watch_.Read(policy_, &deployment_).empty());
  EXPECT_EQ(samples_.Usage().subscriptions, 0u);
  policy_.spec.suspend = false;
  Read();
  watch_.Forget(policy_.meta.key);
  EXPECT_EQ(samples_.Usage().subscriptions, 0u);
}

TEST_F(DataWatchTest, SaysWhatIsWrongWithAnExpression) {
  policy_ = Policy(Rows("sum("));
  EXPECT_NE(Read().problem.find("newData: expression: column"), std::string::npos);
}

TEST(PolicyUid, IsFoundInTheSubscriptionsName) {
  EXPECT_EQ(PolicyUidOf("retrain/uid-p/abcd"), "uid-p");
  EXPECT_EQ(PolicyUidOf("drift/uid-p"), "");
}

}  // namespace
}  // namespace perennial::retrain
