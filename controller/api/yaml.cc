#include "api/yaml.h"

#include <nlohmann/json.hpp>

namespace perennial::api {
namespace {

using nlohmann::ordered_json;

// Words that some YAML version takes for a boolean or null.
bool IsReserved(const std::string& text) {
  for (const char* word : {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"}) {
    std::string lower;
    for (const char c : text) {
      lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (lower == word) return true;
  }
  return false;
}

// Safe without quotes: starts with a letter and holds nothing that has a meaning.
bool IsPlain(const std::string& text) {
  if (text.empty() || IsReserved(text) || text.back() == ' ') return false;
  const char first = text.front();
  if (!((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first == '.')) {
    return false;
  }
  if (text.find(": ") != std::string::npos || text.find(" #") != std::string::npos) return false;
  if (text.back() == ':') return false;
  return text.find_first_of("\"'\\\n\t{}[]&*!|>%@`,?") == std::string::npos;
}

std::string Scalar(const ordered_json& value) {
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  return IsPlain(text) ? text : value.dump();
}

bool IsBlock(const ordered_json& value) {
  return value.is_structured() && !value.empty();
}

void Emit(const ordered_json& value, int indent, std::string& out);

void EmitMember(const std::string& key, const ordered_json& value, int indent, std::string& out) {
  out += IsPlain(key) ? key : ordered_json(key).dump();
  out += ':';
  if (!IsBlock(value)) {
    out += ' ' + Scalar(value) + '\n';
    return;
  }
  out += '\n';
  // Lists stand at their key's own column, as kubectl writes them.
  const int inner = value.is_array() ? indent : indent + 2;
  out.append(static_cast<std::size_t>(inner), ' ');
  Emit(value, inner, out);
}

// The caller has already written the first line's indentation.
void Emit(const ordered_json& value, int indent, std::string& out) {
  bool first = true;
  const auto line = [&] {
    if (!first) out.append(static_cast<std::size_t>(indent), ' ');
    first = false;
  };
  if (value.is_array()) {
    for (const ordered_json& item : value) {
      line();
      out += "- ";
      if (IsBlock(item)) {
        Emit(item, indent + 2, out);
      } else {
        out += Scalar(item) + '\n';
      }
    }
    return;
  }
  for (const auto& [key, item] : value.items()) {
    line();
    EmitMember(key, item, indent, out);
  }
}

}  // namespace

std::string ToYaml(const ordered_json& document) {
  if (!IsBlock(document)) return Scalar(document) + '\n';
  std::string out;
  Emit(document, 0, out);
  return out;
}

}  // namespace perennial::api
