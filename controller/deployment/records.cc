#include "deployment/records.h"

#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "api/model_approval.h"
#include "api/names.h"
#include "base/hash.h"
#include "base/text.h"

namespace perennial::deployment {
namespace {

using nlohmann::json;

// Room for what is appended to a version's name where other objects derive from it.
constexpr size_t kLongestVersionName = 52;

std::string VersionName(const api::ModelDeployment& deployment, const Declaration& declaration) {
  const std::string identity = deployment.meta.uid + "\n" + declaration.variant + "\n" +
                               declaration.model.uri + "\n" + declaration.model.digest + "\n" +
                               declaration.predecessor;
  return BoundedName(deployment.meta.key.name, "s" + ShortHash(identity), kLongestVersionName);
}

kube::CreateObject VersionObject(const api::ModelDeployment& deployment, const std::string& name,
                                 const api::ModelVersionSpec& spec) {
  const json body = {
      {"apiVersion", api::kModelVersions.ApiVersion()},
      {"kind", api::kModelVersions.kind},
      {"metadata",
       {{"name", name},
        {"namespace", deployment.meta.key.ns},
        {"labels",
         {{std::string(api::kLabelManagedBy), api::kManagedBy},
          {std::string(api::kLabelDeployment), deployment.meta.key.name},
          {std::string(api::kLabelIdentity), ShortHash(deployment.meta.uid + name, 16)}}},
        {"ownerReferences", json::array({json::parse(OwnerJson(deployment))})}}},
      {"spec", json::parse(api::EncodeSpec(spec))}};
  return {{api::kModelVersions, {deployment.meta.key.ns, name}}, body.dump()};
}

}  // namespace

std::string OwnerJson(const api::ModelDeployment& deployment) {
  return json{{"apiVersion", api::kModelDeployments.ApiVersion()},
              {"kind", api::kModelDeployments.kind},
              {"name", deployment.meta.key.name},
              {"uid", deployment.meta.uid},
              {"controller", true},
              {"blockOwnerDeletion", true}}
      .dump();
}

kube::CreateObject RenderVersion(const api::ModelDeployment& deployment,
                                 const Declaration& declaration) {
  api::ModelVersionSpec spec;
  spec.model_deployment = deployment.meta.key.name;
  spec.revision = declaration.revision;
  spec.model = declaration.model;
  spec.origin.type = api::OriginType::kSpec;
  spec.origin.variant = declaration.variant;
  if (const std::string* author = kube::Find(deployment.meta.annotations, api::kAnnotationAuthor)) {
    spec.origin.author = CutText(*author, 256);
  }
  spec.parent = deployment.status.champion;
  return VersionObject(deployment, VersionName(deployment, declaration), spec);
}

kube::CreateObject RenderCopy(const api::ModelDeployment& deployment,
                              const api::ModelVersion& version, const std::string& request,
                              std::int64_t revision) {
  api::ModelVersionSpec spec = version.spec;
  spec.revision = revision;
  spec.origin.copy_of = version.meta.key.name;
  const std::string identity = deployment.meta.uid + "\n" + version.meta.uid + "\n" + request;
  return VersionObject(
      deployment,
      BoundedName(deployment.meta.key.name, "c" + ShortHash(identity), kLongestVersionName), spec);
}

kube::CreateObject RenderRejection(const api::ModelVersion& version, const std::string& approver,
                                   const std::string& reason) {
  api::ModelApprovalSpec spec;
  spec.model_version = version.meta.key.name;
  spec.digest = version.spec.model.digest;
  spec.decision = api::ApprovalDecision::kReject;
  spec.approver = approver;
  spec.reason = CutText(reason, 1000);
  const std::string name = BoundedName(version.meta.key.name, "rolled-back");
  const json body = {
      {"apiVersion", api::kModelApprovals.ApiVersion()},
      {"kind", api::kModelApprovals.kind},
      {"metadata",
       {{"name", name},
        {"namespace", version.meta.key.ns},
        {"labels",
         {{std::string(api::kLabelManagedBy), api::kManagedBy},
          {std::string(api::kLabelDeployment), version.spec.model_deployment},
          {std::string(api::kLabelIdentity), ShortHash(version.meta.uid + name, 16)}}},
        // Not a controller reference: the approval only goes away with its version.
        {"ownerReferences", json::array({{{"apiVersion", api::kModelVersions.ApiVersion()},
                                          {"kind", api::kModelVersions.kind},
                                          {"name", version.meta.key.name},
                                          {"uid", version.meta.uid}}})}}},
      {"spec", json::parse(api::EncodeSpec(spec))}};
  return {{api::kModelApprovals, {version.meta.key.ns, name}}, body.dump()};
}

kube::ApplyObject RenderPromoted(const api::ModelVersion& version, WallTime at,
                                 const std::string& why) {
  const json body = {{"apiVersion", api::kModelVersions.ApiVersion()},
                     {"kind", api::kModelVersions.kind},
                     {"metadata",
                      {{"name", version.meta.key.name},
                       {"namespace", version.meta.key.ns},
                       {"annotations",
                        {{std::string(api::kAnnotationPromoted), FormatTime(at)},
                         {std::string(api::kAnnotationPromotedBecause), CutText(why, 1000)}}}}}};
  return {{api::kModelVersions, version.meta.key}, body.dump(), /*owned=*/false};
}

}  // namespace perennial::deployment
