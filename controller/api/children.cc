#include "api/children.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/names.h"
#include "kube/informer.h"

namespace perennial::api {
namespace {

using nlohmann::json;

// These objects come from the API server, which has checked their types: what is absent or of an
// unexpected type reads as nothing.
const json& Get(const json& object, const char* name) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto it = object.find(name);
  return it == object.end() ? nothing : *it;
}

template <class... Names>
const json& Get(const json& object, const char* name, Names... names) {
  return Get(Get(object, name), names...);
}

const json& List(const json& value) {
  static const json empty = json::array();
  return value.is_array() ? value : empty;
}

std::string Text(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::int64_t Number(const json& value, std::int64_t fallback) {
  return value.is_number_integer() ? value.get<std::int64_t>() : fallback;
}

int Int(const json& value, int fallback) {
  const std::int64_t number = Number(value, fallback);
  return number >= 0 && number <= 1'000'000'000 ? static_cast<int>(number) : fallback;
}

std::optional<WallTime> When(const json& value) {
  return value.is_string() ? ParseTime(value.get_ref<const std::string&>()) : std::nullopt;
}

// The condition of that type, or nothing.
const json& ConditionOf(const json& conditions, std::string_view type) {
  static const json nothing;
  for (const json& condition : List(conditions)) {
    if (Text(Get(condition, "type")) == type) return condition;
  }
  return nothing;
}

bool Holds(const json& condition) {
  return Text(Get(condition, "status")) == "True";
}

// Metadata without what no decision reads; stores keep one of these for each pod of the cluster.
Result<kube::Meta> MetaOf(const json& object, bool keep_annotations) {
  PERENNIAL_TRY(kube::Meta meta, kube::ParseMeta(object));
  if (!keep_annotations) meta.annotations.clear();
  return meta;
}

std::string Describe(const json& condition) {
  std::string reason = Text(Get(condition, "reason"));
  const std::string message = Text(Get(condition, "message"));
  if (message.empty()) return reason;
  return reason.empty() ? message : reason + ": " + message;
}

Endpoint ReadEndpoint(const json& value) {
  Endpoint endpoint;
  const json& addresses = List(Get(value, "addresses"));
  if (!addresses.empty()) endpoint.address = Text(addresses[0]);
  if (Text(Get(value, "targetRef", "kind")) == "Pod") {
    endpoint.pod = Text(Get(value, "targetRef", "name"));
    endpoint.pod_uid = Text(Get(value, "targetRef", "uid"));
  }
  // discovery.k8s.io/v1: an absent `ready` means unknown, to be read as true; a terminating
  // endpoint is never ready.
  const json& ready = Get(value, "conditions", "ready");
  endpoint.ready = !ready.is_boolean() || ready.get<bool>();
  return endpoint;
}

}  // namespace

Result<DeploymentView> DecodeDeploymentView(const json& object) {
  DeploymentView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, true));
  view.replicas = Int(Get(object, "spec", "replicas"), 1);
  const json& status = Get(object, "status");
  view.updated_replicas = Int(Get(status, "updatedReplicas"), 0);
  view.ready_replicas = Int(Get(status, "readyReplicas"), 0);
  view.available_replicas = Int(Get(status, "availableReplicas"), 0);
  view.observed_generation = Number(Get(status, "observedGeneration"), 0);
  const json& conditions = Get(status, "conditions");
  const json& progressing = ConditionOf(conditions, "Progressing");
  view.progress_deadline_exceeded = Text(Get(progressing, "status")) == "False" &&
                                    Text(Get(progressing, "reason")) == "ProgressDeadlineExceeded";
  const json& failure = ConditionOf(conditions, "ReplicaFailure");
  if (Holds(failure)) {
    view.message = Describe(failure);
  } else if (view.progress_deadline_exceeded) {
    view.message = Describe(progressing);
  }
  return view;
}

Result<ServiceView> DecodeServiceView(const json& object) {
  ServiceView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, true));
  return view;
}

Result<ChildView> DecodeChildView(const json& object) {
  ChildView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, true));
  return view;
}

Result<CronJobView> DecodeCronJobView(const json& object) {
  CronJobView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, true));
  view.active = static_cast<int>(List(Get(object, "status", "active")).size());
  return view;
}

Result<GatewayView> DecodeGatewayView(const json& object) {
  GatewayView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, false));
  view.gateway_class = Text(Get(object, "spec", "gatewayClassName"));
  return view;
}

Result<GatewayClassView> DecodeGatewayClassView(const json& object) {
  GatewayClassView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, false));
  for (const json& feature : List(Get(object, "status", "supportedFeatures"))) {
    // A list of names until Gateway API 1.2, of objects since.
    view.features.push_back(Text(feature.is_string() ? feature : Get(feature, "name")));
  }
  return view;
}

Result<EndpointSliceView> DecodeEndpointSliceView(const json& object) {
  EndpointSliceView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, false));
  if (const std::string* service = kube::Find(view.meta.labels, "kubernetes.io/service-name")) {
    view.service = *service;
  }
  for (const json& endpoint : List(Get(object, "endpoints"))) {
    view.endpoints.push_back(ReadEndpoint(endpoint));
  }
  for (const json& port : List(Get(object, "ports"))) {
    view.ports.push_back({Text(Get(port, "name")), Int(Get(port, "port"), 0)});
  }
  return view;
}

