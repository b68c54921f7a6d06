#include "app/preflight.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "api/names.h"

namespace perennial::app {
namespace {

using nlohmann::json;

constexpr Millis kDeadline{10'000};

Result<json> Ask(kube::Transport& transport, const kube::Request& request) {
  PERENNIAL_TRY(const kube::Response response, transport.Send(request, kDeadline));
  if (response.status / 100 != 2) return kube::ErrorFromStatus(response);
  json body = json::parse(response.body, nullptr, false);
  if (!body.is_object()) {
    return Error{Errc::kUnavailable, request.path + " answered something that is no JSON object"};
  }
  return body;
}

}  // namespace

Result<std::string> WhoAmI(kube::Transport& transport) {
  PERENNIAL_TRY(
      const json review,
      Ask(transport,
          {"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "application/json",
           R"({"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"})"}));
  const json::json_pointer path("/status/userInfo/username");
  if (!review.contains(path) || !review[path].is_string()) {
    return Error{Errc::kUnavailable, "the SelfSubjectReview's answer names no user"};
  }
  return review[path].get<std::string>();
}

std::vector<std::string> ApiServerAddresses(kube::Transport& transport) {
  std::vector<std::string> out;
  if (const char* service = std::getenv("KUBERNETES_SERVICE_HOST")) out.emplace_back(service);
  const auto slices = Ask(transport, {"GET",
                                      "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
                                      "?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes",
                                      "", ""});
  if (!slices.ok() || !slices->contains("items") || !(*slices)["items"].is_array()) return out;
  for (const json& slice : (*slices)["items"]) {
    if (!slice.is_object() || !slice.contains("endpoints")) continue;
    if (!slice["endpoints"].is_array()) continue;
    for (const json& endpoint : slice["endpoints"]) {
      if (!endpoint.is_object() || !endpoint.contains("addresses")) continue;
      for (const json& address : endpoint["addresses"]) {
        if (address.is_string()) out.push_back(address.get<std::string>());
      }
    }
  }
  return out;
}

Status CheckInstalled(kube::Transport& transport) {
  const std::string group_version = std::string(api::kGroup) + "/" + std::string(api::kVersion);
  std::set<std::string> missing;
  for (const kube::Resource* resource :
       {&api::kModelDeployments, &api::kDriftMonitors, &api::kRetrainPolicies, &api::kModelVersions,
        &api::kModelApprovals}) {
    missing.insert(resource->plural);
  }
  const auto served = Ask(transport, {"GET", "/apis/" + group_version, "", ""});
  if (!served.ok() && served.error().code != Errc::kNotFound) return served.error();
  if (served.ok() && served->contains("resources") && (*served)["resources"].is_array()) {
    for (const json& resource : (*served)["resources"]) {
      if (resource.is_object()) missing.erase(resource.value("name", ""));
    }
  }
  if (missing.empty()) return Ok();
  std::string names;
  for (const std::string& name : missing) names += (names.empty() ? "" : ", ") + name;
  return Error{Errc::kNotFound, "the API server does not serve " + names + " of " + group_version +
                                    ": install the CRDs (kubectl apply -k crds/)"};
}

}  // namespace perennial::app
