#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "api/codec.h"
#include "api/names.h"
#include "deployment/decide.h"
#include "deployment/fleet.h"

namespace perennial::deployment {

// A ModelDeployment in a small simulated cluster: objects are JSON as the API server keeps them,
// plans are carried out action by action, and React() does what the other controllers would do.
class ServingWorld {
 public:
  using json = nlohmann::json;

  ServingWorld() {
    spec = json::parse(R"({
      "model": {"uri": "oci://m:1"},
      "replicas": 2,
      "template": {"metadata": {"labels": {"team": "eta"}}, "spec": {"containers": [
        {"name": "model", "image": "server:1", "env": [{"name": "MODEL_URI", "value": "mine"},
         {"name": "KEEP", "value": "1"}], "ports": [{"name": "http", "containerPort": 8080}]}]}},
      "traffic": {"gateway": {"parentRefs": [{"name": "edge"}], "hostnames": ["m.example.org"]}},
      "rollout": {"steps": [{"weight": 10, "hold": "1m"}, {"weight": 50, "hold": "2m"}]}
    })");
  }

  // ---- what people and the cluster do ----

  void SetModel(const std::string& uri) { spec["model"]["uri"] = uri, ++generation; }
  void Annotate(std::string_view name, const std::string& value) {
    annotations[std::string(name)] = value;
  }
  // A version that a retraining run made.
  std::string Train(const std::string& name, std::int64_t revision) {
    const json body = {{"metadata", {{"name", name}, {"namespace", "transit"}}},
                       {"spec",
                        {{"modelDeployment", "departures"},
                         {"revision", revision},
                         {"model", {{"uri", "s3://" + name}}},
                         {"origin", {{"type", "Run"}, {"policy", "p"}, {"run", name}}}}}};
    Put({api::kModelVersions, {"transit", name}}, body);
    React();
    return name;
  }
  void Reject(const std::string& version) { verdicts[version] = "Rejected", React(); }

  // Other controllers: Deployments, endpoints, the Gateway, the judge of versions.
  void React() {
    for (auto& [ref, object] : objects) {
      if (ref.resource == api::kDeployments) ReactAutoscaler(ref, object);
      if (ref.resource == api::kDeployments) ReactDeployment(object);
      if (IsRoute(ref.resource)) ReactRoute(object);
      if (ref.resource == api::kModelVersions && !judge_sleeps) Judge(object);
    }
  }

  // ---- the controller ----

  Observed See() const {
    Observed seen;
    seen.deployment = std::make_shared<api::ModelDeployment>(Deployment());
    for (const auto& [ref, object] : objects) {
      if (ref.resource == api::kModelVersions) {
        seen.versions.push_back(Decoded(api::DecodeModelVersion(object)));
      } else if (ref.resource == api::kDeployments && Ours(object)) {
        seen.deployments.push_back(Decoded(api::DecodeDeploymentView(object)));
      } else if (IsRoute(ref.resource) && Ours(object)) {
        auto& routes =
            ref.resource == RouteKind(*seen.deployment) ? seen.routes : seen.other_routes;
        routes.push_back(Decoded(api::DecodeHttpRouteView(object)));
      } else if (ref.resource == api::kCronJobs && Ours(object)) {
        seen.cron_jobs.push_back(Decoded(api::DecodeCronJobView(object)));
      } else if (ref.resource == api::kJobs && Ours(object)) {
        seen.jobs.push_back(Decoded(api::DecodeJobView(object)));
      } else if (ref.resource == api::kAutoscalers && Ours(object)) {
        seen.autoscalers.push_back(Decoded(api::DecodeChildView(object)));
      } else if (ref.resource == api::kDisruptionBudgets && Ours(object)) {
        seen.budgets.push_back(Decoded(api::DecodeChildView(object)));
      } else if (ref.resource == api::kServices && Ours(object)) {
        seen.services.push_back(Decoded(api::DecodeServiceView(object)));
        seen.slices.push_back(Endpoints(object));
      }
    }
    seen.samples = samples;
    seen.monitors = monitors;
    seen.pending_pods = pending_pods;
    seen.gateway_classes = gateway_classes;
    seen.own_identity = "system:serviceaccount:perennial-system:perennial";
    seen.last_error = last_error;
    return seen;
  }

