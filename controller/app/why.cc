#include "app/why.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "api/codec.h"
#include "api/names.h"
#include "app/plain_text.h"
#include "retrain/approval.h"
#include "retrain/gates.h"
#include "retrain/serving.h"

namespace perennial::app {
namespace {

using nlohmann::json;

// Further back it is history, and the ModelVersions themselves tell it.
constexpr std::size_t kLongestChain = 10;

struct Records {
  std::map<std::string, api::ModelVersion> versions;
  std::vector<std::shared_ptr<const api::ModelApproval>> approvals;
  std::optional<api::ModelDeployment> deployment;

  const api::ModelVersion* Find(const std::string& name) const {
    const auto found = versions.find(name);
    return found == versions.end() ? nullptr : &found->second;
  }
  std::vector<std::shared_ptr<const api::ModelApproval>> ApprovalsOf(
      const api::ModelVersion& version) const {
    std::vector<std::shared_ptr<const api::ModelApproval>> out;
    for (const auto& approval : approvals) {
      if (approval->spec.model_version == version.meta.key.name) out.push_back(approval);
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
      return std::tie(a->meta.created, a->meta.key) < std::tie(b->meta.created, b->meta.key);
    });
    return out;
  }
};

Result<Records> Decode(const WhyInput& input) {
  Records out;
  auto deployment = api::DecodeModelDeployment(input.deployment);
  if (!deployment.ok()) return deployment.error();
  out.deployment = *std::move(deployment);
  for (const json& object : input.versions) {
    auto version = api::DecodeModelVersion(object);
    if (!version.ok()) continue;
    std::string name = version->meta.key.name;
    out.versions.emplace(std::move(name), *std::move(version));
  }
  for (const json& object : input.approvals) {
    auto approval = api::DecodeModelApproval(object);
    if (!approval.ok()) continue;
    out.approvals.push_back(std::make_shared<api::ModelApproval>(*std::move(approval)));
  }
  return out;
}

const std::string& Annotation(const api::ModelVersion& version, std::string_view key) {
  static const std::string kNone;
  const std::string* value = kube::Find(version.meta.annotations, key);
  return value == nullptr ? kNone : *value;
}

// Role and version of what serves. After a loss of status: what was promoted last and isn't
// rejected.
std::vector<std::pair<std::string, std::string>> ServingOf(const Records& records) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const api::VariantStatus& variant : records.deployment->status.variants) {
    if (!variant.version.empty()) out.emplace_back(variant.name, variant.version);
  }
  if (!out.empty()) return out;
  const api::ModelVersion* last = nullptr;
  for (const auto& [name, version] : records.versions) {
    const std::string& at = Annotation(version, api::kAnnotationPromoted);
    const auto votes = retrain::CountVotes(version, {}, records.ApprovalsOf(version));
    if (at.empty() || votes.rejection != nullptr) continue;
    // RFC 3339 in UTC sorts as text.
    if (last == nullptr || Annotation(*last, api::kAnnotationPromoted) < at) last = &version;
  }
  if (last != nullptr) out.emplace_back("champion", last->meta.key.name);
  return out;
}

// What one ModelApproval came to.
std::string StandingOf(const api::ModelVersion& version, const api::ApprovalRule& rule,
                       const std::shared_ptr<const api::ModelApproval>& approval) {
  const retrain::Votes votes = retrain::CountVotes(version, rule, {approval});
  if (votes.rejection != nullptr) return "rejects";
  if (votes.other_digest > 0) return "void: of another digest";
  if (votes.late > 0) return "void: too late";
  if (votes.own) return "does not count: of the author";
  if (votes.no_author) return "does not count: the author is not on record";
  return "counts";
}

json Approvals(const Records& records, const api::ModelVersion& version) {
  const api::ApprovalRule rule = retrain::EffectiveApproval(version, &*records.deployment);
  json given = json::array();
  for (const auto& approval : records.ApprovalsOf(version)) {
    const bool approves = approval->spec.decision == api::ApprovalDecision::kApprove;
    given.push_back({{"modelApproval", approval->meta.key.name},
                     {"decision", approves ? "Approve" : "Reject"},
                     {"approver", approval->spec.approver},
                     {"at", FormatTime(approval->meta.created)},
                     {"digest", approval->spec.digest},
                     {"reason", approval->spec.reason},
                     {"standing", StandingOf(version, rule, approval)}});
  }
  json out = {{"required", rule.required ? rule.approvers : 0}, {"given", std::move(given)}};
  if (rule.separation_of_duties) out["separationOfDuties"] = true;
  return out;
}

