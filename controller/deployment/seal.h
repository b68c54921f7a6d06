#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "api/model_deployment.h"
#include "kube/meta.h"

namespace perennial::deployment {

// On each child: the hash of what we rendered, so that a child that is as we want it is left alone.
inline constexpr std::string_view kAnnotationHash = "perennial.dev/spec-hash";
// On pods that serve, beside api::kLabelDeployment: training pods carry that one too.
inline constexpr std::string_view kLabelComponent = "app.kubernetes.io/component";
inline constexpr std::string_view kComponent = "model-server";

// A child's whole intent, and its hash.
struct Rendered {
  std::string body;
  std::string hash;
};

// Labels of a child; `version` empty: one that is not a version's own.
nlohmann::json LabelsOf(const api::ModelDeployment& deployment, const std::string& version);
// Labels that find the pods of one version, or all that serve.
nlohmann::json PodSelector(const api::ModelDeployment& deployment, const std::string& version);

// A child of ours with this spec: named, labelled, owned and hashed.
Rendered Seal(const api::ModelDeployment& deployment, const kube::Resource& resource,
              const std::string& name, const std::string& version, nlohmann::json spec);

}  // namespace perennial::deployment
