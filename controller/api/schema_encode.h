#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/scalars.h"
#include "api/schema.h"
#include "base/text.h"

// Canonical compact JSON by Schema<T>: members sorted by name, defaults left out unless the field
// is `required` or `always`. Equal values give equal text.
namespace perennial::api {

// Strings are cut at the field's max_length when `clip` is set: a status must not become
// unwritable because a message in it is long.
struct EncodeOptions {
  bool clip = false;
};

void WriteScalar(const std::string& value, std::string& out);
void WriteScalar(bool value, std::string& out);
void WriteScalar(std::int64_t value, std::string& out);
void WriteScalar(double value, std::string& out);
void WriteScalar(const Decimal& value, std::string& out);
void WriteScalar(const Duration& value, std::string& out);
void WriteScalar(const Time& value, std::string& out);
void WriteScalar(const RawJson& value, std::string& out);
void WriteScalar(const std::map<std::string, std::string>& value, std::string& out);

template <class T>
void Write(const T& value, const Rules& rules, EncodeOptions options, std::string& out);

template <class T>
void WriteObject(const T& value, EncodeOptions options, std::string& out) {
  static const T defaults{};
  struct Member {
    std::string_view name;
    std::size_t begin;
    std::size_t end;
  };
  std::vector<Member> members;
  std::string texts;
  ForEachField(value, defaults, [&](const auto& field, const auto& member, const auto& fallback) {
    if (!field.rules.required && !field.rules.always && member == fallback) return;
    const std::size_t begin = texts.size();
    Write(member, field.rules, options, texts);
    if (texts.size() > begin) members.push_back({field.name, begin, texts.size()});
  });
  std::ranges::sort(members, {}, &Member::name);
  out += '{';
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (i > 0) out += ',';
    out += '"';
    out += members[i].name;
    out += "\":";
    out.append(texts, members[i].begin, members[i].end - members[i].begin);
  }
  out += '}';
}

template <class T>
void Write(const std::vector<T>& list, const Rules& rules, EncodeOptions options,
           std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ',';
    Write(list[i], rules, options, out);
  }
  out += ']';
}

// An absent optional writes nothing, whatever the rules say.
template <class T>
void Write(const std::optional<T>& value, const Rules& rules, EncodeOptions options,
           std::string& out) {
  if (value) Write(*value, rules, options, out);
}

template <class T>
void Write(const T& value, const Rules& rules, EncodeOptions options, std::string& out) {
  if constexpr (HasSchema<T>) {
    WriteObject(value, options, out);
  } else if constexpr (std::is_enum_v<T>) {
    WriteScalar(std::string(EnumNames<T>::kNames.at(static_cast<std::size_t>(value))), out);
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (options.clip && value.size() > rules.max_length) {
      WriteScalar(CutText(value, rules.max_length), out);
    } else {
      WriteScalar(value, out);
    }
  } else if constexpr (std::is_same_v<T, int>) {
    WriteScalar(static_cast<std::int64_t>(value), out);
  } else {
    WriteScalar(value, out);
  }
}

template <class T>
std::string Encode(const T& value, EncodeOptions options = {}) {
  std::string out;
  WriteObject(value, options, out);
  return out;
}

}  // namespace perennial::api
