#include "deployment/fleet.h"

#include <algorithm>

#include "api/names.h"
#include "base/hash.h"

namespace perennial::deployment {
namespace {

template <class T>
const T* FindByName(const std::vector<std::shared_ptr<const T>>& objects, std::string_view name) {
  for (const auto& object : objects) {
    if (object->meta.key.name == name) return object.get();
  }
  return nullptr;
}

}  // namespace

bool Running::Serving() const {
  return deployment != nullptr && service != nullptr && !deployment->meta.deleting &&
         deployment->ready_replicas > 0 && ready_endpoints > 0;
}

bool Running::Complete(int replicas) const {
  return deployment != nullptr && !deployment->meta.deleting &&
         deployment->observed_generation >= deployment->meta.generation &&
         (autoscaled ? deployment->replicas >= replicas : deployment->replicas == replicas) &&
         deployment->updated_replicas >= replicas && deployment->ready_replicas >= replicas;
}

bool Running::Failed() const {
  return deployment != nullptr && deployment->progress_deadline_exceeded &&
         deployment->observed_generation >= deployment->meta.generation;
}

Running RunningOf(const Observed& seen, std::string_view version) {
  Running running;
  running.autoscaled = seen.deployment->spec.autoscaling.has_value();
  const std::string name = ChildName(*seen.deployment, version);
  running.deployment = FindByName(seen.deployments, name);
  running.service = FindService(seen, name);
  for (const auto& slice : seen.slices) {
    if (slice->service != name) continue;
    running.ready_endpoints += static_cast<int>(
        std::count_if(slice->endpoints.begin(), slice->endpoints.end(),
                      [](const api::Endpoint& endpoint) { return endpoint.ready; }));
  }
  return running;
}

const api::ModelVersion* FindVersion(const Observed& seen, std::string_view name) {
  return name.empty() ? nullptr : FindByName(seen.versions, name);
}

const api::HttpRouteView* FindRoute(const Observed& seen, std::string_view name) {
  return FindByName(seen.routes, name);
}

const api::ServiceView* FindService(const Observed& seen, std::string_view name) {
  return FindByName(seen.services, name);
}

const kube::Resource& RouteKind(const api::ModelDeployment& deployment) {
  const bool grpc = deployment.spec.traffic.protocol == api::TrafficProtocol::kGrpc;
  return grpc ? api::kGrpcRoutes : api::kHttpRoutes;
}

const kube::Resource& OtherRouteKind(const api::ModelDeployment& deployment) {
  return RouteKind(deployment) == api::kGrpcRoutes ? api::kHttpRoutes : api::kGrpcRoutes;
}

int Replicas(const api::ModelDeployment& deployment) {
  if (deployment.spec.autoscaling) return deployment.spec.autoscaling->min_replicas;
  return deployment.spec.replicas.value_or(1);
}

std::string ChildName(const api::ModelDeployment& deployment, std::string_view version) {
  return BoundedName(deployment.meta.key.name, ShortHash(version));
}

bool Approved(const api::ModelVersion& version) {
  return version.status.phase == api::VersionPhase::kApproved && !version.meta.deleting;
}

bool Rejected(const api::ModelVersion* version) {
  return version != nullptr && version->status.phase == api::VersionPhase::kRejected;
}

bool Active(const api::RolloutStatus& rollout) {
  return rollout.phase != api::RolloutPhase::kPromoted &&
         rollout.phase != api::RolloutPhase::kRolledBack;
}

const api::RolloutStatus* ActiveRollout(const api::ModelDeploymentStatus& status) {
  return status.rollout && Active(*status.rollout) ? &*status.rollout : nullptr;
}

}  // namespace perennial::deployment
