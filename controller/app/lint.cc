#include "app/lint.h"

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "api/codec.h"
#include "api/kinds.h"
#include "app/yaml_json.h"
#include "drift/gather.h"
#include "retrain/schedule.h"
#include "scrape/expression.h"

namespace perennial::app {
namespace {

using api::SchemaNode;
using nlohmann::json;
using Problems = std::vector<std::string>;

// Levenshtein distance; names are short.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string Suggestion(const SchemaNode& node, const std::string& name) {
  const api::Property* best = nullptr;
  size_t distance = 3;
  for (const api::Property& property : node.properties) {
    const size_t d = Distance(name, property.name);
    if (d < distance) {
      best = &property;
      distance = d;
    }
  }
  return best == nullptr ? "" : "; did you mean " + std::string(best->name) + "?";
}

void FindUnknown(const SchemaNode& node, const json& value, const std::string& path,
                 Problems& problems) {
  if (node.kind == SchemaNode::Kind::kList && value.is_array() && node.items != nullptr) {
    for (size_t i = 0; i < value.size(); ++i) {
      FindUnknown(*node.items, value[i], path + "[" + std::to_string(i) + "]", problems);
    }
  }
  if (node.kind != SchemaNode::Kind::kObject || !value.is_object()) return;
  for (const auto& item : value.items()) {
    const std::string& name = item.key();
    const auto known =
        std::find_if(node.properties.begin(), node.properties.end(),
                     [&](const api::Property& property) { return property.name == name; });
    if (known == node.properties.end()) {
      problems.push_back(path + "." + name + ": unknown field" + Suggestion(node, name));
    } else {
      FindUnknown(known->schema, item.value(), path + "." + name, problems);
    }
  }
}

// What no schema can say.
void CheckMore(const api::RetrainPolicySpec& spec, Problems& problems) {
  const Problems expressions = api::ExpressionProblems(spec);
  problems.insert(problems.end(), expressions.begin(), expressions.end());
  for (size_t i = 0; i < spec.triggers.size(); ++i) {
    const std::string trigger = "spec.triggers[" + std::to_string(i) + "]";
    if (const auto& data = spec.triggers[i].new_data) {
      const auto parsed = scrape::Expression::Parse(data->expression);
      if (!parsed.ok()) {
        problems.push_back(trigger + ".newData.expression: " + parsed.error().message);
      }
    }
    const auto& schedule = spec.triggers[i].schedule;
    if (!schedule) continue;
    const std::string path = trigger + ".schedule";
    const auto cron = retrain::ParseCron(schedule->cron);
    if (!cron.ok()) {
      problems.push_back(path + ".cron: " + cron.error().message);
      continue;
    }
    const auto next = retrain::NextTime(*cron, schedule->time_zone, WallTime{});
    if (!next.ok()) problems.push_back(path + ".timeZone: " + next.error().message);
  }
}
void CheckMore(const api::DriftMonitorSpec& spec, Problems& problems) {
  const drift::Expressions expressions = drift::ParseExpressions(spec);
  for (size_t i = 0; i < spec.signals.size(); ++i) {
    const auto wrong = expressions.wrong.find(spec.signals[i].name);
    if (wrong == expressions.wrong.end()) continue;
    problems.push_back("spec.signals[" + std::to_string(i) + "].expression: " + wrong->second);
  }
}
void CheckMore(const api::ModelDeploymentSpec& spec, Problems& problems) {
  const Problems expressions = api::ExpressionProblems(spec);
  problems.insert(problems.end(), expressions.begin(), expressions.end());
}
template <class Spec>
void CheckMore(const Spec&, Problems&) {}

template <class T>
void Check(const json& object, Result<T> (*decode)(const json&), Problems& problems) {
  const auto decoded = decode(object);
  if (!decoded.ok()) {
    problems.push_back(decoded.error().message);
    return;
  }
  const Problems invalid = api::Validate(decoded->spec);
  problems.insert(problems.end(), invalid.begin(), invalid.end());
  CheckMore(decoded->spec, problems);
}

using Checker = void (*)(const json&, Problems&);
const std::map<std::string, Checker>& Checkers() {
  static const std::map<std::string, Checker> kCheckers{
      {"ModelDeployment",
       [](const json& o, Problems& p) { Check(o, api::DecodeModelDeployment, p); }},
      {"DriftMonitor", [](const json& o, Problems& p) { Check(o, api::DecodeDriftMonitor, p); }},
      {"RetrainPolicy", [](const json& o, Problems& p) { Check(o, api::DecodeRetrainPolicy, p); }},
      {"ModelVersion", [](const json& o, Problems& p) { Check(o, api::DecodeModelVersion, p); }},
      {"ModelApproval", [](const json& o, Problems& p) { Check(o, api::DecodeModelApproval, p); }},
  };
  return kCheckers;
}

// The members that every object has; `metadata` is the API server's to check, but for the name.
void CheckEnvelope(const json& object, Problems& problems) {
  for (const auto& [name, member] : object.items()) {
    if (name != "apiVersion" && name != "kind" && name != "metadata" && name != "spec" &&
        name != "status") {
      problems.push_back(name + ": unknown field");
    }
  }
  if (!object.contains("spec") || !object["spec"].is_object()) {
    problems.emplace_back("spec: must be given");
  }
}

// The codec reads what an API server hands out; a manifest lacks what that adds.
json AsServed(json object) {
  if (!object.contains("metadata") || !object["metadata"].is_object()) return object;
  json& metadata = object["metadata"];
  metadata.emplace("uid", "not-applied-yet");
  metadata.emplace("namespace", "default");
  metadata.emplace("resourceVersion", "1");
  if (metadata.contains("generateName")) metadata.emplace("name", metadata["generateName"]);
  return object;
}

std::string TextOf(const json& object, const char* pointer) {
  const json::json_pointer path(pointer);
  return object.contains(path) && object[path].is_string() ? object[path].get<std::string>() : "";
}

void LintObject(const json& object, Problems& problems) {
  const std::string kind = TextOf(object, "/kind");
  const std::string api_version = TextOf(object, "/apiVersion");
  const auto checker = Checkers().find(kind);
  if (checker == Checkers().end() || api_version != api::kModelDeployments.ApiVersion()) {
    problems.push_back("apiVersion " + api_version + ", kind " + kind + ": there is no such kind");
    return;
  }
  CheckEnvelope(object, problems);
  for (const api::KindInfo& info : api::Kinds()) {
    if (info.resource.kind == kind && object.contains("spec")) {
      FindUnknown(info.spec, object["spec"], "spec", problems);
    }
  }
  checker->second(AsServed(object), problems);
}

void LintDocument(const json& object, const std::string& where, LintReport& report) {
  if (!object.is_object()) {
    report.problems.push_back(where + ": not an object");
    return;
  }
  if (TextOf(object, "/kind") == "List" && object.contains("items")) {
    for (const json& item : object["items"]) LintDocument(item, where, report);
    return;
  }
  const std::string group_prefix = std::string(api::kGroup) + "/";
  if (TextOf(object, "/apiVersion").rfind(group_prefix, 0) != 0) return;
  ++report.checked;
  Problems problems;
  LintObject(object, problems);
  for (const std::string& problem : problems) {
    report.problems.push_back(where + ", " + TextOf(object, "/kind") + " " +
                              TextOf(object, "/metadata/name") + ": " + problem);
  }
}

}  // namespace

LintReport Lint(const std::string& text) {
  LintReport report;
  const auto documents = ParseYaml(text);
  if (!documents.ok()) {
    report.problems.push_back(documents.error().message);
    return report;
  }
  for (const json& document : *documents) {
    LintDocument(document, "document " + std::to_string(++report.documents), report);
  }
  return report;
}

}  // namespace perennial::app
