#include "app/yaml_json.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace perennial::app {
namespace {

using nlohmann::json;

constexpr int kMostNodes = 200'000;
constexpr int kDeepest = 100;

std::string At(const YAML::Mark& mark) {
  return "line " + std::to_string(mark.line + 1);
}

template <size_t N>
bool OneOf(const std::string& text, const std::array<const char*, N>& words) {
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return text == word; });
}

json Number(const std::string& text) {
  if (text.find_first_not_of("0123456789+-.eE_xoabcdefABCDEF") != std::string::npos) return text;
  const char* begin = text.data() + (text[0] == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto [at, error] = std::from_chars(begin, end, whole);
      error == std::errc() && at == end) {
    return whole;
  }
  for (const auto& [prefix, base] : {std::pair{"0x", 16}, std::pair{"0o", 8}, std::pair{"0b", 2}}) {
    if (text.rfind(prefix, 0) != 0) continue;
    const auto [at, error] = std::from_chars(begin + 2, end, whole, base);
    if (error == std::errc() && at == end && begin + 2 != end) return whole;
  }
  // from_chars takes "1e5" and "1.5", and not the hexadecimal or "1." forms that others take.
  double real = 0;
  if (const auto [at, error] = std::from_chars(begin, end, real);
      error == std::errc() && at == end) {
    return real;
  }
  return text;
}

// go-yaml v2, which kubectl reads manifests with, resolves plain scalars by YAML 1.1.
json Plain(const std::string& text) {
  static constexpr std::array kNull{"", "~", "null", "Null", "NULL"};
  static constexpr std::array kTrue{"true", "True", "TRUE", "y",  "Y", "yes",
                                    "Yes",  "YES",  "on",   "On", "ON"};
  static constexpr std::array kFalse{"false", "False", "FALSE", "n",   "N",  "no",
                                     "No",    "NO",    "off",   "Off", "OFF"};
  if (OneOf(text, kNull)) return nullptr;
  if (OneOf(text, kTrue)) return true;
  if (OneOf(text, kFalse)) return false;
  return Number(text);
}

class Converter {
 public:
  Result<json> Convert(const YAML::Node& node, int depth = 0) {
    if (++nodes_ > kMostNodes) {
      return Error{Errc::kTooLarge, At(node.Mark()) + ": more than " + std::to_string(kMostNodes) +
                                        " values; are there aliases of aliases?"};
    }
    if (depth > kDeepest) {
      return Error{Errc::kTooLarge, At(node.Mark()) + ": nested too deeply"};
    }
    switch (node.Type()) {
      case YAML::NodeType::Map:
        return Map(node, depth);
      case YAML::NodeType::Sequence:
        return Sequence(node, depth);
      case YAML::NodeType::Scalar:
        // yaml-cpp's tag of a plain scalar is "?", of a quoted one "!".
        return node.Tag() == "?" ? Plain(node.Scalar()) : json(node.Scalar());
      default:
        return json(nullptr);
    }
  }

 private:
  Result<json> Map(const YAML::Node& node, int depth) {
    json out = json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        return Error{Errc::kInvalid, At(entry.first.Mark()) + ": a key must be text"};
      }
      const std::string& key = entry.first.Scalar();
      if (out.contains(key)) {
        return Error{Errc::kInvalid, At(entry.first.Mark()) + ": " + key + " is given twice"};
      }
      PERENNIAL_TRY(out[key], Convert(entry.second, depth + 1));
    }
    return out;
  }

  Result<json> Sequence(const YAML::Node& node, int depth) {
    json out = json::array();
    for (const YAML::Node& item : node) {
      PERENNIAL_TRY(json value, Convert(item, depth + 1));
      out.push_back(std::move(value));
    }
    return out;
  }

  int nodes_ = 0;
};

}  // namespace

Result<std::vector<json>> ParseYaml(const std::string& text) {
  std::vector<json> out;
  try {
    Converter converter;
    for (const YAML::Node& document : YAML::LoadAll(text)) {
      PERENNIAL_TRY(json value, converter.Convert(document));
      if (!value.is_null()) out.push_back(std::move(value));
    }
  } catch (const YAML::Exception& error) {
    return Error{Errc::kInvalid, At(error.mark) + ": " + error.msg};
  }
  return out;
}

}  // namespace perennial::app
