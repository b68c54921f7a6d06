#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/children.h"
#include "api/model_deployment.h"
#include "api/retrain_policy.h"
#include "api/source.h"
#include "base/clock.h"
#include "kube/store.h"
#include "retrain/new_data.h"
#include "scrape/sample_store.h"

namespace perennial::retrain {

// The policy's UID in the name of a subscription of a newData trigger; empty for others.
std::string_view PolicyUidOf(std::string_view subscription);

// Measures what newData triggers ask for: a subscription in the sample store for each trigger of a
// policy that isn't suspended, over the pods of all versions that serve. Thread-safe; one policy is
// looked at by one thread at a time.
class DataWatch {
 public:
  struct Stores {
    const kube::Store<api::EndpointSliceView>& slices;
    const kube::Store<api::ServiceView>& services;
  };
  DataWatch(Stores stores, scrape::SampleStore& samples, const Clock& clock,
            api::SecretLookup secrets);
  DataWatch(const DataWatch&) = delete;
  DataWatch& operator=(const DataWatch&) = delete;

  // Subscribes to what the policy wants now and reads it. Without a deployment nothing is measured.
  std::vector<DataReading> Read(const api::RetrainPolicy& policy,
                                const api::ModelDeployment* deployment);
  void Forget(const kube::Key& policy);

 private:
  DataReading ReadOne(const api::NewDataTrigger& trigger, const std::string& id,
                      const api::ModelDeployment& deployment);
  Status AddPods(const api::NewDataTrigger& trigger, const api::ModelDeployment& deployment,
                 scrape::Subscription& subscription) const;
  void AddTargets(const api::ModelDeployment& deployment, const api::VariantStatus& variant,
                  bool promql, scrape::Subscription& subscription) const;
  // Ends the subscriptions of the policy that are not among these.
  void Keep(const kube::Key& policy, const std::set<std::string>& ids);

  Stores stores_;
  scrape::SampleStore& samples_;
  const Clock& clock_;
  const api::SecretLookup secrets_;
  std::mutex mutex_;
  std::map<kube::Key, std::set<std::string>> subscribed_;
};

}  // namespace perennial::retrain