json Gates(const Records& records, const api::ModelVersion& version) {
  const retrain::Compared compared{records.Find(version.spec.parent),
                                   records.Find(version.spec.trained_from)};
  api::ModelVersionStatus judged;
  judged.gates = retrain::EvaluateGates(version, compared);
  // As the API writes them.
  const json status = json::parse(api::EncodeStatus(judged));
  const bool enforced = version.spec.requirements.mode == api::GateMode::kEnforce;
  return {{"mode", enforced ? "Enforce" : "DryRun"},
          {"judged", status.value("gates", json::array())}};
}

json Trigger(const api::Origin& origin) {
  if (origin.type != api::OriginType::kRun) return nullptr;
  json evidence = json::parse(origin.evidence, nullptr, false);
  if (evidence.is_discarded()) evidence = origin.evidence;
  return {{"type", origin.trigger_type}, {"identity", origin.trigger}, {"evidence", evidence}};
}

json Version(const Records& records, const api::ModelVersion& version) {
  const json spec = json::parse(api::EncodeSpec(version.spec));
  json origin = spec.value("origin", json::object());
  for (const char* told : {"evidence", "trigger", "triggerType"}) origin.erase(told);
  json out = {{"version", version.meta.key.name},
              {"uid", version.meta.uid},
              {"revision", version.spec.revision},
              {"model", spec.value("model", json::object())},
              {"created", FormatTime(version.meta.created)},
              {"approvals", Approvals(records, version)},
              {"gates", Gates(records, version)},
              {"origin", std::move(origin)},
              {"trigger", Trigger(version.spec.origin)},
              {"parent", version.spec.parent}};
  json evaluation = json::object();
  for (const char* field : {"data", "evaluationData", "code", "image", "parameters", "report",
                            "explanation", "trainedFrom"}) {
    if (spec.contains(field)) evaluation[field] = spec[field];
  }
  out["training"] = std::move(evaluation);
  const std::string& at = Annotation(version, api::kAnnotationPromoted);
  if (const auto promoted = api::PromotedAt(version)) {
    out["promoted"] = {
        {"at", at},
        {"because", Annotation(version, api::kAnnotationPromotedBecause)},
        {"trainedToDeployedSeconds", retrain::TrainedToDeployed(version, *promoted)}};
  }
  return out;
}

json Chain(const Records& records, const std::string& name) {
  json chain = json::array();
  std::set<std::string> seen;
  for (std::string next = name; !next.empty() && chain.size() < kLongestChain;) {
    const api::ModelVersion* version = records.Find(next);
    if (!seen.insert(next).second) break;
    if (version == nullptr) {
      chain.push_back({{"version", next}, {"missing", true}});
      break;
    }
    chain.push_back(Version(records, *version));
    next = version->spec.parent;
  }
  return chain;
}

// ---- for people ----

std::string Quoted(const std::string& text) {
  return text.empty() ? "" : ": " + text;
}

std::string Data(const json& data) {
  std::string out = Text(data, "/uri");
  for (const char* part : {"/digest", "/rows"}) {
    const std::string text = Text(data, part);
    if (!text.empty()) out += "  " + text + (std::string_view(part) == "/rows" ? " rows" : "");
  }
  return out;
}

std::string Evidence(const json& trigger) {
  std::string out;
  for (const json& signal : List(trigger, "/evidence/signals")) {
    out += (out.empty() ? "" : "; ") + Text(signal, "/name") + " was " + Text(signal, "/value") +
           " (threshold " + Text(signal, "/threshold") + ", " + Text(signal, "/samples") +
           " samples) since " + Text(signal, "/since");
  }
  return out.empty() ? Text(trigger, "/evidence") : out;
}

void AddApprovals(const json& version, Table& table) {
  const std::string required = Text(version, "/approvals/required");
  const json& given = List(version, "/approvals/given");
  if (required == "0" && given.empty()) {
    table.Row({"  approval", "none was required"});
    return;
  }
  table.Row(
      {"  approval",
       required + " required" +
           (Text(version, "/approvals/separationOfDuties").empty() ? "" : ", not by the author")});
  for (const json& one : given) {
    table.Row({"   " + Text(one, "/decision"), Text(one, "/approver") + " at " + Text(one, "/at") +
                                                   Quoted(Text(one, "/reason")) + "  (" +
                                                   Text(one, "/standing") + ", ModelApproval " +
                                                   Text(one, "/modelApproval") + ")"});
  }
}

void AddGates(const json& version, Table& table) {
  const json& gates = List(version, "/gates/judged");
  if (gates.empty()) {
    table.Row({"  gates", "none"});
    return;
  }
  table.Row({"  gates", Text(version, "/gates/mode")});
  for (const json& gate : gates) {
    const std::string reference = Text(gate, "/reference");
    const std::string group = Text(gate, "/group");
    table.Row({"   " + Text(gate, "/verdict"),
               Text(gate, "/gate") + " " + Text(gate, "/threshold") + ": " +
                   (Text(gate, "/value").empty() ? "no value" : Text(gate, "/value")) +
                   (group.empty() ? "" : " of " + group) +
                   (reference.empty() ? "" : ", compared with " + reference) +
                   Quoted(Text(gate, "/message"))});
  }
}

