#pragma once

#include <string>
#include <string_view>

#include "deployment/decide.h"

namespace perennial::deployment {

// What runs of one version.
struct Running {
  const api::DeploymentView* deployment = nullptr;
  const api::ServiceView* service = nullptr;
  int ready_endpoints = 0;
  bool autoscaled = false;  // somebody else sets its number of pods: more than wanted is right too

  // May get traffic: the API server's endpoints and the Deployment agree that a pod is ready.
  bool Serving() const;
  // All pods of the newest template are there and ready, as observed after our last write.
  bool Complete(int replicas) const;
  // Its pods could not be brought up in time.
  bool Failed() const;
};

Running RunningOf(const Observed& seen, std::string_view version);

const api::ModelVersion* FindVersion(const Observed& seen, std::string_view name);
// The owned route or Service of that name, or nullptr.
const api::HttpRouteView* FindRoute(const Observed& seen, std::string_view name);
const api::ServiceView* FindService(const Observed& seen, std::string_view name);

// The kind of route that leads to the model, and the one that would if it spoke otherwise.
const kube::Resource& RouteKind(const api::ModelDeployment& deployment);
const kube::Resource& OtherRouteKind(const api::ModelDeployment& deployment);

// Fewest pods of whoever serves: spec.replicas, what an autoscaler begins with, or 1.
int Replicas(const api::ModelDeployment& deployment);

// Name of a version's Deployment and Service. It depends on the two names alone, so that it is
// found again whatever else is lost.
std::string ChildName(const api::ModelDeployment& deployment, std::string_view version);

bool Approved(const api::ModelVersion& version);
bool Rejected(const api::ModelVersion* version);

// A rollout that has not ended.
bool Active(const api::RolloutStatus& rollout);
const api::RolloutStatus* ActiveRollout(const api::ModelDeploymentStatus& status);

}  // namespace perennial::deployment
