#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "kube/meta.h"
#include "kube/transport.h"

// What a request to an API server asks for, and how it is refused.
namespace perennial::testing {

// "/apis/apps/v1/namespaces/ns/deployments/name/status?query", taken apart.
struct ApiPath {
  kube::Resource resource;  // without the kind
  kube::Key key;            // name empty: the collection
  std::string subresource;
  std::map<std::string, std::string> query;

  static std::optional<ApiPath> Parse(const std::string& path);
  std::string Query(const std::string& name) const;
};

// Whether a label selector of equalities chooses this object; null is never chosen.
bool Selects(const std::string& selector, const nlohmann::json& object);

kube::Response Failure(int code, const std::string& reason, const std::string& message);
kube::Response NotFound(const ApiPath& path);

}  // namespace perennial::testing
