#include "support/kubeconfig_property.h"

#include "kube/kubeconfig.h"

namespace perennial::testing {

std::string ViolatedByKubeconfig(std::string_view input) {
  // No file lies there, so that nothing beside the text matters.
  const auto config = kube::ParseKubeconfig(std::string(input), "/nonexistent", "");
  if (!config.ok()) {
    const std::string& why = config.error().message;
    if (why.empty()) return "refused without saying why";
    return why.find("SECRET") != why.npos ? "the reason repeats a secret: " + why : "";
  }
  if (config->server.empty()) return "accepted without a server";
  if (config->client_key_pem.empty() != config->client_certificate_pem.empty()) {
    return "accepted with half a client certificate";
  }
  if (config->ns.empty()) return "accepted without a namespace";
  return "";
}

}  // namespace perennial::testing
