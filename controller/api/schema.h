#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

// One table per struct of the API is the only place where a field stands: its JSON name, the C++
// member, what it means and what it may hold. Strict decoding, canonical encoding, validation, the
// CRDs and the field reference are all read from it. Default values are those of the C++ members.
namespace perennial::api {

// What a field may hold. Rules of strings and numbers hold for each item of a list of those.
struct Rules {
  bool required = false;  // must be given; always written
  bool always = false;    // written even where it equals the default: people look for it
  std::optional<double> min{};
  std::optional<double> max{};
  std::string_view pattern{};  // RE2, as the API server has it
  std::string_view wants{};    // the pattern in words
  std::size_t min_length = 0;
  std::size_t max_length = 1024;
  std::size_t min_items = 0;
  std::size_t max_items = 64;
  std::string_view list_key{};                // a list of objects, unique by this field
  bool set = false;                           // a list of scalars without duplicates
  std::span<const std::string_view> names{};  // the only texts that are allowed
};

template <class T, class M>
struct Field {
  std::string_view name;
  M T::*member;
  std::string_view doc;
  Rules rules{};
};
template <class T, class M>
Field(const char*, M T::*, const char*) -> Field<T, M>;
template <class T, class M>
Field(const char*, M T::*, const char*, Rules) -> Field<T, M>;

// A member whose fields stand beside the others in JSON.
template <class T, class M>
struct Inline {
  M T::*member;
};
template <class T, class M>
Inline(M T::*) -> Inline<T, M>;

// A rule across fields: CEL for the API server and the same in C++. `field` (may be empty) is what
// the message is about; the message says what to change.
template <class T>
struct Cel {
  std::string_view rule;
  std::string_view message;
  std::string_view field;
  bool (*holds)(const T&);
};

// Schema<T>::kFields is a std::tuple of Field and Inline; kCel, where there is one, an array of
// Cel<T>.
template <class T>
struct Schema;

// EnumNames<E>::kNames[i] is the JSON name of E's i-th value.
template <class E>
struct EnumNames;

template <class T>
concept HasSchema = requires {
  Schema<T>::kFields;
};
template <class T>
concept HasCel = requires {
  Schema<T>::kCel;
};

namespace internal {
template <class T>
struct IsInline : std::false_type {};
template <class T, class M>
struct IsInline<Inline<T, M>> : std::true_type {};
}  // namespace internal

namespace internal {

struct AnyMember {
  template <class U>
  operator U() const;  // NOLINT(implicit)
};
template <std::size_t>
using AnyMemberAt = AnyMember;
template <class T, std::size_t... I>
constexpr bool Takes(std::index_sequence<I...>) {
  return requires {
    T{AnyMemberAt<I>{}...};
  };
}
// Members of an aggregate: the longest list of initializers that it takes.
template <class T, std::size_t N = 32>
constexpr std::size_t MemberCount() {
  if constexpr (Takes<T>(std::make_index_sequence<N>{})) {
    return N;
  } else {
    return MemberCount<T, N - 1>();
  }
}

}  // namespace internal

// Calls visit(field, member of `value`, the member's default) for each field, inlined ones too.
template <class T, class Value, class Visit>
void ForEachField(Value& value, const T& defaults, Visit&& visit) {
  static_assert(internal::MemberCount<T>() ==
                    std::tuple_size_v<std::remove_cvref_t<decltype(Schema<T>::kFields)>>,
                "each member of T needs its Field in Schema<T>::kFields, or it is never stored");
  [[maybe_unused]] const auto one = [&](const auto& entry) {
    if constexpr (internal::IsInline<std::remove_cvref_t<decltype(entry)>>::value) {
      ForEachField(value.*entry.member, defaults.*entry.member, visit);
    } else {
      visit(entry, value.*entry.member, defaults.*entry.member);
    }
  };
  std::apply([&](const auto&... entries) { (one(entries), ...); }, Schema<T>::kFields);
}

}  // namespace perennial::api
