#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/children.h"
#include "api/drift_monitor.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "api/source.h"
#include "base/clock.h"
#include "drift/baseline.h"
#include "drift/decide.h"
#include "drift/gather.h"
#include "drift/history.h"
#include "kube/informer_set.h"
#include "kube/runner.h"
#include "kube/store.h"
#include "scrape/sample_store.h"

namespace perennial::drift {

// What must be watched beside our own objects for a monitor to be judged.
std::set<kube::Resource> NeedsOf(const api::DriftMonitor& monitor);

// The key under which the sample store measures for a monitor: "drift/<uid>".
std::string SubscriptionOf(std::string_view uid);

// Reconciler of DriftMonitors over the stores (kube/runner.h). It keeps a subscription in the
// sample store for every monitor that isn't suspended, and looks at the window once an interval:
// when a round of scrapes is over, or without one half an interval later. Between looks it repeats
// what it knows. The last looks are kept in memory; after a restart they continue from what status
// shows. Several threads may observe different keys at once.
class DriftReconciler {
 public:
  static constexpr std::string_view kName = "driftmonitor";
  using Observed = drift::Observed;

  struct Stores {
    const kube::Store<api::DriftMonitor>& monitors;
    const kube::Store<api::ModelDeployment>& deployments;
    const kube::Store<api::ModelVersion>& versions;
    const kube::Store<api::EndpointSliceView>& slices;
    const kube::Store<api::ServiceView>& services;
    const kube::InformerSet<api::ProfileMapView>& baselines;
    // Services that Perennial doesn't manage and monitors watch, with their slices (by
    // api::kSlicesByService).
    const kube::InformerSet<api::ServiceView>& monitored_services;
    const kube::InformerSet<api::EndpointSliceView>& monitored_slices;
  };

  // `secrets` reads what sources name; it may ask the API server, and remembers.
  DriftReconciler(Stores stores, scrape::SampleStore& samples, const Clock& clock,
                  api::SecretLookup secrets = nullptr);

  std::optional<Observed> Observe(const kube::Key& key, const kube::Attempt& attempt);
  static kube::Plan Decide(const Observed& seen, WallTime now) { return drift::Decide(seen, now); }

 private:
  // What is known of one monitor beyond the stores. Used by one thread at a time.
  struct Memory {
    std::string uid;
    History history;
    Millis looked{0};  // steady time of the last look, or of the beginning
    std::uint64_t round = 0;
    bool any_look = false;
    std::int64_t generation = -1;  // of the spec whose expressions are parsed
    Expressions expressions;
  };

  std::shared_ptr<Memory> Recall(const api::DriftMonitor& monitor);
  void Forget(const kube::Key& key);
  void Subscribe(const std::string& id, const Expressions& expressions, Observed& seen);
  // Fills in how the metrics are reached; an error says why they can't be.
  Status AddSource(const Observed& seen, scrape::Subscription& subscription) const;
  std::vector<std::shared_ptr<const api::EndpointSliceView>> SlicesOf(
      const Observed& seen, const api::VariantStatus& variant) const;
  void AddTargets(const Observed& seen, const api::VariantStatus& variant,
                  scrape::Subscription& subscription, std::string& problem) const;
  Reference ReferenceOf(const std::string& id, const Observed& seen,
                        const std::string& version) const;
  Reference StoredReference(const std::string& ns, const api::BaselineConfigMap& where) const;
  // `champions`: what the champion, the first version, is compared with.
  void Look(const std::string& id, const Observed& seen, const Reference& champions,
            Memory& memory) const;
  void Count(const std::string& id, Observed& seen) const;

  Stores stores_;
  scrape::SampleStore& samples_;
  const Clock& clock_;
  const api::SecretLookup secrets_;
  std::mutex mutex_;
  std::map<kube::Key, std::shared_ptr<Memory>> memories_;
};

}  // namespace perennial::drift
