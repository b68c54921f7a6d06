#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/children.h"
#include "api/drift_monitor.h"
#include "api/model_deployment.h"
#include "api/model_version.h"
#include "kube/plan.h"
#include "scrape/window_view.h"

namespace perennial::deployment {

// What the pods of one version were seen to do.
struct Samples {
  scrape::WindowView window;  // the last spec.rollout.analysis.window
  scrape::WindowView totals;  // since both variants had traffic, or this process began
  scrape::WindowView step;    // since the current weights are in effect, at most an hour
  double step_edges = 0;      // the share of that by which two versions' times may differ
};

// What a Prometheus has answered to a probe's query, or why it was not asked.
struct QueryAnswer {
  Result<double> value;
  Millis age{0};
};

// What a ModelDeployment's next move depends on.
struct Observed {
  std::shared_ptr<const api::ModelDeployment> deployment;
  std::vector<std::shared_ptr<const api::ModelVersion>> versions;       // of it
  std::vector<std::shared_ptr<const api::DeploymentView>> deployments;  // controlled by it
  std::vector<std::shared_ptr<const api::ServiceView>> services;        // controlled by it
  // Controlled by it: of the kind that spec.traffic.protocol asks for, and of the other kind.
  std::vector<std::shared_ptr<const api::HttpRouteView>> routes;
  std::vector<std::shared_ptr<const api::HttpRouteView>> other_routes;
  std::vector<std::shared_ptr<const api::ChildView>> autoscalers;     // controlled by it
  std::vector<std::shared_ptr<const api::ChildView>> budgets;         // controlled by it
  std::vector<std::shared_ptr<const api::EndpointSliceView>> slices;  // of those services
  std::vector<std::shared_ptr<const api::CronJobView>> cron_jobs;     // controlled by it
  std::vector<std::shared_ptr<const api::JobView>> jobs;  // controlled by it: of its probes
  // Of the Gateways that the route names, as far as they are there.
  std::vector<std::shared_ptr<const api::GatewayClassView>> gateway_classes;
  // By their labels, so good for words only: of versions in play, until their containers run.
  std::vector<std::shared_ptr<const api::PodView>> pending_pods;
  std::map<std::string, std::shared_ptr<const api::DriftMonitor>> monitors;  // that probes ask
  std::map<std::string, QueryAnswer> answers;  // to probes' queries, by the probe
  // Objects that have the name of a child of ours and belong to somebody else: never adopted.
  std::vector<kube::Ref> foreign;
  std::map<std::string, Samples> samples;  // by version, while a rollout is being measured
  // What the experiment had counted before this process began to, by the version that is compared:
  // Samples::totals add to it.
  std::map<std::string, std::vector<api::QuantityCounts>> carried;
  std::string own_identity;  // user name under which this controller writes
  std::string last_error;    // of the last attempt to carry a plan out
};

// The next step of what serves. Pure. A decision (start, next weight, promote, roll back) is
// written to status by a plan that does nothing else; what it means for pods and traffic is done by
// later plans, from the status that the store shows. So a crash anywhere continues from the record.
kube::Plan Decide(const Observed& seen, WallTime now);

}  // namespace perennial::deployment
