// 18,000 policies of 600 groups drift in the same minute: one Job a group, and never more of them
// than the budget, with a controller that lives and with one that is killed again and again.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "api/codec.h"
#include "api/names.h"
#include "retrain/budget.h"
#include "retrain/group.h"
#include "retrain/run.h"
#include "support/retrain_stores.h"

namespace perennial::retrain {
namespace {

using nlohmann::json;
using ::perennial::testing::RetrainStores;

constexpr WallTime kStart{std::chrono::hours(500'000)};
constexpr int kMembers = 30;
#if defined(__SANITIZE_ADDRESS__)
constexpr int kGroups = 60;  // what a sanitizer looks for shows with fewer, too
#else
constexpr int kGroups = 600;
#endif
constexpr int kFewer = kGroups / 6;
constexpr int kNamespaces = 18;
constexpr Millis kMinute{60'000};

// What dies with the controller.
struct Process : RetrainStores {
  Process(int budget, RunBudget::Wake wake) : places(policies_, {budget, 0}, std::move(wake)) {}
  RunBudget places;
};

class GroupStorm : public ::testing::Test {
 protected:
  void Begin(int groups, int budget) {
    budget_ = budget;
    for (int i = 0; i < groups * kMembers; ++i) {
      // The groups of one namespace have names of their own.
      Make("ns" + std::to_string(i / kMembers % kNamespaces), "g" + std::to_string(i / kMembers),
           "p" + std::to_string(i));
    }
    Restart();
    // They drift within a minute, in no order.
    due_.clear();
    agenda_.clear();
    for (const auto& [key, policy] : truth_) Due(key, now_ + Millis(random_() % kMinute.count()));
  }

  void Make(const std::string& ns, const std::string& group, const std::string& name) {
    auto policy = ::perennial::testing::PolicyOfGroup(name);
    policy->meta.key = {ns, name};
    policy->meta.resource_version = "1";
    policy->spec.model_deployment = "d";
    policy->spec.group->name = group;
    policy->spec.triggers.emplace_back().drift = api::DriftTrigger{"m", {}};
    truth_[policy->meta.key] = policy;
  }

  // What a new process finds is what the API server has.
  void Restart() {
    process_ = std::make_unique<Process>(budget_, [this](const kube::Key& key) { Due(key, now_); });
    for (int i = 0; i < kNamespaces; ++i) {
      const std::string ns = "ns" + std::to_string(i);
      auto deployment = std::make_shared<api::ModelDeployment>();
      deployment->meta.key = {ns, "d"};
      deployment->meta.resource_version = "1";
      process_->deployments_.Upsert(deployment);
      auto monitor = std::make_shared<api::DriftMonitor>();
      monitor->meta.key = {ns, "m"};
      monitor->meta.resource_version = "1";
      monitor->status.episode = api::Episode{"e1", api::Time{kStart}, "v1", {"distance"}};
      process_->monitors_.Upsert(monitor);
    }
    for (const auto& [key, policy] : truth_) process_->policies_.Upsert(policy);
    for (const auto& [name, job] : running_) process_->jobs_.Upsert(job);
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

  // Looks at all that is due by then.
  void RunUntil(WallTime end) {
    while (!agenda_.empty() && agenda_.begin()->first <= end) {
      const auto [at, key] = *agenda_.begin();
      agenda_.erase(agenda_.begin());
      if (due_.erase(key) == 0) continue;
      now_ = std::max(now_, at);
      Look(key);
    }
    now_ = std::max(now_, end);
  }

  bool DiesHere() {
    if (deaths_left_ == 0 || --looks_to_death_ > 0) return false;
    --deaths_left_;
    looks_to_death_ = kBetweenDeaths;
    Restart();
    return true;
  }

  void Look(const kube::Key& key) {
    ++looks_;
    auto seen = process_->Reconciler(&process_->places).Observe(key, {});
    ASSERT_TRUE(seen.has_value());
    const kube::Plan plan = Decide(*seen, now_);
    if (plan.wake_at) Due(key, *plan.wake_at);
    // Dies before anything, between its two writes, or after both.
    const int where = looks_ % 3;
    if (where == 0 && DiesHere()) return;
    for (const kube::Action& action : plan.actions) {
      if (const auto* create = std::get_if<kube::CreateObject>(&action)) Started(*create);
    }
    if (where == 1 && DiesHere()) return;
    if (!plan.status) return;
    ++writes_[key];
    api::RetrainPolicy after = *seen->policy;
    after.status = StatusOf(*plan.status);
    Put(std::move(after));
    if (where == 2) DiesHere();
  }

  static api::RetrainPolicyStatus StatusOf(const std::string& text) {
    json object = {{"metadata", {{"name", "p"}, {"namespace", "n"}, {"uid", "u"}}},
                   {"spec", {{"modelDeployment", "d"}, {"job", {{"template", json::object()}}}}},
                   {"status", json::parse(text)}};
    return api::DecodeRetrainPolicy(object)->status;
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
      const api::Run* run = UnfinishedRun(*one);
      if (run != nullptr) WakeFollowers({key.ns, JobName(*run)});
    }
  }
  void WakeFollowers(const kube::Key& job) {
    for (const auto& follower : process_->policies_.ByIndex(kFollowers, kube::ToString(job))) {
      Due(follower->meta.key, now_);
    }
  }

  void Started(const kube::CreateObject& create) {
    if (running_.contains(create.target.key)) return;  // the same name is the same Job
    ASSERT_TRUE(made_.insert(create.target.key).second) << "a second Job for one run";
    json object = json::parse(create.body);
    object["metadata"]["uid"] = "uid-" + create.target.key.name;
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    object["metadata"]["creationTimestamp"] = FormatTime(now_);
    auto job = std::make_shared<const api::JobView>(*api::DecodeJobView(object));
    running_[create.target.key] = job;
    most_ = std::max(most_, static_cast<int>(running_.size()));
    process_->jobs_.Upsert(job);
    Due({job->meta.key.ns, job->meta.owners.at(0).name}, now_);
    WakeFollowers(job->meta.key);
  }

  // The Job has ended, and all that it trained for have taken their results.
  void End(const kube::Key& key) {
    const auto job = running_.at(key);
    std::set<std::string> names{key.name};
    for (const std::string& listed : ListedBy(job->meta))
      names.insert(listed.substr(key.ns.size() + 1));
    EXPECT_EQ(names.size(), static_cast<std::size_t>(kMembers)) << kube::ToString(key);
    running_.erase(key);
    process_->jobs_.Remove(key);
    std::vector<api::RetrainPolicy> trained;
    const auto leader = truth_.at({key.ns, job->meta.owners.at(0).name});
    for (const auto& member :
         process_->policies_.ByIndex(kPoliciesByGroup, GroupOf(*leader).at(0))) {
      const api::Run* run = UnfinishedRun(*member);
      if (run == nullptr || !names.contains(JobName(*run))) continue;
      EXPECT_EQ(run->phase, api::RunPhase::kRunning) << run->message;
      EXPECT_EQ(run->job, key.name);
      trained.push_back(*member);
    }
    EXPECT_EQ(trained.size(), static_cast<std::size_t>(kMembers));
    for (api::RetrainPolicy& policy : trained) {
      EXPECT_EQ(policy.status.runs.size(), 1u);
      policy.status.runs[0].phase = api::RunPhase::kSucceeded;
      policy.status.runs[0].finished = api::Time{now_};
      ++over_;
      Put(std::move(policy));
    }
  }

  // From the first look to the last run's end. Each minute a quarter of the Jobs ends.
  void RunAll() {
    const int all = static_cast<int>(truth_.size());
    for (int minute = 0; over_ < all && minute < 300; ++minute) {
      RunUntil(now_ + kMinute);
      std::vector<kube::Key> jobs;
      for (const auto& [key, job] : running_) jobs.push_back(key);
      std::shuffle(jobs.begin(), jobs.end(), random_);
      jobs.resize((jobs.size() + 3) / 4);
      for (const kube::Key& key : jobs) End(key);
    }
    RunUntil(now_ + 5 * kMinute);
    EXPECT_EQ(over_, all) << "nobody is starved";
    EXPECT_EQ(made_.size(), truth_.size() / kMembers) << "one Job for each group";
    EXPECT_EQ(most_, budget_) << "as many as are allowed, and not one more";
  }
  int MostWrites() const {
    int most = 0;
    for (const auto& [key, writes] : writes_) most = std::max(most, writes);
    return most;
  }

  static constexpr int kBetweenDeaths = kFewer * kMembers * 14 / 10;
  std::mt19937 random_{1};
  int budget_ = 0;
  std::map<kube::Key, std::shared_ptr<const api::RetrainPolicy>> truth_;
  std::map<kube::Key, std::shared_ptr<const api::JobView>> running_;
  std::set<kube::Key> made_;
  std::unique_ptr<Process> process_;
  std::map<kube::Key, WallTime> due_;
  std::set<std::pair<WallTime, kube::Key>> agenda_;
  std::map<kube::Key, int> writes_;
  int most_ = 0;
  int over_ = 0;
  std::int64_t version_ = 1;
  std::int64_t looks_ = 0;
  WallTime now_ = kStart;
  int deaths_left_ = 0;
  int looks_to_death_ = kBetweenDeaths;
};

// Recorded; who leads may change while they gather; its turn, its position, its place; the Job.
constexpr int kMostWrites = 9;

TEST_F(GroupStorm, MakesOneJobForEachGroupWithinTheBudget) {
  Begin(kGroups, kGroups / 3);
  RunAll();
  EXPECT_LE(MostWrites(), kMostWrites);
  std::int64_t all = 0;
  for (const auto& [key, writes] : writes_) all += writes;
  EXPECT_LE(all, 6 * static_cast<std::int64_t>(truth_.size()));
  RecordProperty("status_writes", std::to_string(all));
  RecordProperty("looks", std::to_string(looks_));
}

TEST_F(GroupStorm, IsTheSameForAControllerThatIsKilledAgainAndAgain) {
  Begin(kFewer, kFewer / 3);
  deaths_left_ = 6;
  RunAll();
  EXPECT_EQ(deaths_left_, 0) << "it was to die while the storm lasted";
  EXPECT_LE(MostWrites(), kMostWrites + 1);
}

}  // namespace
}  // namespace perennial::retrain
