// 18,000 policies drift in the same minute: who runs when, and how often status is written, with a
// controller that lives and with one that is killed again and again.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "api/codec.h"
#include "retrain/budget.h"
#include "retrain/decide.h"

namespace perennial::retrain {
namespace {

constexpr WallTime kStart{std::chrono::hours(500'000)};
#if defined(__SANITIZE_ADDRESS__)
constexpr int kPolicies = 1'800;  // what a sanitizer looks for shows with fewer, too
#else
constexpr int kPolicies = 18'000;
#endif
constexpr int kFewer = kPolicies / 5;  // where each death has all of them looked at again
constexpr int kNamespaces = 18;        // the first one has half of all policies
constexpr int kBudget = kPolicies / 90;

// What dies with the controller.
struct Process {
  Process() : budget(store, {kBudget, 0}, [this](const kube::Key& key) { due.push_back(key); }) {}
  kube::Store<api::RetrainPolicy> store;
  std::vector<kube::Key> due;
  RunBudget budget;
};

class Storm : public ::testing::Test {
 protected:
  Storm() {
    monitor_ = std::make_shared<api::DriftMonitor>();
    monitor_->meta.key = {"any", "m"};
    monitor_->status.episode = api::Episode{"e1", api::Time{kStart}, "v1", {"distance"}};
    deployment_ = std::make_shared<api::ModelDeployment>();
  }

  void Begin(int policies) {
    for (int i = 0; i < policies; ++i) {
      const int ns = i % 2 == 0 ? 0 : 1 + (i / 2) % (kNamespaces - 1);
      Make("ns" + std::to_string(ns), "p" + std::to_string(i));
    }
    Restart();
    std::shuffle(process_->due.begin(), process_->due.end(), random_);
  }

  void Make(const std::string& ns, const std::string& name) {
    api::RetrainPolicy policy;
    policy.meta.key = {ns, name};
    policy.meta.uid = "uid-" + name;
    policy.meta.resource_version = std::to_string(++version_);
    policy.spec.model_deployment = "d";
    policy.spec.job = api::JobTemplate{};
    policy.spec.job->job_template.text =
        R"({"spec":{"template":{"spec":{"containers":[{"name":"t","image":"i"}]}}}})";
    api::Trigger trigger;
    trigger.drift = api::DriftTrigger{"m", {}};
    policy.spec.triggers = {trigger};
    const kube::Key key = policy.meta.key;
    policies_[key] = std::make_shared<api::RetrainPolicy>(std::move(policy));
  }

  void Put(api::RetrainPolicy policy) {
    policy.meta.resource_version = std::to_string(++version_);
    auto object = std::make_shared<const api::RetrainPolicy>(std::move(policy));
    policies_[object->meta.key] = object;
    process_->store.Upsert(object);
    process_->due.push_back(object->meta.key);
  }

  // What a new process finds is what the API server has.
  void Restart() {
    process_ = std::make_unique<Process>();
    for (const auto& [key, policy] : policies_) {
      process_->store.Upsert(policy);
      process_->due.push_back(key);
    }
  }

  // Looks at all that is due, until nothing is.
  void Settle() {
    while (!process_->due.empty()) {
      std::vector<kube::Key> keys;
      keys.swap(process_->due);
      const Process* alive = process_.get();
      for (const kube::Key& key : keys) {
        Look(key);
        if (process_.get() != alive) break;
      }
    }
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
    now_ += Millis(3);  // 18,000 of them take a minute
    Observed seen;
    seen.policy = process_->store.Get(key);
    seen.deployment = deployment_;
    seen.monitors = {monitor_};
    if (const auto job = jobs_.find(key); job != jobs_.end()) seen.jobs = {job->second};
    seen.queue = process_->budget.Ask(key);
    const kube::Plan plan = Decide(seen, now_);
    // Dies before anything, between its two writes, or after both.
    const int where = looks_ % 3;
    if (where == 0 && DiesHere()) return;
    for (const kube::Action& action : plan.actions) {
      if (const auto* create = std::get_if<kube::CreateObject>(&action)) Started(key, *create);
    }
    if (where == 1 && DiesHere()) return;
    if (!plan.status) return;
    ++writes_[key];
    api::RetrainPolicy after = *seen.policy;
    after.status = StatusOf(plan);
    Put(std::move(after));
    if (where == 2) DiesHere();
  }

  static api::RetrainPolicyStatus StatusOf(const kube::Plan& plan) {
    nlohmann::json object = {
        {"metadata", {{"name", "p"}, {"namespace", "n"}, {"uid", "u"}}},
        {"spec", {{"modelDeployment", "d"}, {"job", {{"template", nlohmann::json::object()}}}}}};
    object["status"] = nlohmann::json::parse(*plan.status);
    auto policy = api::DecodeRetrainPolicy(object);
    EXPECT_TRUE(policy.ok()) << *plan.status;
    return policy.ok() ? policy->status : api::RetrainPolicyStatus{};
  }

  void Started(const kube::Key& key, const kube::CreateObject& create) {
    if (jobs_.contains(key)) {
      // The API server answers that it is there; the same name is the same Job.
      EXPECT_EQ(jobs_[key]->meta.key, create.target.key);
      return;
    }
    EXPECT_TRUE(made_.insert(create.target.key).second) << "a second Job for one run";
    auto job = std::make_shared<api::JobView>();
    job->meta.key = create.target.key;
    job->meta.uid = "job-" + key.name;
    job->meta.created = now_;
    jobs_[key] = job;
    running_.push_back(key);
    order_.push_back(key);
    rounds_.push_back(round_);
    ++running_in_[key.ns];
    most_ = std::max(most_, running_.size());
    process_->due.push_back(key);
  }

  // A tenth of the runs under way ends.
  void End() {
    std::shuffle(running_.begin(), running_.end(), random_);
    const std::size_t stay = running_.size() - std::max<std::size_t>(1, running_.size() / 10);
    while (running_.size() > stay) {
      const kube::Key key = running_.back();
      running_.pop_back();
      --running_in_[key.ns];
      jobs_.erase(key);
      api::RetrainPolicy policy = *policies_.at(key);
      ASSERT_EQ(policy.status.runs.size(), 1u);
      policy.status.runs[0].phase = api::RunPhase::kSucceeded;
      policy.status.runs[0].finished = api::Time{now_};
      Put(std::move(policy));
    }
  }

  // From the first look to the last run's end.
  void RunAll() {
    Settle();
    EXPECT_EQ(running_.size(), static_cast<std::size_t>(kBudget));
    for (int round = 1; !running_.empty() && round < 5'000; ++round) {
      now_ += Seconds(60);
      round_ = round;
      End();
      Settle();
      // By then all that began before everybody had asked is over.
      if (round == 60) ExpectFairShares();
    }
    EXPECT_EQ(order_.size(), policies_.size()) << "each one ran, and once";
    EXPECT_EQ(most_, static_cast<std::size_t>(kBudget));
  }

  void ExpectFairShares() {
    ASSERT_EQ(running_in_.size(), static_cast<std::size_t>(kNamespaces));
    for (const auto& [ns, runs] : running_in_) {
      EXPECT_GE(runs, kBudget / kNamespaces) << ns;
      EXPECT_LE(runs, kBudget / kNamespaces + 1) << ns;
    }
  }

  int MostWrites() const {
    int most = 0;
    for (const auto& [key, writes] : writes_) most = std::max(most, writes);
    return most;
  }
  int AllWrites() const {
    int all = 0;
    for (const auto& [key, writes] : writes_) all += writes;
    return all;
  }

  static constexpr int kBetweenDeaths =
      kFewer * 14 / 10;  // looks; after a start, all are looked at
  std::mt19937 random_{1};
  std::map<kube::Key, std::shared_ptr<const api::RetrainPolicy>> policies_;
  std::unique_ptr<Process> process_;
  std::shared_ptr<api::DriftMonitor> monitor_;
  std::shared_ptr<api::ModelDeployment> deployment_;
  std::map<kube::Key, std::shared_ptr<const api::JobView>> jobs_;  // by policy
  std::set<kube::Key> made_;
  std::vector<kube::Key> running_;
  std::vector<kube::Key> order_;
  std::vector<int> rounds_;  // in which minute each of them began
  int round_ = 0;
  std::map<std::string, int> running_in_;
  std::map<kube::Key, int> writes_;
  std::size_t most_ = 0;
  std::int64_t version_ = 0;
  std::int64_t looks_ = 0;
  WallTime now_ = kStart;
  int deaths_left_ = 0;
  int looks_to_death_ = kBetweenDeaths;
};

// Recorded; its position at 1000, 100 and 10; its place; the Job's making; the Job seen; the end.
constexpr int kMostWrites = 8;

TEST_F(Storm, NeverRunsMoreThanTheBudgetAndStarvesNobody) {
  Begin(kPolicies);
  RunAll();
  EXPECT_LE(MostWrites(), kMostWrites);
  EXPECT_LE(looks_, (kMostWrites + 6) * kPolicies);
  RecordProperty("status_writes", AllWrites());
  RecordProperty("looks", static_cast<int>(looks_));
  // Within a namespace, in the order in which they drifted; those that get their turn in the same
  // minute may take it in any order.
  std::map<std::string, WallTime> earlier;  // the latest of the minutes before
  std::map<std::string, std::pair<int, WallTime>> latest;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const kube::Key& key = order_[i];
    const WallTime enqueued = policies_.at(key)->status.runs.at(0).enqueued->value;
    auto& [round, last] = latest[key.ns];
    if (round != rounds_[i]) {
      earlier[key.ns] = std::max(earlier[key.ns], last);
      round = rounds_[i];
    }
    last = std::max(last, enqueued);
    ASSERT_LE(earlier[key.ns], enqueued) << kube::ToString(key);
  }
  // The namespaces that ask for little are through when each has had its share, not at the end.
  const std::size_t small = kPolicies / 2 / (kNamespaces - 1) + 1;
  std::map<std::string, std::size_t> last_index;
  for (std::size_t i = 0; i < order_.size(); ++i) last_index[order_[i].ns] = i;
  for (const auto& [ns, index] : last_index) {
    if (ns == "ns0") continue;
    EXPECT_LE(index, small * kNamespaces + 5 * kBudget) << ns;
  }
}

TEST_F(Storm, IsTheSameForAControllerThatIsKilledAgainAndAgain) {
  Begin(kFewer);
  deaths_left_ = 10;
  RunAll();
  EXPECT_EQ(deaths_left_, 0) << "it was to die while the storm lasted";
  EXPECT_LE(MostWrites(), kMostWrites + 1);
}

}  // namespace
}  // namespace perennial::retrain
