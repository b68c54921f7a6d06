#include "app/wiring.h"

#include <algorithm>

#include "api/names.h"
#include "api/store_index.h"
#include "base/check.h"
#include "deployment/observe.h"
#include "drift/observe.h"
#include "retrain/group.h"
#include "retrain/observe.h"
#include "retrain/run.h"

namespace perennial::app {
namespace {

// Calls use(object) for the old and the new state: an object that moved wakes both places.
template <class Pointer, class Use>
void Both(const Pointer& before, const Pointer& after, Use use) {
  if (before != nullptr) use(*before);
  if (after != nullptr) use(*after);
}

// The object came, went, or is another one under the same name.
template <class Pointer>
bool CameOrWent(const Pointer& before, const Pointer& after) {
  return before == nullptr || after == nullptr || before->meta.uid != after->meta.uid;
}

// Wakes what a label of `object` names. Labels are hints: whoever is woken judges ownership by UID.
template <class Object>
void WakeByLabel(const Object& object, std::string_view label, kube::WorkQueue& queue) {
  const std::string* name = kube::Find(object.meta.labels, label);
  if (name != nullptr && !name->empty()) queue.Add({object.meta.key.ns, *name});
}

template <class T>
void WakeFound(const kube::Store<T>& store, std::string_view index, const kube::Key& about,
               kube::WorkQueue& queue) {
  for (const auto& object : store.ByIndex(index, kube::ToString(about))) {
    queue.Add(object->meta.key);
  }
}

template <class T>
void WakeUid(const kube::Store<T>& store, const std::string& uid, kube::WorkQueue& queue) {
  for (const auto& object : store.ByIndex(kByUid, uid)) queue.Add(object->meta.key);
}

// An object's own change, its own status write included: the next step of a plan in two steps is
// decided when the store shows the first.
template <class T>
void WireOwn(kube::Store<T>& store, kube::WorkQueue& queue) {
  store.AddListener([&queue](const auto& before, const auto& after) {
    const auto& known = after != nullptr ? after : before;
    PERENNIAL_CHECK(known != nullptr);
    queue.Add(known->meta.key);
  });
}

// What others read of a ModelDeployment: its spec, and which versions serve where. Replicas and
// weights move often and are nobody else's business.
bool ServesOtherwise(const api::ModelDeployment& a, const api::ModelDeployment& b) {
  const auto same = [](const api::VariantStatus& x, const api::VariantStatus& y) {
    return x.name == y.name && x.version == y.version && x.service == y.service;
  };
  return a.meta.generation != b.meta.generation || a.status.champion != b.status.champion ||
         a.status.challenger != b.status.challenger ||
         !std::equal(a.status.variants.begin(), a.status.variants.end(), b.status.variants.begin(),
                     b.status.variants.end(), same);
}

// A version's serving history follows what its deployment shows of it, shares in steps.
constexpr int kShareStep = 5;
bool SameShare(int a, int b) {
  return a / kShareStep == b / kShareStep && (a > 0) == (b > 0);
}
void WakeServing(const api::ModelDeployment* before, const api::ModelDeployment* after,
                 kube::WorkQueue& versions) {
  const auto lacks = [](const api::ModelDeployment* other, const api::VariantStatus& variant) {
    if (other == nullptr) return true;
    return std::none_of(other->status.variants.begin(), other->status.variants.end(),
                        [&](const api::VariantStatus& same) {
                          return same.name == variant.name && same.version == variant.version &&
                                 SameShare(same.weight, variant.weight);
                        });
  };
  for (const auto& [one, other] : {std::pair(before, after), std::pair(after, before)}) {
    if (one == nullptr) continue;
    for (const api::VariantStatus& variant : one->status.variants) {
      if (variant.version.empty()) continue;
      if (lacks(other, variant)) versions.Add({one->meta.key.ns, variant.version});
    }
  }
}

void WireModelDeployments(ClusterCache& cache, Queues q) {
  WireOwn(cache.model_deployments.store(), q.model_deployments);
  cache.model_deployments.store().AddListener([&cache, q](const auto& before, const auto& after) {
    const kube::Key& key = (after != nullptr ? after : before)->meta.key;
    const bool came_or_went = CameOrWent(before, after);
    if (came_or_went || ServesOtherwise(*before, *after)) {
      WakeFound(cache.drift_monitors.store(), kMonitorsByTarget, key, q.drift_monitors);
      WakeFound(cache.retrain_policies.store(), retrain::kPoliciesByDeployment, key,
                q.retrain_policies);
    }
    WakeServing(before.get(), after.get(), q.model_versions);
    if (came_or_went || before->spec.approval != after->spec.approval) {
      WakeFound(cache.model_versions.store(), api::kVersionsByDeployment, key, q.model_versions);
    }
  });
}

void WireDriftMonitors(ClusterCache& cache, Queues q) {
  WireOwn(cache.drift_monitors.store(), q.drift_monitors);
  cache.drift_monitors.store().AddListener([&cache, q](const auto& before, const auto& after) {
    if (!CameOrWent(before, after) && before->status.episode == after->status.episode) return;
    const kube::Key& key = (after != nullptr ? after : before)->meta.key;
    WakeFound(cache.retrain_policies.store(), retrain::kPoliciesByMonitor, key, q.retrain_policies);
  });
}

void WireModelVersions(ClusterCache& cache, Queues q) {
  WireOwn(cache.model_versions.store(), q.model_versions);
  cache.model_versions.store().AddListener([&cache, q](const auto& before, const auto& after) {
    Both(before, after, [&](const api::ModelVersion& version) {
      q.model_deployments.Add({version.meta.key.ns, version.spec.model_deployment});
    });
    // Others read its spec only, and that is immutable.
    if (!CameOrWent(before, after)) return;
    const api::ModelVersion& version = *(after != nullptr ? after : before);
    const kube::Key deployment{version.meta.key.ns, version.spec.model_deployment};
    WakeFound(cache.drift_monitors.store(), kMonitorsByTarget, deployment, q.drift_monitors);
    WakeFound(cache.retrain_policies.store(), retrain::kPoliciesByDeployment, deployment,
              q.retrain_policies);
    WakeFound(cache.model_versions.store(), kVersionsByParent, version.meta.key, q.model_versions);
  });
}

void WireModelApprovals(ClusterCache& cache, Queues q) {
  cache.model_approvals.store().AddListener([q](const auto& before, const auto& after) {
    Both(before, after, [&](const api::ModelApproval& approval) {
      q.model_versions.Add({approval.meta.key.ns, approval.spec.model_version});
    });
  });
}

// A ModelDeployment's children.
template <class T>
void WireChildren(kube::Store<T>& store, kube::WorkQueue& queue) {
  store.AddListener([&queue](const auto& before, const auto& after) {
    Both(before, after, [&](const T& child) { WakeByLabel(child, api::kLabelDeployment, queue); });
  });
}

// What a Gateway's class can do, for the models behind it.
void WireGateways(ClusterCache& cache, Queues q) {
  const auto wake = [&cache, q](const api::GatewayView& gateway) {
    WakeFound(cache.model_deployments.store(), kDeploymentsByGateway, gateway.meta.key,
              q.model_deployments);
  };
  cache.gateways.store().AddListener([wake](const auto& before, const auto& after) {
    // Its status is nobody's business here.
    if (CameOrWent(before, after) || before->gateway_class != after->gateway_class) {
      Both(before, after, wake);
    }
  });
  cache.gateway_classes.store().AddListener([&cache, wake](const auto& before, const auto& after) {
    if (!CameOrWent(before, after) && before->features == after->features) return;
    const std::string& name = (after != nullptr ? after : before)->meta.key.name;
    for (const auto& gateway : cache.gateways.store().ByIndex(kGatewaysByClass, name)) {
      wake(*gateway);
    }
  });
}

void WireEndpointSlices(ClusterCache& cache, Queues q) {
  WireChildren(cache.endpoint_slices.store(), q.model_deployments);
  cache.endpoint_slices.store().AddListener([&cache, q](const auto& before, const auto& after) {
    Both(before, after, [&](const api::EndpointSliceView& slice) {
      const std::string* name = kube::Find(slice.meta.labels, api::kLabelDeployment);
      if (name == nullptr) return;
      WakeFound(cache.drift_monitors.store(), kMonitorsByTarget,
                kube::Key{slice.meta.key.ns, *name}, q.drift_monitors);
    });
  });
}

// Lets the informers of `set` run for as long as some object of `store` needs them.
template <class T, class Seen, class NeedsOf>
void WireNeeds(kube::Store<T>& store, kube::InformerSet<Seen>& set, NeedsOf needs_of) {
  store.AddListener([&set, needs_of](const auto& before, const auto& after) {
    const auto needs = [&](const auto& object) {
      return object == nullptr ? std::set<kube::Resource>() : needs_of(*object);
    };
    set.Move(needs(before), needs(after));
  });
}

void WireBaselines(ClusterCache& cache, Queues q) {
  cache.baselines.AddListener([&cache, q](const auto& before, const auto& after) {
    WakeFound(cache.drift_monitors.store(), kMonitorsByBaseline,
              (after != nullptr ? after : before)->meta.key, q.drift_monitors);
  });
}

// The Service of another's model, and its endpoints.
void WireMonitoredServices(ClusterCache& cache, Queues q) {
  cache.monitored_services.AddListener([&cache, q](const auto& before, const auto& after) {
    WakeFound(cache.drift_monitors.store(), kMonitorsByService,
              (after != nullptr ? after : before)->meta.key, q.drift_monitors);
  });
  cache.monitored_slices.AddListener([&cache, q](const auto& before, const auto& after) {
    Both(before, after, [&](const api::EndpointSliceView& slice) {
      WakeFound(cache.drift_monitors.store(), kMonitorsByService,
                kube::Key{slice.meta.key.ns, slice.service}, q.drift_monitors);
    });
  });
}

void WireMonitorsNeeds(ClusterCache& cache) {
  const auto need = [](const kube::Resource& resource) {
    return [resource](const api::DriftMonitor& monitor) {
      const bool needed = drift::NeedsOf(monitor).contains(resource);
      return needed ? std::set<kube::Resource>{resource} : std::set<kube::Resource>();
    };
  };
  kube::Store<api::DriftMonitor>& monitors = cache.drift_monitors.store();
  WireNeeds(monitors, cache.baselines, need(api::kConfigMaps));
  WireNeeds(monitors, cache.monitored_services, need(api::kServices));
  WireNeeds(monitors, cache.monitored_slices, need(api::kEndpointSlices));
}

// Jobs of runs and their pods carry the policy's name.
template <class T>
void WireRuns(kube::Store<T>& store, kube::WorkQueue& queue) {
  store.AddListener([&queue](const auto& before, const auto& after) {
    Both(before, after, [&](const T& child) { WakeByLabel(child, api::kLabelPolicy, queue); });
  });
}

// Pods and objects of workloads, and ConfigMaps, need carry the run's label only.
template <class T>
void WakeByRun(const ClusterCache& cache, const T& object, kube::WorkQueue& queue) {
  const std::string* run = kube::Find(object.meta.labels, api::kLabelRun);
  if (run == nullptr) return;
  WakeFound(cache.retrain_policies.store(), retrain::kPoliciesByRun,
            kube::Key{object.meta.key.ns, *run}, queue);
}

// The policies whose runs go by this Job of another one.
void WakeFollowers(const ClusterCache& cache, const kube::Key& job, kube::WorkQueue& queue) {
  WakeFound(cache.retrain_policies.store(), retrain::kFollowers, job, queue);
}

// What the run that leads a group comes to moves those that follow it. Its pods do so by it alone.
void WireRetrainPolicies(ClusterCache& cache, Queues q) {
  WireOwn(cache.retrain_policies.store(), q.retrain_policies);
  cache.retrain_policies.store().AddListener([&cache, q](const auto& before, const auto& after) {
    Both(before, after, [&](const api::RetrainPolicy& policy) {
      // Whoever left its group may still be followed.
      if ((before != nullptr && before->spec.group) || (after != nullptr && after->spec.group)) {
        const api::Run* run = retrain::UnfinishedRun(policy);
        if (run == nullptr) return;
        WakeFollowers(cache, {policy.meta.key.ns, retrain::JobName(*run)}, q.retrain_policies);
      }
    });
  });
}

void WireRunObjects(ClusterCache& cache, Queues q) {
  cache.run_objects.AddListener([&cache, q](const auto& before, const auto& after) {
    Both(before, after, [&](const api::RunObjectView& object) {
      WakeByLabel(object, api::kLabelPolicy, q.retrain_policies);
      WakeByRun(cache, object, q.retrain_policies);
      WakeFollowers(cache, object.meta.key, q.retrain_policies);
    });
  });
  cache.pods.store().AddListener([&cache, q](const auto& before, const auto& after) {
    Both(before, after,
         [&](const api::PodView& pod) { WakeByRun(cache, pod, q.retrain_policies); });
  });
  WireNeeds(cache.retrain_policies.store(), cache.run_objects,
            [&cache](const api::RetrainPolicy& policy) {
              return retrain::NeedsOf(policy, cache.workload_kinds);
            });
}

}  // namespace

void Wire(ClusterCache& cache, Queues queues) {
  WireModelDeployments(cache, queues);
  WireBaselines(cache, queues);
  WireMonitoredServices(cache, queues);
  WireMonitorsNeeds(cache);
  WireDriftMonitors(cache, queues);
  WireRunObjects(cache, queues);
  WireRetrainPolicies(cache, queues);
  WireModelVersions(cache, queues);
  WireModelApprovals(cache, queues);
  WireChildren(cache.deployments.store(), queues.model_deployments);
  WireChildren(cache.services.store(), queues.model_deployments);
  WireChildren(cache.http_routes.store(), queues.model_deployments);
  WireChildren(cache.grpc_routes.store(), queues.model_deployments);
  WireChildren(cache.autoscalers.store(), queues.model_deployments);
  WireChildren(cache.disruption_budgets.store(), queues.model_deployments);
  WireChildren(cache.cron_jobs.store(), queues.model_deployments);
  WireChildren(cache.pending_pods.store(), queues.model_deployments);
  WireEndpointSlices(cache, queues);
  WireGateways(cache, queues);
  cache.jobs.store().AddListener([&cache, queues](const auto& before, const auto& after) {
    // A run's Job names the model that it trains, too.
    Both(before, after, [&](const api::JobView& job) {
      WakeFollowers(cache, job.meta.key, queues.retrain_policies);
      if (!deployment::OwnerOf(job.meta).empty()) {
        WakeByLabel(job, api::kLabelDeployment, queues.model_deployments);
      }
    });
  });
  WireRuns(cache.jobs.store(), queues.retrain_policies);
  WireRuns(cache.pods.store(), queues.retrain_policies);
}

void WakeAfterRound(const ClusterCache& cache, Queues queues, const std::string& subscription) {
  if (const auto policy = retrain::PolicyUidOf(subscription); !policy.empty()) {
    WakeUid(cache.retrain_policies.store(), std::string(policy), queues.retrain_policies);
    return;
  }
  const size_t slash = subscription.find('/');
  if (slash == std::string::npos) return;
  const std::string uid = subscription.substr(slash + 1);
  if (subscription == deployment::SubscriptionOf(uid)) {
    WakeUid(cache.model_deployments.store(), uid, queues.model_deployments);
  } else if (subscription == drift::SubscriptionOf(uid)) {
    WakeUid(cache.drift_monitors.store(), uid, queues.drift_monitors);
  }
}

}  // namespace perennial::app
