#pragma once

#include <string>

#include "app/cluster_cache.h"
#include "kube/work_queue.h"

namespace perennial::app {

// The queue of each reconciler.
struct Queues {
  kube::WorkQueue& model_deployments;
  kube::WorkQueue& drift_monitors;
  kube::WorkQueue& retrain_policies;
  kube::WorkQueue& model_versions;
};

// Lets every change in the cache wake those whose next decision may depend on it, and nobody else.
// Before the informers start; the queues must outlive them.
void Wire(ClusterCache& cache, Queues queues);

// Wakes whose subscription to samples has been scraped once more.
void WakeAfterRound(const ClusterCache& cache, Queues queues, const std::string& subscription);

}  // namespace perennial::app
