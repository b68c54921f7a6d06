#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "retrain/budget.h"
#include "retrain/group.h"
#include "retrain/run.h"
#include "support/retrain_policies.h"
#include "support/retrain_stores.h"

namespace perennial::testing {

// Thousands of RetrainPolicies whose models drift in the same minute, and a controller that may be
// killed before, between and after its writes. On one thread, in simulated time.
class RetrainStorm {
 protected:
  static constexpr WallTime kStart{std::chrono::hours(500'000)};
  static constexpr Millis kMinute{60'000};
  static constexpr int kNamespaces = 18;

  // What dies with the controller.
  struct Process : RetrainStores {
    Process(int budget, retrain::RunBudget::Wake wake)
        : places(policies_, {budget, 0}, std::move(wake)) {}
    retrain::RunBudget places;
  };

  static std::string Namespace(int i) { return "ns" + std::to_string(i % kNamespaces); }

  // Of one of the namespaces.
  void Add(api::RetrainPolicy policy) {
    policy.meta.resource_version = "1";
    policy.spec.triggers.emplace_back().drift = api::DriftTrigger{"m", {}};
    const kube::Key key = policy.meta.key;
    truth_[key] = std::make_shared<const api::RetrainPolicy>(std::move(policy));
  }

  // They drift within a minute, in no order.
  void Begin(int budget) {
    budget_ = budget;
    Restart();
    due_.clear();
    agenda_.clear();
    for (const auto& [key, policy] : truth_) Due(key, now_ + Millis(random_() % kMinute.count()));
  }

  // From now on the controller dies so often, and never before it has looked at all policies.
  void Kill(int times) {
    deaths_left_ = times;
    looks_to_death_ = BetweenDeaths();
  }

  // Looks at all that is due within a minute, which then is over.
  void PassMinute() {
    const WallTime end = now_ + kMinute;
    while (!agenda_.empty() && agenda_.begin()->first <= end) {
      const auto [at, key] = *agenda_.begin();
      agenda_.erase(agenda_.begin());
      if (due_.erase(key) == 0) continue;
      now_ = std::max(now_, at);
      Look(key);
    }
    now_ = end;
  }

  // Of so many Jobs under way one ends, whichever, and one at least.
  void EndOneIn(std::size_t many) {
    std::vector<kube::Key> jobs;
    for (const auto& [key, job] : running_) jobs.push_back(key);
    std::shuffle(jobs.begin(), jobs.end(), random_);
    jobs.resize((jobs.size() + many - 1) / many);
    for (const kube::Key& key : jobs) End(key);
  }

  int MostWrites() const {
    int most = 0;
    for (const auto& [key, writes] : writes_) most = std::max(most, writes);
    return most;
  }
  std::int64_t AllWrites() const {
    std::int64_t all = 0;
    for (const auto& [key, writes] : writes_) all += writes;
    return all;
  }

  struct Start {
    kube::Key policy;
    WallTime at;
  };

  int budget_ = 0;
  std::map<kube::Key, std::shared_ptr<const api::RetrainPolicy>> truth_;
  std::map<kube::Key, std::shared_ptr<const api::JobView>> running_;
  std::vector<Start> started_;        // all Jobs, in order
  std::vector<std::size_t> trained_;  // policies, by Job that ended
  std::size_t most_ = 0;              // Jobs at the same time
  int over_ = 0;                      // runs
  std::int64_t looks_ = 0;
  int deaths_left_ = 0;

 private:
  std::int64_t BetweenDeaths() const { return static_cast<std::int64_t>(truth_.size()) * 14 / 10; }

  // What a new process finds is what the API server has.
  void Restart() {
    process_ = std::make_unique<Process>(budget_, [this](const kube::Key& key) { Due(key, now_); });
    for (int i = 0; i < kNamespaces; ++i) {
      auto deployment = std::make_shared<api::ModelDeployment>();
      deployment->meta.key = {Namespace(i), "d"};
      deployment->meta.resource_version = "1";
      process_->deployments_.Upsert(deployment);
      auto monitor = std::make_shared<api::DriftMonitor>();
      monitor->meta.key = {Namespace(i), "m"};
      monitor->meta.resource_version = "1";
      monitor->status.episode = api::Episode{"e1", api::Time{kStart}, "v1", {"distance"}};
      process_->monitors_.Upsert(monitor);
    }
    for (const auto& [key, policy] : truth_) process_->policies_.Upsert(policy);
    for (const auto& [key, job] : running_) ShowJob(job);
    for (const auto& [key, policy] : truth_) Due(key, now_);
  }

  // The earliest time wins, as in the controller's work queue.
  void Due(const kube::Key& key, WallTime at) {
    const auto known = due_.find(key);
    if (known != due_.end() && known->second <= at) return;
    if (known != due_.end()) agenda_.erase({known->second, key});
    due_[key] = at;
    agenda_.emplace(at, key);
  }

  bool DiesHere() {
    if (deaths_left_ == 0 || --looks_to_death_ > 0) return false;
    --deaths_left_;
    looks_to_death_ = BetweenDeaths();
    Restart();
    return true;
  }

  void Look(const kube::Key& key) {
    ++looks_;
    auto seen = process_->Reconciler(&process_->places).Observe(key, {});
    ASSERT_TRUE(seen.has_value());
    const kube::Plan plan = retrain::Decide(*seen, now_);
    if (plan.wake_at) Due(key, *plan.wake_at);
    // Dies before anything, between its two writes, or after both.
    const std::int64_t where = looks_ % 3;
    if (where == 0 && DiesHere()) return;
    for (const kube::Action& action : plan.actions) {
      if (const auto* create = std::get_if<kube::CreateObject>(&action)) Create(*create);
    }
    if (where == 1 && DiesHere()) return;
    if (!plan.status) return;
    ++writes_[key];
    api::RetrainPolicy after = *seen->policy;
    after.status = StatusOf(*plan.status);
    Put(std::move(after));
    if (where == 2) DiesHere();
  }

  // Those who are woken are the ones that app/wiring.cc wakes.
  void Put(api::RetrainPolicy policy) {
    policy.meta.resource_version = std::to_string(++version_);
    auto object = std::make_shared<const api::RetrainPolicy>(std::move(policy));
    const kube::Key& key = object->meta.key;
    const auto before = std::exchange(truth_[key], object);
    process_->policies_.Upsert(object);
    Due(key, now_);
    for (const auto& one : {before, object}) {
      const api::Run* run = retrain::UnfinishedRun(*one);
      if (run != nullptr) WakeFollowers({key.ns, retrain::JobName(*run)});
    }
  }
  void WakeFollowers(const kube::Key& job) {
    for (const auto& follower : FollowersOf(job)) Due(follower->meta.key, now_);
  }
  std::vector<std::shared_ptr<const api::RetrainPolicy>> FollowersOf(const kube::Key& job) const {
    return process_->policies_.ByIndex(retrain::kFollowers, kube::ToString(job));
  }

  void Create(const kube::CreateObject& create) {
    const kube::Key& key = create.target.key;
    if (running_.contains(key)) return;  // the same name is the same Job
    ASSERT_TRUE(made_.insert(key).second) << "a second Job for one run";
    auto object = nlohmann::json::parse(create.body);
    object["metadata"]["uid"] = "uid-" + key.name;
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    object["metadata"]["creationTimestamp"] = FormatTime(now_);
    auto job = std::make_shared<const api::JobView>(*api::DecodeJobView(object));
    running_[key] = job;
    most_ = std::max(most_, running_.size());
    ShowJob(job);
    const kube::Key policy{key.ns, job->meta.owners.at(0).name};
    started_.push_back({policy, now_});
    Due(policy, now_);
    WakeFollowers(key);
  }

  // With its pod, which runs at once.
  void ShowJob(const std::shared_ptr<const api::JobView>& job) {
    auto pod = std::make_shared<api::PodView>();
    pod->meta = job->meta;
    pod->meta.owners.clear();
    pod->job_uid = job->meta.uid;
    pod->phase = "Running";
    process_->jobs_.Upsert(job);
    process_->pods_.Upsert(pod);
  }

  // The Job has ended, and all that it trained for have taken their results.
  void End(const kube::Key& key) {
    const auto job = running_.at(key);
    running_.erase(key);
    process_->jobs_.Remove(key);
    process_->pods_.Remove(key);
    std::set<std::string> told{kube::ToString(key)};
    for (const std::string& listed : retrain::ListedBy(job->meta)) told.insert(listed);
    auto all = FollowersOf(key);
    all.push_back(truth_.at({key.ns, job->meta.owners.at(0).name}));
    EXPECT_EQ(all.size(), told.size()) << kube::ToString(key);
    for (const auto& policy : all) {
      ASSERT_EQ(policy->status.runs.size(), 1u);
      const api::Run& run = policy->status.runs[0];
      EXPECT_TRUE(told.contains(key.ns + "/" + retrain::JobName(run))) << run.name;
      EXPECT_EQ(run.phase, api::RunPhase::kRunning) << run.message;
      EXPECT_EQ(run.job, key.name);
      api::RetrainPolicy after = *policy;
      after.status.runs[0].phase = api::RunPhase::kSucceeded;
      after.status.runs[0].finished = api::Time{now_};
      ++over_;
      Put(std::move(after));
    }
    trained_.push_back(all.size());
  }

  std::unique_ptr<Process> process_;
  std::map<kube::Key, WallTime> due_;
  std::set<std::pair<WallTime, kube::Key>> agenda_;
  std::set<kube::Key> made_;  // all Jobs
  std::map<kube::Key, int> writes_;
  std::mt19937 random_{1};
  WallTime now_ = kStart;
  std::int64_t version_ = 1;
  std::int64_t looks_to_death_ = 0;
};

}  // namespace perennial::testing
