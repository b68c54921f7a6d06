#include "deployment/seal.h"

#include <nlohmann/json.hpp>

#include "api/names.h"
#include "base/hash.h"
#include "deployment/records.h"

namespace perennial::deployment {

using nlohmann::json;

json LabelsOf(const api::ModelDeployment& deployment, const std::string& version) {
  json labels = {{std::string(api::kLabelManagedBy), api::kManagedBy},
                 {std::string(api::kLabelDeployment), deployment.meta.key.name},
                 {std::string(kLabelComponent), kComponent}};
  if (!version.empty()) labels[std::string(api::kLabelVersion)] = version;
  return labels;
}

json PodSelector(const api::ModelDeployment& deployment, const std::string& version) {
  json labels = LabelsOf(deployment, version);
  labels.erase(std::string(api::kLabelManagedBy));
  return labels;
}

Rendered Seal(const api::ModelDeployment& deployment, const kube::Resource& resource,
              const std::string& name, const std::string& version, json spec) {
  json object = {{"apiVersion", resource.ApiVersion()},
                 {"kind", resource.kind},
                 {"metadata",
                  {{"name", name},
                   {"namespace", deployment.meta.key.ns},
                   {"labels", LabelsOf(deployment, version)},
                   {"ownerReferences", json::array({json::parse(OwnerJson(deployment))})}}},
                 {"spec", std::move(spec)}};
  std::string hash = ShortHash(object.dump(), 16);
  object["metadata"]["annotations"][std::string(kAnnotationHash)] = hash;
  return {object.dump(), std::move(hash)};
}

}  // namespace perennial::deployment
