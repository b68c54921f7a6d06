#include "app/commands.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "api/codec.h"
#include "api/names.h"
#include "app/plain_text.h"
#include "app/preflight.h"
#include "app/status_text.h"
#include "app/why.h"
#include "base/hash.h"
#include "retrain/queue.h"

namespace perennial::app {
namespace {

using nlohmann::json;

Result<json> Get(const CommandContext& context, const kube::Resource& resource,
                 const std::string& name) {
  const kube::Ref ref{resource, {context.ns, name}};
  const auto text = context.client.Get(ref);
  if (!text.ok()) {
    if (text.error().code != Errc::kNotFound) return text.error();
    return Error{Errc::kNotFound, kube::ToString(ref) + " does not exist"};
  }
  json object = json::parse(*text, nullptr, false);
  if (!object.is_object()) {
    return Error{Errc::kUnavailable, kube::ToString(ref) + " could not be read"};
  }
  return object;
}

// All objects of a resource in the namespace that name `deployment` at `pointer`; empty: all.
Result<json> ListOf(const CommandContext& context, const kube::Resource& resource,
                    const char* pointer, const std::string& deployment) {
  json out = json::array();
  kube::ListOptions options;
  options.ns = context.ns;
  do {
    PERENNIAL_TRY(const kube::ListPage page, context.client.List(resource, options));
    for (const std::string& item : page.items) {
      json object = json::parse(item, nullptr, false);
      if (object.is_object() && (deployment.empty() || Text(object, pointer) == deployment)) {
        out.push_back(std::move(object));
      }
    }
    options.continue_token = page.continue_token;
  } while (!options.continue_token.empty());
  return out;
}

Status Annotate(const CommandContext& context, const kube::Resource& resource,
                const std::string& name, const json& annotations) {
  const json patch = {{"metadata", {{"annotations", annotations}}}};
  const auto written = context.client.MergePatch({resource, {context.ns, name}}, patch.dump());
  return written.ok() ? Ok() : Status(written.error());
}

// Never used before, so that the same can be asked again.
std::string Token(const CommandContext& context) {
  const WallTime now = context.clock.Wall();
  return FormatTime(now) + "-" +
         ShortHash(std::to_string(now.time_since_epoch().count()) + "/" +
                   std::to_string(::getpid()));
}

Status Ask(const CommandContext& context, const std::string& deployment,
           std::string_view annotation, const std::string& about, const std::string& what) {
  PERENNIAL_TRY_STATUS(Annotate(context, api::kModelDeployments, deployment,
                                {{std::string(annotation), about + ":" + Token(context)}}));
  context.out << "asked ModelDeployment " << deployment << " to " << what << "\n";
  return Ok();
}

std::string RenderApproval(const CommandContext& context, const api::ModelVersion& version,
                           const std::string& name, const api::ModelApprovalSpec& spec) {
  const json owner = {{"apiVersion", api::kModelVersions.ApiVersion()},
                      {"kind", api::kModelVersions.kind},
                      {"name", version.meta.key.name},
                      {"uid", version.meta.uid}};
  return json{
      {"apiVersion", api::kModelApprovals.ApiVersion()},
      {"kind", api::kModelApprovals.kind},
      {"metadata",
       {{"name", name}, {"namespace", context.ns}, {"ownerReferences", json::array({owner})}}},
      {"spec", json::parse(api::EncodeSpec(spec))}}
      .dump();
}

// Where all policies of the namespace stand whose run waits, if one of `policies` does.
Result<std::map<std::string, std::size_t>> PositionsOf(const CommandContext& context,
                                                       const json& policies) {
  const auto waiting = [](const json& object) -> std::optional<retrain::Claim> {
    const auto policy = api::DecodeRetrainPolicy(object);
    auto claim = policy.ok() ? retrain::ClaimOf(*policy) : std::nullopt;
    return claim && !claim->active ? claim : std::nullopt;
  };
  std::map<std::string, std::size_t> positions;
  if (std::none_of(policies.begin(), policies.end(), waiting)) return positions;
  PERENNIAL_TRY(const json all, ListOf(context, api::kRetrainPolicies, "/metadata/name", ""));
  std::set<std::pair<WallTime, std::string>> queue;
  for (const json& policy : all) {
    if (const auto claim = waiting(policy)) {
      queue.emplace(claim->place, Text(policy, "/metadata/name"));
    }
  }
  std::size_t position = 0;
  for (const auto& entry : queue) positions[entry.second] = ++position;
  return positions;
}

}  // namespace

Status PrintStatus(const CommandContext& context, const std::string& name) {
  PERENNIAL_TRY(const json deployment, Get(context, api::kModelDeployments, name));
  PERENNIAL_TRY(const json versions,
                ListOf(context, api::kModelVersions, "/spec/modelDeployment", name));
  PERENNIAL_TRY(const json monitors,
                ListOf(context, api::kDriftMonitors, "/spec/target/modelDeployment", name));
  PERENNIAL_TRY(const json policies,
                ListOf(context, api::kRetrainPolicies, "/spec/modelDeployment", name));
  PERENNIAL_TRY(auto positions, PositionsOf(context, policies));
  context.out << DescribeStatus({deployment, versions, monitors, policies, std::move(positions)},
                                context.clock.Wall());
  return Ok();
}

Status PrintWhy(const CommandContext& context, const std::string& name, bool as_json) {
  PERENNIAL_TRY(const json deployment, Get(context, api::kModelDeployments, name));
  PERENNIAL_TRY(const json versions,
                ListOf(context, api::kModelVersions, "/spec/modelDeployment", name));
  PERENNIAL_TRY(const json approvals, ListOf(context, api::kModelApprovals, "", ""));
  PERENNIAL_TRY(const json explanation, ExplainServing({deployment, versions, approvals}));
  if (as_json) {
    context.out << explanation.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  } else {
    context.out << DescribeWhy(explanation);
  }
  return Ok();
}

Status Judge(const CommandContext& context, const std::string& version_name,
             api::ApprovalDecision decision, const std::string& reason, int step) {
  PERENNIAL_TRY(const json object, Get(context, api::kModelVersions, version_name));
  PERENNIAL_TRY(const api::ModelVersion version, api::DecodeModelVersion(object));
  PERENNIAL_TRY(const std::string user, WhoAmI(context.transport));
  const bool approve = decision == api::ApprovalDecision::kApprove;
  api::ModelApprovalSpec spec;
  spec.model_version = version_name;
  spec.digest = version.spec.model.digest;
  spec.decision = decision;
  spec.approver = user;
  spec.reason = reason;
  spec.step = step;
  // One name for each decision of each user about each artifact: asking twice is asking once.
  const std::string what = !approve ? "/r" : step == 0 ? "/a" : "/a" + std::to_string(step);
  const std::string name = BoundedName(
      version_name, ShortHash(version.meta.uid + "/" + spec.digest + "/" + user + what));
  const auto written = context.client.Create({api::kModelApprovals, {context.ns, name}},
                                             RenderApproval(context, version, name, spec));
  const std::string done = !approve    ? "rejected"
                           : step == 0 ? "approved"
                                       : "step " + std::to_string(step) + " approved";
  if (!written.ok() && written.error().code == Errc::kAlreadyExists) {
    context.out << "already " << done << " by " << user << ": ModelApproval " << name << "\n";
    return Ok();
  }
  if (!written.ok()) return written.error();
  context.out << done << " by " << user << ": ModelApproval " << name << " of "
              << (spec.digest.empty() ? "a version without digest" : spec.digest) << "\n";
  if (approve && version.status.phase == api::VersionPhase::kGatesFailed) {
    context.out << "its gates failed, and an approval does not overrule them: "
                << version.status.why << "\n";
  }
  return Ok();
}

Status Retrain(const CommandContext& context, const std::string& policy) {
  const std::string token = Token(context);
  // An approval may have to come from somebody else.
  PERENNIAL_TRY(const std::string user, WhoAmI(context.transport));
  PERENNIAL_TRY_STATUS(Annotate(context, api::kRetrainPolicies, policy,
                                {{std::string(api::kAnnotationRetrain), token},
                                 {std::string(api::kAnnotationAuthor), user}}));
  context.out << "asked RetrainPolicy " << policy << " for a run (" << token << ")\n";
  return Ok();
}

Status AnswerRollout(const CommandContext& context, const std::string& deployment,
                     RolloutAnswer answer) {
  PERENNIAL_TRY(const json object, Get(context, api::kModelDeployments, deployment));
  const std::string version = Text(object, "/status/rollout/version");
  const std::string phase = Text(object, "/status/rollout/phase");
  if (answer == RolloutAnswer::kRetry) {
    if (phase != "RolledBack") {
      return Error{Errc::kInvalid, "ModelDeployment " + deployment +
                                       " has rolled nothing back that could be retried"};
    }
    return Ask(context, deployment, api::kAnnotationRetry, version, "retry " + version);
  }
  if (version.empty() || phase == "Promoted" || phase == "RolledBack") {
    return Error{Errc::kInvalid, "ModelDeployment " + deployment + " has no rollout under way"};
  }
  const json::json_pointer paused("/status/rollout/paused");
  const bool pauses =
      phase == "Paused" || (object.contains(paused) && object[paused] == json(true));
  const json::json_pointer step("/status/rollout/step");
  const int index =
      object.contains(step) && object[step].is_number_integer() ? object[step].get<int>() : 0;
  switch (answer) {
    case RolloutAnswer::kPromoteFull:
      return Ask(context, deployment, api::kAnnotationPromote, version, "promote " + version);
    case RolloutAnswer::kPromote:
      // Names the step: asking twice by mistake ends one step, not two.
      return Ask(context, deployment, api::kAnnotationPromote,
                 version + "/" + std::to_string(index + 1),
                 "end step " + std::to_string(index + 1) + " of " + version);
    case RolloutAnswer::kPause:
      return Ask(context, deployment, api::kAnnotationPause, version, "pause " + version);
    case RolloutAnswer::kResume:
      if (!pauses) {
        return Error{Errc::kInvalid, "the rollout of " + version + " is not paused but " + phase};
      }
      return Ask(context, deployment, api::kAnnotationResume, version, "go on with " + version);
    case RolloutAnswer::kAbort:
    case RolloutAnswer::kRetry:
      break;
  }
  return Ask(context, deployment, api::kAnnotationAbort, version,
             "abort the rollout of " + version);
}

Status Undo(const CommandContext& context, const std::string& deployment, const std::string& to) {
  PERENNIAL_TRY(const json object, Get(context, api::kModelDeployments, deployment));
  const std::string champion = Text(object, "/status/champion");
  std::string version = to;
  if (version.empty()) {
    PERENNIAL_TRY(const json versions,
                  ListOf(context, api::kModelVersions, "/spec/modelDeployment", deployment));
    std::string last;
    for (const json& candidate : versions) {
      // RFC 3339 in UTC sorts as text.
      const std::string at = Text(candidate, "/metadata/annotations/perennial.dev~1promoted-at");
      const std::string name = Text(candidate, "/metadata/name");
      if (name == champion || Text(candidate, "/status/phase") != "Approved" || at <= last)
        continue;
      last = at;
      version = name;
    }
  }
  if (version.empty()) {
    return Error{Errc::kInvalid, "no approved version served " + deployment + " before " +
                                     (champion.empty() ? "now" : champion) +
                                     "; name one with --to"};
  }
  return Ask(context, deployment, api::kAnnotationUndo, version, "return to " + version);
}

}  // namespace perennial::app