  // Decides once and carries out the plan; the process dies after `crash_after` effects.
  kube::Plan Step(size_t crash_after = 1000) {
    const kube::Plan plan = Decide(See(), now);
    last_error.clear();
    size_t done = 0;
    for (const kube::Action& action : plan.actions) {
      if (done++ == crash_after) return plan;
      if (!std::visit([&](const auto& one) { return CarryOut(one); }, action)) return plan;
    }
    if (plan.status && done++ < crash_after) status = json::parse(*plan.status);
    return plan;
  }

  // Looks and reacts until nothing is written any more, without letting time pass.
  int Settle(int most = 40) {
    for (int i = 0; i < most; ++i) {
      const kube::Plan plan = Step();
      React();
      if (after_step) after_step();
      const bool acted = std::any_of(plan.actions.begin(), plan.actions.end(), [](const auto& one) {
        return !std::holds_alternative<kube::EmitEvent>(one);
      });
      if (!acted && !plan.status) return i;
    }
    ADD_FAILURE() << "does not settle: " << ToString(Step());
    return most;
  }
  void Pass(Millis time) {
    now += time;
    Settle();
  }
  // Time passes in small pieces, as a controller that wakes itself sees it.
  void Live(Millis time) {
    const Millis piece = time > std::chrono::minutes(5) ? Seconds(30) : Seconds(5);
    for (Millis t{0}; t < time; t += piece) Pass(piece);
  }

  // ---- what is so ----

  api::ModelDeployment Deployment() const {
    const json object = {{"metadata",
                          {{"name", "departures"},
                           {"namespace", "transit"},
                           {"uid", "md-uid"},
                           {"generation", generation},
                           {"annotations", annotations}}},
                         {"spec", spec},
                         {"status", status}};
    auto decoded = api::DecodeModelDeployment(object);
    EXPECT_TRUE(decoded.ok()) << (decoded.ok() ? "" : decoded.error().message);
    return decoded.ok() ? *decoded : api::ModelDeployment{};
  }
  api::ModelDeploymentStatus Status() const { return Deployment().status; }
  std::string Champion() const { return Status().champion; }
  api::RolloutPhase Phase() const { return Status().rollout->phase; }
  std::string Condition(std::string_view type) const {
    const auto conditions = Status().conditions;
    const kube::Condition* found = kube::FindCondition(conditions, type);
    return found == nullptr ? "-" : found->status + "/" + found->reason;
  }
  std::string Message(std::string_view type) const {
    const auto conditions = Status().conditions;
    const kube::Condition* found = kube::FindCondition(conditions, type);
    return found == nullptr ? "" : found->message;
  }
  // The route's weights by version; empty without a route.
  std::map<std::string, int> Weights() const {
    std::map<std::string, int> weights;
    const auto it = objects.find({RouteKind(Deployment()), {"transit", "departures"}});
    if (it == objects.end()) return weights;
    for (const json& backend : it->second["spec"]["rules"][0]["backendRefs"]) {
      for (const std::string& version : VersionNames()) {
        if (backend["name"] == Child(version)) weights[version] = backend["weight"];
      }
    }
    return weights;
  }
  json Rules() { return Object(api::kHttpRoutes, "departures")["spec"]["rules"]; }
  std::vector<std::string> VersionNames() const {
    std::vector<std::string> names;
    for (const auto& [ref, object] : objects) {
      if (ref.resource == api::kModelVersions) names.push_back(ref.key.name);
    }
    return names;
  }
  // The version of spec.model that was made last.
  std::string NewestDeclared() const {
    std::string newest;
    std::int64_t revision = 0;
    for (const auto& [ref, object] : objects) {
      if (ref.resource != api::kModelVersions || object["spec"]["revision"] < revision) continue;
      if (object["spec"]["origin"]["type"] != "Spec") continue;
      revision = object["spec"]["revision"];
      newest = ref.key.name;
    }
    return newest;
  }
  static std::string Child(const std::string& version) {
    api::ModelDeployment deployment;
    deployment.meta.key = {"transit", "departures"};
    return ChildName(deployment, version);
  }
  bool HasPods(const std::string& version) const {
    return objects.contains({api::kDeployments, {"transit", Child(version)}});
  }
  json& Object(const kube::Resource& resource, const std::string& name) {
    return objects.at({resource, {"transit", name}});
  }
  int Count(std::string_view event) const {
    return static_cast<int>(std::count(events.begin(), events.end(), std::string(event)));
  }

