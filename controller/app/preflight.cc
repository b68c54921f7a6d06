#include "app/preflight.h"

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

Result<std::vector<std::string>> MissingAdmission(kube::Transport& transport) {
  std::vector<std::string> missing;
  for (const std::string_view name : kAdmissionPolicies) {
    for (const char* resource :
         {"validatingadmissionpolicies", "validatingadmissionpolicybindings"}) {
      const std::string path = "/apis/admissionregistration.k8s.io/v1/" + std::string(resource) +
                               "/" + std::string(name);
      const auto found = Ask(transport, {"GET", path, "", ""});
      if (found.ok()) continue;
      if (found.error().code != Errc::kNotFound) return found.error();
      missing.emplace_back(name);
      break;
    }
  }
  return missing;
}

}  // namespace perennial::app
