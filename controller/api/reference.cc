#include <cmath>
#include <string>

#include "api/crd.h"

// The field reference, in Markdown.
namespace perennial::api {
namespace {

using Kind = SchemaNode::Kind;

std::string Number(double value) {
  if (value == std::floor(value)) return std::to_string(static_cast<std::int64_t>(value));
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

std::string TypeOf(const SchemaNode& node) {
  if (!node.wording.empty()) return std::string(node.wording);
  switch (node.kind) {
    case Kind::kString:
      return node.names.empty() ? "string" : "enum";
    case Kind::kInteger:
      return "integer";
    case Kind::kNumber:
      return "number";
    case Kind::kBoolean:
      return "boolean";
    case Kind::kObject:
      return "object";
    case Kind::kList:
      return "list of " + TypeOf(*node.items) + (node.items->kind == Kind::kObject ? "s" : "");
    case Kind::kTextMap:
      return "map of strings";
    case Kind::kRaw:
      return "object";
  }
  return {};
}

// A cell must not end the column or the line.
std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string NamesOf(const SchemaNode& node) {
  std::string out;
  for (const std::string_view name : node.names) {
    if (!out.empty()) out += ", ";
    out += "`" + std::string(name) + "`";
  }
  return out;
}

std::string RangeOf(const Rules& rules) {
  if (rules.min && rules.max) return Number(*rules.min) + " to " + Number(*rules.max);
  if (rules.min) return "at least " + Number(*rules.min);
  if (rules.max) return "at most " + Number(*rules.max);
  return {};
}

// What may stand here, beyond the type.
std::string LimitsOf(const SchemaNode& node) {
  std::string out;
  const auto add = [&](const std::string& text) {
    if (text.empty()) return;
    if (!out.empty()) out += "; ";
    out += text;
  };
  const SchemaNode& leaf = node.kind == Kind::kList ? *node.items : node;
  add(NamesOf(leaf));
  if (leaf.kind == Kind::kInteger || leaf.kind == Kind::kNumber) add(RangeOf(leaf.rules));
  if (leaf.kind == Kind::kString && leaf.names.empty() && leaf.wording.empty()) {
    add(std::string(leaf.rules.wants));
    add("at most " + std::to_string(leaf.rules.max_length) + " characters");
  }
  if (node.kind == Kind::kList) {
    if (node.rules.min_items > 0)
      add("at least " + std::to_string(node.rules.min_items) + " items");
    add("at most " + std::to_string(node.rules.max_items) + " items");
    if (!node.rules.list_key.empty()) add("unique by " + std::string(node.rules.list_key));
    if (node.rules.set) add("no duplicates");
  }
  if (node.kind == Kind::kTextMap) {
    add("at most " + std::to_string(node.rules.max_items) + " entries");
  }
  return out;
}

void AddFields(const SchemaNode& node, const std::string& path, std::string& rows,
               std::string& rules) {
  for (const SchemaNode::CelRule& cel : node.cel) {
    std::string where = path;
    if (!cel.field.empty()) where += "." + std::string(cel.field);
    rules += "- `" + where + "`: " + std::string(cel.message) + "\n";
  }
  for (const Property& property : node.properties) {
    const std::string name = path + "." + std::string(property.name);
    std::string fallback = property.required ? "required" : property.fallback;
    if (!property.required && !fallback.empty()) {
      std::erase(fallback, '"');
      fallback = "`" + fallback + "`";
    }
    rows += "| `" + name + "` | " + TypeOf(property.schema) + " | " + fallback + " | " +
            Cell(LimitsOf(property.schema)) + " | " + Cell(property.doc) + " |\n";
    const bool list = property.schema.kind == Kind::kList;
    const SchemaNode& inner = list ? *property.schema.items : property.schema;
    if (inner.kind == Kind::kObject) AddFields(inner, name + (list ? "[]" : ""), rows, rules);
  }
}

std::string Section(const std::string& title, const SchemaNode& node, const std::string& path) {
  std::string rows;
  std::string rules;
  AddFields(node, path, rows, rules);
  std::string out = "\n" + title + "\n\n| Field | Type | Default | Limits | Meaning |\n" +
                    "|---|---|---|---|---|\n" + rows;
  if (!rules.empty()) out += "\nRules across fields, as the API server tells them:\n\n" + rules;
  return out;
}

std::string Terms(std::string_view title, const std::vector<Term>& terms) {
  if (terms.empty()) return {};
  std::string out = "\n| " + std::string(title) + " | Meaning |\n|---|---|\n";
  for (const Term& term : terms) {
    out += "| `" + std::string(term.name) + "` | " + Cell(term.meaning) + " |\n";
  }
  return out;
}

std::string KindSection(const KindInfo& kind) {
  std::string out = "\n## " + kind.resource.kind + "\n\n" + std::string(kind.doc) +
                    "\n\nShort name `" + std::string(kind.short_name) + "`, `" +
                    kind.resource.ApiVersion() + "`, namespaced.\n";
  out += Section("### " + kind.resource.kind + " spec", kind.spec, "spec");
  if (kind.status) {
    out += Section("### " + kind.resource.kind + " status", *kind.status, "status");
  }
  out += Terms("Condition", kind.conditions);
  out += Terms("Annotation", kind.annotations);
  return out;
}

}  // namespace

std::string RenderReference() {
  std::string out =
      "<!-- Made by hack/generate from controller/api; do not edit. -->\n"
      "# API reference\n\n"
      "All kinds are of the group `perennial.dev`, version `v1alpha1`, and belong to the category\n"
      "`perennial`: `kubectl get perennial` lists them all. Durations are written as `90s` or\n"
      "`1h30m`, decimal numbers as strings (`\"0.25\"`). Defaults are applied by the controller "
      "and\n"
      "never written into your object.\n";
  for (const KindInfo& kind : Kinds()) out += KindSection(kind);
  out +=
      "\n## Training result\n\n"
      "What a training container leaves as its result: one JSON document with\n"
      "`\"schemaVersion\": 1` and the fields below. A termination message holds 4096 bytes. Fields "
      "that\n"
      "are unknown are ignored; anything else that is wrong fails the run, and the run's message\n"
      "names the field. `samples/python/perennial_result.py` writes it for you.\n";
  out += Section("### Fields of the result", TrainingResultSchema(), "result");
  return out;
}

}  // namespace perennial::api
