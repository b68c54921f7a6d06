#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/model_version.h"
#include "base/result.h"
#include "kube/meta.h"

// What we read of objects that belong to other APIs: projections, so that stores stay small.
namespace perennial::api {

struct DeploymentView {
  kube::Meta meta;
  int replicas = 0;  // spec
  int updated_replicas = 0;
  int ready_replicas = 0;
  int available_replicas = 0;
  std::int64_t observed_generation = 0;
  bool progress_deadline_exceeded = false;  // condition Progressing=False, ProgressDeadlineExceeded
  std::string message;                      // of that condition, or of ReplicaFailure
};

struct ServiceView {
  kube::Meta meta;
};

// A child of which only the metadata is read: a HorizontalPodAutoscaler, a PodDisruptionBudget.
struct ChildView {
  kube::Meta meta;
};

struct CronJobView {
  kube::Meta meta;
  int active = 0;  // Jobs of it that run
};

struct BackendWeight {
  std::string service;
  int weight = 1;
  bool operator==(const BackendWeight&) const = default;
};

struct HttpRouteView {
  kube::Meta meta;
  std::vector<BackendWeight> backends;  // of the first rule, in order: the split
  std::vector<std::string> others;      // those of mirrors, then of the other rules
  std::vector<std::string> features;    // what not every cluster's HTTPRoute has, sorted
  // Of the parents' statuses, at their observedGeneration: every parent has accepted this
  // generation and resolved its references.
  bool accepted = false;
  std::string message;  // the first refusal
};

struct GatewayView {
  kube::Meta meta;
  std::string gateway_class;
};

struct GatewayClassView {
  kube::Meta meta;
  std::vector<std::string> features;  // what its implementation supports; empty: it doesn't say
};

struct Endpoint {
  std::string address;
  std::string pod;      // targetRef.name
  std::string pod_uid;  // targetRef.uid
  bool ready = false;
  bool operator==(const Endpoint&) const = default;
};

struct EndpointPort {
  std::string name;
  int port = 0;
  bool operator==(const EndpointPort&) const = default;
};

struct EndpointSliceView {
  kube::Meta meta;
  std::string service;  // label kubernetes.io/service-name
  std::vector<Endpoint> endpoints;
  std::vector<EndpointPort> ports;
};

// A ConfigMap whose keys hold profiles. A key that can't be read says why.
struct ProfileMapView {
  kube::Meta meta;
  struct Entry {
    std::shared_ptr<const Profile> profile;
    std::string error;
  };
  std::map<std::string, Entry> keys;
};
inline constexpr std::size_t kLongestProfile = std::size_t{256} << 10;  // bytes of JSON

enum class JobState { kRunning, kSucceeded, kFailed };

struct JobView {
  kube::Meta meta;
  JobState state = JobState::kRunning;
  std::string reason;  // of the Failed condition
  std::string message;
  std::optional<WallTime>
      started{};  // when its pods were first wanted, or again after a suspension
  std::optional<WallTime> finished{};  // transition time of the Complete or Failed condition
  bool suspended = false;              // it has no pods until somebody, such as a queue, says so
};

struct PodView {
  kube::Meta meta;
  std::string job_uid;    // UID of the controlling Job, or empty
  std::string phase;      // Pending, Running, Succeeded, Failed, Unknown
  std::string container;  // the first container's name
  bool terminated = false;
  int exit_code = 0;
  std::string termination_reason;   // Completed, Error, OOMKilled, ...
  std::string termination_message;  // of the first container
  std::string waiting_reason;       // ImagePullBackOff, ... of any container
  std::string waiting_message;
  std::string waiting_exit;  // how that container ended the last time: "exited with 1 (Error)"
  std::string unscheduled;   // why no node takes it
  std::optional<WallTime> finished;
};

// An object that takes part in a run and whose kind is not known beforehand: a workload, or the
// ConfigMap in which a run left its result.
struct RunObjectView {
  kube::Meta meta;
  std::string text;  // JSON of its metadata and its status, or of a ConfigMap's entry kResultEntry
  bool oversized = false;  // that text is left out, being longer than kLongestRunObject
  bool suspended = false;  // of a workload: it has no pods until somebody, such as a queue, says so
};
inline constexpr const char* kResultEntry = "result.json";
inline constexpr std::size_t kLongestRunObject = std::size_t{256} * 1024;

Result<DeploymentView> DecodeDeploymentView(const nlohmann::json& object);
Result<ServiceView> DecodeServiceView(const nlohmann::json& object);
Result<ChildView> DecodeChildView(const nlohmann::json& object);
Result<CronJobView> DecodeCronJobView(const nlohmann::json& object);
Result<HttpRouteView> DecodeHttpRouteView(const nlohmann::json& object);
Result<GatewayView> DecodeGatewayView(const nlohmann::json& object);
Result<GatewayClassView> DecodeGatewayClassView(const nlohmann::json& object);
Result<EndpointSliceView> DecodeEndpointSliceView(const nlohmann::json& object);
Result<ProfileMapView> DecodeProfileMapView(const nlohmann::json& object);
Result<JobView> DecodeJobView(const nlohmann::json& object);
Result<PodView> DecodePodView(const nlohmann::json& object);
Result<RunObjectView> DecodeRunObjectView(const nlohmann::json& object);

}  // namespace perennial::api
