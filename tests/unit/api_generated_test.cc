#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/crd.h"
#include "api/yaml.h"
#include "support/manifest.h"

namespace perennial::api {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

TEST(Generated, FilesAreWhatTheTablesSay) {
  const auto files = GeneratedFiles();
  EXPECT_EQ(files.size(), 7u);
  for (const GeneratedFile& file : files) {
    EXPECT_TRUE(testing::ReadSource(file.path) == file.content)
        << file.path << " is stale: run hack/generate";
  }
}

TEST(Generated, CrdsAreSmallEnoughForAnAnnotationAndAChart) {
  for (const KindInfo& kind : Kinds()) {
    EXPECT_LT(RenderCrd(kind).size(), 200u * 1024) << kind.resource.kind;
  }
}

json SchemaOf(const KindInfo& kind) {
  const json crd = testing::ParseManifests(RenderCrd(kind)).at(0);
  return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
}

TEST(Generated, CrdsCarryTheRules) {
  const json schema = SchemaOf(ModelDeploymentKind());
  const json& spec = schema["properties"]["spec"];
  EXPECT_EQ(spec["required"], json::array({"template"}));
  EXPECT_EQ(spec["properties"]["template"]["x-kubernetes-preserve-unknown-fields"], true);
  const json& step = spec["properties"]["rollout"]["properties"]["steps"]["items"];
  EXPECT_EQ(step["properties"]["weight"]["minimum"], 0);
  EXPECT_EQ(step["properties"]["weight"]["maximum"], 100);
  const json& alpha =
      spec["properties"]["rollout"]["properties"]["experiment"]["properties"]["alpha"];
  EXPECT_EQ(alpha["type"], "string");
  EXPECT_EQ(alpha["pattern"], R"(^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$)");
  EXPECT_EQ(schema["properties"]["status"]["default"], json({{"observedGeneration", -1}}));
  const json& conditions = schema["properties"]["status"]["properties"]["conditions"];
  EXPECT_EQ(conditions["x-kubernetes-list-map-keys"], json::array({"type"}));
}

// The API server estimates what a rule can cost from these limits, and people's typing errors
// should meet one.
void ExpectBounded(const json& node, const std::string& path) {
  const std::string type = node.value("type", "");
  if (type == "string" && !node.contains("enum")) {
    EXPECT_TRUE(node.contains("maxLength")) << path;
  }
  if (type == "array") {
    EXPECT_TRUE(node.contains("maxItems")) << path;
    EXPECT_TRUE(node.contains("x-kubernetes-list-type")) << path;
    ExpectBounded(node.at("items"), path + "[]");
  }
  if (node.contains("additionalProperties")) {
    EXPECT_TRUE(node.contains("maxProperties")) << path;
  }
  const json properties = node.value("properties", json::object());
  for (const auto& [name, property] : properties.items()) {
    if (!path.empty() && path != ".metadata") {
      EXPECT_FALSE(property.value("description", "").empty()) << path << "." << name;
    }
    ExpectBounded(property, path + "." + name);
  }
}

TEST(Generated, EverythingIsBoundedAndDescribed) {
  for (const KindInfo& kind : Kinds()) {
    const json schema = SchemaOf(kind);
    ExpectBounded(schema["properties"]["spec"], kind.resource.kind + ".spec");
    if (kind.status) {
      ExpectBounded(schema["properties"]["status"], kind.resource.kind + ".status");
    }
  }
}

// References stay in the namespace of who refers: there is no field to name another one in.
// Templates of pods and Jobs are other APIs', and take any field.
int CountFieldsButNoNamespace(const json& node, const std::string& path) {
  int count = 0;
  const json properties = node.value("properties", json::object());
  for (const auto& [name, property] : properties.items()) {
    const std::string_view tail =
        std::string_view(name).substr(name.size() - std::min(name.size(), std::size_t{9}));
    EXPECT_FALSE(tail == "namespace" || tail == "Namespace") << path << "." << name;
    count += 1 + CountFieldsButNoNamespace(property, path + "." + name);
  }
  for (const char* inner : {"items", "additionalProperties"}) {
    if (node.contains(inner)) count += CountFieldsButNoNamespace(node[inner], path + "[]");
  }
  return count;
}

TEST(Generated, NoFieldLeadsIntoAnotherNamespace) {
  int count = 0;
  for (const KindInfo& kind : Kinds()) {
    count += CountFieldsButNoNamespace(SchemaOf(kind), kind.resource.kind);
  }
  EXPECT_GT(count, 500) << "the schemas are not where they are looked for";
}

TEST(Yaml, MeansWhatTheJsonMeans) {
  const ordered_json document = ordered_json::parse(R"({
    "plain": "text", "colon": "a: b", "hash": "a #b", "empty": "", "yes": "yes", "no": "NO",
    "number": "12", "sign": "-1", "quote": "say \"hi\"", "back": "^\\s$", "line": "a\nb",
    "list": [1, -2.5, true, null, [], {}, [[1], {"a": [2]}], {"b": {"c": "d"}, "e": []}],
    "8080": {"key with space": 1}, "star": "*", "bracket": "[a]", "tilde": "~", "end": "a:"})");
  const auto parsed = testing::ParseManifests(ToYaml(document));
  ASSERT_EQ(parsed.size(), 1u);
  EXPECT_EQ(parsed[0], json::parse(document.dump()));
}

}  // namespace
}  // namespace perennial::api
