#include "support/manifest.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/source_tree.h"

namespace perennial::testing {
namespace {

using nlohmann::json;

json FromScalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  // "!" marks a scalar that was quoted.
  if (node.Tag() == "!") return text;
  if (text == "true" || text == "false") return text == "true";
  if (text == "null" || text == "~" || text.empty()) return nullptr;
  const json number = json::parse(text, nullptr, false);
  return number.is_number() ? number : json(text);
}

json FromYaml(const YAML::Node& node) {
  if (node.IsSequence()) {
    json list = json::array();
    for (const YAML::Node& item : node) list.push_back(FromYaml(item));
    return list;
  }
  if (node.IsMap()) {
    json object = json::object();
    for (const auto& member : node) object[member.first.Scalar()] = FromYaml(member.second);
    return object;
  }
  return node.IsScalar() ? FromScalar(node) : json();
}

}  // namespace

std::string ReadSource(const std::string& path) {
  std::ifstream in(SourcePath(path), std::ios::binary);
  EXPECT_TRUE(in.good()) << "cannot read " << path;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<json> ParseManifests(const std::string& yaml) {
  std::vector<json> out;
  for (const YAML::Node& document : YAML::LoadAll(yaml)) out.push_back(FromYaml(document));
  return out;
}

}  // namespace perennial::testing