namespace {

ProfileMapView::Entry ReadProfile(const json& value) {
  if (!value.is_string()) return {nullptr, "it is no text"};
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > kLongestProfile) {
    return {nullptr, "it is longer than " + std::to_string(kLongestProfile) + " bytes"};
  }
  ProfileMapView::Entry entry;
  const Status read = kube::WithJson(text, [&](const json& parsed) -> Status {
    PERENNIAL_TRY(Profile profile, DecodeProfile(parsed));
    entry.profile = std::make_shared<const Profile>(std::move(profile));
    return Ok();
  });
  if (!read.ok()) entry.error = read.error().message;
  return entry;
}

}  // namespace

Result<ProfileMapView> DecodeProfileMapView(const json& object) {
  ProfileMapView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, false));
  const json& data = Get(object, "data");
  if (!data.is_object()) return view;
  for (const auto& [key, value] : data.items()) view.keys.emplace(key, ReadProfile(value));
  return view;
}

namespace {

bool IsTrue(const json& value) {
  return value.is_boolean() && value.get<bool>();
}

// Of a Job and of what queues suspend as one: spec.suspend (TrainJob, RayJob, JobSet) or
// spec.runPolicy.suspend (PyTorchJob, MPIJob). The status tells it until the object's controller
// has seen that the suspension is over: by a condition, or as a RayJob does.
bool IsSuspended(const json& object) {
  const json& status = Get(object, "status");
  const std::string ray = Text(Get(status, "jobDeploymentStatus"));
  return IsTrue(Get(object, "spec", "suspend")) ||
         IsTrue(Get(object, "spec", "runPolicy", "suspend")) ||
         Holds(ConditionOf(Get(status, "conditions"), "Suspended")) || ray == "Suspending" ||
         ray == "Suspended";
}

}  // namespace

Result<JobView> DecodeJobView(const json& object) {
  JobView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, true));
  const json& conditions = Get(object, "status", "conditions");
  const json& complete = ConditionOf(conditions, "Complete");
  const json& failed = ConditionOf(conditions, "Failed");
  view.started = When(Get(object, "status", "startTime"));
  view.suspended = IsSuspended(object);
  // SuccessCriteriaMet and FailureTarget come before: the Job's pods may still be running then.
  if (Holds(complete)) {
    view.state = JobState::kSucceeded;
    view.finished = When(Get(complete, "lastTransitionTime"));
  } else if (Holds(failed)) {
    view.state = JobState::kFailed;
    view.reason = Text(Get(failed, "reason"));
    view.message = Text(Get(failed, "message"));
    view.finished = When(Get(failed, "lastTransitionTime"));
  }
  return view;
}

namespace {

std::string LastExit(const json& terminated) {
  if (!terminated.is_object()) return "";
  std::string text = "exited with " +
                     std::to_string(static_cast<int>(Number(Get(terminated, "exitCode"), 0))) +
                     " (" + Text(Get(terminated, "reason")) + ")";
  const std::string message = Text(Get(terminated, "message"));
  return message.empty() ? text : text + ": " + message;
}

}  // namespace

Result<PodView> DecodePodView(const json& object) {
  PodView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, false));
  if (const kube::OwnerReference* owner = kube::ControllerOf(view.meta);
      owner != nullptr && owner->kind == "Job" && owner->api_version == "batch/v1") {
    view.job_uid = owner->uid;
  }
  view.phase = Text(Get(object, "status", "phase"));
  // Statuses come in no promised order: the first container is the spec's.
  const json& containers = List(Get(object, "spec", "containers"));
  if (!containers.empty()) view.container = Text(Get(containers[0], "name"));
  const json& status = Get(object, "status");
  const json& scheduled = ConditionOf(Get(status, "conditions"), "PodScheduled");
  if (Text(Get(scheduled, "status")) == "False") view.unscheduled = Text(Get(scheduled, "message"));
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const json& container : List(Get(status, list))) {
      const json& waiting = Get(container, "state", "waiting");
      if (view.waiting_reason.empty() && waiting.is_object()) {
        view.waiting_reason = Text(Get(waiting, "reason"));
        view.waiting_message = Text(Get(waiting, "message"));
        view.waiting_exit = LastExit(Get(container, "lastState", "terminated"));
      }
    }
  }
  for (const json& container : List(Get(status, "containerStatuses"))) {
    if (Text(Get(container, "name")) != view.container) continue;
    const json& terminated = Get(container, "state", "terminated");
    if (!terminated.is_object()) break;
    view.terminated = true;
    view.exit_code = static_cast<int>(Number(Get(terminated, "exitCode"), 0));
    view.termination_reason = Text(Get(terminated, "reason"));
    view.termination_message = Text(Get(terminated, "message"));
    view.finished = When(Get(terminated, "finishedAt"));
  }
  return view;
}