  json spec;
  json status = json::object();
  std::map<std::string, std::string> annotations;
  std::int64_t generation = 1;
  WallTime now{std::chrono::hours(500'000)};
  std::map<kube::Ref, json> objects;
  std::map<std::string, Samples> samples;
  std::map<std::string, std::shared_ptr<const api::DriftMonitor>> monitors;
  std::vector<std::shared_ptr<const api::PodView>> pending_pods;
  std::vector<std::shared_ptr<const api::GatewayClassView>> gateway_classes;
  std::map<std::string, std::string> verdicts;  // phase of a version that is not just approved
  std::map<std::string, std::vector<int>> approved_steps;  // by version, by people
  std::set<std::string> broken;                            // versions whose pods never become ready
  std::set<std::string> stuck_services;  // versions without endpoints though pods are ready
  bool gateway_accepts = true;
  std::set<std::string> unresolved;  // versions whose Services the gateway has not heard of yet
  std::set<std::string> unknown_route_fields;  // of a rule: this cluster's CRD has none of these
  bool pods_stay = false;                      // Deployments are not acted on
  bool judge_sleeps = false;                   // nobody looks at ModelVersions
  // Writes that the API server refuses.
  std::function<bool(const kube::Ref&)> refuses = [](const kube::Ref&) { return false; };
  std::vector<std::string> events;
  std::string last_error;
  int writes = 0;
  std::function<void()> after_step;  // e.g. to check an invariant

 private:
  template <class T>
  static std::shared_ptr<const T> Decoded(Result<T> result) {
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return std::make_shared<const T>(*std::move(result));
  }

  static std::string OwnerUid(const json& object) {
    for (const json& owner : object["metadata"].value("ownerReferences", json::array())) {
      if (owner.value("controller", false)) return owner["uid"];
    }
    return "";
  }
  static bool IsRoute(const kube::Resource& resource) {
    return resource == api::kHttpRoutes || resource == api::kGrpcRoutes;
  }
  static bool Ours(const json& object) { return OwnerUid(object) == "md-uid"; }

  void Put(const kube::Ref& ref, json body) {
    const auto it = objects.find(ref);
    json& metadata = body["metadata"];
    if (it == objects.end()) {
      metadata["uid"] = "uid-" + std::to_string(++uids_);
      metadata["generation"] = 1;
    } else {
      metadata["uid"] = it->second["metadata"]["uid"];
      const std::int64_t before = it->second["metadata"]["generation"];
      metadata["generation"] = it->second["spec"] == body["spec"] ? before : before + 1;
      if (it->second.contains("status")) body["status"] = it->second["status"];
    }
    objects[ref] = std::move(body);
  }

  bool Refused(const kube::Ref& target) {
    if (refuses(target)) last_error = ToString(target) + ": exceeded quota";
    return refuses(target);
  }

  bool CarryOut(const kube::ApplyObject& apply) {
    ++writes;
    if (Refused(apply.target)) return false;
    const json body = json::parse(apply.body);
    const auto it = objects.find(apply.target);
    if (!apply.owned) {
      EXPECT_NE(it, objects.end());
      it->second["metadata"].merge_patch(
          {{"annotations", body["metadata"].value("annotations", json::object())}});
      return true;
    }
    EXPECT_EQ(OwnerUid(body), "md-uid");
    json pruned = body;
    if (IsRoute(apply.target.resource)) {
      for (json& rule : pruned["spec"]["rules"]) {
        for (const std::string& field : unknown_route_fields) rule.erase(field);
      }
    }
    if (it != objects.end() && !Ours(it->second)) {
      last_error = ToString(apply.target) + " exists and is not controlled by ModelDeployment";
      return false;
    }
    if (!apply.left_alone.empty() && it != objects.end()) {
      const json::json_pointer field(apply.left_alone);
      pruned[field] = it->second[field];
    }
    if (apply.target.resource == api::kDeployments && !pruned["spec"].contains("replicas")) {
      pruned["spec"]["replicas"] = 1;
    }
    Put(apply.target, pruned);
    return true;
  }
  bool CarryOut(const kube::CreateObject& create) {
    ++writes;
    const json body = json::parse(create.body);
    const auto it = objects.find(create.target);
    if (it == objects.end()) {
      Put(create.target, body);
      return true;
    }
    const std::string label(api::kLabelIdentity);
    EXPECT_EQ(it->second["metadata"]["labels"][label], body["metadata"]["labels"][label]);
    return true;
  }
  bool CarryOut(const kube::DeleteObject& gone) {
    ++writes;
    const auto it = objects.find(gone.target);
    if (it == objects.end() || it->second["metadata"]["uid"] != gone.uid) return true;
    EXPECT_TRUE(Ours(it->second)) << "deletes what is not ours: " << ToString(gone.target);
    objects.erase(it);
    return true;
  }
  bool CarryOut(const kube::RelabelObject& relabel) {
    ADD_FAILURE() << "only runs are labelled again, not " << ToString(relabel.target);
    return true;
  }
  bool CarryOut(const kube::EmitEvent& event) {
    events.push_back(event.reason);
    return true;
  }

  // Within its bounds, load or no load.
  void ReactAutoscaler(const kube::Ref& deployment, json& object) {
    const auto it = objects.find({api::kAutoscalers, deployment.key});
    if (it == objects.end()) return;
    const json& bounds = it->second["spec"];
    const int now = object["spec"]["replicas"];
    const int pods =
        std::clamp(now, bounds["minReplicas"].get<int>(), bounds["maxReplicas"].get<int>());
    if (pods == now) return;
    object["spec"]["replicas"] = pods;
    object["metadata"]["generation"] = object["metadata"]["generation"].get<int>() + 1;
  }
  void ReactDeployment(json& object) {
    const std::string version =
        object["metadata"]["labels"].value(std::string(api::kLabelVersion), "");
    const int replicas = object["spec"]["replicas"];
    if (pods_stay && object.contains("status")) return;
    const int ready = broken.contains(version) ? 0 : replicas;
    object["status"] = {{"observedGeneration", object["metadata"]["generation"]},
                        {"updatedReplicas", replicas},
                        {"readyReplicas", ready},
                        {"availableReplicas", ready}};
  }
  void ReactRoute(json& object) {
    std::string missing;
    for (const std::string& version : unresolved) {
      if (object["spec"].dump().find('"' + Child(version) + '"') != std::string::npos) {
        missing = "Service transit/" + Child(version) + " not found";
      }
    }
    const auto condition = [&](const std::string& type) {
      const bool lost = type == "ResolvedRefs" && gateway_accepts && !missing.empty();
      const bool holds = gateway_accepts && !lost;
      return json{{"type", type},
                  {"status", holds ? "True" : "False"},
                  {"reason", holds  ? "Fine"
                             : lost ? "BackendNotFound"
                                    : "NotAllowedByListeners"},
                  {"message", holds  ? ""
                              : lost ? missing
                                     : "no listener takes m.example.org"},
                  {"observedGeneration", object["metadata"]["generation"]}};
    };
    object["status"] = {
        {"parents",
         json::array(
             {{{"parentRef", object["spec"]["parentRefs"][0]},
               {"conditions", json::array({condition("Accepted"), condition("ResolvedRefs")})}}})}};
  }
  void Judge(json& object) {
    const std::string name = object["metadata"]["name"];
    std::string phase = verdicts.contains(name) ? verdicts[name] : "Approved";
    for (const auto& [ref, other] : objects) {
      if (ref.resource != api::kModelApprovals) continue;
      const json& approval = other["spec"];
      if (approval["modelVersion"] == name && approval["decision"] == "Reject") phase = "Rejected";
    }
    object["status"] = {{"phase", phase}, {"why", "judged " + phase}};
    if (approved_steps.contains(name)) object["status"]["approvedSteps"] = approved_steps[name];
  }

  std::shared_ptr<const api::EndpointSliceView> Endpoints(const json& service) const {
    auto slice = std::make_shared<api::EndpointSliceView>();
    const std::string name = service["metadata"]["name"];
    slice->meta.key = {"transit", name + "-abc"};
    slice->service = name;
    const auto it = objects.find({api::kDeployments, {"transit", name}});
    if (it == objects.end() || !it->second.contains("status")) return slice;
    const std::string version =
        it->second["metadata"]["labels"].value(std::string(api::kLabelVersion), "");
    const int ready = it->second["status"]["readyReplicas"];
    for (int i = 0; i < ready && !stuck_services.contains(version); ++i) {
      slice->endpoints.push_back({"10.0.0." + std::to_string(i), "pod", "pod-uid", true});
    }
    return slice;
  }

  int uids_ = 0;
};

}  // namespace perennial::deployment
