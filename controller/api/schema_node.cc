#include "api/schema_node.h"

#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"

namespace perennial::api {
namespace {

using nlohmann::json;
using Kind = SchemaNode::Kind;

// Patterns are few and known at compile time: each is compiled once and kept.
bool Matches(const std::string& text, std::string_view pattern) {
  static std::mutex mutex;
  static std::map<std::string_view, std::unique_ptr<RE2>> compiled;
  const std::lock_guard lock(mutex);
  auto& entry = compiled[pattern];
  if (entry == nullptr) entry = std::make_unique<RE2>(std::string(pattern));
  return RE2::PartialMatch(text, *entry);
}

// The API server counts characters, not bytes.
std::size_t Characters(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

std::string Number(double value) {
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  return whole ? std::to_string(static_cast<std::int64_t>(value)) : json(value).dump();
}

class Checker {
 public:
  explicit Checker(std::vector<std::string>& problems) : problems_(problems) {}

  void Check(const SchemaNode& node, const json& value, const Path& path) {
    switch (node.kind) {
      case Kind::kString:
        return CheckString(node, value, path);
      case Kind::kInteger:
      case Kind::kNumber:
        return CheckNumber(node.rules, value, path);
      case Kind::kObject:
        return CheckObject(node, value, path);
      case Kind::kList:
        return CheckList(node, value, path);
      case Kind::kTextMap:
        return CheckTextMap(node.rules, value, path);
      case Kind::kBoolean:
      case Kind::kRaw:
        return;
    }
  }

 private:
  void Problem(const Path& path, const std::string& what) {
    problems_.push_back(path.Text() + ": " + what);
  }

  void CheckText(const Rules& rules, const std::string& text, const Path& path) {
    const std::size_t length = Characters(text);
    if (length < rules.min_length) {
      Problem(path, rules.min_length == 1
                        ? "must not be empty"
                        : "needs at least " + std::to_string(rules.min_length) + " characters");
      return;
    }
    if (length > rules.max_length) {
      Problem(path, "may have at most " + std::to_string(rules.max_length) + " characters, has " +
                        std::to_string(length));
    } else if (!rules.pattern.empty() && !Matches(text, rules.pattern)) {
      Problem(path, "expected " +
                        (rules.wants.empty() ? "a match of " + std::string(rules.pattern)
                                             : std::string(rules.wants)) +
                        ", got \"" + CutText(text, 80) + "\"");
    }
  }

  void CheckString(const SchemaNode& node, const json& value, const Path& path) {
    if (!value.is_string()) return Problem(path, "expected string");
    const std::string& text = value.get_ref<const std::string&>();
    if (node.names.empty()) return CheckText(node.rules, text, path);
    if (std::find(node.names.begin(), node.names.end(), text) != node.names.end()) return;
    std::string expected;
    for (const std::string_view name : node.names) {
      if (!expected.empty()) expected += ", ";
      expected += name;
    }
    Problem(path, "expected one of " + expected + ", got \"" + CutText(text, 80) + "\"");
  }

  void CheckNumber(const Rules& rules, const json& value, const Path& path) {
    if (!value.is_number()) return Problem(path, "expected a finite number");
    const double number = value.get<double>();
    if (rules.min && number < *rules.min) {
      Problem(path, "must be at least " + Number(*rules.min) + ", is " + Number(number));
    }
    if (rules.max && number > *rules.max) {
      Problem(path, "must be at most " + Number(*rules.max) + ", is " + Number(number));
    }
  }

  void CheckObject(const SchemaNode& node, const json& value, const Path& path) {
    if (!value.is_object()) return Problem(path, "expected object");
    for (const Property& property : node.properties) {
      const Path at(path, property.name);
      const auto member = value.find(property.name);
      if (member != value.end() && !member->is_null()) {
        Check(property.schema, *member, at);
      } else if (property.required) {
        Problem(at, "required. " + std::string(property.doc));
      }
    }
  }

  void CheckList(const SchemaNode& node, const json& value, const Path& path) {
    if (!value.is_array()) return Problem(path, "expected list");
    if (value.size() < node.rules.min_items) {
      Problem(path, "needs at least " + std::to_string(node.rules.min_items) + " items");
    }
    if (value.size() > node.rules.max_items) {
      return Problem(path, "may have at most " + std::to_string(node.rules.max_items) +
                               " items, has " + std::to_string(value.size()));
    }
    std::set<json> seen;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const Path at(path, i);
      Check(*node.items, value[i], at);
      const std::string key(node.rules.list_key);
      if (!key.empty() && value[i].is_object() && value[i].contains(key)) {
        if (!seen.insert(value[i][key]).second) {
          Problem(Path(at, key), "duplicate value " + value[i][key].dump() + ": must be unique");
        }
      } else if (node.rules.set && !seen.insert(value[i]).second) {
        Problem(at, "duplicate value " + value[i].dump() + ": must be unique");
      }
    }
  }

  void CheckTextMap(const Rules& rules, const json& value, const Path& path) {
    if (!value.is_object()) return Problem(path, "expected object");
    if (value.size() > rules.max_items) {
      return Problem(path, "may have at most " + std::to_string(rules.max_items) +
                               " entries, has " + std::to_string(value.size()));
    }
    for (const auto& [key, item] : value.items()) {
      const Path at(path, key);
      if (item.is_string()) CheckText(rules, item.get_ref<const std::string&>(), at);
    }
  }

  std::vector<std::string>& problems_;
};

}  // namespace

void CheckNode(const SchemaNode& node, const json& value, const Path& path,
               std::vector<std::string>& problems) {
  Checker(problems).Check(node, value, path);
}

void CheckText(const SchemaNode& node, std::string_view text, const Path& path,
               std::vector<std::string>& problems) {
  const json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) {
    problems.push_back(path.Text() + ": holds a part that is not JSON");
    return;
  }
  CheckNode(node, value, path, problems);
}

}  // namespace perennial::api