Result<RunObjectView> DecodeRunObjectView(const json& object) {
  RunObjectView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, false));
  if (Text(Get(object, "kind")) == kConfigMaps.kind) {
    view.text = Text(Get(object, "data", kResultEntry));
  } else {
    for (const std::string_view kept : {kAnnotationMembers, kAnnotationDataEnd}) {
      const std::string annotation(kept);
      const std::string text = Text(Get(object, "metadata", "annotations", annotation.c_str()));
      if (!text.empty()) view.meta.annotations[annotation] = text;
    }
    view.suspended = IsSuspended(object);
    json metadata = Get(object, "metadata");
    // The longest part of most objects, and nobody's business.
    metadata.erase("managedFields");
    view.text = json{{"metadata", std::move(metadata)}, {"status", Get(object, "status")}}.dump(
        -1, ' ', false, json::error_handler_t::replace);
  }
  view.oversized = view.text.size() > kLongestRunObject;
  if (view.oversized) view.text.clear();
  return view;
}

namespace {

// One parent's verdict on this generation: empty if it accepts the route and finds its backends.
std::string RefusalOf(const json& parent, std::int64_t generation) {
  const std::string gateway = Text(Get(parent, "parentRef", "name"));
  for (const char* type : {"Accepted", "ResolvedRefs"}) {
    const json& condition = ConditionOf(Get(parent, "conditions"), type);
    if (!condition.is_object()) {
      return "Gateway " + gateway + " has not said whether it is " + type;
    }
    if (Number(Get(condition, "observedGeneration"), 0) < generation) {
      return "Gateway " + gateway + " has not looked at this generation of the route";
    }
    if (Holds(condition)) continue;
    std::string refusal = "Gateway " + gateway + ": " + Describe(condition);
    if (type == std::string_view("ResolvedRefs")) return refusal;
    // Its words tell what doesn't fit, and not which of the two sides is for the reader to correct.
    return refusal + "; correct the Gateway's listeners or spec.traffic.gateway";
  }
  // Accepted, but some rules are dropped or ignored (Gateway API).
  const json& partly = ConditionOf(Get(parent, "conditions"), "PartiallyInvalid");
  if (Holds(partly)) return "Gateway " + gateway + ": " + Describe(partly);
  return {};
}

// A reference without a namespace means the route's own, however the gateway repeats it.
bool SameParent(const json& a, const json& b, const std::string& ns) {
  const auto namespace_of = [&](const json& ref) {
    const std::string text = Text(Get(ref, "namespace"));
    return text.empty() ? ns : text;
  };
  return Text(Get(a, "name")) == Text(Get(b, "name")) && namespace_of(a) == namespace_of(b) &&
         Text(Get(a, "sectionName")) == Text(Get(b, "sectionName"));
}

// Whether `parents` has an entry for the reference; a route's status lacks the Gateways that nobody
// handles.
bool HasStatusOf(const json& parents, const json& ref, const std::string& ns) {
  for (const json& parent : List(parents)) {
    if (SameParent(Get(parent, "parentRef"), ref, ns)) return true;
  }
  return false;
}

std::string RefusalOfRoute(const json& object, const kube::Meta& meta) {
  const json& parents = Get(object, "status", "parents");
  const json& refs = List(Get(object, "spec", "parentRefs"));
  if (refs.empty()) return "the route names no Gateway";
  for (const json& ref : refs) {
    if (!HasStatusOf(parents, ref, meta.key.ns)) {
      return "Gateway " + Text(Get(ref, "name")) + " has not accepted the route";
    }
  }
  for (const json& parent : List(parents)) {
    std::string refusal = RefusalOf(parent, meta.generation);
    if (!refusal.empty()) return refusal;
  }
  return {};
}

void ReadRule(const json& rule, bool split, HttpRouteView& view) {
  for (const json& backend : List(Get(rule, "backendRefs"))) {
    const std::string name = Text(Get(backend, "name"));
    if (split) view.backends.push_back({name, Int(Get(backend, "weight"), 1)});
    if (!split) view.others.push_back(name);
  }
  for (const json& filter : List(Get(rule, "filters"))) {
    const json& mirror = Get(filter, "requestMirror");
    if (!mirror.is_object()) continue;
    view.others.push_back(Text(Get(mirror, "backendRef", "name")));
    if (Get(mirror, "percent").is_number()) view.features.emplace_back("requestMirror.percent");
  }
  for (const char* feature : {"sessionPersistence", "timeouts"}) {
    if (Get(rule, feature).is_object()) view.features.emplace_back(feature);
  }
}

}  // namespace

Result<HttpRouteView> DecodeHttpRouteView(const json& object) {
  HttpRouteView view;
  PERENNIAL_TRY(view.meta, MetaOf(object, true));
  const json& rules = List(Get(object, "spec", "rules"));
  for (size_t i = 0; i < rules.size(); ++i) ReadRule(rules[i], i == 0, view);
  std::sort(view.features.begin(), view.features.end());
  view.message = RefusalOfRoute(object, view.meta);
  view.accepted = view.message.empty();
  return view;
}

}  // namespace perennial::api
