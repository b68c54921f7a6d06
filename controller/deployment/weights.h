#pragma once

#include <string>
#include <vector>

#include "deployment/decide.h"

namespace perennial::deployment {

// A version's share of the traffic, in percent.
struct Share {
  std::string version;
  int weight = 0;
  bool operator==(const Share&) const = default;
};

// A version that has pods of its own.
struct WantedVariant {
  std::string version;
  api::ModelReference model;
  int replicas = 0;
};

// What a route does beside the split.
struct Extras {
  Share mirror;                      // who gets copies of how many percent of the requests
  std::vector<std::string> matched;  // for each of spec.traffic.rules who answers; empty: the split
  // Who is to get traffic when the gateway has found its Service: in the split with weight 0.
  std::vector<std::string> announced;
  bool operator==(const Extras&) const = default;
};

// What the recorded status means for pods and traffic.
struct Intent {
  std::vector<WantedVariant> variants;  // who serves stands first
  std::vector<Share> wanted;            // as the rollout or the spec says; sums to 100 or is empty
  // The same with the weight of whoever can't take it (see CanTake) given to those that can;
  // positive weights only, so that whoever had some and has none is not in the route at all: a
  // sticky session outlives weight 0 (GEP-1619).
  std::vector<Share> shares;
  Extras extras;
  std::string main_version;  // whose pods the main Service selects; empty: all pods
};

// The rollout's steps: what the spec says; without any, half and half where an experiment has to
// compare, or everything at once where checks have to look. Empty: ready is good enough.
std::vector<api::RolloutStep> StepsOf(const api::Rollout& rollout);

Intent IntentOf(const Observed& seen);

// Percent that the challenger gets in a step; 0 where there are no steps.
int StepWeight(const api::ModelDeploymentSpec& spec, int step);

int WeightOf(const std::vector<Share>& shares, const std::string& version);

// The split as a route has it: the shares, then with weight 0 whoever is announced.
std::vector<Share> BackendsOf(const std::vector<Share>& shares, const Extras& extras);

// Whether the version answers what is sent to it: it has ready endpoints, and the gateway, if there
// is one, has found its Service. A gateway that has not answers with 500 in its place, in
// proportion to its weight (Gateway API, BackendRef.weight); its caches may be behind ours for a
// minute after the API server was away (seen with Envoy Gateway).
bool CanTake(const Observed& seen, const std::string& version);

// The Services that Extras stand for, as HttpRouteView::others has them. `shares` are the split's.
std::vector<std::string> OtherBackends(const api::ModelDeployment& deployment,
                                       const std::vector<Share>& shares, const Extras& extras);

// Integer percentages in proportion to `weights` that sum to 100 (largest remainders); all zero if
// they are.
std::vector<int> Percentages(const std::vector<int>& weights);

}  // namespace perennial::deployment
