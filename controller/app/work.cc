#include "app/work.h"

#include <thread>
#include <utility>
#include <vector>

#include "api/names.h"
#include "app/wiring.h"

namespace perennial::app {
namespace {

kube::RunnerCore::Dependencies For(kube::Client& client, const Work::Dependencies& from) {
  return {client, from.events, from.clock, from.permit, &from.cache.unreadable};
}

template <class Runner>
bool LookAtOne(Runner& runner) {
  const auto key = runner.queue().TryTake();
  if (!key) return false;
  runner.Reconcile(*key);
  runner.queue().Done(*key);
  return true;
}

}  // namespace

Work::Work(Dependencies from)
    : deployment_client_(from.transport, from.clock, "perennial-modeldeployment", from.client),
      monitor_client_(from.transport, from.clock, "perennial-driftmonitor", from.client),
      policy_client_(from.transport, from.clock, kPolicyManager, from.client),
      version_client_(from.transport, from.clock, "perennial-modelversion", from.client),
      deployments_({from.cache.model_deployments.store(), from.cache.model_versions.store(),
                    from.cache.deployments.store(), from.cache.services.store(),
                    from.cache.http_routes.store(), from.cache.grpc_routes.store(),
                    from.cache.endpoint_slices.store(), from.cache.autoscalers.store(),
                    from.cache.disruption_budgets.store(), from.cache.cron_jobs.store(),
                    from.cache.jobs.store(), from.cache.drift_monitors.store(),
                    from.cache.pending_pods.store(), from.cache.gateways.store(),
                    from.cache.gateway_classes.store()},
                   from.samples, from.clock, from.identity, from.secrets, from.queries),
      monitors_({from.cache.drift_monitors.store(), from.cache.model_deployments.store(),
                 from.cache.model_versions.store(), from.cache.endpoint_slices.store(),
                 from.cache.services.store(), from.cache.baselines, from.cache.monitored_services,
                 from.cache.monitored_slices},
                from.samples, from.clock, from.secrets),
      budget_(from.cache.retrain_policies.store(), from.budgets,
              [this](const kube::Key& key) { policy_runner_.queue().Add(key); }),
      data_({from.cache.endpoint_slices.store(), from.cache.services.store()}, from.samples,
            from.clock, from.secrets),
      policies_({from.cache.retrain_policies.store(), from.cache.model_deployments.store(),
                 from.cache.drift_monitors.store(), from.cache.model_versions.store(),
                 from.cache.jobs.store(), from.cache.pods.store(), from.cache.run_objects,
                 from.cache.workload_kinds},
                &budget_, &data_),
      versions_(from.cache.model_versions.store(), from.cache.model_deployments.store(),
                from.cache.model_approvals.store()),
      deployment_runner_(deployments_, from.cache.model_deployments.store(), api::kModelDeployments,
                         For(deployment_client_, from)),
      monitor_runner_(monitors_, from.cache.drift_monitors.store(), api::kDriftMonitors,
                      For(monitor_client_, from)),
      policy_runner_(policies_, from.cache.retrain_policies.store(), api::kRetrainPolicies,
                     For(policy_client_, from)),
      version_runner_(versions_, from.cache.model_versions.store(), api::kModelVersions,
                      For(version_client_, from)) {
  const Queues queues{deployment_runner_.queue(), monitor_runner_.queue(), policy_runner_.queue(),
                      version_runner_.queue()};
  Wire(from.cache, queues);
  const auto wake = [&cache = from.cache, queues](const std::string& subscription) {
    WakeAfterRound(cache, queues, subscription);
  };
  from.samples.OnRound(wake);
  if (from.queries.pool != nullptr) from.queries.pool->OnAnswer(wake);
}

void Work::Start(int workers) {
  deployment_runner_.Start(workers);
  monitor_runner_.Start(workers);
  policy_runner_.Start(workers);
  version_runner_.Start(workers);
}

// All at once: each ends a plan that may wait for the API server at every step.
void Work::Stop() {
  std::vector<std::jthread> ends;
  ends.emplace_back([this] { deployment_runner_.Stop(); });
  ends.emplace_back([this] { monitor_runner_.Stop(); });
  ends.emplace_back([this] { policy_runner_.Stop(); });
  ends.emplace_back([this] { version_runner_.Stop(); });
}

bool Work::Step() {
  return LookAtOne(deployment_runner_) || LookAtOne(monitor_runner_) || LookAtOne(policy_runner_) ||
         LookAtOne(version_runner_);
}

std::vector<kube::RunnerCore*> Work::Cores() {
  return {&deployment_runner_.core(), &monitor_runner_.core(), &policy_runner_.core(),
          &version_runner_.core()};
}

std::vector<WorkerSign> Work::Signs() {
  std::vector<WorkerSign> out;
  for (kube::RunnerCore* core : Cores()) {
    const kube::RunnerCounters c = core->Counters();
    out.push_back({core->name(), core->queue().depth(),
                   c.success + c.requeue_after + c.error + c.terminal + c.skipped});
  }
  return out;
}

}  // namespace perennial::app
