#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "api/scalars.h"
#include "api/schema.h"
#include "kube/kept.h"
#include "kube/meta.h"

// Objects in few bytes, by Schema<T>: for stores that hold many of them and look at each seldom.
// Only what differs from the defaults is written, and each text once an object. Not a format: what
// is packed is unpacked by the same process.
namespace perennial::api {

class Packer {
 public:
  void Integer(std::uint64_t value);
  void Signed(std::int64_t value) {
    Integer((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
  }
  void Number(double value);
  // Must stay where it is until the end.
  void Text(std::string_view text);
  // What was written, without spare room.
  std::string Take() const { return {out_.data(), out_.size()}; }

 private:
  std::string out_;
  std::unordered_map<std::string_view, std::uint64_t> texts_;
};

class Unpacker {
 public:
  // `packed` must outlive it.
  explicit Unpacker(std::string_view packed) : at_(packed.data()) {}

  std::uint64_t Integer();
  std::int64_t Signed() {
    const std::uint64_t value = Integer();
    return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
  }
  double Number();
  std::string_view Text();

 private:
  const char* at_;
  std::vector<std::string_view> texts_;
};

void Pack(const kube::Meta& meta, Packer& out);
void Pack(const Decimal& decimal, Packer& out);
void Unpack(Unpacker& in, kube::Meta& meta);
void Unpack(Unpacker& in, Decimal& decimal);

namespace internal {
template <class T>
inline constexpr bool kPackedAsInteger =
    std::is_same_v<T, bool> || std::is_same_v<T, int> || std::is_same_v<T, std::int64_t>;
}  // namespace internal

template <class T>
void Pack(const T& value, Packer& out);
template <class T>
void Unpack(Unpacker& in, T& value);

template <class T>
void Pack(const std::optional<T>& value, Packer& out) {
  out.Integer(value ? 1 : 0);
  if (value) Pack(*value, out);
}
template <class T>
void Unpack(Unpacker& in, std::optional<T>& value) {
  value.reset();
  if (in.Integer() != 0) Unpack(in, value.emplace());
}

template <class T>
void Pack(const std::vector<T>& list, Packer& out) {
  out.Integer(list.size());
  for (const T& item : list) Pack(item, out);
}
template <class T>
void Unpack(Unpacker& in, std::vector<T>& list) {
  list.clear();
  list.resize(in.Integer());
  for (T& item : list) Unpack(in, item);
}

template <class V>
void Pack(const std::map<std::string, V>& map, Packer& out) {
  out.Integer(map.size());
  for (const auto& [key, value] : map) {
    out.Text(key);
    Pack(value, out);
  }
}
template <class V>
void Unpack(Unpacker& in, std::map<std::string, V>& map) {
  map.clear();
  for (std::uint64_t left = in.Integer(); left > 0; --left) {
    std::string key(in.Text());
    Unpack(in, map[std::move(key)]);
  }
}

template <class T>
void Pack(const T& value, Packer& out) {
  if constexpr (HasSchema<T>) {
    static const T defaults{};
    std::uint64_t differs = 0;
    int field = 0;
    ForEachField(value, defaults, [&](const auto&, const auto& member, const auto& otherwise) {
      if (!(member == otherwise)) differs |= std::uint64_t{1} << field;
      ++field;
    });
    out.Integer(differs);
    ForEachField(value, defaults, [&](const auto&, const auto& member, const auto& otherwise) {
      if (!(member == otherwise)) Pack(member, out);
    });
  } else if constexpr (std::is_enum_v<T> || internal::kPackedAsInteger<T>) {
    out.Signed(static_cast<std::int64_t>(value));
  } else if constexpr (std::is_same_v<T, double>) {
    out.Number(value);
  } else if constexpr (std::is_same_v<T, RawJson>) {
    out.Text(value.text);
  } else if constexpr (std::is_same_v<T, Duration>) {
    out.Signed(value.value.count());
  } else if constexpr (std::is_same_v<T, Time>) {
    out.Signed(value.value.time_since_epoch().count());
  } else {
    static_assert(std::is_same_v<T, std::string>);
    out.Text(value);
  }
}

template <class T>
void Unpack(Unpacker& in, T& value) {
  if constexpr (HasSchema<T>) {
    static const T defaults{};
    const std::uint64_t differs = in.Integer();
    int field = 0;
    ForEachField(value, defaults, [&](const auto&, auto& member, const auto&) {
      if ((differs >> field++ & 1) != 0) Unpack(in, member);
    });
  } else if constexpr (std::is_enum_v<T> || internal::kPackedAsInteger<T>) {
    value = static_cast<T>(in.Signed());
  } else if constexpr (std::is_same_v<T, double>) {
    value = in.Number();
  } else if constexpr (std::is_same_v<T, RawJson>) {
    value.text = in.Text();
  } else if constexpr (std::is_same_v<T, Duration>) {
    value.value = Millis(in.Signed());
  } else if constexpr (std::is_same_v<T, Time>) {
    value.value = WallTime(Millis(in.Signed()));
  } else {
    static_assert(std::is_same_v<T, std::string>);
    value = in.Text();
  }
}

}  // namespace perennial::api

namespace perennial::kube {

template <class T>
std::string Packed<T>::Keep(const std::shared_ptr<const T>& object) {
  api::Packer packer;
  api::Pack(object->meta, packer);
  api::Pack(object->spec, packer);
  api::Pack(object->status, packer);
  return packer.Take();
}

template <class T>
std::shared_ptr<const T> Packed<T>::Show(const std::string& form) {
  api::Unpacker unpacker(form);
  auto object = std::make_shared<T>();
  api::Unpack(unpacker, object->meta);
  api::Unpack(unpacker, object->spec);
  api::Unpack(unpacker, object->status);
  return object;
}

}  // namespace perennial::kube
