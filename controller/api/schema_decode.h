#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/path.h"
#include "api/scalars.h"
#include "api/schema.h"
#include "base/result.h"
#include "kube/meta.h"

// Strict decoding by Schema<T>. The first problem ends it.
namespace perennial::api {

// Types of scalars, each with the check of its type and range; false with `error` set.
bool ReadScalar(const nlohmann::json& value, const Path& path, std::string& out,
                std::string& error);
bool ReadScalar(const nlohmann::json& value, const Path& path, bool& out, std::string& error);
bool ReadScalar(const nlohmann::json& value, const Path& path, double& out, std::string& error);
bool ReadScalar(const nlohmann::json& value, const Path& path, Decimal& out, std::string& error);
bool ReadScalar(const nlohmann::json& value, const Path& path, Duration& out, std::string& error);
bool ReadScalar(const nlohmann::json& value, const Path& path, Time& out, std::string& error);
bool ReadScalar(const nlohmann::json& value, const Path& path, RawJson& out, std::string& error);
bool ReadScalar(const nlohmann::json& value, const Path& path,
                std::map<std::string, std::string>& out, std::string& error);
bool ReadInteger(const nlohmann::json& value, const Path& path, std::int64_t min, std::int64_t max,
                 std::int64_t& out, std::string& error);
bool ReadName(const nlohmann::json& value, const Path& path,
              std::span<const std::string_view> names, std::size_t& out, std::string& error);
bool ExpectObject(const nlohmann::json& value, const Path& path, std::string& error);
bool ExpectList(const nlohmann::json& value, const Path& path, std::size_t max_items,
                std::string& error);
bool MissingField(const Path& path, std::string_view doc, std::string& error);

// The member, or nullptr where it is absent or null: Kubernetes treats both alike.
const nlohmann::json* Member(const nlohmann::json& object, std::string_view name);
std::size_t SizeOf(const nlohmann::json& list);
const nlohmann::json& ItemOf(const nlohmann::json& list, std::size_t index);

namespace internal {
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
inline constexpr bool kIsInteger = std::is_same_v<T, int> || std::is_same_v<T, std::int64_t>;

// A bound as an integer of T, T's own limit where there is none.
template <class T>
std::int64_t Lower(const Rules& rules) {
  return rules.min ? static_cast<std::int64_t>(std::ceil(*rules.min))
                   : std::int64_t{std::numeric_limits<T>::min()};
}
template <class T>
std::int64_t Upper(const Rules& rules) {
  return rules.max ? static_cast<std::int64_t>(std::floor(*rules.max))
                   : std::int64_t{std::numeric_limits<T>::max()};
}
}  // namespace internal

template <class T>
bool Read(const nlohmann::json& value, const Path& path, const Rules& rules, T& out,
          std::string& error);

template <class T>
bool ReadObject(const nlohmann::json& object, const Path& path, T& out, std::string& error) {
  if (!ExpectObject(object, path, error)) return false;
  bool ok = true;
  ForEachField(out, T{}, [&](const auto& field, auto& member, const auto&) {
    if (!ok) return;
    const Path at(path, field.name);
    const nlohmann::json* value = Member(object, field.name);
    if (value != nullptr) {
      ok = Read(*value, at, field.rules, member, error);
    } else if (field.rules.required) {
      ok = MissingField(at, field.doc, error);
    }
  });
  return ok;
}

template <class T>
bool ReadList(const nlohmann::json& list, const Path& path, const Rules& rules, std::vector<T>& out,
              std::string& error) {
  if (!ExpectList(list, path, rules.max_items, error)) return false;
  out.resize(SizeOf(list));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!Read(ItemOf(list, i), Path(path, i), rules, out[i], error)) return false;
  }
  return true;
}

template <class T>
bool Read(const nlohmann::json& value, const Path& path, const Rules& rules, T& out,
          std::string& error) {
  if constexpr (internal::IsOptional<T>::value) {
    return Read(value, path, rules, out.emplace(), error);
  } else if constexpr (internal::IsVector<T>::value) {
    return ReadList(value, path, rules, out, error);
  } else if constexpr (HasSchema<T>) {
    return ReadObject(value, path, out, error);
  } else if constexpr (std::is_enum_v<T>) {
    std::size_t index = 0;
    if (!ReadName(value, path, EnumNames<T>::kNames, index, error)) return false;
    out = static_cast<T>(index);
    return true;
  } else if constexpr (internal::kIsInteger<T>) {
    std::int64_t number = 0;
    if (!ReadInteger(value, path, internal::Lower<T>(rules), internal::Upper<T>(rules), number,
                     error)) {
      return false;
    }
    out = static_cast<T>(number);
    return true;
  } else {
    return ReadScalar(value, path, out, error);
  }
}

// A whole object of one of our kinds. A status that can't be read, since a newer controller wrote
// it, is not an empty one: a served model would begin anew, and what it remembers be lost.
template <class Kind>
Result<Kind> DecodeKind(const nlohmann::json& object) {
  Kind kind;
  PERENNIAL_TRY(kind.meta, kube::ParseMeta(object));
  std::string error;
  const nlohmann::json* spec = Member(object, "spec");
  if (spec == nullptr) return Error{Errc::kInvalid, "spec: required"};
  if (!ReadObject(*spec, Path("spec"), kind.spec, error)) return Error{Errc::kInvalid, error};
  if constexpr (requires { kind.status; }) {
    const nlohmann::json* status = Member(object, "status");
    if (status != nullptr && !ReadObject(*status, Path("status"), kind.status, error)) {
      return Error{Errc::kInvalid, error + "; if a newer controller wrote it, run that one again"};
    }
  }
  return kind;
}

}  // namespace perennial::api
