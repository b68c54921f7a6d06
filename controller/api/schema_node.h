#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/path.h"
#include "api/schema.h"

namespace perennial::api {

struct Property;

// The shape of a value as data: what the CRDs, the reference and the check below are made from.
struct SchemaNode {
  enum class Kind { kString, kInteger, kNumber, kBoolean, kObject, kList, kTextMap, kRaw };
  struct CelRule {
    std::string_view rule;
    std::string_view message;
    std::string_view field;
  };

  Kind kind = Kind::kString;
  Rules rules;                          // of strings and numbers; of the list itself for lists
  std::string_view format;              // OpenAPI format: int32, int64, double, date-time; or empty
  std::string_view wording;             // what people call it: "duration", "decimal"; or empty
  std::vector<std::string_view> names;  // of an enumeration
  std::vector<Property> properties;     // of an object, in the table's order
  std::vector<CelRule> cel;
  std::shared_ptr<const SchemaNode> items;  // of a list
};

struct Property {
  std::string_view name;
  std::string_view doc;
  bool required = false;
  std::string fallback;  // JSON text of the default, empty where there is none worth telling
  SchemaNode schema;
};

// Adds one message for each rule of `node` that `value` breaks: lengths, ranges, patterns, names,
// sizes and uniqueness. Fields that the schema doesn't know are ignored, as in decoding.
void CheckNode(const SchemaNode& node, const nlohmann::json& value, const Path& path,
               std::vector<std::string>& problems);

// The same for JSON text.
void CheckText(const SchemaNode& node, std::string_view text, const Path& path,
               std::vector<std::string>& problems);

}  // namespace perennial::api
