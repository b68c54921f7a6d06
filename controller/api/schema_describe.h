#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/schema_decode.h"
#include "api/schema_encode.h"
#include "api/schema_node.h"

// From a table to the data that CRDs, reference and checks read.
namespace perennial::api {

// GEP-2257, section "Specification".
inline constexpr std::string_view kDurationPattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
inline constexpr std::string_view kDecimalPattern = "^-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$";

template <class T>
SchemaNode Describe(const Rules& rules = {});

namespace internal {

template <class T>
void AddCel(SchemaNode& node) {
  if constexpr (HasCel<T>) {
    for (const auto& cel : Schema<T>::kCel) node.cel.push_back({cel.rule, cel.message, cel.field});
  }
  std::apply(
      [&](const auto&... entries) {
        [[maybe_unused]] const auto one = [&](const auto& entry) {
          if constexpr (IsInline<std::remove_cvref_t<decltype(entry)>>::value) {
            AddCel<std::remove_cvref_t<decltype(T{}.*entry.member)>>(node);
          }
        };
        (one(entries), ...);
      },
      Schema<T>::kFields);
}

template <class T>
SchemaNode DescribeObject() {
  SchemaNode node;
  node.kind = SchemaNode::Kind::kObject;
  const T defaults{};
  ForEachField(defaults, defaults, [&](const auto& field, const auto& member, const auto&) {
    using M = std::remove_cvref_t<decltype(member)>;
    Property property{field.name, field.doc, field.rules.required, {}, Describe<M>(field.rules)};
    // What an absent scalar means; emptiness needs no telling.
    if constexpr (std::is_arithmetic_v<M> || std::is_enum_v<M> || std::is_same_v<M, Duration> ||
                  std::is_same_v<M, Decimal> || std::is_same_v<M, std::string>) {
      if (!field.rules.required) Write(member, field.rules, {}, property.fallback);
      if (property.fallback == "\"\"") property.fallback.clear();
    }
    node.properties.push_back(std::move(property));
  });
  AddCel<T>(node);
  return node;
}

inline SchemaNode Text(Rules rules, std::string_view pattern, std::size_t max_length,
                       std::string_view wording) {
  SchemaNode node;
  rules.pattern = pattern;
  rules.max_length = max_length;
  node.rules = rules;
  node.wording = wording;
  return node;
}

template <class T>
SchemaNode DescribeScalar(const Rules& rules) {
  SchemaNode node;
  node.rules = rules;
  if constexpr (std::is_same_v<T, Decimal>) {
    node = Text(rules, kDecimalPattern, 32, "decimal");
    node.rules.wants = "a decimal number in quotes, such as \"0.25\"";
  } else if constexpr (std::is_same_v<T, Duration>) {
    node = Text(rules, kDurationPattern, 32, "duration");
    node.rules.wants = "a duration such as \"90s\" or \"1h30m\"";
  } else if constexpr (std::is_same_v<T, Time>) {
    node = Text(rules, "", 40, "time");
    node.format = "date-time";
  } else if constexpr (std::is_same_v<T, bool>) {
    node.kind = SchemaNode::Kind::kBoolean;
  } else if constexpr (std::is_same_v<T, double>) {
    node.kind = SchemaNode::Kind::kNumber;
    node.format = "double";
  } else if constexpr (kIsInteger<T>) {
    node.kind = SchemaNode::Kind::kInteger;
    node.format = std::is_same_v<T, int> ? "int32" : "int64";
  } else if constexpr (std::is_same_v<T, RawJson>) {
    node.kind = SchemaNode::Kind::kRaw;
  } else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>) {
    node.kind = SchemaNode::Kind::kTextMap;
  } else {
    static_assert(std::is_same_v<T, std::string>, "this type has no JSON form");
    node.names.assign(rules.names.begin(), rules.names.end());
  }
  return node;
}

}  // namespace internal

template <class T>
SchemaNode Describe(const Rules& rules) {
  if constexpr (internal::IsOptional<T>::value) {
    return Describe<typename T::value_type>(rules);
  } else if constexpr (internal::IsVector<T>::value) {
    SchemaNode node;
    node.kind = SchemaNode::Kind::kList;
    node.rules = rules;
    node.items = std::make_shared<const SchemaNode>(Describe<typename T::value_type>(rules));
    return node;
  } else if constexpr (HasSchema<T>) {
    return internal::DescribeObject<T>();
  } else if constexpr (std::is_enum_v<T>) {
    SchemaNode node;
    node.rules = rules;
    node.names.assign(EnumNames<T>::kNames.begin(), EnumNames<T>::kNames.end());
    return node;
  } else {
    return internal::DescribeScalar<T>(rules);
  }
}

// Adds one message for each cross-field rule that `value` breaks, down the whole tree.
template <class T>
void CheckCel(const T& value, const Path& path, std::vector<std::string>& problems) {
  if constexpr (internal::IsOptional<T>::value) {
    if (value) CheckCel(*value, path, problems);
  } else if constexpr (internal::IsVector<T>::value) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      CheckCel(value[i], Path(path, i), problems);
    }
  } else if constexpr (HasSchema<T>) {
    if constexpr (HasCel<T>) {
      for (const auto& cel : Schema<T>::kCel) {
        // Without a twin it is about a change of an object, which only the API server sees.
        if (cel.holds == nullptr || cel.holds(value)) continue;
        problems.push_back(Path(path, cel.field).Text() + ": " + std::string(cel.message));
      }
    }
    std::apply(
        [&](const auto&... entries) {
          [[maybe_unused]] const auto one = [&](const auto& entry) {
            if constexpr (internal::IsInline<std::remove_cvref_t<decltype(entry)>>::value) {
              CheckCel(value.*entry.member, path, problems);
            } else {
              CheckCel(value.*entry.member, Path(path, entry.name), problems);
            }
          };
          (one(entries), ...);
        },
        Schema<T>::kFields);
  }
}

// All rules of T's table on a value.
template <class T>
std::vector<std::string> Check(const T& value, const Path& path) {
  static const SchemaNode node = Describe<T>();
  std::vector<std::string> problems;
  CheckText(node, Encode(value), path, problems);
  CheckCel(value, path, problems);
  return problems;
}

}  // namespace perennial::api
