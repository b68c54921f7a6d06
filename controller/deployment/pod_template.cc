#include "deployment/pod_template.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>

#include "api/names.h"
#include "deployment/seal.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;

constexpr std::array kContainerLists{"initContainers", "containers"};

bool IsContainer(const json& value) {
  if (!value.is_object()) return false;
  const json env = value.value("env", json::array());
  return env.is_array() &&
         std::all_of(env.begin(), env.end(), [](const json& entry) { return entry.is_object(); });
}

}  // namespace

bool IsPodTemplate(const json& value) {
  const json::json_pointer containers("/spec/containers");
  if (!value.is_object() || !value.contains(containers)) return false;
  const json metadata = value.value("metadata", json::object());
  if (!metadata.is_object() || !metadata.value("labels", json::object()).is_object()) return false;
  for (const char* list : kContainerLists) {
    const json all = value["spec"].value(list, json::array());
    if (!all.is_array() || !std::all_of(all.begin(), all.end(), IsContainer)) return false;
  }
  return !value[containers].empty();
}

void SetEnvironment(json& container, const json& ours) {
  json env = ours;
  for (const json& entry : container.value("env", json::array())) {
    const json name = entry.is_object() ? entry.value("name", json()) : json();
    const bool taken =
        std::any_of(ours.begin(), ours.end(), [&](const json& our) { return our["name"] == name; });
    if (!taken) env.push_back(entry);
  }
  container["env"] = std::move(env);
}

json ModelEnvironment(const api::ModelReference& model, const std::string& version) {
  return {{{"name", "MODEL_URI"}, {"value", model.uri}},
          {{"name", "MODEL_DIGEST"}, {"value", model.digest}},
          {{"name", "MODEL_VERSION"}, {"value", version}}};
}

void SetModelEnvironment(json& pod_template, const WantedVariant& variant) {
  const json ours = ModelEnvironment(variant.model, variant.version);
  for (const char* list : kContainerLists) {
    json& spec = pod_template["spec"];
    if (!spec.contains(list) || !spec[list].is_array()) continue;
    for (json& container : spec[list]) SetEnvironment(container, ours);
  }
}

void MakeJobPods(json& pod_template, const api::ModelDeployment& deployment,
                 const std::string& version) {
  if (!pod_template["spec"].contains("restartPolicy")) {
    pod_template["spec"]["restartPolicy"] = "Never";
  }
  json labels = LabelsOf(deployment, version);
  labels.erase(std::string(kLabelComponent));
  pod_template["metadata"]["labels"].update(labels);
}

}  // namespace perennial::deployment
