#include "api/kinds.h"

namespace perennial::api {

std::vector<KindInfo> Kinds() {
  std::vector<KindInfo> kinds;
  kinds.push_back(ModelDeploymentKind());
  kinds.push_back(DriftMonitorKind());
  kinds.push_back(RetrainPolicyKind());
  kinds.push_back(ModelVersionKind());
  kinds.push_back(ModelApprovalKind());
  return kinds;
}

}  // namespace perennial::api
