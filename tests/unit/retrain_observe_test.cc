#include <gtest/gtest.h>

#include "support/retrain_stores.h"

namespace perennial::retrain {
namespace {

template <class T>
std::shared_ptr<T> Named(const char* ns, const char* name, const char* uid) {
  auto object = std::make_shared<T>();
  object->meta.key = {ns, name};
  object->meta.uid = uid;
  object->meta.resource_version = "1";
  return object;
}

class ObserveTest : public ::testing::Test, protected ::perennial::testing::RetrainStores {
 protected:
  void AddPolicy() {
    auto policy = Named<api::RetrainPolicy>("transit", "p", "policy-uid");
    policy->spec.model_deployment = "departures";
    for (const char* monitor : {"drift", "drift", "absent"}) {
      api::Trigger trigger;
      trigger.drift = api::DriftTrigger{monitor, {}};
      policy->spec.triggers.push_back(trigger);
    }
    policies_.Upsert(policy);
  }

  void AddJob(const char* name, const char* uid, const char* owner_kind, const char* owner_uid) {
    auto job = Named<api::JobView>("transit", name, uid);
    job->meta.owners.push_back({"perennial.dev/v1alpha1", owner_kind, "p", owner_uid, true});
    jobs_.Upsert(job);
    auto pod = Named<api::PodView>("transit", (std::string(name) + "-pod").c_str(), name);
    pod->job_uid = uid;
    pods_.Upsert(pod);
  }
};

TEST_F(ObserveTest, SeesWhatBelongsToThePolicyAndNothingElse) {
  AddPolicy();
  deployments_.Upsert(Named<api::ModelDeployment>("transit", "departures", "d"));
  deployments_.Upsert(Named<api::ModelDeployment>("other", "departures", "d2"));
  monitors_.Upsert(Named<api::DriftMonitor>("transit", "drift", "m"));
  for (const auto& [ns, deployment] :
       {std::pair{"transit", "departures"}, {"transit", "another"}, {"other", "departures"}}) {
    auto version = Named<api::ModelVersion>(ns, (std::string(deployment) + "-v").c_str(),
                                            (std::string(ns) + deployment).c_str());
    version->spec.model_deployment = deployment;
    versions_.Upsert(version);
  }
  AddJob("ours", "job-1", "RetrainPolicy", "policy-uid");
  AddJob("of-a-namesake", "job-2", "RetrainPolicy", "older-policy-uid");
  AddJob("of-a-cronjob", "job-3", "CronJob", "policy-uid");

  const auto seen = Reconciler().Observe({"transit", "p"}, {WallTime{}, "quota exceeded"});
  ASSERT_TRUE(seen.has_value());
  ASSERT_NE(seen->deployment, nullptr);
  EXPECT_EQ(seen->deployment->meta.uid, "d");
  ASSERT_EQ(seen->monitors.size(), 1u) << "named twice, seen once; what is absent is left out";
  ASSERT_EQ(seen->versions.size(), 1u);
  EXPECT_EQ(seen->versions[0]->meta.uid, "transitdepartures");
  ASSERT_EQ(seen->jobs.size(), 1u);
  EXPECT_EQ(seen->jobs[0]->meta.uid, "job-1");
  ASSERT_EQ(seen->pods.size(), 1u);
  EXPECT_EQ(seen->pods[0]->job_uid, "job-1");
  EXPECT_EQ(seen->last_error, "quota exceeded");
}

TEST_F(ObserveTest, LeavesWhatIsGoneOrGoingAlone) {
  EXPECT_FALSE(Reconciler().Observe({"transit", "p"}, {}).has_value());
  auto policy = Named<api::RetrainPolicy>("transit", "p", "policy-uid");
  policy->meta.deleting = true;
  policies_.Upsert(policy);
  EXPECT_FALSE(Reconciler().Observe({"transit", "p"}, {}).has_value());
}

TEST_F(ObserveTest, AVersionSeesItsParentDeploymentAndApprovals) {
  auto parent = Named<api::ModelVersion>("transit", "v1", "v1");
  parent->spec.model_deployment = "departures";
  versions_.Upsert(parent);
  auto version = Named<api::ModelVersion>("transit", "v2", "v2");
  version->spec.model_deployment = "departures";
  version->spec.parent = "v1";
  versions_.Upsert(version);
  deployments_.Upsert(Named<api::ModelDeployment>("transit", "departures", "d"));
  for (const auto& [name, about] : {std::pair{"a1", "v2"}, {"a2", "v1"}}) {
    auto approval = Named<api::ModelApproval>("transit", name, name);
    approval->spec.model_version = about;
    approvals_.Upsert(approval);
  }
  const VersionReconciler reconciler(versions_, deployments_, approvals_);
  const auto seen = reconciler.Observe({"transit", "v2"}, {});
  ASSERT_TRUE(seen.has_value());
  ASSERT_NE(seen->parent, nullptr);
  EXPECT_EQ(*seen->parent, *parent);
  ASSERT_NE(seen->deployment, nullptr);
  ASSERT_EQ(seen->approvals.size(), 1u);
  EXPECT_EQ(seen->approvals[0]->meta.key.name, "a1");
}

}  // namespace
}  // namespace perennial::retrain
