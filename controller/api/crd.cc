#include "api/crd.h"

#include <nlohmann/json.hpp>

#include "api/yaml.h"

namespace perennial::api {
namespace {

using nlohmann::ordered_json;
using Kind = SchemaNode::Kind;

std::string Str(std::string_view text) {
  return std::string(text);
}

// 5 and not 5.0, where it is whole.
ordered_json Number(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return static_cast<double>(whole) == value ? ordered_json(whole) : ordered_json(value);
}

ordered_json OpenApi(const SchemaNode& node);

ordered_json TextRules(const SchemaNode& node) {
  ordered_json out = {{"type", "string"}};
  if (!node.names.empty()) {
    out["enum"] = ordered_json::array();
    for (const std::string_view name : node.names) out["enum"].push_back(Str(name));
    return out;
  }
  if (!node.format.empty()) out["format"] = Str(node.format);
  if (node.rules.min_length > 0) out["minLength"] = node.rules.min_length;
  out["maxLength"] = node.rules.max_length;
  if (!node.rules.pattern.empty()) out["pattern"] = Str(node.rules.pattern);
  return out;
}

ordered_json NumberRules(const SchemaNode& node) {
  ordered_json out = {{"type", node.kind == Kind::kInteger ? "integer" : "number"},
                      {"format", Str(node.format)}};
  if (node.rules.min) out["minimum"] = Number(*node.rules.min);
  if (node.rules.max) out["maximum"] = Number(*node.rules.max);
  return out;
}

ordered_json ListRules(const SchemaNode& node) {
  ordered_json out = {{"type", "array"}};
  if (node.rules.min_items > 0) out["minItems"] = node.rules.min_items;
  out["maxItems"] = node.rules.max_items;
  if (!node.rules.list_key.empty()) {
    out["x-kubernetes-list-type"] = "map";
    out["x-kubernetes-list-map-keys"] = {Str(node.rules.list_key)};
  } else {
    out["x-kubernetes-list-type"] = node.rules.set ? "set" : "atomic";
  }
  out["items"] = OpenApi(*node.items);
  return out;
}

std::string DescriptionOf(const Property& property) {
  std::string out(property.doc);
  if (!property.fallback.empty()) {
    std::string fallback = property.fallback;
    std::erase(fallback, '"');
    out += " Default: " + fallback + ".";
  }
  return out;
}

void AddCel(const SchemaNode& node, ordered_json& out) {
  for (const SchemaNode::CelRule& cel : node.cel) {
    ordered_json rule = {{"rule", Str(cel.rule)}, {"message", Str(cel.message)}};
    if (!cel.field.empty()) rule["fieldPath"] = "." + Str(cel.field);
    out["x-kubernetes-validations"].push_back(std::move(rule));
  }
}

ordered_json ObjectRules(const SchemaNode& node) {
  ordered_json out = {{"type", "object"}};
  ordered_json required = ordered_json::array();
  for (const Property& property : node.properties) {
    if (property.required) required.push_back(Str(property.name));
  }
  if (!required.empty()) out["required"] = std::move(required);
  AddCel(node, out);
  for (const Property& property : node.properties) {
    ordered_json schema = {{"description", DescriptionOf(property)}};
    schema.update(OpenApi(property.schema));
    out["properties"][Str(property.name)] = std::move(schema);
  }
  return out;
}

ordered_json OpenApi(const SchemaNode& node) {
  switch (node.kind) {
    case Kind::kString:
      return TextRules(node);
    case Kind::kInteger:
    case Kind::kNumber:
      return NumberRules(node);
    case Kind::kBoolean:
      return {{"type", "boolean"}};
    case Kind::kObject:
      return ObjectRules(node);
    case Kind::kList:
      return ListRules(node);
    case Kind::kTextMap:
      return {{"type", "object"},
              {"maxProperties", node.rules.max_items},
              {"additionalProperties", {{"type", "string"}, {"maxLength", node.rules.max_length}}}};
    case Kind::kRaw:
      return {{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}};
  }
  return {};
}

ordered_json Metadata(const KindInfo& kind) {
  ordered_json name = {{"type", "string"}};
  if (kind.name_is_label) {
    name["maxLength"] = 63;
    name["x-kubernetes-validations"] = ordered_json::array(
        {{{"rule", "self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"},
          {"message",
           "labels and Services are named after this: use lower-case letters, digits and '-', "
           "from a letter to a letter or digit, 63 at most"}}});
  }
  return {{"type", "object"}, {"properties", {{"name", std::move(name)}}}};
}

ordered_json RootSchema(const KindInfo& kind) {
  ordered_json properties = {{"apiVersion", {{"type", "string"}}},
                             {"kind", {{"type", "string"}}},
                             {"metadata", Metadata(kind)},
                             {"spec", OpenApi(kind.spec)}};
  if (kind.status) {
    ordered_json status = {{"description", "What the controller found and did."}};
    status.update(OpenApi(*kind.status));
    // kstatus: an object that no controller has seen yet is not ready.
    status["default"] = {{"observedGeneration", -1}};
    properties["status"] = std::move(status);
  }
  return {{"type", "object"},
          {"description", Str(kind.doc)},
          {"required", {"spec"}},
          {"properties", std::move(properties)}};
}

ordered_json Columns(const KindInfo& kind) {
  ordered_json out = ordered_json::array();
  for (const Column& column : kind.columns) {
    ordered_json entry = {{"name", Str(column.name)},
                          {"type", Str(column.type)},
                          {"jsonPath", Str(column.json_path)}};
    if (column.priority > 0) entry["priority"] = column.priority;
    out.push_back(std::move(entry));
  }
  return out;
}

ordered_json Version(const KindInfo& kind) {
  ordered_json out = {{"name", kind.resource.version}, {"served", true}, {"storage", true}};
  if (kind.status) out["subresources"]["status"] = ordered_json::object();
  if (kind.scale) {
    out["subresources"]["scale"] = {{"specReplicasPath", Str(kind.scale->spec_replicas)},
                                    {"statusReplicasPath", Str(kind.scale->status_replicas)},
                                    {"labelSelectorPath", Str(kind.scale->selector)}};
  }
  for (const std::string_view path : kind.selectable) {
    out["selectableFields"].push_back({{"jsonPath", Str(path)}});
  }
  out["additionalPrinterColumns"] = Columns(kind);
  out["schema"]["openAPIV3Schema"] = RootSchema(kind);
  return out;
}

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string FileName(const KindInfo& kind) {
  return kind.resource.group + "_" + kind.resource.plural + ".yaml";
}

std::string Kustomization() {
  ordered_json resources = ordered_json::array();
  for (const KindInfo& kind : Kinds()) resources.push_back(FileName(kind));
  resources.push_back("admission.yaml");
  return "# Made by hack/generate from controller/api; do not edit.\n" +
         ToYaml({{"apiVersion", "kustomize.config.k8s.io/v1beta1"},
                 {"kind", "Kustomization"},
                 {"resources", std::move(resources)}});
}

}  // namespace

std::string RenderCrd(const KindInfo& kind) {
  const kube::Resource& resource = kind.resource;
  const ordered_json document = {{"apiVersion", "apiextensions.k8s.io/v1"},
                                 {"kind", "CustomResourceDefinition"},
                                 {"metadata",
                                  {{"name", resource.plural + "." + resource.group},
                                   {"labels", {{"app.kubernetes.io/part-of", "perennial"}}}}},
                                 {"spec",
                                  {{"group", resource.group},
                                   {"scope", "Namespaced"},
                                   {"names",
                                    {{"kind", resource.kind},
                                     {"listKind", resource.kind + "List"},
                                     {"plural", resource.plural},
                                     {"singular", Lower(resource.kind)},
                                     {"shortNames", {Str(kind.short_name)}},
                                     {"categories", {"perennial"}}}},
                                   {"versions", ordered_json::array({Version(kind)})}}}};
  return "# Made by hack/generate from controller/api; do not edit.\n" + ToYaml(document);
}

std::vector<GeneratedFile> GeneratedFiles() {
  std::vector<GeneratedFile> files;
  for (const KindInfo& kind : Kinds()) {
    files.push_back({"crds/" + FileName(kind), RenderCrd(kind)});
  }
  files.push_back({"crds/kustomization.yaml", Kustomization()});
  files.push_back({"docs/reference/api.md", RenderReference()});
  return files;
}

}  // namespace perennial::api
