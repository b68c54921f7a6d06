#include "api/store_index.h"

namespace perennial::api {

std::vector<std::string> DeploymentOf(const ModelVersion& version) {
  return {version.meta.key.ns + "/" + version.spec.model_deployment};
}

std::vector<std::string> ServiceOf(const EndpointSliceView& slice) {
  if (slice.service.empty()) return {};
  return {slice.meta.key.ns + "/" + slice.service};
}

}  // namespace perennial::api