void AddOrigin(const json& version, Table& table) {
  const std::string type = Text(version, "/origin/type");
  const std::string author = Text(version, "/origin/author");
  const std::string by = author.empty() ? "" : " by " + author;
  if (type == "Run") {
    const std::string shared = Text(version, "/origin/sharedJob");
    table.Row({"  run", Text(version, "/origin/run") + " of RetrainPolicy " +
                            Text(version, "/origin/policy") +
                            (shared.empty() ? "" : ", trained by Job " + shared + " for several") +
                            ", UID " + Text(version, "/origin/jobUID") + by});
    table.Row({"  trigger", Text(version, "/trigger/type") + " " +
                                Text(version, "/trigger/identity") +
                                Quoted(Evidence(version.value("trigger", json())))});
  } else {
    table.Row({"  made", type == "Spec"
                             ? "from spec.model of the ModelDeployment" + by
                             : "from outside" + by + Quoted(Text(version, "/origin/requestedBy"))});
  }
  const std::string copy = Text(version, "/origin/copyOf");
  if (!copy.empty()) table.Row({"  copy of", copy});
}

void AddTraining(const json& version, Table& table) {
  for (const json& data : List(version, "/training/data")) table.Row({"  data", Data(data)});
  const json& training = version.value("training", json::object());
  if (training.contains("evaluationData")) {
    table.Row({"  evaluated on", Data(training["evaluationData"])});
  }
  const std::string commit = Text(version, "/training/code/commit");
  if (!commit.empty()) {
    table.Row({"  code", Text(version, "/training/code/repository") + " " + commit});
  }
  for (const char* field : {"image", "trainedFrom", "report", "explanation"}) {
    const std::string text = Text(training, ("/" + std::string(field)).c_str());
    if (!text.empty()) table.Row({"  " + std::string(field), text});
  }
}

void AddVersion(const json& version, Table& table) {
  table.Row({"  model", Text(version, "/model/uri") + "  " + Text(version, "/model/digest")});
  table.Row({"  created", Text(version, "/created")});
  if (version.contains("promoted")) {
    const auto took = version["promoted"].value("trainedToDeployedSeconds", std::int64_t{0});
    table.Row({"  promoted", Text(version, "/promoted/at") + ", " + Span(took) +
                                 " after it was made" +
                                 Quoted(Text(version, "/promoted/because"))});
  }
  AddApprovals(version, table);
  AddGates(version, table);
  AddOrigin(version, table);
  AddTraining(version, table);
}

std::string Brief(const json& version) {
  const std::string name = Text(version, "/version");
  if (version.contains("missing")) return name + ": its ModelVersion was deleted";
  const std::string type = Text(version, "/origin/type");
  const std::string at = Text(version, "/promoted/at");
  return name + " (revision " + Text(version, "/revision") + "), " +
         (type == "Run" ? Text(version, "/trigger/type") + " run " + Text(version, "/origin/run")
                        : type) +
         (at.empty() ? "" : ", promoted " + at) + ", " + Text(version, "/model/digest");
}

}  // namespace

Result<json> ExplainServing(const WhyInput& input) {
  PERENNIAL_TRY(const Records records, Decode(input));
  const kube::Key& key = records.deployment->meta.key;
  const auto serving = ServingOf(records);
  if (serving.empty()) {
    return Error{Errc::kNotFound, "nothing serves in ModelDeployment " + key.name +
                                      ": see kubectl perennial status " + key.name};
  }
  json out = {{"modelDeployment", key.name}, {"namespace", key.ns}, {"serving", json::array()}};
  for (const auto& [role, version] : serving) {
    out["serving"].push_back({{"role", role}, {"chain", Chain(records, version)}});
  }
  return out;
}

std::string DescribeWhy(const json& explanation) {
  std::string out = Text(explanation, "/modelDeployment") + "  namespace " +
                    Text(explanation, "/namespace") + "\n";
  for (const json& serving : List(explanation, "/serving")) {
    const json& chain = List(serving, "/chain");
    if (chain.empty()) continue;
    const json& version = chain[0];
    out += Text(serving, "/role") + "  " + Text(version, "/version");
    if (version.contains("missing")) {
      out += ": its ModelVersion was deleted\n";
      continue;
    }
    out += "  revision " + Text(version, "/revision") + "\n";
    Table table;
    AddVersion(version, table);
    for (std::size_t i = 1; i < chain.size(); ++i) {
      table.Row({i == 1 ? "  parent" : "  before it", Brief(chain[i])});
    }
    out += table.Render();
  }
  return out;
}

}  // namespace perennial::app
