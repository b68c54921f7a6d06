// Policies that share a cause train in one run, over the stores that the controller has.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "api/codec.h"
#include "api/names.h"
#include "retrain/group.h"
#include "retrain/run.h"
#include "retrain/trigger.h"
#include "support/retrain_policies.h"
#include "support/retrain_stores.h"

namespace perennial::retrain {
namespace {

using api::RunPhase;
using nlohmann::json;
using ::perennial::testing::PolicyOfGroup;
using ::perennial::testing::RetrainStores;
using ::perennial::testing::StatusOf;

constexpr WallTime kStart{std::chrono::hours(500'000)};
constexpr Millis kWindow{120'000};

class GroupTest : public ::testing::Test, protected RetrainStores {
 protected:
  void Make(const std::string& name, const char* image = "t:1") {
    auto policy = PolicyOfGroup(name, image);
    policy->spec.deadline.value = std::chrono::hours(6);
    policy->spec.backoff.initial.value = Seconds(10);
    Put(std::move(*policy));
    auto deployment = std::make_shared<api::ModelDeployment>();
    deployment->meta.key = {"transit", "m-" + name};
    deployment->meta.uid = "uid-m-" + name;
    deployment->meta.resource_version = "1";
    deployments_.Upsert(deployment);
  }

  // Somebody wants it trained.
  void Ask(const std::string& name, const char* token = "now") {
    api::RetrainPolicy policy = *truth_.at(name);
    policy.meta.annotations[std::string(api::kAnnotationRetrain)] = token;
    Put(std::move(policy));
  }

  void Put(api::RetrainPolicy policy) {
    policy.meta.resource_version = std::to_string(++version_);
    const std::string name = policy.meta.key.name;
    truth_[name] = std::make_shared<const api::RetrainPolicy>(std::move(policy));
    Later(name, [this, now = truth_[name]] { policies_.Upsert(now); });
  }
  void Delete(const std::string& name) {
    truth_.erase(name);
    policies_.Remove({"transit", name});
    for (const auto& [job, view] : made_) {
      if (view->meta.owners.at(0).name == name) jobs_.Remove({"transit", job});
    }
  }

  void Edit(const std::string& name, const std::function<void(api::RetrainPolicySpec&)>& change) {
    api::RetrainPolicy policy = *truth_.at(name);
    change(policy.spec);
    Put(std::move(policy));
  }

  // What was written is seen at once, or when the watch pleases; by the writer before it looks
  // again, for its own object.
  void Later(const std::string& about, std::function<void()> show) {
    if (lag_ == 0) return show();
    pending_.emplace_back(about, std::move(show));
  }
  void Show(std::size_t i) {
    const std::string about = pending_[i].first;
    for (auto it = pending_.begin(); it != pending_.end();) {
      const bool same = it->first == about;
      if (same) it->second();
      it = same ? pending_.erase(it) : it + 1;
    }
  }

  kube::Plan Look(const std::string& name) {
    const auto own = std::find_if(pending_.begin(), pending_.end(),
                                  [&](const auto& one) { return one.first == name; });
    if (own != pending_.end()) Show(static_cast<std::size_t>(own - pending_.begin()));
    auto seen = Reconciler().Observe({"transit", name}, {});
    if (!seen) return {};
    seen->queue.granted = granted_;
    const kube::Plan plan = Decide(*seen, now_);
    const kube::Plan same = Decide(*seen, now_);
    EXPECT_EQ(plan.status, same.status);
    EXPECT_EQ(plan.actions, same.actions);
    for (const kube::Action& action : plan.actions) {
      if (const auto* create = std::get_if<kube::CreateObject>(&action)) Create(*create);
      if (const auto* gone = std::get_if<kube::DeleteObject>(&action)) {
        deleted_.push_back(gone->target.key.name);
        jobs_.Remove(gone->target.key);
      }
    }
    if (plan.status) {
      ++writes_[name];
      api::RetrainPolicy after = *truth_.at(name);
      after.status = StatusOf(*plan.status);
      Put(std::move(after));
    }
    return plan;
  }

  void Create(const kube::CreateObject& create) {
    const std::string name = create.target.key.name;
    json object = json::parse(create.body);
    object["metadata"]["uid"] = "uid-of-" + name;
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    object["metadata"]["creationTimestamp"] = FormatTime(now_);
    if (create.target.resource == api::kModelVersions) {
      if (results_.contains(name)) return;
      results_[name] = *api::DecodeModelVersion(object);
      Later(name, [this, name] {
        versions_.Upsert(std::make_shared<const api::ModelVersion>(results_.at(name)));
      });
      return;
    }
    if (made_.contains(name)) return;
    bodies_[name] = object;
    made_[name] = std::make_shared<api::JobView>(*api::DecodeJobView(object));
    Later(name, [this, name, job = std::make_shared<const api::JobView>(*made_[name])] {
      jobs_.Upsert(job);
    });
  }

  std::string Text(const std::string& job, const char* name) const {
    for (const json& entry :
         bodies_.at(job)["spec"]["template"]["spec"]["containers"][0].at("env")) {
      if (entry["name"] == name) return entry["value"];
    }
    return "";
  }
  json Variable(const std::string& job, const char* name) const {
    return json::parse(Text(job, name));
  }

  // It trained a model of its own for each that it was told of.
  void End(const std::string& job, bool well = true) {
    auto& view = made_.at(job);
    view->state = well ? api::JobState::kSucceeded : api::JobState::kFailed;
    view->finished = now_;
    view->meta.resource_version = std::to_string(++version_);
    auto pod = std::make_shared<api::PodView>();
    pod->meta.key = {"transit", job + "-pod"};
    pod->meta.uid = job + "-pod";
    pod->meta.resource_version = std::to_string(++version_);
    pod->job_uid = view->meta.uid;
    pod->phase = well ? "Succeeded" : "Failed";
    pod->terminated = true;
    pod->exit_code = well ? 0 : 1;
    pod->finished = now_;
    json results = json::object();
    for (const json& model : Variable(job, "PERENNIAL_MODEL_DEPLOYMENTS")) {
      const std::string name = model["modelDeployment"];
      results[name] = {
          {"artifact", {{"uri", "s3://" + name}, {"digest", "sha256:" + std::string(64, 'a')}}},
          {"metrics", {{{"name", "mae"}, {"value", 3}}}}};
    }
    if (well) pod->termination_message = json{{"schemaVersion", 1}, {"results", results}}.dump();
    Later(job, [this, pod, job = std::make_shared<const api::JobView>(*view)] {
      jobs_.Upsert(job);
      pods_.Upsert(pod);
    });
  }

  // Everybody looks again and again, for this long.
  void Run(Millis time) {
    for (const WallTime end = now_ + time; now_ < end; now_ += Seconds(5)) {
      for (const std::string& name : Names()) Look(name);
    }
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> out;
    for (const auto& [name, policy] : truth_) out.push_back(name);
    return out;
  }

  const api::Run& RunOf(const std::string& name) const {
    return truth_.at(name)->status.runs.at(0);
  }
  std::vector<std::string> Jobs() const {
    std::vector<std::string> out;
    for (const auto& [name, job] : made_) out.push_back(name);
    return out;
  }

  std::map<std::string, std::shared_ptr<const api::RetrainPolicy>> truth_;
  std::map<std::string, std::shared_ptr<api::JobView>> made_;
  std::map<std::string, json> bodies_;
  std::map<std::string, api::ModelVersion> results_;
  std::vector<std::string> deleted_;
  std::map<std::string, int> writes_;
  std::vector<std::pair<std::string, std::function<void()>>> pending_;
  int lag_ = 0;
  bool granted_ = true;
  int version_ = 0;
  WallTime now_ = kStart;
};

TEST_F(GroupTest, OneJobTrainsForAllAndEachTakesItsOwnPart) {
  for (const char* name : {"a", "b", "c"}) Make(name);
  Make("d", "t:2");
  for (const std::string& name : Names()) Ask(name);
  Run(kWindow + Seconds(30));
  ASSERT_EQ(Jobs().size(), 2u) << "d trains otherwise";
  const std::string job = RunOf("b").follows.empty() ? RunOf("a").follows : RunOf("b").follows;
  ASSERT_TRUE(made_.contains(job));
  const json models = Variable(job, "PERENNIAL_MODEL_DEPLOYMENTS");
  ASSERT_EQ(models.size(), 3u);
  EXPECT_EQ(ListedBy(made_.at(job)->meta).size(), 2u);
  for (const std::string& name : Jobs()) End(name);
  Run(Seconds(30));
  ASSERT_EQ(results_.size(), 4u);
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(RunOf(name).phase, RunPhase::kSucceeded) << RunOf(name).message;
    const api::ModelVersion& version = results_.at(RunOf(name).model_version);
    EXPECT_EQ(version.spec.model_deployment, std::string("m-") + name);
    EXPECT_EQ(version.spec.model.uri, std::string("s3://m-") + name);
    EXPECT_EQ(version.spec.origin.job_uid, "uid-of-" + job);
    EXPECT_EQ(version.spec.origin.run, RunOf(name).name);
    EXPECT_EQ(version.spec.origin.shared_job, RunOf(name).name == job ? "" : job);
    EXPECT_LE(writes_[name], 8);
  }
  writes_.clear();
  Run(std::chrono::minutes(5));
  EXPECT_TRUE(writes_.empty());
}

TEST_F(GroupTest, WhoComesAfterTheJobLeadsTheNext) {
  for (const char* name : {"a", "b", "c"}) Make(name);
  Ask("a");
  Ask("b");
  Run(kWindow + Seconds(30));
  Ask("c");
  Run(kWindow + Seconds(30));
  ASSERT_EQ(Jobs().size(), 2u);
  EXPECT_EQ(RunOf("c").follows, "");
  EXPECT_EQ(RunOf("c").phase, RunPhase::kRunning);
}

TEST_F(GroupTest, WhoeverIsSuspendedOrDeletedDropsOut) {
  for (const char* name : {"a", "b", "c", "d"}) {
    Make(name);
    Ask(name);
    Run(Seconds(5));
  }
  api::RetrainPolicy a = *truth_.at("a");
  ASSERT_EQ(RunOf("b").follows, JobName(RunOf("a")));
  a.spec.suspend = true;
  Put(std::move(a));
  Delete("d");
  Run(2 * kWindow + Seconds(60));
  ASSERT_EQ(Jobs(), std::vector<std::string>{JobName(RunOf("b"))});
  EXPECT_EQ(Variable(Jobs()[0], "PERENNIAL_MODEL_DEPLOYMENTS").size(), 2u);
  a = *truth_.at("a");
  EXPECT_EQ(a.status.runs[0].phase, RunPhase::kWaiting);
  a.spec.suspend = false;
  Put(std::move(a));
  Run(kWindow + Seconds(60));
  EXPECT_EQ(RunOf("a").phase, RunPhase::kRunning);
}

TEST_F(GroupTest, AFailureIsEachOnesOwnAndTheNextAttemptIsACommonOneAgain) {
  for (const char* name : {"a", "b"}) Make(name);
  api::RetrainPolicy once = *truth_.at("b");
  once.spec.retries = 0;
  Put(std::move(once));
  Make("c");
  for (const std::string& name : Names()) Ask(name);
  Run(kWindow + Seconds(30));
  ASSERT_EQ(Jobs().size(), 1u);
  End(Jobs()[0], false);
  Run(Seconds(30) + kWindow + Seconds(30));
  EXPECT_EQ(RunOf("b").phase, RunPhase::kFailed);
  ASSERT_EQ(Jobs().size(), 2u);
  for (const char* name : {"a", "c"}) {
    EXPECT_EQ(RunOf(name).attempt, 1);
    EXPECT_EQ(RunOf(name).phase, RunPhase::kRunning) << RunOf(name).message;
  }
  for (const std::string& job : Jobs()) {
    if (made_.at(job)->state == api::JobState::kRunning) End(job);
  }
  Run(Seconds(30));
  for (const char* name : {"a", "c"}) EXPECT_EQ(RunOf(name).phase, RunPhase::kSucceeded);
  EXPECT_LE(RunOf("a").started.value, kStart + kWindow + Seconds(30)) << "all attempts count";
}

TEST_F(GroupTest, WhatHasBegunInAMaintenanceWindowIsTriedAgainAfterIt) {
  for (const char* name : {"a", "b"}) {
    Make(name);
    api::RetrainPolicy nightly = *truth_.at(name);
    nightly.spec.triggers.emplace_back().schedule = api::ScheduleTrigger{"0 8 * * *"};
    nightly.spec.maintenance_windows = {{"0 8 * * *", api::Duration{Seconds(600)}, "UTC"}};
    Put(std::move(nightly));
  }
  Run(Seconds(660));
  ASSERT_EQ(Jobs().size(), 1u);
  End(Jobs()[0], false);
  Run(Seconds(30) + kWindow);
  ASSERT_EQ(Jobs().size(), 2u) << RunOf("a").message;
  for (const char* name : {"a", "b"}) EXPECT_EQ(RunOf(name).phase, RunPhase::kRunning);
}

// The Job of a later attempt still is told when its leader began.
TEST_F(GroupTest, WhoFollowsLosesNoDataBetweenTwoTrainings) {
  for (const char* name : {"a", "x"}) Make(name);
  Ask("a");
  Run(kWindow + std::chrono::minutes(30));
  End(Jobs().at(0), false);
  Ask("x");
  Run(kWindow + Seconds(60));
  ASSERT_EQ(Jobs().size(), 2u);
  const std::string job = RunOf("x").follows;
  ASSERT_EQ(job, JobName(RunOf("a")));
  EXPECT_GT(RunOf("x").started.value, RunOf("a").started.value) << "its deadline is its own";
  End(job);
  Run(Seconds(30));
  ASSERT_EQ(RunOf("x").phase, RunPhase::kSucceeded);
  Ask("x", "again");
  Run(kWindow + Seconds(30));
  ASSERT_EQ(Jobs().size(), 3u);
  const json model = Variable(JobName(RunOf("x")), "PERENNIAL_MODEL_DEPLOYMENTS").at(0);
  EXPECT_EQ(model["dataStart"], Text(job, "PERENNIAL_DATA_END"));
}

TEST_F(GroupTest, WhoFollowsNeverTouchesTheJobOfAnother) {
  for (const char* name : {"a", "b"}) Make(name);
  api::RetrainPolicy brief = *truth_.at("b");
  brief.spec.deadline.value = std::chrono::minutes(10);
  Put(std::move(brief));
  Ask("a");
  Run(Seconds(5));
  Ask("b");
  Run(kWindow + std::chrono::minutes(12));
  EXPECT_EQ(RunOf("b").phase, RunPhase::kFailed);
  EXPECT_EQ(RunOf("a").phase, RunPhase::kRunning);
  EXPECT_TRUE(deleted_.empty());
}

TEST_F(GroupTest, AJobIsKeptUntilAllHaveTheirResults) {
  for (const char* name : {"a", "b"}) Make(name);
  api::RetrainPolicy tidy = *truth_.at("a");
  tidy.spec.job_history_limit = 0;
  Put(std::move(tidy));
  Ask("a");
  Run(Seconds(5));
  Ask("b");
  Run(kWindow + Seconds(30));
  End(Jobs().at(0));
  for (int i = 0; i < 5; ++i, now_ += Seconds(1)) Look("a");
  EXPECT_EQ(RunOf("a").phase, RunPhase::kSucceeded);
  EXPECT_TRUE(deleted_.empty());
  Run(Seconds(20));
  EXPECT_EQ(RunOf("b").phase, RunPhase::kSucceeded);
  EXPECT_EQ(deleted_, Jobs());
}

TEST_F(GroupTest, WhereTheJobGoesWithItsPolicyTheOthersTryAgain) {
  for (const char* name : {"a", "b", "c"}) {
    Make(name);
    Ask(name);
    Run(Seconds(5));
  }
  Run(kWindow + Seconds(30));
  ASSERT_EQ(RunOf("c").follows, JobName(RunOf("a")));
  ASSERT_EQ(RunOf("c").phase, RunPhase::kRunning);
  Delete("a");
  Run(kWindow + std::chrono::minutes(3));
  EXPECT_EQ(Jobs().size(), 2u);
  EXPECT_EQ(RunOf("b").phase, RunPhase::kRunning) << RunOf("b").message;
  EXPECT_EQ(RunOf("c").follows, JobName(RunOf("b")));
}

TEST_F(GroupTest, WhoIsEditedLeavesTheOthersTheirJob) {
  for (const char* name : {"a", "b", "c"}) {
    Make(name);
    Ask(name);
    Run(Seconds(5));
  }
  Run(kWindow + Seconds(30));
  const std::string job = JobName(RunOf("a"));
  for (const char* name : {"b", "c"}) ASSERT_EQ(RunOf(name).follows, job);
  // Who leads trains with another kind, and one of the others for another model.
  Edit("a", [](api::RetrainPolicySpec& spec) {
    spec.job.reset();
    spec.workload.emplace().kind = "TrainJob";
  });
  Edit("b", [](api::RetrainPolicySpec& spec) { spec.model_deployment = "m-new"; });
  Run(Seconds(60));
  for (const char* name : {"a", "b"}) EXPECT_EQ(RunOf(name).phase, RunPhase::kFailed);
  EXPECT_NE(RunOf("b").message.find("from m-b to m-new"), std::string::npos) << RunOf("b").message;
  EXPECT_EQ(RunOf("c").phase, RunPhase::kRunning) << RunOf("c").message;
  EXPECT_TRUE(deleted_.empty());
  End(job);
  Run(Seconds(30));
  EXPECT_EQ(RunOf("c").phase, RunPhase::kSucceeded) << RunOf("c").message;
  EXPECT_EQ(results_.size(), 1u);
}

TEST_F(GroupTest, AnAnnotationOfAStrangersJobMeansNothing) {
  for (const char* name : {"a", "b"}) Make(name);
  api::RetrainPolicy other = *truth_.at("b");
  other.spec.group->name = "others";
  Put(std::move(other));
  Ask("a");
  Look("a");
  for (const char* owner : {"b", "nobody"}) {
    auto job = std::make_shared<api::JobView>();
    job->meta.key = {"transit", std::string("forged-by-") + owner};
    job->meta.uid = job->meta.key.name;
    job->meta.resource_version = "1";
    job->meta.annotations[std::string(api::kAnnotationMembers)] = JobName(RunOf("a"));
    job->meta.owners.push_back(
        {"perennial.dev/v1alpha1", "RetrainPolicy", owner, std::string("uid-") + owner, true});
    jobs_.Upsert(job);
  }
  Run(Seconds(30));
  EXPECT_EQ(RunOf("a").phase, RunPhase::kWaiting);
}

TEST_F(GroupTest, ALostStatusFindsTheJobThatTrainsForIt) {
  for (const char* name : {"a", "b"}) {
    Make(name);
    Ask(name);
    Run(Seconds(5));
  }
  Run(kWindow + Seconds(30));
  ASSERT_EQ(Jobs().size(), 1u);
  for (const std::string& name : Names()) {
    api::RetrainPolicy lost = *truth_.at(name);
    lost.status = {};
    Put(std::move(lost));
  }
  Run(kWindow + Seconds(30));
  EXPECT_EQ(Jobs().size(), 1u);
  for (const std::string& name : Names()) EXPECT_EQ(RunOf(name).phase, RunPhase::kRunning);
  End(Jobs()[0]);
  Run(Seconds(30));
  EXPECT_EQ(results_.size(), 2u);
}

// Any policies, whenever they want to train, seen in any order and late: each is trained by one
// Job, and nobody waits for ever.
TEST_F(GroupTest, EachRunHasOneJobWhateverTheOrder) {
  int shared = 0;
  for (unsigned seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto one_in = [&](unsigned n) { return random() % n == 0; };
    truth_.clear();
    made_.clear();
    results_.clear();
    pending_.clear();
    policies_.FinishList({});
    jobs_.FinishList({});
    pods_.FinishList({});
    versions_.FinishList({});
    lag_ = seed % 3 == 0 ? 0 : 1;
    now_ = kStart;
    const unsigned count = 2 + random() % 7;
    for (unsigned i = 0; i < count; ++i) {
      Make("p" + std::to_string(i), one_in(3) ? "t:2" : "t:1");
    }
    std::vector<std::string> names = Names();
    std::map<std::string, int> asks;
    for (const std::string& name : names) asks[name] = static_cast<int>(random() % 40);
    const auto over = [&](const std::string& name) {
      const auto& runs = truth_.at(name)->status.runs;
      return !runs.empty() && runs[0].phase == RunPhase::kSucceeded;
    };
    for (int step = 0; step < 600; ++step, now_ += Seconds(5)) {
      if (step > 40 && std::all_of(names.begin(), names.end(), over)) break;
      granted_ = !one_in(4);
      for (const std::string& name : names) {
        if (asks[name] == step) Ask(name);
      }
      while (!pending_.empty() && !one_in(3)) Show(random() % pending_.size());
      std::shuffle(names.begin(), names.end(), random);
      for (const std::string& name : names) {
        if (!one_in(3)) Look(name);
        if (one_in(2'000) && !truth_.at(name)->status.runs.empty()) {
          api::RetrainPolicy lost = *truth_.at(name);
          lost.status = {};
          Put(std::move(lost));
        }
      }
      for (const auto& [name, job] : made_) {
        if (job->state == api::JobState::kRunning && one_in(30)) End(name);
      }
    }
    std::map<std::string, int> jobs_of;
    for (const auto& [name, job] : made_) {
      ++jobs_of[name];
      for (const std::string& member : ListedBy(job->meta)) {
        ++jobs_of[member.substr(member.find('/') + 1)];
        ++shared;
      }
    }
    std::map<std::string, int> versions_of;
    for (const auto& [name, version] : results_) ++versions_of[version.spec.origin.run];
    for (const std::string& name : names) {
      const std::string run = RunName(*truth_.at(name), "manual/now");
      EXPECT_EQ(jobs_of[run], 1) << name;
      EXPECT_EQ(versions_of[run], 1) << name;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(shared, 40) << "few share a Job, and little was tested";
}

}  // namespace
}  // namespace perennial::retrain
