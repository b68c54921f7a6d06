#include "deployment/delivery.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace perennial::deployment {
namespace {

using nlohmann::json;

constexpr const char* kVolume = "perennial-model";
constexpr int kProbeSeconds = 5;
constexpr int kGraceSeconds = 30;  // Kubernetes' own default

void SetVariable(json& container, const char* name, const std::string& value) {
  json env = container.value("env", json::array());
  env.erase(std::remove_if(env.begin(), env.end(),
                           [&](const json& entry) {
                             return entry.is_object() && entry.value("name", json()) == name;
                           }),
            env.end());
  env.push_back({{"name", name}, {"value", value}});
  container["env"] = std::move(env);
}

json List(const json& parent, const char* name) {
  json list = parent.value(name, json::array());
  return list.is_array() ? list : json::array();
}

json Mount(const api::Storage& storage, bool read_only) {
  json mount = {{"name", kVolume}, {"mountPath", storage.path}};
  if (read_only) mount["readOnly"] = true;
  return mount;
}

// "oci://registry/models/departures:3" with its digest as an image reference.
std::string ImageOf(const api::ModelReference& model) {
  const size_t scheme = model.uri.find("://");
  std::string image = scheme == std::string::npos ? model.uri : model.uri.substr(scheme + 3);
  if (!model.digest.empty() && image.find('@') == std::string::npos) image += "@" + model.digest;
  return image;
}

json Volume(const api::Storage& storage, const api::ModelReference& model) {
  if (storage.type == api::Delivery::kDownload) {
    return {{"name", kVolume}, {"emptyDir", json::object()}};
  }
  return {{"name", kVolume},
          {"image", {{"reference", ImageOf(model)}, {"pullPolicy", "IfNotPresent"}}}};
}

// Under the same restrictions as the server: a namespace may demand them of every container.
json Downloader(const api::Storage& storage, const json& server) {
  json container = {{"name", kVolume},
                    {"image", storage.image},
                    {"env", List(server, "env")},
                    {"volumeMounts", json::array({Mount(storage, /*read_only=*/false)})}};
  // Only what names the model: other variables may be secrets of the server.
  json& env = container["env"];
  env.erase(std::remove_if(env.begin(), env.end(),
                           [](const json& entry) {
                             const json name =
                                 entry.is_object() ? entry.value("name", json()) : json();
                             return !name.is_string() ||
                                    name.get_ref<const std::string&>().rfind("MODEL_", 0) != 0 ||
                                    !entry.contains("value");
                           }),
            env.end());
  if (server.contains("securityContext")) {
    container["securityContext"] = server["securityContext"];
  }
  if (!storage.credentials_secret.empty()) {
    container["envFrom"] = json::array({{{"secretRef", {{"name", storage.credentials_secret}}}}});
  }
  return container;
}

bool Serves(const json& container, const std::string& port) {
  const json ports = List(container, "ports");
  return std::any_of(ports.begin(), ports.end(), [&](const json& one) {
    return one.is_object() && one.value("name", json()) == port;
  });
}

}  // namespace

void DeliverModel(json& pod_template, const api::ModelDeploymentSpec& spec,
                  const api::ModelReference& model) {
  if (!spec.storage) return;
  const api::Storage& storage = *spec.storage;
  json& pod = pod_template["spec"];
  for (const char* list : {"initContainers", "containers"}) {
    if (!pod.contains(list) || !pod[list].is_array()) continue;
    for (json& container : pod[list]) {
      SetVariable(container, "MODEL_PATH", storage.path);
      json mounts = List(container, "volumeMounts");
      mounts.push_back(Mount(storage, /*read_only=*/true));
      container["volumeMounts"] = std::move(mounts);
    }
  }
  if (storage.type == api::Delivery::kDownload) {
    json first = json::array({Downloader(storage, pod["containers"][0])});
    for (const json& other : List(pod, "initContainers")) first.push_back(other);
    pod["initContainers"] = std::move(first);
  }
  json volumes = List(pod, "volumes");
  volumes.push_back(Volume(storage, model));
  pod["volumes"] = std::move(volumes);
}

void AddProbes(json& pod_template, const api::ModelDeploymentSpec& spec) {
  if (spec.protocol != api::Protocol::kOpenInference) return;
  const auto deadline = std::chrono::ceil<Seconds>(spec.rollout.progress_deadline.value).count();
  const auto probe = [&](const char* path) {
    return json{{"httpGet", {{"path", path}, {"port", spec.traffic.port}}},
                {"periodSeconds", kProbeSeconds}};
  };
  for (json& container : pod_template["spec"]["containers"]) {
    if (!Serves(container, spec.traffic.port)) continue;
    if (!container.contains("readinessProbe")) {
      container["readinessProbe"] = probe("/v2/health/ready");
    }
    if (container.contains("livenessProbe")) continue;
    container["livenessProbe"] = probe("/v2/health/live");
    // A large model may load as long as a version may take to become ready.
    if (container.contains("startupProbe")) continue;
    container["startupProbe"] = probe("/v2/health/ready");
    container["startupProbe"]["failureThreshold"] =
        std::max<std::int64_t>(1, (deadline + kProbeSeconds - 1) / kProbeSeconds);
  }
}

void AddDrain(json& pod_template, const api::ModelDeploymentSpec& spec) {
  const auto seconds = std::chrono::ceil<Seconds>(spec.traffic.drain.value).count();
  if (seconds <= 0) return;
  json& pod = pod_template["spec"];
  bool added = false;
  // All of them: a server that loses the process beside it serves no more. Sidecars among the init
  // containers end after these anyway.
  for (json& container : pod["containers"]) {
    json& lifecycle = container["lifecycle"];
    if (lifecycle.is_null()) lifecycle = json::object();
    // What is no object is left to the API server to refuse.
    if (!lifecycle.is_object() || lifecycle.contains("preStop")) continue;
    lifecycle["preStop"] = {{"sleep", {{"seconds", seconds}}}};
    added = true;
  }
  if (!added) return;
  // The sleep is part of the grace period, and the server is to have all of what it was given.
  json& grace = pod["terminationGracePeriodSeconds"];
  if (grace.is_null()) grace = kGraceSeconds;
  if (grace.is_number_integer()) grace = std::max<std::int64_t>(1, grace) + seconds;
}

}  // namespace perennial::deployment
